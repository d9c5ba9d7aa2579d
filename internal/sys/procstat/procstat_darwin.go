package procstat

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BootID is the identity of the current boot of this machine.
func BootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil || id == "" {
		return "", ErrUnsupported
	}
	return id, nil
}

// systemProcess is the flag of processes of the kernel itself.
const systemProcess = 0x200

// sightOf decodes the kernel's record. The start time is in microseconds of the wall clock at that moment, which does
// not change when the clock is set later.
func sightOf(k *unix.KinfoProc) Sight {
	p, e := &k.Proc, &k.Eproc
	s := Sight{UID: int(e.Pcred.P_ruid), EUID: int(e.Ucred.Uid), Ignored: uint64(p.P_sigignore), Raw: uint32(p.P_xstat), Stat: Stat{
		PID: int(p.P_pid), Comm: text(p.P_comm[:]), State: state(p.P_stat), PPID: int(e.Ppid), PGRP: int(e.Pgid),
		StartTicks: uint64(micros(p.P_starttime.Sec, int64(p.P_starttime.Usec))), Kernel: p.P_flag&systemProcess != 0 && e.Ppid == 0,
	}}
	s.Session, _ = unix.Getsid(s.PID) // 0 of one that has ended
	return s
}

func look(pid int) (Sight, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err == unix.EIO { // nothing was told
		return Sight{}, unix.ESRCH
	}
	if err != nil {
		return Sight{}, err
	}
	return sightOf(k), nil
}

func everybody() ([]Sight, error) {
	list, err := grown(func() ([]unix.KinfoProc, error) { return unix.SysctlKinfoProcSlice("kern.proc.all") })
	if err != nil {
		return nil, fmt.Errorf("list of processes: %w", err)
	}
	out := make([]Sight, len(list))
	for i := range list {
		out[i] = sightOf(&list[i])
	}
	return out, nil
}

func procArgs(pid int) (argv, env []string, err error) {
	b, err := unix.SysctlRaw("kern.procargs2", pid)
	if err == unix.EINVAL { // the kernel's word for nobody, an ended one, and another user's
		return nil, nil, unix.ESRCH
	}
	if err != nil {
		return nil, nil, err
	}
	return parseProcArgs(b)
}

func arguments(pid int) ([]string, error) {
	argv, _, err := procArgs(pid)
	return argv, err
}

func environment(pid int) ([]string, error) {
	_, env, err := procArgs(pid)
	return env, err
}

// Age is how long ago a process with that start time began.
func Age(startTicks uint64) (time.Duration, error) { return age(int64(startTicks), startTicks) }

// The call for the figures of a task. Source: sys/proc_info.h.
const (
	callPIDInfo = 2
	pidTaskInfo = 4
)

// Usage is what a process uses now. syscall.ESRCH when there is none, or it has ended; EPERM of another user's.
func Usage(pid int) (Figures, error) {
	perSecond, err := unix.SysctlUint64("hw.tbfrequency")
	if err != nil {
		return Figures{}, ErrUnsupported // the unit of the times is not known
	}
	var b [taskInfoSize]byte
	//lint:ignore SA1019 there is no wrapper without cgo
	n, _, errno := unix.Syscall6(unix.SYS_PROC_INFO, callPIDInfo, uintptr(pid), pidTaskInfo, 0, uintptr(unsafe.Pointer(&b[0])), taskInfoSize)
	if errno != 0 {
		return Figures{}, errno
	}
	f, err := parseTaskInfo(b[:min(n, taskInfoSize)], perSecond)
	if err != nil {
		return f, err
	}
	s, err := Look(pid)
	if err != nil {
		return f, err
	}
	f.Age, err = Age(s.StartTicks)
	return f, err
}
