package procfd

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// trace is what tells the descendants of one instance.
type trace struct {
	leader *Identity // of the handle, where it does not change any more
	marks  Marks
}

// leads reports whether a process is the instance itself.
func (t *trace) leads(m member) bool {
	return m.PID == t.leader.PID && m.StartTicks == t.leader.StartTicks
}

// family is a process that was left to us by a dead parent, with its descendants, parents first. All of
// them descend from one program.
type family []member

// verdict of a family about one instance.
type verdict uint8

const (
	undecided verdict = iota
	ours
	notOurs
)

// judge says whether a family descends from the instance, by the first of its members that carries any
// mark; what a member below says may be the mark of a supervisor among them.
func (t *trace) judge(f family, groupFree bool) (verdict, Mark) {
	if f[0].StartTicks < t.leader.StartTicks {
		return notOurs, ""
	}
	for _, m := range f {
		if groupFree && (m.PGRP == t.leader.PID || m.Session == t.leader.PID) {
			return ours, MarkGroup
		}
		if group, name, _, ok := programOf(m); ok {
			if group == t.marks.Group && name == t.marks.Name {
				return ours, MarkEnv
			}
			return notOurs, ""
		}
		if t.holdsPipe(m) {
			return ours, MarkPipe
		}
	}
	return undecided, MarkOrphan
}

// related decides about undecided families by the sessions and groups that members of decided ones lead.
// It returns the families that are the instance's now, and those that remain.
func related(sure, rest []family) (more, left []family) {
	leaders := map[int]bool{}
	for _, f := range sure {
		for _, m := range f {
			if m.PGRP == m.PID || m.Session == m.PID {
				leaders[m.PID] = true
			}
		}
	}
	for _, f := range rest {
		if slices.ContainsFunc(f, func(m member) bool { return leaders[m.PGRP] || leaders[m.Session] }) {
			more = append(more, f)
		} else {
			left = append(left, f)
		}
	}
	return more, left
}

// holdsPipe reports whether a process has one of the instance's pipes open.
func (t *trace) holdsPipe(m member) bool {
	if len(t.marks.Pipes) == 0 {
		return false
	}
	held := false
	eachDescriptor(m.PID, func(_ int, target string) bool {
		ino, ok := pipeTarget(target)
		held = ok && slices.Contains(t.marks.Pipes, ino)
		return !held
	})
	return held && m.present()
}

// eachDescriptor goes through the descriptors of a process until fn returns false. What may not be read
// is left out.
func eachDescriptor(pid int, fn func(fd int, target string) bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(256)
		for _, n := range names {
			fd, err := strconv.Atoi(n)
			if err != nil {
				continue
			}
			if target, err := os.Readlink(dir + "/" + n); err == nil && !fn(fd, target) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pipeTarget reads the inode number from a link of the form pipe:[123].
func pipeTarget(link string) (uint64, bool) {
	s, ok := strings.CutPrefix(link, "pipe:[")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "]"), 10, 64)
	return n, err == nil
}

// Names of the variables that mark a program's processes. Source: spec/supervisor 2.5.
const (
	envGroup  = "SUPERVISOR_GROUP_NAME"
	envName   = "SUPERVISOR_PROCESS_NAME"
	envServer = "SUPERVISOR_SERVER_URL"
)

// programOf reads the variables that mark a program's processes. A process that cannot be read, or that
// has overwritten its environment, has none.
func programOf(m member) (group, name, server string, ok bool) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(m.PID) + "/environ")
	if err != nil || len(env) == 0 || !m.present() {
		return "", "", "", false
	}
	group, g := variable(env, envGroup)
	name, n := variable(env, envName)
	server, _ = variable(env, envServer)
	return group, name, server, g && n
}

// variable finds the first assignment of a variable in an environment as /proc shows it.
func variable(env []byte, name string) (string, bool) {
	for len(env) > 0 {
		var one []byte
		one, env, _ = bytes.Cut(env, []byte{0})
		if v, ok := bytes.CutPrefix(one, []byte(name)); ok && len(v) > 0 && v[0] == '=' {
			return string(v[1:]), true
		}
	}
	return "", false
}

// present reports whether the process still has the number under which it was looked at: what was read
// about the number in between is about it.
func (m member) present() bool {
	n, err := look(m.PID)
	return err == nil && n.same(m)
}

// named is how a member is reported.
func (m member) named(mark Mark) Process {
	return Process{PID: m.PID, Name: m.Comm, StartTicks: m.StartTicks, Inode: m.inode, Mark: mark}
}

// PipeInode is the number of a pipe, by which it is recognised; an error for anything else.
func PipeInode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return 0, ErrNoPipe
	}
	return st.Ino, nil
}

// familyOf gathers a process and its descendants by the lists of children.
func familyOf(root member) family {
	f := family{root}
	seen := map[int]bool{root.PID: true}
	for i := 0; i < len(f); i++ {
		kids, err := procstat.Children(f[i].PID)
		if err != nil {
			continue
		}
		at := len(f)
		for _, pid := range kids {
			if m, err := look(pid); err == nil && m.PPID == f[i].PID && !m.Dead() && !seen[pid] {
				seen[pid] = true
				f = append(f, m)
			}
		}
		if len(f) > at && !f[i].present() {
			f = f[:at] // they are the children of somebody else
		}
	}
	return f
}
