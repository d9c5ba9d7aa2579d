package procfd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// tree starts a program with members in its group, in other groups, and in other sessions.
func startTree(t *testing.T, bare bool) (*handle, []int) {
	t.Helper()
	dir := t.TempDir()
	file := func(n int) string { return filepath.Join(dir, strconv.Itoa(n)) }
	script := fmt.Sprintf(`
sleep 1000 & echo $! >%s
setsid sh -c 'echo $$ >%s; sleep 1000 & echo $! >%s; wait' &
setsid sh -c 'setsid sh -c "echo \$\$ >%s; sleep 1000" & wait' &
wait`, file(0), file(1), file(2), file(3))
	h := child(t, bare, script)
	var pids []int
	for n := range 4 {
		pids = append(pids, pidFrom(t, file(n)))
	}
	return h, pids
}

func TestTree(t *testing.T) {
	both(t, func(t *testing.T, bare bool) {
		for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
			bystander := command(t, false, "/bin/sleep", "1000")
			h, pids := startTree(t, bare)
			if err := h.Signal(0, model.ReachTree); err != nil {
				t.Errorf("signal 0: %v", err)
			}
			if err := h.Signal(int(sig), model.ReachTree); err != nil {
				t.Fatal(err)
			}
			if e := ended(t, h); e.Signal != int(sig) {
				t.Errorf("%v: exit %+v", sig, e)
			}
			for _, pid := range pids {
				eventually(t, func() bool { return !alive(pid) })
			}
			if _, done, _ := bystander.Wait(true); done {
				t.Errorf("%v reached a bystander", sig)
			}
		}
	})
}

// TestTreeForkStorm: a program that forks as fast as it can, each child in a session of its own, does
// not outrun a KILL of the tree.
func TestTreeForkStorm(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mark := "storm-" + strconv.Itoa(os.Getpid())
	for range 5 {
		h := command(t, false, exe, "helper-forker", mark)
		eventually(t, func() bool { return len(marked(t, mark)) > 5 })
		if err := h.Signal(int(unix.SIGKILL), model.ReachTree); err != nil {
			t.Fatal(err)
		}
		if e := ended(t, h); e.Signal != int(unix.SIGKILL) {
			t.Errorf("exit %+v", e)
		}
		eventually(t, func() bool {
			left := marked(t, mark)
			return len(left) == 0
		})
	}
}

// helperForker starts children in sessions of their own and keeps a dozen of them.
func helperForker() {
	var kids []*os.Process
	for {
		p, err := os.StartProcess("/bin/sleep", []string{os.Args[2], "1000"}, &os.ProcAttr{
			Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			return
		}
		if kids = append(kids, p); len(kids) > 12 {
			_ = kids[0].Kill()
			_, _ = kids[0].Wait()
			kids = kids[1:]
		}
	}
}

// marked lists living processes whose argument 0 is the mark.
func marked(t testing.TB, mark string) []int {
	t.Helper()
	pids, err := procstat.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, pid := range pids {
		if line, err := procstat.Cmdline(pid); err == nil && len(line) > 0 && line[0] == mark {
			out = append(out, pid)
		}
	}
	return out
}

func TestVerified(t *testing.T) {
	h := command(t, false, "/bin/sleep", "1000")
	s, err := procstat.Read(h.PID())
	if err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func(int, uint64, int) error{
		"pidfd":  func(pid int, ticks uint64, sig int) error { return Process{PID: pid, StartTicks: ticks}.Signal(sig) },
		"number": signalByNumber,
	} {
		if err := send(h.PID(), s.StartTicks+1, 9); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: another process of this pid was signalled: %v", name, err)
		}
		if err := send(h.PID(), s.StartTicks, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, done, _ := h.Wait(true); done {
		t.Error("it was killed")
	}
}

// TestReapOrphans runs a subreaper, which tells what it reaped.
func TestReapOrphans(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// What it starts may outlive the test, which would be waited for if that had its output.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := os.StartProcess(exe, []string{exe, "helper-reaper"}, &os.ProcAttr{Files: []*os.File{nil, w, null}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := p.Wait(); err != nil || !st.Success() {
		t.Fatalf("%v, %v: %s", st, err, out)
	}
	want := "11\n12\n13\n14\n15\nsignal 9\nown 42\nliving true\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// helperReaper is a subreaper with an ended child of its own, which comes first in every list and is not
// to be touched, a living one, and orphans that end.
func helperReaper() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("helper:", err)
			os.Exit(1)
		}
	}
	fail(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	chld := make(chan os.Signal, 1)
	signal.Notify(chld, unix.SIGCHLD)
	start := func(script string) *handle {
		pidfd := -1
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
			Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{PidFD: &pidfd},
		})
		fail(err)
		return Own(pidfd, pid).(*handle)
	}
	own := start("exit 42")
	living := start("sleep 1000")
	var parents []*handle
	for code := range 5 {
		parents = append(parents, start(fmt.Sprintf("(sleep 0.01; exit %d) & exit 0", 11+code)))
	}
	parents = append(parents, start("(kill -KILL $(cut -d' ' -f4 /proc/self/stat)) & exit 0"))
	known := map[int]bool{own.PID(): true, living.PID(): true}
	for _, p := range parents {
		known[p.PID()] = true
	}
	isKnown := func(pid int) bool { return known[pid] }
	var got []string
	deadline := time.After(patience)
	for len(got) < 6 {
		if HasOrphans(isKnown) {
			ReapOrphans(isKnown, func(pid int, e model.Exit) {
				if known[pid] {
					fail(fmt.Errorf("reaped one of ours, %d", pid))
				}
				if e.Signal != 0 {
					got = append(got, fmt.Sprint("signal ", e.Signal))
				} else {
					got = append(got, fmt.Sprint(e.Status))
				}
			})
			continue
		}
		select {
		case <-chld:
		case <-deadline:
			fail(fmt.Errorf("only %v", got))
		}
	}
	slices.Sort(got)
	out := bufio.NewWriter(os.Stdout)
	for _, g := range got {
		fmt.Fprintln(out, g)
	}
	e, done, err := own.Wait(false)
	fail(err)
	if !done {
		fail(errors.New("our own child has not ended"))
	}
	fmt.Fprintln(out, "own", e.Status)
	fmt.Fprintln(out, "living", alive(living.PID()))
	fail(out.Flush())
	_ = living.Signal(9, model.ReachTree)
	for _, p := range parents {
		_, _, _ = p.Wait(false)
	}
}
