package rlimit

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func selfPath() (string, error) { return "/proc/self/exe", nil }

func rlimit(l Limit) *syscall.Rlimit { return &syscall.Rlimit{Cur: l.Soft, Max: l.Hard} }

// touched reports whether Go's start-up has changed the soft limit: it sets it to one below the hard one
// and leaves those alone that are there or above already.
func touched(own Limit) bool { return own.Soft == own.Hard-1 }

// mayRaiseHard reports whether this process has the capability.
func mayRaiseHard() bool {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	return unix.Capget(&h, &d[0]) == nil && d[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// probe starts this binary stopped before its first instruction, reads the limit that it was given, and
// ends it. Nothing of it ever runs.
func probe() (uint64, error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"limit-probe"}, &syscall.ProcAttr{
		Env: []string{}, Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return 0, os.NewSyscallError("fork/exec", err)
	}
	defer func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = wait(pid)
	}()
	ws, err := wait(pid)
	if err != nil {
		return 0, os.NewSyscallError("wait4", err)
	}
	if !ws.Stopped() {
		return 0, errors.New("the probe did not stop")
	}
	var lim unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &lim); err != nil {
		return 0, os.NewSyscallError("prlimit", err)
	}
	return lim.Cur, nil
}

func wait(pid int) (syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return ws, err
		}
	}
}
