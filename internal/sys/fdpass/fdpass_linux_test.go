package fdpass

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second

// actVar makes the test binary do something else.
const actVar = "FDPASS_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(actVar) {
	case "": // the tests
		os.Exit(m.Run())
	case "describe": // what it was started with
		b, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "SigBlk:") {
				fmt.Print(line)
			}
		}
		fds, _ := os.ReadDir("/proc/self/fd")
		for _, e := range fds {
			to, _ := os.Readlink("/proc/self/fd/" + e.Name())
			if counts(to) {
				fmt.Println("fd", e.Name())
			}
		}
		fmt.Println("leader", unix.Getpgrp() == os.Getpid(), os.Args)
	case "exec": // executes itself once
		if os.Args[0] == "again" {
			fmt.Println(os.Args[1:], hears(unix.SIGUSR1), hears(unix.SIGUSR2))
			return
		}
		image, err := Self()
		if err == nil {
			err = Inherit([]int{image}, true)
		}
		if err == nil {
			err = Exec(image, []string{"again", os.Args[1]}, os.Environ())
		}
		fmt.Println(err)
	}
}

// hears reports whether a signal that came before anybody asked for it arrives.
func hears(sig unix.Signal) bool {
	if err := unix.Kill(os.Getpid(), sig); err != nil {
		return false
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig)
	select {
	case <-c:
		return true
	case <-time.After(20 * time.Second):
		return false
	}
}

// counts reports whether a descriptor is none of those that Go itself opens.
func counts(to string) bool {
	return to != "" && !strings.Contains(to, "/proc/") && !strings.Contains(to, "anon_inode") && !strings.HasPrefix(to, "/sys/")
}

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, fd, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = Open(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestDescriptorsTravel(t *testing.T) {
	before := openFDs(t)
	a, b := pair(t)
	buf := make([]byte, 1<<16)
	if _, _, err := b.Recv(buf); !errors.Is(err, ErrAgain) {
		t.Errorf("an empty connection: %v", err)
	}
	var fds []int
	var want []uint64
	for range MaxDescriptors {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		fds, want = append(fds, fd), append(want, inode(t, fd))
	}
	msg := bytes.Repeat([]byte("m"), len(buf))
	if err := a.Send(msg, fds); err != nil {
		t.Fatal(err)
	}
	CloseAll(fds)
	if err := a.Send([]byte("second"), nil); err != nil {
		t.Fatal(err)
	}
	n, got, err := b.Recv(buf)
	if err != nil || !bytes.Equal(buf[:n], msg) || len(got) != MaxDescriptors {
		t.Fatalf("%d bytes, %d descriptors, %v", n, len(got), err)
	}
	for i, fd := range got {
		if inode(t, fd) != want[i] {
			t.Errorf("descriptor %d is of another file", i)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d stays open on exec: %v", i, err)
		}
	}
	CloseAll(got)
	if n, got, err := b.Recv(buf); err != nil || string(buf[:n]) != "second" || got != nil {
		t.Errorf("%q, %v, %v", buf[:n], got, err)
	}
	a.Shutdown()
	if _, _, err := b.Recv(buf); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if ok, err := b.Wait(false, -1); !ok || err != nil {
		t.Errorf("the end does not end a wait: %v, %v", ok, err)
	}
	if after := openFDs(t); after != before+2 {
		t.Errorf("%d descriptors, want %d", after, before+2)
	}
}

// TestTruncated: what does not fit is reported and leaves no descriptor behind.
func TestTruncated(t *testing.T) {
	a, b := pair(t)
	before := openFDs(t)
	if err := a.Send([]byte("long message"), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if n, fds, err := b.Recv(buf); !errors.Is(err, ErrTruncated) || string(buf[:n]) != "long" || fds != nil {
		t.Errorf("%q, %v, %v", buf[:n], fds, err)
	}
	// No room for descriptors.
	if err := a.Send([]byte("abcd"), []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	highest, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(highest)
	less := unix.Rlimit{Cur: uint64(highest) + 1, Max: lim.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &less, nil); err != nil {
		t.Fatal(err)
	}
	n, fds, err := b.Recv(buf)
	if e := unix.Prlimit(0, unix.RLIMIT_NOFILE, &lim, nil); e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, ErrTruncated) || string(buf[:n]) != "abcd" || fds != nil {
		t.Errorf("%q, %v, %v", buf[:n], fds, err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors, want %d", after, before)
	}
}

// TestFull: a full connection says so, keeps what it has, and tells when there is room.
func TestFull(t *testing.T) {
	a, b := pair(t)
	msg := make([]byte, 32<<10)
	sent := 0
	for ; ; sent++ {
		if err := a.Send(msg, nil); errors.Is(err, ErrAgain) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if sent > 1<<20 {
			t.Fatal("it is never full")
		}
	}
	if ok, err := a.Wait(true, time.Millisecond); ok || err != nil {
		t.Errorf("there is room: %v, %v", ok, err)
	}
	for range sent {
		if n, _, err := b.Recv(msg); n != len(msg) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if ok, err := a.Wait(true, patience); !ok || err != nil {
		t.Errorf("there is no room: %v, %v", ok, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(msg, nil); !errors.Is(err, unix.EPIPE) {
		t.Errorf("to nobody: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(fds[:])
	if _, err := Open(fds[0]); err == nil {
		t.Error("a stream is taken")
	}
	if _, err := Open(0); err == nil {
		t.Error("standard input is taken")
	}
	if _, err := Open(1 << 20); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if _, err := Dial(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nobody: %v", err)
	}
	old := unix.Umask(0)
	defer unix.Umask(old)
	for range 2 { // the second takes the name of the first
		fd, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		st, err := os.Lstat(path)
		if err != nil || st.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
		if _, err := Accept(fd); !errors.Is(err, ErrAgain) {
			t.Error(err)
		}
		c, err := Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Conn{c, s} {
			if pid, same, err := e.Same(); pid != os.Getpid() || !same || err != nil {
				t.Errorf("%d, %v, %v", pid, same, err)
			}
		}
		c.Close()
		s.Close()
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("%v", names)
	}
	if _, err := Listen(filepath.Join(dir, "no", "s")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestPoller(t *testing.T) {
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a, b := pair(t)
	const token = 1<<63 + 5
	if err := p.Add(a.FD(), token); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(0); len(r) != 0 || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	p.Wake()
	p.Wake()
	if r, err := p.Wait(-1); len(r) != 0 || err != nil {
		t.Errorf("%v, %v", r, err)
	}
	if err := b.Send([]byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a state, not a change
		if r, err := p.Wait(-1); err != nil || len(r) != 1 || r[0] != (Ready{token, true, false}) {
			t.Errorf("%v, %v", r, err)
		}
	}
	if err := p.Writable(a.FD(), token, true); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(-1); err != nil || len(r) != 1 || r[0] != (Ready{token, true, true}) {
		t.Errorf("%v, %v", r, err)
	}
	if err := p.Remove(a.FD()); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(0); len(r) != 0 || err != nil {
		t.Errorf("%v, %v", r, err)
	}
}

// TestChildren: every kind of end is seen as it is, before and by reaping.
func TestChildren(t *testing.T) {
	for _, c := range []struct {
		script string
		raw    uint32
		words  string
		status int
	}{
		{"exit 0", 0, "exit status 0", 0},
		{"exit 255", 255 << 8, "exit status 255", 255},
		{"kill -TERM $$", 15, "terminated by SIGTERM", 143},
		{"ulimit -c 0; kill -SEGV $$", 11, "terminated by SIGSEGV", 139},
	} {
		pid, pidfd, err := Start(Process{Path: "/bin/sh", Argv: []string{"sh", "-c", c.script}, Files: []int{0, 1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := Ended(pidfd, patience); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		for range 2 {
			if raw, ended, err := Peek(pidfd, pid); raw != c.raw || !ended || err != nil {
				t.Errorf("%s: %#x, %v, %v", c.script, raw, ended, err)
			}
			if raw, ended, err := Peek(-1, pid); raw != c.raw || !ended || err != nil {
				t.Errorf("%s: %#x, %v, %v", c.script, raw, ended, err)
			}
		}
		if got, raw := NextEnded(); got != pid || raw != c.raw {
			t.Errorf("%s: %d, %#x", c.script, got, raw)
		}
		if raw, ended, err := Reap(pidfd, pid); raw != c.raw || !ended || err != nil {
			t.Errorf("%s: %#x, %v, %v", c.script, raw, ended, err)
		}
		if _, _, err := Peek(pidfd, pid); !errors.Is(err, ErrNoChild) {
			t.Errorf("%s: %v", c.script, err)
		}
		if got := Describe(c.raw); got != c.words {
			t.Errorf("%q, want %q", got, c.words)
		}
		if got := ExitStatus(c.raw); got != c.status {
			t.Errorf("%s: status %d", c.words, got)
		}
		unix.Close(pidfd)
	}
	if got := Describe(6 | 0x80); got != "terminated by SIGABRT (core dumped)" || ExitStatus(6|0x80) != 134 {
		t.Errorf("%q", got)
	}
	if got, _ := NextEnded(); got != 0 {
		t.Errorf("%d has ended", got)
	}
}

func TestKill(t *testing.T) {
	for _, byNumber := range []bool{false, true} {
		pid, pidfd, err := Start(Process{Path: "/bin/sleep", Argv: []string{"sleep", "1000"}, Files: []int{0, 1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		if _, ended, err := Peek(pidfd, pid); ended || err != nil {
			t.Errorf("%v, %v", ended, err)
		}
		if ok, err := Ended(pidfd, 0); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		with := pidfd
		if byNumber {
			with = -1
		}
		if err := Kill(with, pid); err != nil {
			t.Fatal(err)
		}
		if ok, _ := Ended(pidfd, patience); !ok {
			t.Fatal("it lives")
		}
		if raw, _, _ := Reap(pidfd, pid); raw != 9 {
			t.Errorf("%#x", raw)
		}
		if err := Kill(pidfd, pid); !errors.Is(err, unix.ESRCH) {
			t.Errorf("again: %v", err)
		}
		unix.Close(pidfd)
	}
}

// inheritable lists the descriptors that whoever started the tests has left open, in the words of the
// process that describes itself.
func inheritable(t *testing.T) (out []string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && fd > 3 && counts(to) {
			out = append(out, "fd "+e.Name())
		}
	}
	return out
}

// TestStart: a new process has its files and nothing else, blocks nothing, and may lead a group.
func TestStart(t *testing.T) {
	var set, before unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR1 - 1)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before)
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	for _, group := range []bool{false, true} {
		out, err := os.CreateTemp(t.TempDir(), "out")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		image, err := Self()
		if err != nil {
			t.Fatal(err)
		}
		pid, pidfd, err := Start(Process{
			Path: ImagePath(image), Argv: []string{"a name", "x"}, Env: []string{actVar + "=describe"},
			Files: []int{0, int(out.Fd()), 2, int(out.Fd())}, OwnGroup: group,
		})
		CloseAll([]int{image})
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := Ended(pidfd, patience); !ok {
			t.Fatal("it does not end")
		}
		_, _, _ = Reap(pidfd, pid)
		unix.Close(pidfd)
		b, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"SigBlk:\t0000000000000000", fmt.Sprintf("leader %v [a name x]", group), "fd 0", "fd 1", "fd 2", "fd 3"}
		want = append(want, inheritable(t)...)
		got := strings.Split(strings.TrimSpace(string(b)), "\n")
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestExec(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	pid, pidfd, err := Start(Process{
		Path: "/proc/self/exe", Argv: []string{"x", "word"}, Env: []string{actVar + "=exec"}, Files: []int{0, int(out.Fd()), 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if ok, _ := Ended(pidfd, patience); !ok {
		t.Fatal("it does not end")
	}
	raw, _, _ := Reap(pidfd, pid)
	if b, _ := os.ReadFile(out.Name()); raw != 0 || string(b) != "[word] true true\n" {
		t.Errorf("%s: %q", Describe(raw), b)
	}
	if err := Exec(-1, nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestImages(t *testing.T) {
	dir := t.TempDir()
	plain, script := filepath.Join(dir, "plain"), filepath.Join(dir, "run")
	if os.WriteFile(plain, nil, 0o600) != nil || os.WriteFile(script, nil, 0o755) != nil {
		t.Fatal("no files")
	}
	for _, bad := range []string{plain, dir, filepath.Join(dir, "none")} {
		if fd, err := OpenImage(bad); err == nil {
			t.Errorf("%s is opened as %d", bad, fd)
		}
	}
	a, err := OpenImage(script)
	if err != nil || a < firstImage {
		t.Fatalf("%d, %v", a, err)
	}
	b, err := OpenImage(script)
	if err != nil {
		t.Fatal(err)
	}
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll([]int{a, b, self, -1})
	if !SameImage(a, b) || SameImage(a, self) || SameImage(a, -1) {
		t.Error("wrong about sameness")
	}
}

func TestInheritAndDuplicates(t *testing.T) {
	f, err := Memory("x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dup, err := Duplicates([]int{int(f.Fd()), 0})
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(dup)
	for _, survive := range []bool{true, false} {
		if err := Inherit(dup, survive); err != nil {
			t.Fatal(err)
		}
		for _, fd := range dup {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			if err != nil || (flags&unix.FD_CLOEXEC == 0) != survive {
				t.Errorf("%d: %#x, %v", fd, flags, err)
			}
		}
	}
	before := openFDs(t)
	if _, err := Duplicates([]int{0, 1 << 20}); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors, want %d", after, before)
	}
}

func TestSignals(t *testing.T) {
	all, child := Forwarded()
	if len(all) != 6 || child != syscall.SIGCHLD {
		t.Errorf("%v, %v", all, child)
	}
	for _, s := range all {
		n := s.(syscall.Signal)
		if want := n == unix.SIGTERM || n == unix.SIGINT || n == unix.SIGQUIT; Asks(int(n)) != want {
			t.Errorf("%v: %v", s, !want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]int{0: 0, -time.Hour: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 1e6 * time.Hour: 1 << 30} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
