package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Tree is the directory below our own group in which the groups of instances are. Its methods may be
// called from several goroutines.
type Tree struct {
	dir   string // of the file system
	group string // its position as /proc/PID/cgroup shows it

	mu      sync.Mutex
	closed  bool
	pending *remover // nil until a group was busy
}

// Detect finds the place and makes the directory with the given name, which tells the daemons of one
// machine apart; any text will do. The error is a *Reduced.
func Detect(name string) (*Tree, error) { return detect("/proc/self", name) }

func detect(proc, name string) (*Tree, error) {
	mountinfo, err := os.ReadFile(proc + "/mountinfo")
	if err != nil {
		return nil, &Reduced{Cause: NotMounted, Err: err}
	}
	cgroups, err := os.ReadFile(proc + "/cgroup")
	if err != nil {
		return nil, &Reduced{Cause: NotMounted, Err: err}
	}
	dirs, group, cause := where(string(mountinfo), string(cgroups))
	why := &Reduced{Cause: cause}
	for i, d := range dirs {
		t, r := try(d, group, name)
		if r == nil {
			return t, nil
		}
		if i == 0 {
			why = r // the best place says most
		}
	}
	return nil, why
}

// try makes the directory in one place.
func try(own, group, name string) (*Tree, *Reduced) {
	if !isCgroup2(own) {
		return nil, &Reduced{Cause: Outside, Where: own}
	}
	t := &Tree{dir: path.Join(own, escape(name)), group: path.Join(group, escape(name))}
	made := false
	switch err := os.Mkdir(t.dir, 0o755); {
	case err == nil:
		made = true
	case !errors.Is(err, os.ErrExist):
		return nil, refusal(own, err)
	}
	r := t.usable(own)
	if r != nil && made {
		_ = os.Remove(t.dir)
	}
	return t, r
}

// refusal classifies why no directory could be made.
func refusal(own string, err error) *Reduced {
	r := &Reduced{Cause: Failed, Where: own, Err: err}
	var e unix.Errno
	if errors.As(err, &e) {
		switch e {
		case unix.EROFS:
			r.Cause, r.Err = ReadOnly, nil
		case unix.EACCES, unix.EPERM:
			r.Cause, r.Err = NotDelegated, nil
		case unix.EAGAIN:
			r.Cause, r.Err = Limit, nil
		case unix.ENOENT:
			r.Cause, r.Err = Outside, nil
		}
	}
	return r
}

// usable checks that processes can be put below the directory. A process moves only if we may write
// the lists of its destination and of the group above both.
func (t *Tree) usable(own string) *Reduced {
	kind, err := os.ReadFile(t.dir + "/cgroup.type")
	switch {
	case err != nil:
		return &Reduced{Cause: Failed, Where: t.dir, Err: err}
	case strings.TrimSpace(string(kind)) != "domain":
		return &Reduced{Cause: Threaded, Where: own}
	}
	for _, d := range []string{own, t.dir} {
		switch err := unix.Faccessat(unix.AT_FDCWD, d+"/cgroup.procs", unix.W_OK, unix.AT_EACCESS); {
		case errors.Is(err, unix.EROFS):
			return &Reduced{Cause: ReadOnly, Where: d}
		case err != nil:
			return &Reduced{Cause: NotDelegated, Where: d}
		}
	}
	return nil
}

func isCgroup2(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && int64(fs.Type) == unix.CGROUP2_SUPER_MAGIC
}

// Dir is the directory of the tree.
func (t *Tree) Dir() string { return t.dir }

// Create makes the group of an instance. The name may be any text; a group of that name that is there
// already is an error that satisfies errors.Is(err, fs.ErrExist).
func (t *Tree) Create(name string) (*Group, error) {
	g := t.at(escape(name))
	err := os.Mkdir(g.dir, 0o755)
	if errors.Is(err, os.ErrNotExist) { // somebody has removed the empty tree
		if err = os.Mkdir(t.dir, 0o755); err == nil || errors.Is(err, os.ErrExist) {
			err = os.Mkdir(g.dir, 0o755)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("control group for %q: %w", name, err)
	}
	fd, err := unix.Open(g.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = os.Remove(g.dir)
		return nil, fmt.Errorf("control group for %q: %w", name, err)
	}
	g.fd = fd
	return g, nil
}

func (t *Tree) at(dir string) *Group {
	return &Group{tree: t, dir: t.dir + "/" + dir, group: path.Join(t.group, dir), fd: -1}
}

// Open takes the group of an earlier instance by its name. fs.ErrNotExist: there is none.
func (t *Tree) Open(name string) (*Group, error) {
	g := t.at(escape(name))
	if _, err := os.Stat(g.dir); err != nil {
		return nil, fmt.Errorf("control group of %q: %w", name, err)
	}
	return g, nil
}

// Reopen takes a group of an earlier daemon by its directory (Group.Dir), wherever it is in a cgroup2
// hierarchy. fs.ErrNotExist: there is none.
func (t *Tree) Reopen(dir string) (*Group, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("control group: %w", err)
	}
	for _, m := range mounts(string(info)) {
		if group, ok := m.group(dir); ok && isCgroup2(dir) && path.Clean(dir) == dir && !climbs(group) {
			return &Group{tree: t, dir: dir, group: group, fd: -1}, nil
		}
	}
	return nil, fmt.Errorf("control group %s: %w", dir, os.ErrInvalid)
}

// Sweep removes the groups that are in nobody's use any more: those that have no members and whose names
// are not among keep. Those that have members are returned.
func (t *Tree) Sweep(keep []string) (removed int, busy []Leftover, err error) {
	wanted := map[string]bool{}
	for _, k := range keep {
		wanted[escape(k)] = true
	}
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return 0, nil, fmt.Errorf("control groups: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || wanted[e.Name()] {
			continue
		}
		g := t.at(e.Name())
		empty, err := g.Empty()
		if err != nil {
			return removed, busy, err
		}
		if empty && removeAll(g.dir) == nil {
			removed++
			continue
		}
		l := Leftover{Group: g, Name: e.Name()}
		if name, ok := unescape(e.Name()); ok {
			l.Name = name
		}
		busy = append(busy, l)
	}
	return removed, busy, nil
}

// Close ends the waiting for groups to become empty and removes the tree if nothing is in it. Groups stay
// usable, but none is removed later any more.
func (t *Tree) Close() error {
	t.mu.Lock()
	p := t.pending
	t.closed, t.pending = true, nil
	t.mu.Unlock()
	if p != nil {
		p.close()
	}
	if err := os.Remove(t.dir); err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("control groups: %w", err)
	}
	return nil
}
