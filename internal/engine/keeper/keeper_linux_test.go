package keeper

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func exited(code int) uint32 { return uint32(code) << 8 }

// TestHandBack: everything that is held comes back, with notes, letters and the same open files.
func TestHandBack(t *testing.T) {
	r := newRig(t, rigOptions{Timings: quick(), Lock: true})
	m := r.manager()
	m.do(order{Do: "ready"})
	if m.KeeperPID != r.cmd.Process.Pid || m.Previous != "" || m.Safe || m.Comm != managerName {
		t.Errorf("%+v", m.event)
	}
	if comm(m.KeeperPID) == managerName {
		t.Error("the keeper cannot be told from the manager")
	}
	want := m.Items // the lock
	if len(want) != 1 || want[0].Key != "lock" || want[0].Roles != "k" {
		t.Fatalf("%+v", want)
	}
	note := bytes.Repeat([]byte{0, 255, '\n'}, 10)
	want = append(want, m.do(order{Do: "hold", Key: "p/web:web", Roles: "ioe", Note: note, Count: 1000}).Items...)
	many := m.do(order{Do: "hold", Key: "many", Roles: strings.Repeat("x", 253), Note: make([]byte, 32<<10)}).Items[0]
	bare := m.do(order{Do: "hold", Key: "bare"}).Items[0]
	want = append(want, many, bare)
	m.do(order{Do: "hold", Key: "dropped", Roles: "l"})
	m.do(order{Do: "drop", Key: "dropped"})
	m.do(order{Do: "note", Key: "p/web:web/0007", Note: []byte("new")})
	want[8].Note = []byte("new")
	for range 3 {
		m.kill()
		m = r.manager()
		if m.Previous != "terminated by SIGKILL" {
			t.Errorf("previous: %q", m.Previous)
		}
		if diff := cmp.Diff(want, m.Items); diff != "" {
			t.Fatal(diff)
		}
		m.do(order{Do: "ready"})
	}
	// Holding under a key again replaces it, at the end of the order.
	again := m.do(order{Do: "hold", Key: "lock", Roles: "kk"}).Items[0]
	want = append(want[1:], again)
	m.kill()
	m = r.manager()
	if diff := cmp.Diff(want, m.Items); diff != "" {
		t.Fatal(diff)
	}
	m.do(order{Do: "ready"})
	m.do(order{Do: "end", N: 42})
	m.send(order{Do: "exit", N: 1})
	if status := r.end(); status != 42 {
		t.Errorf("status %d", status)
	}
	if got := r.output(); got != "ready\n" {
		t.Errorf("the terminal shows %q", got)
	}
}

// TestDescriptorsDoNotLeak: a thousand holds and drops leave nothing behind.
func TestDescriptorsDoNotLeak(t *testing.T) {
	r := newRig(t, rigOptions{Timings: quick()})
	m := r.manager()
	m.do(order{Do: "ready"})
	m.do(order{Do: "churn", Key: "a", Roles: "ioe", Count: 10})
	settled := func() int {
		m.do(order{Do: "upgrade", Key: "/bin/true"}) // something that is answered, behind everything else
		m.expect("leave")
		return fdCount(t, r.cmd.Process.Pid)
	}
	before := settled()
	mine := m.do(order{Do: "fds"}).N
	m.do(order{Do: "churn", Key: "a", Roles: "ioel", Count: 1000})
	if after := settled(); after != before {
		t.Errorf("the keeper has %d descriptors, and had %d", after, before)
	}
	if after := m.do(order{Do: "fds"}).N; after != mine {
		t.Errorf("the manager has %d descriptors, and had %d", after, mine)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, rigOptions{Timings: quick()})
	m := r.manager()
	m.do(order{Do: "ready"})
	m.do(order{Do: "bind", Key: "nothing", N: 1})
	if e := m.expect("refused"); e.Key != "nothing" || e.Text == "" {
		t.Errorf("%+v", e)
	}
	m.do(order{Do: "note", Key: "none"})
	if e := m.expect("refused"); e.Key != "none" {
		t.Errorf("%+v", e)
	}
	m.do(order{Do: "drop", Key: "none"}) // to let go of nothing is no mistake
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []order{
		{Do: "note", Key: "k", Note: make([]byte, 32<<10+1)},
		{Do: "hold", Key: "k", Roles: strings.Repeat("x", 254)},
		{Do: "upgrade", Key: "/no/such/image"},
		{Do: "upgrade", Key: os.TempDir()},
		{Do: "upgrade", Key: plain},
	} {
		m.send(o)
		if e := m.expect("done"); e.Text == "" {
			t.Errorf("%s is done", o.Do)
		}
	}
}

// TestExits: statuses of programs that end while no manager runs are exact, are told again until they are
// dropped, and the number stays taken until then.
func TestExits(t *testing.T) {
	r := newRig(t, rigOptions{Timings: quick()})
	m := r.manager()
	m.do(order{Do: "ready"})
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "read x < " + fifo + "; "
	pids := map[string]int{}
	want := map[string]uint32{"p/a": exited(17), "p/b": 9, "p/c": exited(0), "p/d": exited(3)}
	pids["p/a"] = m.do(order{Do: "spawn", Key: "p/a", Argv: []string{"sh", "-c", script + "exit 17"}}).PID
	pids["p/b"] = m.do(order{Do: "spawn", Key: "p/b", Argv: []string{"sh", "-c", script + "kill -9 $$"}}).PID
	pids["p/c"] = m.do(order{Do: "spawn", Key: "p/c", Argv: []string{"sh", "-c", script}}).PID
	// One that has ended already and that the manager has seen, and one that it has reaped.
	pids["p/d"] = m.do(order{Do: "spawn", Key: "p/d", Argv: []string{"sh", "-c", "exit 3"}}).PID
	m.do(order{Do: "zombie", N: pids["p/d"]})
	reaped := m.do(order{Do: "spawn", Key: "p/reaped", Argv: []string{"true"}}).PID
	m.do(order{Do: "reap", N: reaped})
	living := m.do(order{Do: "spawn", Key: "p/living", Argv: []string{"sleep", "1000"}}).PID
	defer func() { _ = unix.Kill(living, unix.SIGKILL) }()

	m.kill()
	m = r.manager()
	m.do(order{Do: "ready"})
	if e := m.expect("exit"); e.Key != "p/d" || e.Raw != exited(3) {
		t.Errorf("%+v", e)
	}
	// Holding and binding the same process again does not lose sight of it, living or dead.
	m.do(order{Do: "rehold", Key: "p/a"})
	m.do(order{Do: "bind", Key: "p/b", N: pids["p/b"]})
	m.do(order{Do: "rehold", Key: "p/d"})
	// They end now, one after the other: told as it happens.
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]uint32{"p/d": exited(3)}
	for range 3 {
		if _, err := io.WriteString(f, "\n"); err != nil {
			t.Fatal(err)
		}
		e := m.expect("exit")
		if _, twice := got[e.Key]; twice {
			t.Errorf("%s is told twice", e.Key)
		}
		got[e.Key] = e.Raw
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The next manager hears it again, in the item and as an event.
	m.kill()
	m = r.manager()
	m.do(order{Do: "ready"})
	items := map[string]uint32{}
	for _, it := range m.Items {
		if it.Ended {
			items[it.Key] = it.Raw
		}
	}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Error(diff)
	}
	told := map[string]uint32{}
	for range 4 {
		e := m.expect("exit")
		told[e.Key] = e.Raw
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	for key, pid := range pids {
		if procState(pid) != 'Z' || parent(pid) != m.KeeperPID {
			t.Errorf("%s: state %c, parent %d", key, procState(pid), parent(pid))
		}
		m.do(order{Do: "drop", Key: key})
		until(t, "it is reaped", func() bool { return procState(pid) == 0 })
	}
	m.kill()
	m = r.manager()
	if len(m.Items) != 2 || m.Items[0].Key != "p/reaped" || m.Items[0].Ended || m.Items[1].PID != living {
		t.Errorf("%+v", m.Items)
	}
	m.do(order{Do: "ready"})
	// Releasing the process keeps the rest.
	mixed := m.do(order{Do: "hold", Key: "mixed", Roles: "io"}).Items[0]
	again := m.do(order{Do: "attach", Key: "mixed", Argv: []string{"sh", "-c", "exit 8"}}).PID
	m.do(order{Do: "zombie", N: again})
	m.kill()
	m = r.manager()
	m.do(order{Do: "ready"})
	if e := m.expect("exit"); e.Key != "mixed" || e.Raw != exited(8) {
		t.Errorf("%+v", e)
	}
	if last := m.Items[len(m.Items)-1]; last.Roles != "iop" || last.PID != again || !last.Ended {
		t.Errorf("%+v", last)
	}
	m.do(order{Do: "release", Key: "mixed"})
	until(t, "it is reaped", func() bool { return procState(again) == 0 })
	m.kill()
	m = r.manager()
	if diff := cmp.Diff(mixed, m.Items[len(m.Items)-1]); diff != "" {
		t.Error(diff)
	}
	m.do(order{Do: "ready"})
	m.do(order{Do: "drop", Key: "mixed"})
	// A program that is dropped while it lives is nobody's when it ends.
	m.do(order{Do: "drop", Key: "p/living"})
	m.do(order{Do: "hold", Key: "x"})
	_ = unix.Kill(living, unix.SIGKILL)
	if e := m.expect("orphans"); e.PID != living || e.Raw != 9 || e.N != 1 {
		t.Errorf("%+v", e)
	}
	if len(m.queue) != 0 {
		t.Errorf("%+v", m.queue)
	}
}

// TestOrphans: processes of nobody are reaped at once, also when the process of an item is ended and not
// dropped, and while no manager runs.
func TestOrphans(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 50
	}
	r := newRig(t, rigOptions{Timings: quick()})
	m := r.manager()
	m.do(order{Do: "ready"})
	held := m.do(order{Do: "spawn", Key: "p/held", Argv: []string{"sh", "-c", "exit 5"}}).PID
	m.do(order{Do: "zombie", N: held})
	m.kill()
	m = r.manager()
	m.do(order{Do: "ready"})
	m.expect("exit")
	// It leaves n children behind that end later than it does itself.
	storm := fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 0.0$((i %% 10)) & i=$((i+1)); done; exit 6", n)
	pid := m.do(order{Do: "spawn", Key: "p/storm", Argv: []string{"sh", "-c", storm}}).PID
	if ws := m.do(order{Do: "reap", N: pid}).N; uint32(ws) != exited(6) {
		t.Errorf("status %#x", ws)
	}
	for got := 0; got < 1; got += m.expect("orphans").N { // they come, then the manager is killed among them
	}
	m.kill()
	m = r.manager()
	m.do(order{Do: "ready"})
	until(t, "no children but the manager and the held one are left", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.KeeperPID, m.KeeperPID))
		if err != nil {
			t.Fatal(err)
		}
		rest := len(strings.Fields(string(b)))
		for tid := range threads(t, m.KeeperPID) {
			if tid != m.KeeperPID {
				b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.KeeperPID, tid))
				rest += len(strings.Fields(string(b)))
			}
		}
		return rest <= 2
	})
	if procState(held) != 'Z' {
		t.Errorf("the held process is %c", procState(held))
	}
	if e := m.expect("exit"); e.Key != "p/held" || e.Raw != exited(5) {
		t.Errorf("%+v", e)
	}
}

func threads(t *testing.T, pid int) map[int]bool {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]bool{}
	for _, e := range list {
		var tid int
		if _, err := fmt.Sscan(e.Name(), &tid); err == nil {
			out[tid] = true
		}
	}
	return out
}

// TestFirstManagerFails: until the first READY the keeper is transparent.
func TestFirstManagerFails(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*mgr)
		want int
	}{
		{"exit", func(m *mgr) { m.send(order{Do: "exit", N: 2}) }, 2},
		{"success", func(m *mgr) { m.send(order{Do: "exit"}) }, 0},
		{"signal", func(m *mgr) { m.kill() }, 137},
		{"end", func(m *mgr) { m.do(order{Do: "end", N: 9}); m.send(order{Do: "exit", N: 2}) }, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, rigOptions{Timings: quick()})
			c.do(r.manager())
			if status := r.end(); status != c.want {
				t.Errorf("status %d, want %d", status, c.want)
			}
			if got := r.output(); got != "" {
				t.Errorf("the terminal shows %q", got)
			}
		})
	}
}

// TestSignals: they arrive in order, wait for a manager that is READY, and are told again to the next one
// when the last one died over them.
func TestSignals(t *testing.T) {
	r := newRig(t, rigOptions{Timings: quick()})
	m := r.manager()
	hit := func(s ...syscall.Signal) {
		t.Helper()
		for _, s := range s {
			if err := unix.Kill(r.cmd.Process.Pid, s); err != nil {
				t.Fatal(err)
			}
			until(t, "the signal is taken", func() bool {
				b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
				return strings.Contains(string(b), "ShdPnd:\t0000000000000000")
			})
		}
	}
	hit(unix.SIGHUP)
	m.do(order{Do: "serve"})
	hit(unix.SIGUSR2, unix.SIGHUP)
	m.do(order{Do: "ready"})
	all := []syscall.Signal{unix.SIGUSR1, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR2}
	var got []int
	for len(got) < 2 {
		if n := m.expect("signal").N; n != int(unix.SIGHUP) || !slices.Contains(got, n) { // two may come as one, or as two
			got = append(got, n)
		}
	}
	for _, s := range all {
		hit(s)
		n := m.expect("signal").N
		for n == int(unix.SIGHUP) { // the second one came after READY, and had nothing to be merged with
			n = m.expect("signal").N
		}
		got = append(got, n)
	}
	if diff := cmp.Diff([]int{1, 12, 10, 2, 3, 15, 12}, got); diff != "" {
		t.Error(diff)
	}
	if len(m.queue) > 0 {
		t.Errorf("%+v", m.queue)
	}
	// A manager that is stopped does not obey; the next one does.
	if err := unix.Kill(m.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "every thread of it stands still", func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.PID))
		for _, task := range tasks {
			b, _ := os.ReadFile(task)
			if _, rest, ok := strings.Cut(string(b), ") "); ok && !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return err == nil && len(tasks) > 0
	})
	hit(unix.SIGUSR1, unix.SIGTERM)
	m.kill()
	m = r.manager()
	m.do(order{Do: "ready"})
	a := m.expect("signal").N
	if a == 12 { // it was obeyed when its manager had not said so yet: rather twice than never
		a = m.expect("signal").N
	}
	if b := m.expect("signal").N; a != 10 || b != 15 {
		t.Errorf("signals %d, %d", a, b)
	}
}

// TestSafeMode: a manager that dies again and again is started more and more slowly, and then safely.
func TestSafeMode(t *testing.T) {
	tm := quick()
	tm.SafeCrashes = 3
	tm.Backoff = 20 * time.Millisecond
	tm.BackoffMax = time.Second
	r := newRig(t, rigOptions{Timings: tm})
	m := r.manager()
	m.do(order{Do: "ready"})
	begin := time.Now()
	for i := range 3 {
		if m.Safe {
			t.Errorf("safe after %d crashes", i)
		}
		m.send(order{Do: "exit", N: 3})
		m = r.manager()
		m.do(order{Do: "ready"})
	}
	if took := time.Since(begin); took < (20+40+80)*time.Millisecond {
		t.Errorf("three restarts took %v", took)
	}
	if !m.Safe {
		t.Error("not safe after 3 crashes")
	}
	m.send(order{Do: "exit", N: 3})
	if m = r.manager(); !m.Safe {
		t.Error("not safe after 4 crashes")
	}
	// A safe one that is never READY, and somebody who wants the end of it.
	if err := unix.Kill(r.cmd.Process.Pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.send(order{Do: "exit", N: 3})
	for {
		select {
		case <-r.ended:
			if status := r.end(); status != 1 {
				t.Errorf("status %d", status)
			}
			return
		case c := <-r.conns: // the signal was not seen yet
			c.Close()
		case <-time.After(patience):
			t.Fatal("the keeper does not end")
		}
	}
}

// TestHang: a manager that is stopped or does not say that it lives is replaced.
func TestHang(t *testing.T) {
	tm := quick()
	tm.PingEvery, tm.HangAfter = 100*time.Millisecond, 4*time.Second
	r := newRig(t, rigOptions{Timings: tm})
	m := r.manager()
	m.do(order{Do: "ready"})
	if err := unix.Kill(m.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m = r.manager()
	if !strings.Contains(m.Previous, "did not answer") || !strings.HasPrefix(m.Previous, "terminated by SIGKILL") {
		t.Errorf("previous: %q", m.Previous)
	}
	m.do(order{Do: "ready", Argv: []string{"mute"}})
	m = r.manager()
	if !strings.Contains(m.Previous, "did not answer") {
		t.Errorf("previous: %q", m.Previous)
	}
	// One that answers stays.
	m.do(order{Do: "ready"})
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		m.do(order{Do: "fds"})
	}
	// The keeper and the manager stopped together, as by a terminal, for longer than the patience.
	for _, s := range []syscall.Signal{unix.SIGSTOP, unix.SIGCONT} {
		for _, pid := range []int{r.cmd.Process.Pid, m.PID} {
			if err := unix.Kill(pid, s); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second) // nothing can be waited for: the clock is what is tested
	}
	m.do(order{Do: "fds"})
}

// TestNotReady: a manager that is not READY in time is replaced.
func TestNotReady(t *testing.T) {
	tm := quick()
	tm.ReadyWithin = 10 * time.Second
	r := newRig(t, rigOptions{Timings: tm})
	m := r.manager()
	m.do(order{Do: "ready"})
	m.kill()
	r.manager()
	if m = r.manager(); !strings.Contains(m.Previous, "not ready within 10s") {
		t.Errorf("previous: %q", m.Previous)
	}
}

// TestFirstProcess: as PID 1 of a container it works like anywhere else.
func TestFirstProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("no namespaces: %v: %s", err, out)
	}
	r := newRig(t, rigOptions{Timings: quick(), First: true})
	m := r.manager()
	m.do(order{Do: "ready"})
	if m.KeeperPID != 1 {
		t.Fatalf("the keeper is %d", m.KeeperPID)
	}
	pid := m.do(order{Do: "spawn", Key: "p/a", Argv: []string{"sh", "-c", "sleep 0.01 & sleep 0.02 & exit 3"}}).PID
	m.do(order{Do: "zombie", N: pid})
	for n := 0; n < 2; n += m.expect("orphans").N {
	}
	m.do(order{Do: "die"}) // its number means nothing outside
	m = r.manager()
	m.do(order{Do: "ready"})
	if e := m.expect("exit"); e.Key != "p/a" || e.Raw != exited(3) {
		t.Errorf("%+v", e)
	}
	m.do(order{Do: "end", N: 21})
	m.send(order{Do: "exit"})
	if status := r.end(); status != 21 {
		t.Errorf("status %d", status)
	}
}
