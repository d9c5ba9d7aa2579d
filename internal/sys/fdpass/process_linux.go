package fdpass

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/base/words"
)

// firstImage is the lowest descriptor of an image: those below are given to a new process.
const firstImage = 64

// Start starts a process whose descriptors are Files alone and whose signals are all unblocked. pidfd is
// -1 where the kernel has none.
func Start(p Process) (pid, pidfd int, err error) {
	files := make([]uintptr, len(p.Files))
	for i, fd := range p.Files {
		files[i] = uintptr(fd)
	}
	pidfd = -1
	// The new process blocks what this thread blocks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var none, before unix.Sigset_t
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &none, &before) // fails on bad arguments only
	pid, err = syscall.ForkExec(p.Path, p.Argv, &syscall.ProcAttr{
		Env: p.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: p.OwnGroup, PidFD: &pidfd},
	})
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return pid, pidfd, err
}

// Watch opens a descriptor of a process that is known to live: its parent, or a child that is not reaped.
func Watch(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	return fd, os.NewSyscallError("pidfd_open", err)
}

// Kill sends SIGKILL by pidfd, or by number where there is none: then the caller knows that pid is a
// child that is not reaped.
func Kill(pidfd, pid int) error {
	if pidfd < 0 {
		return os.NewSyscallError("kill", unix.Kill(pid, unix.SIGKILL))
	}
	err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	return os.NewSyscallError("pidfd_send_signal", err)
}

// Ended waits until the process of a pidfd has ended, at most so long, and reports whether it has.
func Ended(pidfd int, limit time.Duration) (bool, error) { return pollFD(pidfd, unix.POLLIN, limit) }

// childInfo is the part of siginfo_t that describes a child. The union behind the three leading words is
// aligned like a pointer.
type childInfo struct {
	_    [3]int32
	_    [0]uintptr
	pid  int32
	_    uint32
	stat int32
}

// waitid asks without blocking. pid 0: none has ended.
func waitid(kind, id, options int) (pid int, raw uint32, err error) {
	for {
		var si unix.Siginfo
		err := unix.Waitid(kind, id, &si, unix.WEXITED|unix.WNOHANG|options, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return 0, 0, ErrNoChild
		case err != nil:
			return 0, 0, os.NewSyscallError("waitid", err)
		}
		c := (*childInfo)(unsafe.Pointer(&si))
		return int(c.pid), status(si.Code, c.stat), nil
	}
}

// status makes a wait status of the two words of a siginfo_t.
func status(code, value int32) uint32 {
	const killed, dumped = 2, 3
	switch code {
	case killed:
		return uint32(value) & 0x7f
	case dumped:
		return uint32(value)&0x7f | 0x80
	}
	return uint32(value) & 0xff << 8
}

// Peek looks at a child and leaves it as it is. ErrNoChild: it is none.
func Peek(pidfd, pid int) (raw uint32, ended bool, err error) { return look(pidfd, pid, unix.WNOWAIT) }

// Reap takes the status of a child that has ended; its number is free from then on.
func Reap(pidfd, pid int) (raw uint32, ended bool, err error) { return look(pidfd, pid, 0) }

func look(pidfd, pid, options int) (uint32, bool, error) {
	kind, id := unix.P_PID, pid
	if pidfd >= 0 {
		kind, id = unix.P_PIDFD, pidfd
	}
	got, raw, err := waitid(kind, id, options|unix.WALL)
	if kind == unix.P_PIDFD && errors.Is(err, unix.EINVAL) { // before Linux 5.4
		got, raw, err = waitid(unix.P_PID, pid, options|unix.WALL)
	}
	return raw, got != 0, err
}

// NextEnded is some child that has ended and is not reaped, 0 for none. It gives the same one again until
// that is reaped.
func NextEnded() (pid int, raw uint32) {
	pid, raw, err := waitid(unix.P_ALL, 0, unix.WNOWAIT|unix.WALL)
	if err != nil {
		return 0, 0
	}
	return pid, raw
}

// Struck reports whether a process with this wait status was killed by KILL, which no process does to itself.
func Struck(raw uint32) bool {
	ws := syscall.WaitStatus(raw)
	return ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// Describe says in words how a process with this wait status ended.
func Describe(raw uint32) string {
	ws := syscall.WaitStatus(raw)
	e := words.End{Known: true, Core: ws.CoreDump()}
	if ws.Signaled() {
		e.Signal = int(ws.Signal())
	} else {
		e.Code = ws.ExitStatus()
	}
	return e.Logged()
}

// ExitStatus is the status that a process ends with to say how another one has: its own, or 128 and the
// number of the signal.
func ExitStatus(raw uint32) int {
	if ws := syscall.WaitStatus(raw); !ws.Exited() {
		return 128 + int(ws.Signal())
	}
	return int(raw >> 8 & 0xff)
}

// Subreaper makes this process the parent of every descendant whose own parent ends.
func Subreaper() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// SetName sets the name by which lists of processes know this one, of at most 15 bytes. Its command line
// stays as it is.
func SetName(name string) error {
	// The file is the main thread's, whichever thread writes.
	return os.WriteFile("/proc/self/comm", []byte(name), 0)
}

// Forwarded are the signals that are meant for the daemon as a whole, and Child is the one that tells of
// the end of a child.
func Forwarded() (forwarded []os.Signal, child os.Signal) {
	return []os.Signal{
		unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2,
	}, unix.SIGCHLD
}

// Asks reports whether a signal asks a daemon to end.
func Asks(signal int) bool {
	s := syscall.Signal(signal)
	return s == unix.SIGTERM || s == unix.SIGINT || s == unix.SIGQUIT
}

// Self opens the image that this process executes.
func Self() (int, error) { return OpenImage("/proc/self/exe") }

// OpenImage opens an executable regular file, for ImagePath.
func OpenImage(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return -1, err
	case !st.Mode().IsRegular():
		return -1, fmt.Errorf("%s: not a regular file", path)
	case st.Mode().Perm()&0o111 == 0:
		return -1, fmt.Errorf("%s: not executable", path)
	}
	return KeepImage(int(f.Fd()))
}

// KeepImage duplicates the descriptor of an image to a number that no new process is given.
func KeepImage(fd int) (int, error) {
	out, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstImage)
	return out, os.NewSyscallError("fcntl", err)
}

// ImagePath is a name under which this process and its children can execute an open image.
func ImagePath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// SameImage reports whether two descriptors are of the same file.
func SameImage(a, b int) bool {
	var sa, sb unix.Stat_t
	return unix.Fstat(a, &sa) == nil && unix.Fstat(b, &sb) == nil && sa.Dev == sb.Dev && sa.Ino == sb.Ino
}

// Inherit makes descriptors survive the execution of another image, or not.
func Inherit(fds []int, survive bool) error {
	flags := unix.FD_CLOEXEC
	if survive {
		flags = 0
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
		}
	}
	return nil
}

// Memory is an anonymous file, closed on exec.
func Memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Exec executes an image in this process. It returns only on failure. USR1 and USR2 stay pending until the new
// image asks os/signal for them: without that a process 1 would lose them and another one would end. The other
// signals do just that: Go's runtime unblocks those that can end a process before a program begins.
func Exec(image int, argv, env []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var wait, before unix.Sigset_t
	wait.Val[0] = 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGUSR2-1)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &wait, &before) // fails on bad arguments only
	err := syscall.Exec(ImagePath(image), argv, env)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return os.NewSyscallError("execve", err)
}
