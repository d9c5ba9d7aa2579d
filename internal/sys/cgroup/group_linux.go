package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// Group is the control group of one instance. Its methods may be called from several goroutines, except
// for FD and CloseFD.
type Group struct {
	tree  *Tree
	dir   string
	group string // its position as /proc/PID/cgroup shows it
	fd    int
}

// A handle kills by it.
var _ procfd.Cgroup = (*Group)(nil)

// Dir is the directory of the group, by which Tree.Reopen finds it.
func (g *Group) Dir() string { return g.dir }

// FD is the directory's descriptor, for CLONE_INTO_CGROUP; -1 after CloseFD and for groups that were
// taken over.
func (g *Group) FD() int { return g.fd }

// CloseFD gives the descriptor back. Nothing else needs it.
func (g *Group) CloseFD() {
	if g.fd >= 0 {
		unix.Close(g.fd)
		g.fd = -1
	}
}

// Add moves a process into the group; what it has forked before stays where it is.
func (g *Group) Add(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// Procs lists the members, those of groups below included. A group that is gone has none.
func (g *Group) Procs() ([]int, error) {
	var out []int
	err := walk(g.dir, func(dir string) error {
		b, err := os.ReadFile(dir + "/cgroup.procs")
		if vanished(err) || errors.Is(err, unix.EOPNOTSUPP) { // EOPNOTSUPP: threads, listed above
			return nil
		}
		if err != nil {
			return fmt.Errorf("members of a control group: %w", err)
		}
		for _, f := range bytes.Fields(b) {
			if pid, err := strconv.Atoi(string(f)); err == nil && pid > 0 { // 0: not visible here
				out = append(out, pid)
			}
		}
		return nil
	})
	return out, err
}

// Has reports whether a process is a member at this moment.
func (g *Group) Has(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return false
	}
	at, ok := ownGroup(string(b))
	return ok && member(at, g.group)
}

// Empty reports whether the group has no living member, nor has any group below it.
func (g *Group) Empty() (bool, error) {
	b, err := os.ReadFile(g.dir + "/cgroup.events")
	if vanished(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("state of a control group: %w", err)
	}
	return !bytes.Contains(b, []byte("populated 1")), nil
}

// killRounds bounds how often members are looked for where the kernel cannot kill a group at once.
const killRounds = 256

// Kill sends KILL to every member; none escapes by forking. They have ended when Empty says so. Linux 5.14
// and later do it at one blow; before, the group is frozen (5.2 and later) and killed one by one.
func (g *Group) Kill() error {
	err := g.write("cgroup.kill", "1")
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return g.killEach()
}

func (g *Group) killEach() error {
	if g.write("cgroup.freeze", "1") == nil {
		defer func() { _ = g.write("cgroup.freeze", "0") }() // gone with its last member, perhaps
	}
	killed := map[int]bool{}
	for range killRounds {
		pids, err := g.Procs()
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range pids {
			err := procfd.SignalIf(pid, int(unix.SIGKILL), func() bool { return g.Has(pid) })
			if err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill pid %d: %w", pid, err)
			}
			fresh = fresh || !killed[pid]
			killed[pid] = true
		}
		if !fresh {
			return nil
		}
	}
	return fmt.Errorf("control group %s: members appear faster than they can be killed", g.dir)
}

// Remove removes the group. ErrBusy: it has members; it is removed when the last of them has ended,
// without another call, as long as the Tree is not closed. It never waits.
func (g *Group) Remove() error {
	g.CloseFD()
	err := removeAll(g.dir)
	if !errors.Is(err, ErrBusy) {
		return err
	}
	if err := g.tree.later(g.dir); err != nil {
		return err
	}
	return ErrBusy
}

func (g *Group) write(file, text string) error {
	f, err := os.OpenFile(g.dir+"/"+file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	return nil
}

// walk visits a directory and all below it, from the top.
func walk(dir string, fn func(dir string) error) error {
	if err := fn(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := walk(dir+"/"+e.Name(), fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// vanished reports whether an error says that a group is gone: its files answer ENODEV then.
func vanished(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV)
}
