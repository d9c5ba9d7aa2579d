package procfd

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// FindInstances finds the living instances of programs of which no record is left, in one look at all
// processes. An instance has the program's variables in its environment and the program's user, leads
// its process group, and has as descriptor 0, 1 or 2 a pipe that is locked, as the spawner locks it. A
// process whose parent holds the other end of that pipe is supervised by that parent, another daemon
// with a program of the same name, and is left alone. Of several (descendants inherit all of that) it is
// the oldest, and of those of equal age the ancestor.
//
// A program that has overwritten its environment or replaced all three descriptors is not found.
// Source: spec/reliability R8.
func FindInstances(wanted []Wanted) (map[Wanted]Identity, error) {
	pids, err := procstat.PIDs()
	if err != nil {
		return nil, err
	}
	found := map[Wanted][]member{}
	for _, pid := range pids {
		s, err := procstat.Read(pid)
		if err != nil || s.PGRP != pid || s.Dead() || s.Kernel {
			continue
		}
		m, err := look(pid)
		if err != nil || m.StartTicks != s.StartTicks {
			continue
		}
		group, name, server, ok := programOf(m)
		if !ok {
			continue
		}
		for _, w := range wanted {
			if w.Group != group || w.Name != name || w.foreign(server) || w.UID >= 0 && !runsAs(pid, w.UID) || !instanceLike(m) || !m.present() {
				continue
			}
			found[w] = append(found[w], m)
		}
	}
	boot, _ := procstat.BootID() // an unreadable one stays unknown
	out := make(map[Wanted]Identity, len(found))
	for w, all := range found {
		m := slices.MinFunc(all, older)
		out[w] = Identity{BootID: boot, PID: m.PID, StartTicks: m.StartTicks, Inode: m.inode}
	}
	return out, nil
}

// foreign reports whether an instance of a daemon with that address is not the one that is meant.
func (w Wanted) foreign(server string) bool {
	return w.Server != "" && server != "" && w.Server != server
}

// Remains lists the living processes that have the variables of a program of this daemon in their environment and began
// after a moment, give or take a clock tick: its instance, and what that has started. w.Server must not be empty, w.UID is
// not looked at. The newest is the last.
func Remains(w Wanted, after time.Time) ([]int, error) {
	pids, err := procstat.PIDs()
	if err != nil || w.Server == "" {
		return nil, err
	}
	var found []member
	for _, pid := range pids {
		s, err := procstat.Read(pid)
		if err != nil || s.Dead() || s.Kernel {
			continue
		}
		if age, err := procstat.Age(s.StartTicks); err != nil || time.Since(after) < age-tick {
			continue
		}
		m, err := look(pid)
		if err != nil || m.StartTicks != s.StartTicks {
			continue
		}
		if group, name, server, ok := programOf(m); ok && group == w.Group && name == w.Name && server == w.Server {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, older)
	out := make([]int, len(found))
	for i := range found {
		out[i] = found[i].PID
	}
	return out, nil
}

// tick is how coarse the start times of processes are.
const tick = 10 * time.Millisecond

// older orders by age, and processes of the same clock tick by parentage.
func older(a, b member) int {
	switch {
	case a.StartTicks != b.StartTicks:
		return cmp.Compare(a.StartTicks, b.StartTicks)
	case b.PPID == a.PID:
		return -1
	case a.PPID == b.PID:
		return 1
	}
	return cmp.Compare(a.PID, b.PID)
}

// runsAs reports whether a process has the real user id.
func runsAs(pid, uid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
			f := bytes.Fields(v)
			return len(f) > 0 && string(f[0]) == strconv.Itoa(uid)
		}
	}
	return false
}

// instanceLike reports whether a process has a locked pipe as a standard descriptor that its parent does
// not hold.
func instanceLike(m member) bool {
	for fd := range 3 {
		ino, locked := lockedPipe(m.PID, fd)
		if locked && !holds(m.PPID, ino) {
			return true
		}
	}
	return false
}

// lockedPipe reports whether a descriptor of a process is a pipe that some living process has locked. The
// pipe is opened anew for that: a lock belongs to the opening.
func lockedPipe(pid, fd int) (inode uint64, locked bool) {
	p, st, err := openPath(pid, fd)
	if err != nil {
		return 0, false
	}
	defer unix.Close(p)
	re, err := reopen(p, unix.O_RDONLY)
	if err != nil {
		return 0, false
	}
	defer unix.Close(re)
	// A shared lock meets only exclusive ones: two daemons that look at the same time are no evidence.
	err = unix.Flock(re, unix.LOCK_SH|unix.LOCK_NB)
	return st.Ino, errors.Is(err, unix.EWOULDBLOCK)
}

// holds reports whether a process has a pipe open.
func holds(pid int, inode uint64) bool {
	found := false
	eachDescriptor(pid, func(_ int, target string) bool {
		ino, ok := pipeTarget(target)
		found = ok && ino == inode
		return !found
	})
	return found
}

// ReopenPipe opens the pipe that a living process has as descriptor fd, if it is the pipe of that number:
// for writing if fd is 0, for reading otherwise. The descriptor is non-blocking and close-on-exec.
// ErrNoPipe: it is another pipe, or none; ErrGone: there is no such process, or it has closed fd.
func ReopenPipe(pid, fd int, inode uint64) (int, error) {
	p, st, err := openPath(pid, fd)
	if err != nil {
		return -1, fmt.Errorf("descriptor %d of pid %d: %w", fd, pid, err)
	}
	defer unix.Close(p)
	if st.Ino != inode {
		return -1, fmt.Errorf("descriptor %d of pid %d: another pipe: %w", fd, pid, ErrNoPipe)
	}
	mode := unix.O_RDONLY
	if fd == 0 {
		mode = unix.O_WRONLY
	}
	re, err := reopen(p, mode)
	if err != nil {
		return -1, fmt.Errorf("descriptor %d of pid %d: %w", fd, pid, err)
	}
	return re, nil
}

// openPath takes hold of what a descriptor of another process is without opening it, so that nothing but
// a pipe is ever opened.
func openPath(pid, fd int) (int, *unix.Stat_t, error) {
	p, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/fd/"+strconv.Itoa(fd), unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return -1, nil, ErrGone
	}
	if err != nil {
		return -1, nil, os.NewSyscallError("open", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(p, &st); err != nil {
		unix.Close(p)
		return -1, nil, os.NewSyscallError("fstat", err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(p, &fs); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || int64(fs.Type) != unix.PIPEFS_MAGIC {
		unix.Close(p)
		return -1, nil, ErrNoPipe
	}
	return p, &st, nil
}

func reopen(path, mode int) (int, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(path), mode|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open", err)
	}
	return fd, nil
}
