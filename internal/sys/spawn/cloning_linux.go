//go:build amd64 || arm64

package spawn

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloning makes processes that wait at a gate and then execute a program.
type cloning struct {
	siblings bool // children of our parent instead of ours
	c        *common
	moving   atomic.Bool // there is no clone3: processes move to their control groups themselves

	mu    sync.Mutex
	used  []*arena // a process may use them
	spare []*arena
}

// newCloning: limit is the limit of descriptors that programs get; nil = the one of this process.
func newCloning(siblings bool, limit *unix.Rlimit) (*cloning, error) {
	c, err := newCommon(limit)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	k := &cloning{siblings: siblings, c: c}
	return k, k.trial()
}

// trial makes a process that does a little of everything and ends, since not every kernel in the world of
// sandboxes and emulators makes such processes.
func (k *cloning) trial() error {
	const status = 7
	a, err := newArena(arenaUnit)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	defer k.keep(a)
	w := &writer{arena: a, c: k.c, list: a.steps(8)}
	name := w.texts(1)
	end := w.steps(1)
	end[0] = step{nr: unix.SYS_EXIT_GROUP, args: [6]uintptr{status}}
	w.call(unix.SYS_SETPGID, 0, 0)
	w.try(unix.SYS_CLOSE, ^uintptr(0))
	w.put(step{nr: unix.SYS_GETPPID, cond: exactly, want: uintptr(os.Getpid())})
	w.put(step{nr: unix.SYS_CLOSE, cond: mustNotWork, args: [6]uintptr{^uintptr(0)}})
	w.put(step{
		nr: unix.SYS_CLOSE, args: [6]uintptr{^uintptr(0)}, // what does not work
		fail: uintptr(unsafe.Pointer(&end[0])), patch: uintptr(unsafe.Pointer(&name[0])), names: uintptr(unsafe.Pointer(&k.c.names[0])),
	})
	w.call(unix.SYS_EXIT_GROUP, status+1)
	pid, err := k.make(a, &w.list[0], uintptr(unix.SIGCHLD), nil, 0)
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM):
		return err
	case err != nil:
		return fmt.Errorf("%w (%w)", errors.ErrUnsupported, err)
	}
	var ws unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil || !ws.Exited() || ws.ExitStatus() != status || name[0] != k.c.names[unix.EBADF] || atomic.LoadUint32(a.busy()) != 0 {
		return fmt.Errorf("a trial process did not do as it should (status %#x, %v): %w", int(ws), err, errors.ErrUnsupported)
	}
	return nil
}

// arena is memory for a script. What is in use when the cloning is forgotten is never given back.
func (c *cloning) arena(size int) (*arena, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.used[:0]
	for _, a := range c.used {
		switch {
		case atomic.LoadUint32(a.busy()) != 0:
			kept = append(kept, a)
		case len(a.mem) == arenaUnit && len(c.spare) < 8:
			c.spare = append(c.spare, a)
		default:
			_ = unix.Munmap(a.mem) // fails on bad arguments only
		}
	}
	clear(c.used[len(kept):])
	c.used = kept
	if n := len(c.spare); n > 0 && size <= arenaUnit {
		a := c.spare[n-1]
		c.spare = c.spare[:n-1]
		a.reset()
		return a, nil
	}
	return newArena(size)
}

// keep remembers an arena until no process uses it any more.
func (c *cloning) keep(a *arena) {
	c.mu.Lock()
	c.used = append(c.used, a)
	c.mu.Unlock()
}

// clone makes a process for a request, with files as its descriptors 0, 1 and 2, which waits at gate, the
// program's end of a gate. The caller closes all of them afterwards. When pid is not nil the number is
// there before the process does anything; marks, when not nil, has the request's mark. The error is a
// syscall.Errno.
func (c *cloning) clone(r *Request, files [3]int, gate int, pid *int32, marks *Marks) (int, error) {
	a, err := c.arena(room(r))
	if err != nil {
		return 0, err
	}
	defer c.keep(a)
	var raised []int
	defer func() { closeAll(raised) }()
	for i, fd := range files {
		if fd >= 3 {
			continue
		}
		if files[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return 0, err
		}
		raised = append(raised, files[i])
	}
	if r.CgroupFD <= 0 {
		return c.run(a, r, files, gate, pid, marks, -1)
	}
	if !c.moving.Load() {
		n, err := c.run(a, r, files, gate, pid, marks, -1)
		if !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EPERM) {
			return n, err
		}
		// Some sandboxes know no clone3.
		c.moving.Store(true)
		a.reset()
	}
	procs, err := unix.Openat(r.CgroupFD, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	raised = append(raised, procs)
	return c.run(a, r, files, gate, pid, marks, procs)
}

// run writes the script and makes the process; procs is the file with which it joins its control group, -1 =
// it is born there.
func (c *cloning) run(a *arena, r *Request, files [3]int, gate int, pid *int32, marks *Marks, procs int) (int, error) {
	first := c.write(a, r, files, gate, marks, procs)
	flags := uintptr(unix.SIGCHLD)
	if c.siblings {
		flags = unix.CLONE_PARENT // with the signal that this process has
	}
	group := r.CgroupFD
	if procs >= 0 {
		group = 0
	}
	return c.make(a, first, flags, pid, group)
}

// make makes a process that carries out a script; flags are those of clone, with the signal of its end.
func (c *cloning) make(a *arena, first *step, flags uintptr, pid *int32, group int) (int, error) {
	atomic.StoreUint32(a.busy(), 1)
	flags |= unix.CLONE_VM | unix.CLONE_CHILD_CLEARTID
	if pid != nil {
		flags |= unix.CLONE_PARENT_SETTID
	}
	var (
		every   = ^uint64(0)
		old     uint64
		got     uintptr
		cleared = unsafe.Pointer(a.busy())
	)
	if group > 0 {
		const signal = 0xff
		args := &cloneArgs{
			flags: uint64(flags&^signal) | unix.CLONE_INTO_CGROUP, exitSignal: uint64(flags & signal),
			childTID: uint64(uintptr(cleared)), parentTID: uint64(uintptr(unsafe.Pointer(pid))), cgroup: uint64(group),
		}
		got = cloneScript(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0, 0, 0,
			unsafe.Pointer(&every), unsafe.Pointer(&old), unsafe.Pointer(first))
	} else {
		got = cloneScript(unix.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(pid)), cloneArg3(cleared), cloneArg4(cleared),
			unsafe.Pointer(&every), unsafe.Pointer(&old), unsafe.Pointer(first))
	}
	if errno := syscall.Errno(-got); got > ^uintptr(4095) {
		atomic.StoreUint32(a.busy(), 0)
		return 0, errno
	}
	return int(got), nil
}

// cloneArgs is the kernel's structure of this name.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// cloneScript makes a process that carries out the script that begins at first. all and old are a full set
// of signals and room for the thread's own. The result is the pid or a negative error.
//
//go:noescape
func cloneScript(nr, a0, a1, a2, a3, a4 uintptr, all, old, first unsafe.Pointer) (result uintptr)
