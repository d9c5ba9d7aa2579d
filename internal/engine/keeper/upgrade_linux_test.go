package keeper

import (
	"errors"
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

// copyImage puts a copy of the test binary at path, in one step, in place of what is there.
func copyImage(t *testing.T, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func image(pid int) string {
	to, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return to
}

// gate lets programs go that wait for it.
type gate struct {
	t    *testing.T
	path string
	f    *os.File
}

func newGate(t *testing.T) *gate {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &gate{t, path, f}
}

// program is one that waits for the gate and then does the rest.
func (g *gate) program(rest string) []string {
	return []string{"sh", "-c", "read x < " + g.path + "; " + rest}
}

func (g *gate) open() {
	g.t.Helper()
	if _, err := g.f.WriteString("\n"); err != nil {
		g.t.Fatal(err)
	}
}

// TestUpgrade: the binary is replaced on disk, the manager asks for it, and manager and keeper are the new
// one, with everything that was held.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "daemon")
	copyImage(t, path)
	r := newRig(t, rigOptions{Timings: quick(), Path: path, Lock: true})
	m := r.manager()
	m.do(order{Do: "ready"})
	want := slices.Concat(m.Items, m.do(order{Do: "hold", Key: "h", Roles: "ioel", Note: []byte{0}, Count: 200}).Items)
	g := newGate(t)
	m.do(order{Do: "spawn", Key: "p/a", Argv: g.program("exit 33")})
	dead := m.do(order{Do: "spawn", Key: "p/dead", Argv: []string{"sh", "-c", "exit 4"}}).PID
	m.do(order{Do: "zombie", N: dead})
	keeper := r.cmd.Process.Pid
	for round := range 3 {
		copyImage(t, path)
		if image(keeper) != path+" (deleted)" {
			t.Fatalf("%q", image(keeper))
		}
		m.do(order{Do: "upgrade"})
		m.expect("leave")
		if err := unix.Kill(keeper, unix.SIGUSR2); err != nil { // it waits for the next manager
			t.Fatal(err)
		}
		m.send(order{Do: "exit"})
		m = r.manager()
		if m.Exe != path || m.Rolled != "" || m.KeeperPID != keeper || m.Previous != "exit status 0" {
			t.Errorf("round %d: %+v", round, m.event)
		}
		m.do(order{Do: "ready"})
		until(t, "the keeper is the new image, too", func() bool { return image(keeper) == path })
		if e := m.expect("signal"); e.N != int(unix.SIGUSR2) {
			t.Errorf("%+v", e)
		}
		if e := m.expect("exit"); e.Key != "p/dead" || e.Raw != exited(4) {
			t.Errorf("%+v", e)
		}
		if diff := cmp.Diff(want, m.Items[:len(want)]); diff != "" {
			t.Fatal(diff)
		}
		until(t, "both have their names", func() bool { return comm(keeper) == "daemon" && comm(m.PID) == managerName })
	}
	// The keeper that has replaced itself holds, watches and obeys like the first one.
	g.open()
	if e := m.expect("exit"); e.Key != "p/a" || e.Raw != exited(33) {
		t.Errorf("%+v", e)
	}
	m.kill()
	m = r.manager()
	if diff := cmp.Diff(want, m.Items[:len(want)]); diff != "" {
		t.Fatal(diff)
	}
	m.do(order{Do: "ready"})
	if err := unix.Kill(keeper, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := m.expect("signal"); e.N != int(unix.SIGTERM) {
		t.Errorf("%+v", e)
	}
	m.do(order{Do: "end", N: 8})
	m.send(order{Do: "exit"})
	if status := r.end(); status != 8 {
		t.Errorf("status %d", status)
	}
	if got := r.output(); got != "ready\n" {
		t.Errorf("the terminal shows %q", got)
	}
}

// TestRollBack: an image that does not work is given up for the one that did.
func TestRollBack(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits four seconds for an image that never gets ready")
	}
	dir := t.TempDir()
	mute, dying := filepath.Join(dir, "never-ready"), filepath.Join(dir, "dies-at-once")
	copyImage(t, mute)
	copyImage(t, dying)
	foreign, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	tm := quick()
	tm.ReadyWithin = 10 * time.Second
	r := newRig(t, rigOptions{Timings: tm})
	m := r.manager()
	m.do(order{Do: "ready"})
	want := m.do(order{Do: "hold", Key: "h", Roles: "io", Count: 20}).Items
	keeper := r.cmd.Process.Pid
	old := image(keeper)
	for _, c := range []struct {
		image, why string
		attaches   bool
	}{
		{dying, "exit status 7", true},
		{foreign, "exit status 1", false},
		{broken, "it could not be started", false},
		{mute, "not ready within 10s", true},
	} {
		m.do(order{Do: "upgrade", Key: c.image})
		m.expect("leave")
		m.send(order{Do: "exit"})
		if c.attaches {
			if m = r.manager(); m.Exe != c.image {
				t.Errorf("%+v", m.event)
			}
		}
		m = r.manager()
		if !strings.HasPrefix(m.Rolled, c.image) || !strings.Contains(m.Rolled, c.why) || m.Exe != old {
			t.Errorf("%s: %+v", c.image, m.event)
		}
		if diff := cmp.Diff(want, m.Items); diff != "" {
			t.Fatal(diff)
		}
		m.do(order{Do: "ready"})
	}
	m.kill()
	if m = r.manager(); m.Rolled != "" {
		t.Errorf("it is told again: %q", m.Rolled)
	}
	if image(keeper) != old {
		t.Errorf("the keeper is %s", image(keeper))
	}
}

// TestBecome: the keeper is killed, and the manager takes its place, with its pid and its children.
func TestBecome(t *testing.T) {
	r := newRig(t, rigOptions{Timings: quick(), Lock: true, Socket: filepath.Join(t.TempDir(), "s")})
	m := r.manager()
	m.do(order{Do: "ready", Argv: []string{"become"}})
	keeper := r.cmd.Process.Pid
	m.do(order{Do: "hold", Key: "h", Roles: "ioel", Note: []byte("n"), Count: 100})
	for round := range 3 {
		g := newGate(t)
		key := fmt.Sprintf("p/%d", round)
		pid := m.do(order{Do: "spawn", Key: key, Argv: g.program("exit 44")}).PID
		dead := m.do(order{Do: "spawn", Key: key + "dead", Argv: []string{"sh", "-c", "kill -TERM $$"}}).PID
		m.do(order{Do: "zombie", N: dead})
		before := m.PID
		if err := unix.Kill(keeper, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		m = r.manager()
		keeper = m.KeeperPID
		if keeper != before || m.Safe || m.Previous == "" {
			t.Fatalf("round %d: %+v, want keeper %d", round, m.event, before)
		}
		m.do(order{Do: "ready", Argv: []string{"become"}})
		keys := map[string]seen{}
		for _, it := range m.Items {
			keys[it.Key] = it
		}
		if len(keys) < 103 || keys["h/0099"].Roles != "ioel" || string(keys["h/0099"].Note) != "nh/0099" || keys["lock"].Roles != "k" {
			t.Fatalf("round %d: %d items, %+v", round, len(keys), keys["h/0099"])
		}
		if comm(keeper) != "keeper-under-te" {
			t.Errorf("the keeper looks like %q", comm(keeper))
		}
		got := map[string]uint32{}
		e := m.expect("exit")
		got[e.Key] = e.Raw
		if parent(pid) != keeper {
			t.Errorf("the parent of %d is %d, not %d", pid, parent(pid), keeper)
		}
		g.open()
		e = m.expect("exit")
		got[e.Key] = e.Raw
		if diff := cmp.Diff(map[string]uint32{key: exited(44), key + "dead": 15}, got); diff != "" {
			t.Error(diff)
		}
		m.do(order{Do: "drop", Key: key})
		m.do(order{Do: "drop", Key: key + "dead"})
		until(t, "they are reaped", func() bool { return procState(pid) == 0 && procState(dead) == 0 })
		if err := unix.Kill(keeper, unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if e := m.expect("signal"); e.N != 1 {
			t.Errorf("%+v", e)
		}
	}
	m.do(order{Do: "end"})
	m.send(order{Do: "exit"})
	until(t, "the keeper ends", func() bool { s := procState(keeper); return s == 0 || s == 'Z' })
}

// TestClaim: another keeper takes everything over, and its manager finds it.
func TestClaim(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if _, err := Claim(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a claim to nobody: %v", err)
	}
	tm := quick()
	tm.ClaimWithin = 10 * time.Second
	r := newRig(t, rigOptions{Timings: tm, Socket: socket, Lock: true})
	m := r.manager()
	m.do(order{Do: "ready"})
	st, err := os.Stat(socket)
	if err != nil || st.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	m.do(order{Do: "hold", Key: "h", Roles: "ioel", Note: []byte("n"), Count: 100})
	dead := m.do(order{Do: "spawn", Key: "p/dead", Argv: []string{"sh", "-c", "exit 55"}}).PID
	m.do(order{Do: "zombie", N: dead})
	m.kill()
	m = r.manager() // so that the dead one is the keeper's child
	m.do(order{Do: "ready"})
	m.expect("exit")
	want := m.Items
	want[len(want)-1].Ended, want[len(want)-1].Raw = true, exited(55)

	second := newRig(t, rigOptions{Timings: tm, Socket: socket, Claim: true})
	m.expect("leave")
	m.send(order{Do: "exit"})
	m2 := second.manager()
	if diff := cmp.Diff(want, m2.Items); diff != "" {
		t.Fatal(diff)
	}
	if status := r.end(); status != 0 {
		t.Errorf("the old keeper ends with %d", status)
	}
	m2.do(order{Do: "ready"})
	if e := m2.expect("exit"); e.Key != "p/dead" || e.Raw != exited(55) {
		t.Errorf("%+v", e)
	}

	// A manager that does not leave is killed, and one is enough.
	third := newRig(t, rigOptions{Timings: tm, Socket: socket, Claim: true})
	m2.expect("leave")
	m3 := third.manager()
	if diff := cmp.Diff(want, m3.Items); diff != "" {
		t.Fatal(diff)
	}
	if procState(m2.PID) != 0 {
		t.Error("two managers")
	}
	second.end()
	m3.do(order{Do: "ready"})
	m3.do(order{Do: "end", N: 1})
	m3.send(order{Do: "exit"})
	if status := third.end(); status != 1 {
		t.Errorf("status %d", status)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
}

// TestNoKeeper: a process that no keeper has started has no link, and variables that lie are refused.
func TestNoKeeper(t *testing.T) {
	if l, items, err := Attach(); l != nil || items != nil || err != nil {
		t.Errorf("%v, %v, %v", l, items, err)
	}
	for _, bad := range []string{"", "x", "0", "2", "-1"} {
		t.Setenv(linkVariable, bad)
		if l, _, err := Attach(); l != nil || err != nil {
			t.Errorf("%q: %v, %v", bad, l, err)
		}
		if _, there := os.LookupEnv(linkVariable); there {
			t.Error("the variable stays")
		}
	}
	t.Setenv(linkVariable, "9999")
	if l, _, err := Attach(); l != nil || !errors.Is(err, syscall.EBADF) {
		t.Errorf("%v, %v", l, err)
	}
	if handled, _ := Main(); handled {
		t.Error("this is no keeper")
	}
}
