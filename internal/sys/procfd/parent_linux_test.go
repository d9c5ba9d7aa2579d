package procfd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// parent is a process of its own whose child we are to adopt. It reaps the child when told.
type parent struct {
	t   testing.TB
	pid int // of the child
	in  io.Writer
	out *bufio.Reader
}

func foreign(t testing.TB, argv ...string) *parent {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// What it starts may outlive the test, which would be waited for if that had its output.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p, err := os.StartProcess(exe, append([]string{exe, "helper-parent"}, argv...), &os.ProcAttr{
		Files: []*os.File{inR, outW, null}, Env: os.Environ(),
	})
	inR.Close()
	outW.Close()
	if err != nil {
		t.Fatal(err)
	}
	f := &parent{t: t, in: inW, out: bufio.NewReader(outR)}
	t.Cleanup(func() {
		inW.Close()
		_, _ = p.Wait()
		outR.Close()
	})
	f.pid, err = strconv.Atoi(f.line())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sh(script string) []string { return []string{"/bin/sh", "-c", script} }

func (f *parent) line() string {
	f.t.Helper()
	s, err := f.out.ReadString('\n')
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

// reap has the child reaped and returns its raw status as the parent saw it.
func (f *parent) reap() uint32 {
	f.t.Helper()
	if _, err := io.WriteString(f.in, "reap\n"); err != nil {
		f.t.Fatal(err)
	}
	raw, err := strconv.ParseUint(f.line(), 10, 32)
	if err != nil {
		f.t.Fatal(err)
	}
	return uint32(raw)
}

// zombie waits for the child to end.
func (f *parent) zombie() {
	f.t.Helper()
	eventually(f.t, func() bool { s, err := procstat.Read(f.pid); return err == nil && s.Dead() && tasks(f.pid) <= 1 })
}

func tasks(pid int) int {
	e, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	return len(e)
}

// helperParent starts a child and reaps it on request. At the end of its input it kills the child.
func helperParent() {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getenv("UPKEEP_TEST_SIBLING") != "" { // a child of our parent
		attr.Cloneflags = unix.CLONE_PARENT
	}
	pid, err := syscall.ForkExec(os.Args[2], os.Args[2:], &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{2, 2, 2}, Sys: attr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(pid)
	in := bufio.NewScanner(os.Stdin)
	var ws unix.WaitStatus
	for in.Scan() {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(uint32(ws))
		pid = 0
	}
	if pid != 0 {
		_ = unix.Kill(-pid, unix.SIGKILL)
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, &ws, 0, nil)
	}
}

// helperLeaderLeaves ends its first thread before it exits with 5.
func helperLeaderLeaves() {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() { // not on the first thread: have another go
		fmt.Fprintln(os.Stderr, syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
		os.Exit(6)
	}
	go func() {
		for {
			s, err := procstat.Read(os.Getpid())
			if err != nil || s.Headless {
				break
			}
			runtime.Gosched()
		}
		os.Exit(5)
	}()
	_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

func adopt(t testing.TB, pid int) *handle {
	t.Helper()
	id, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Adopt(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h.(*handle)
}

// endings are ends and how a parent sees them.
func endings(t testing.TB) map[string][]string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]string{
		"0": sh("exit 0"), "1": sh("exit 1"), "255": sh("exit 255"),
		"KILL": sh("kill -KILL $$"), "TERM": sh("kill -TERM $$"), "SEGV": sh("ulimit -c 0; kill -SEGV $$"),
		"first thread left before": {exe, "helper-leader-leaves"},
	}
}

// gated is a command that waits for the returned function before it does what argv says.
func gated(t testing.TB, argv []string) ([]string, func()) {
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
	return append([]string{"/bin/sh", "-c", `read x <"$0"; exec "$@"`, path}, argv...), func() {
		if _, err := f.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// otherThread is the number of a thread of ours that is not the first.
func otherThread(t testing.TB) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/task")
	if err != nil || len(e) < 2 {
		t.Fatal(err)
	}
	tid, err := strconv.Atoi(e[len(e)-1].Name())
	if err != nil || tid == os.Getpid() {
		t.Fatal(tid, err)
	}
	return tid
}
