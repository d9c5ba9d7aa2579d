package spawn

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forker owns the threads that fork.
type forker struct {
	orders  chan *task
	wg      sync.WaitGroup
	umask   int  // the daemon's, -1 = unknown
	private bool // every thread has a umask and a directory of its own
}

// task is an order on its way through a thread.
type task struct {
	*order
	instead    func() // what is done instead of a fork
	pid, pidfd int
	err        error
	done       chan struct{}
}

// start makes the threads. Where a sandbox refuses to give a thread a umask of its own, requests with
// another umask than the daemon's go through the shim.
func (f *forker) start(n int) {
	f.orders = make(chan *task)
	f.umask, f.private = -1, true
	if u, err := processUmask(); err == nil {
		f.umask = u
	}
	ready := make(chan threadState)
	for range n {
		f.wg.Add(1)
		go f.thread(ready)
	}
	for range n {
		s := <-ready
		f.private = f.private && s.private
		if s.private && f.umask < 0 {
			f.umask = s.umask
		}
	}
}

func (f *forker) stop() {
	close(f.orders)
	f.wg.Wait()
}

type threadState struct {
	private bool
	umask   int // when private
}

// thread is one forking thread. It is never unlocked, so that it ends with the goroutine and its changed
// attributes reach no other goroutine; threads that the runtime makes are not copied from a locked one.
func (f *forker) thread(ready chan<- threadState) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread shows its attributes as the process's and cannot end. Another one takes over
		// while this one is held.
		defer runtime.UnlockOSThread()
		moved := make(chan struct{})
		go func() {
			f.thread(ready)
			close(moved)
		}()
		<-moved
		return
	}
	defer f.wg.Done()

	// What the child has blocked is what this thread has blocked.
	var none unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil) // fails on bad arguments only
	var st threadState
	if unix.Unshare(unix.CLONE_FS) == nil {
		st.private = true
		st.umask = unix.Umask(0)
		unix.Umask(st.umask)
	}
	current := st.umask
	ready <- st
	for t := range f.orders {
		if st.private {
			want := t.umask
			if want < 0 {
				want = st.umask
			}
			if want != current {
				unix.Umask(want)
				current = want
			}
		}
		if t.instead != nil {
			t.instead()
			close(t.done)
			continue
		}
		t.pidfd = -1
		t.attr.Sys.PidFD = &t.pidfd
		t.pid, t.err = syscall.ForkExec(t.path, t.argv, &t.attr)
		close(t.done)
	}
}

// fork carries out an order. pidfd is -1 where the kernel has none.
func (f *forker) fork(o *order) (pid, pidfd int, err error) {
	t := &task{order: o, done: make(chan struct{})}
	f.orders <- t
	<-t.done
	return t.pid, t.pidfd, t.err
}

// join has the process born in a control group.
func (o *order) join(group int) {
	if group > 0 {
		o.attr.Sys.UseCgroupFD, o.attr.Sys.CgroupFD = true, group
	}
}

// run does something on a thread that forks.
func (f *forker) run(do func()) {
	t := &task{order: &order{umask: -1}, instead: do, done: make(chan struct{})}
	f.orders <- t
	<-t.done
}

// canUmask reports whether a fork gives the program this umask.
func (f *forker) canUmask(umask int) bool {
	return umask < 0 || f.private || umask == f.umask
}

// oddPrivileges reports whether becoming another user may keep rights (securebits): then every step is
// verified, in the shim.
func (f *forker) oddPrivileges() bool {
	bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	return err != nil || bits != 0
}

// awaitEnd waits until a child, which has been killed, has ended, and leaves it to be reaped.
func awaitEnd(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// closeOnExec marks every open descriptor above 2.
func closeOnExec() error {
	err := unix.CloseRange(3, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	return markListed("/proc/self/fd") // before Linux 5.11
}

func selfPath() (string, error) { return "/proc/self/exe", nil }

// requestFile is an anonymous file with msg, to be read from its start. It has room for any request,
// unlike a pipe, and nobody waits for anybody.
func requestFile(msg []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("request", unix.MFD_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return unlinkedFile(msg)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return fill(os.NewFile(uintptr(fd), "request"), msg)
}

// processUmask is the umask of this process, read without changing it (Linux 4.7 and later).
func processUmask() (int, error) {
	v, err := statusField("Umask:")
	if err != nil {
		return 0, err
	}
	u, err := strconv.ParseUint(v, 8, 32)
	return int(u), err
}

// reservedSignals belong to the threads of the C library. Go leaves them as they are, also when whoever
// started us ignores them, as GNU make does.
var reservedSignals = [...]syscall.Signal{32, 33}

// restoreDefault gives a signal that is ignored its default disposition.
func restoreDefault(sig syscall.Signal) {
	var action [64]byte // the kernel's structure, all zero on every architecture
	const setSize = 8
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
}

// ignoredSignals are the signals that this process ignores now and that Go can take over. The reserved ones
// get their default disposition at once.
func ignoredSignals() []os.Signal {
	v, err := statusField("SigIgn:")
	if err != nil {
		return nil
	}
	mask, err := strconv.ParseUint(v, 16, 64)
	if err != nil {
		return nil
	}
	var out []os.Signal
	for n := 1; n <= 64; n++ {
		sig := syscall.Signal(n)
		switch {
		case mask>>(n-1)&1 == 0:
		case slices.Contains(reservedSignals[:], sig):
			restoreDefault(sig)
		default:
			out = append(out, sig)
		}
	}
	return out
}

// statusField reads one field of the process's status.
func statusField(name string) (string, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return string(bytes.TrimSpace(v)), nil
		}
	}
	return "", fmt.Errorf("no field %q in the process status", name)
}
