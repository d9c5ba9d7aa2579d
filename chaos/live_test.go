//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeVariable makes the test binary a part of a daemon.
const fakeVariable = "CHAOS_FAKE"

// TestMain runs the tests, or is one of the processes that they need.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	if len(os.Args) > 2 && os.Args[1] == mainWord {
		os.Exit(childMain(os.Args[2:]))
	}
	if len(os.Args) > 2 && os.Args[1] == grandWord {
		os.Exit(grandMain(os.Args[2:]))
	}
	if part := os.Getenv(fakeVariable); part != "" {
		os.Exit(fake(part, layout{filepath.Dir(os.Args[len(os.Args)-1])}))
	}
	os.Exit(m.Run())
}

// fake is a daemon of three processes without any program: a keeper that restarts its manager, a manager
// that answers, restarts its spawner and becomes keeper when it has none any more.
func fake(part string, l layout) int {
	next := func(part string) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), fakeVariable+"="+part)
		return cmd
	}
	go func() { // the test is over: whoever was in the middle of taking over is not to stay
		for {
			if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
				os.Exit(0)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	switch part {
	case "keeper":
		_ = os.WriteFile("/proc/self/comm", []byte("supervisord"), 0)
		if err := os.WriteFile(l.pidfile(), fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return 1
		}
		for {
			if err := next("manager").Run(); err == nil {
				return 1
			}
		}
	case "manager":
		parent := os.Getppid() // before anybody can find us, and kill it
		_ = os.WriteFile("/proc/self/comm", []byte(managerName), 0)
		_ = os.Remove(l.socket())
		s, err := net.Listen("unix", l.socket())
		if err != nil {
			return 1
		}
		go func() {
			for next("spawner").Run() != nil {
			}
		}()
		go http.Serve(s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<?xml version='1.0'?><methodResponse><params><param><value><struct>"+
				"<member><name>statecode</name><value><int>1</int></value></member>"+
				"<member><name>statename</name><value><string>RUNNING</string></value></member>"+
				"</struct></value></param></params></methodResponse>")
		}))
		for ; os.Getppid() == parent; time.Sleep(time.Millisecond) {
		}
		os.Setenv(fakeVariable, "keeper")
		_ = unix.Exec("/proc/self/exe", os.Args, os.Environ())
		return 1
	}
	_ = os.WriteFile("/proc/self/comm", []byte(spawnerName), 0)
	idle()
	return 0
}

// rig is a run without programs.
func rig(t *testing.T, role string) *run {
	t.Helper()
	t.Setenv(fakeVariable, "keeper")
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	o := &options{programs: 8, limit: 2 * time.Minute, work: t.TempDir(), count: 3, outage: 50 * time.Millisecond}
	r, err := newRun(o, role, role, os.Args[0], o.count, 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.d.kill()
		r.census.endAll()
		r.remove()
	})
	return r
}

// TestRoles kills every role of a daemon of three processes: each is found, and found again.
func TestRoles(t *testing.T) {
	for _, role := range []string{"manager", "spawner", "keeper", "all", "daemon"} {
		t.Run(role, func(t *testing.T) {
			r := rig(t, role)
			if err := r.d.start(); err != nil {
				t.Fatal(err)
			}
			if err := r.awaitAnswer(time.Now()); err != nil {
				t.Fatal(err)
			}
			was := map[int]bool{}
			for range r.count {
				found, err := r.d.await(role, r.o.limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range found {
					if was[p.pid] {
						t.Errorf("%s (%d) was killed and is there again", p.name, p.pid)
					}
					was[p.pid] = true
				}
				if _, err := r.killAll(t.Context(), found); err != nil {
					t.Fatal(err)
				}
				if err := r.awaitAnswer(time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if role == "all" && len(was) != 3*r.count {
				t.Errorf("%d processes killed, want %d", len(was), 3*r.count)
			}
			if err := r.strike(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// begin starts a ledger child whose output goes to f.
func begin(t *testing.T, f *os.File, mark, name, kind, book string, rate int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], mainWord, mark, name, kind, book, fmt.Sprint(rate))
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// collect copies what the writers of w write, until all of them are gone.
func collect(t *testing.T) (w *os.File, all func() []byte) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	var wg sync.WaitGroup
	wg.Go(func() { data, _ = io.ReadAll(r) })
	return w, func() []byte {
		w.Close()
		wg.Wait()
		r.Close()
		return data
	}
}

// TestLedgerOfKilled kills writers at any moment: the output and the ledger agree, but for the last write.
func TestLedgerOfKilled(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book")
	l, err := openLedger(book, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	w, all := collect(t)
	for i := range 12 {
		cmd := begin(t, w, "m", "w", "flood", book, 0)
		ok := until(2*time.Minute, time.Millisecond, func() bool {
			list, err := l.instances()
			return err == nil && len(list) > i && list[i].out[0].done > int64(i)*100_000
		})
		if !ok {
			t.Fatal("it does not write")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	data := all()
	truth, err := l.instances()
	if err != nil || len(truth) != 12 {
		t.Fatalf("%d instances, %v", len(truth), err)
	}
	slots := make([]extent, len(truth))
	for i, x := range truth {
		slots[i] = x.out[0]
		if x.plan != planNone || x.holder != 0 {
			t.Errorf("instance %d: plan %q, met %d", i, planText(x.plan), x.holder)
		}
	}
	if found, s := check(t, "w", data, slots, 9); len(found) != 0 || s.bytes != int64(len(data)) {
		t.Errorf("%v; %d of %d bytes", found, s.bytes, len(data))
	}
	slots[3].done = slots[3].begun + 1
	if found, _ := check(t, "w", data, slots, 9); found[vLost] == 0 {
		t.Error("a byte more in the ledger: nothing found")
	}
}

// TestPlans: an instance announces its end, whatever ends it.
func TestPlans(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book")
	l, err := openLedger(book, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for i := range 20 {
		kind := []string{"churn", "quiet"}[i%2]
		cmd := begin(t, null, "m", "p", kind, book, 0)
		if kind == "quiet" {
			if !until(2*time.Minute, time.Millisecond, func() bool { return l.head().next.Load() > uint32(i) }) {
				t.Fatal("it does not begin")
			}
			_ = cmd.Process.Signal(unix.SIGTERM)
		}
		_ = cmd.Wait()
		list, err := l.instances()
		if err != nil || len(list) != i+1 {
			t.Fatalf("%d instances, %v", len(list), err)
		}
		ws := cmd.ProcessState.Sys().(interface {
			Exited() bool
			ExitStatus() int
		})
		got := fmt.Sprintf("exit status %d", ws.ExitStatus())
		if !ws.Exited() {
			got = "terminated by " + signalName(cmd)
		}
		if want := planText(list[i].plan); got != want {
			t.Errorf("instance %d (%s): %s, announced %q", i, kind, got, want)
		}
	}
}

func signalName(cmd *exec.Cmd) string {
	ws := cmd.ProcessState.Sys().(interface{ Signal() unix.Signal })
	return unix.SignalName(ws.Signal())
}

// TestCensus sees main processes begin and end, two at once, and no others.
func TestCensus(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book")
	var mu sync.Mutex
	found := map[string]int{}
	c, err := newCensus("mark-of-"+t.Name(), false, &reaper{}, func(v violation) {
		mu.Lock()
		defer mu.Unlock()
		found[v.Kind]++
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c.epoll)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	count := func(name string, n int) bool {
		return until(2*time.Minute, time.Millisecond, func() bool {
			c.look()
			return c.present()[name] == n
		})
	}
	l, err := openLedger(book, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	one := begin(t, null, c.mark, "a", "quiet", book, 0)
	if !until(2*time.Minute, time.Millisecond, func() bool { return l.entry(0).began.Load() != 0 }) {
		t.Fatal("it does not begin")
	}
	begin(t, null, c.mark, "fork", "fork-burst", book+"2", 0)
	begin(t, null, "another", "b", "quiet", book+"3", 0)
	if !count("a", 1) || !count("fork", 1) || c.present()["b"] != 0 {
		t.Fatalf("seen: %v", c.present())
	}
	for range 20 {
		c.look()
	}
	if len(found) != 0 {
		t.Fatalf("found %v", found)
	}
	two := begin(t, null, c.mark, "a", "quiet", book, 0)
	if !count("a", 2) {
		t.Fatalf("seen: %v", c.present())
	}
	if !until(2*time.Minute, 5*time.Millisecond, func() bool { c.look(); return found[vTwo] > 0 }) {
		t.Error("two at once: nothing found")
	}
	if !until(2*time.Minute, time.Millisecond, func() bool { return l.entry(1).holder.Load() != 0 }) {
		t.Error("the second one does not scream")
	}
	for _, cmd := range []*exec.Cmd{one, two} {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if !count("a", 0) {
		t.Errorf("seen: %v", c.present())
	}
	list := c.sights("a")
	if len(list) != 2 || list[0].died == 0 || list[0].last > list[0].died || list[0].first > list[0].last {
		t.Errorf("sights: %+v", list)
	}
	truth, _ := l.instances()
	if v := judgeLocks("a", truth); len(v) != 1 || !strings.Contains(v[0].Text, fmt.Sprint(one.Process.Pid)) {
		t.Errorf("locks: %v", v)
	}
}

// TestShipment follows a log that is rotated as fast as it can be, steadily or in bursts.
func TestShipment(t *testing.T) {
	t.Run("steady", func(t *testing.T) { followRotations(t, 10, 1) })
	t.Run("bursts", func(t *testing.T) { followRotations(t, 50, 15) })
}

// followRotations makes 149 rotations, with a pause after each burst of them.
func followRotations(t *testing.T, backups, burst int) {
	name := filepath.Join(t.TempDir(), "log")
	records, slots := writtenRecords("r", 9000)
	rotate := func() {
		for n := backups; n > 0; n-- {
			from := name
			if n > 1 {
				from = fmt.Sprintf("%s.%d", name, n-1)
			}
			_ = os.Rename(from, fmt.Sprintf("%s.%d", name, n))
		}
	}
	found := map[string]int64{}
	sh := &shipment{path: name, backups: backups, check: newStream("r", func(v violation) { found[v.Kind] += v.Count })}
	s := newShipper([]*shipment{sh})
	s.start(func() {})
	var f *os.File
	made := 0
	for i, rec := range records {
		if i%60 == 0 {
			if f != nil {
				f.Close()
				rotate()
				if made++; made%burst == 0 {
					for seen := -1; seen < made-1; time.Sleep(time.Millisecond) { // else files would come and go unseen
						s.mu[0].Lock()
						seen = sh.rotated
						s.mu[0].Unlock()
					}
				}
			}
			var err error
			if f, err = os.Create(name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	sh.check.finish(slots)
	if len(found) != 0 || sh.check.bytes != slots[0].done || sh.rotated != 149 {
		t.Errorf("found %v, %d of %d bytes, %d rotations", found, sh.check.bytes, slots[0].done, sh.rotated)
	}
	// Files that came and went unseen: the harness knows that it missed them.
	for range backups + 2 {
		rotate()
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := sh.scan(); err != nil || !sh.missed {
		t.Errorf("missed files are not noticed: %v", err)
	}
	sh.close()
}

func TestParse(t *testing.T) {
	self := os.Args[0]
	for _, c := range []struct {
		args, err string
	}{
		{"-daemon " + self, ""},
		{"-daemon " + self + " -role manager,all -n 3", ""},
		{"-daemon " + self + " -role king", "no role"},
		{"-daemon " + self + " -role upgrade", "-other"},
		{"-daemon " + self + " -role keeper -pid1", "namespace"},
		{"-daemon " + self + " -programs 3", "8 or more"},
		{"-daemon " + self + " -load heavy", "no load"},
		{"-daemon /nonexistent", "not a command"},
		{"", "-daemon"},
		{"-daemon " + self + " more", "unexpected"},
	} {
		_, err := parse(strings.Fields(c.args), io.Discard)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

// TestInOutage: only what ended by its own plan while nothing of the daemon lived is excused.
func TestInOutage(t *testing.T) {
	r := &run{outages: []span64{{from: 10 * second, to: 12 * second}}}
	own := uint32(planExit | 5)
	for _, c := range []struct {
		name              string
		plan              uint32
		pid               int
		first, last, died int64
		want              bool
	}{
		{"inside", own, 7, 9, 11, 11, true},
		{"before", own, 7, 8, 9, 9, false},
		{"after", own, 7, 9, 13, 13, false},
		{"lives", own, 7, 9, 20, 0, false},
		{"another process", own, 8, 9, 11, 11, false},
		{"an earlier one of this number", own, 7, 1, 2, 3, false},
		{"output lost", planExit | endAfterLoss, 7, 9, 11, 11, false},
		{"no plan", planNone, 7, 9, 11, 11, false},
	} {
		seen := []sight{{inner: c.pid, first: c.first * second, last: c.last * second, died: c.died * second}}
		if got := r.inOutage(instance{pid: 7, plan: c.plan, began: 8 * second}, seen); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for began, want := range map[int64]bool{8: false, 10: true, 11: true, 13: false} {
		if got := r.inOutage(instance{pid: 7, plan: own, began: began * second}, nil); got != want {
			t.Errorf("never seen, begun at %d: %v", began, got)
		}
	}
}
