package logfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is the directory of a log, held open: what is renamed, removed and opened through it is in that
// directory even when the path leads elsewhere by now.
type Dir struct {
	fd        int
	path      string // as asked for, with the file
	name      string // of the file, after links
	st        unix.Stat_t
	untrusted bool
}

// maxLinks is how many symbolic links a path may lead through.
const maxLinks = 40

// ownDescriptorError is the end of a path that leads to a descriptor of this process.
type ownDescriptorError struct{ fd int }

func (e *ownDescriptorError) Error() string { return fmt.Sprint("descriptor ", e.fd) }

// ownDescriptor is the number that /dev/stdout and its like stand for, or -1.
func ownDescriptor(path string) int {
	switch path {
	case "/dev/stdin":
		return 0
	case "/dev/stdout":
		return 1
	case "/dev/stderr":
		return 2
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if s, ok := strings.CutPrefix(path, dir); ok {
			if n, err := strconv.ParseUint(s, 10, 31); err == nil {
				return int(n)
			}
		}
	}
	return -1
}

// OpenDir finds the directory that holds the file, following symbolic links (also of the file itself)
// as far as that is safe.
func OpenDir(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	w := &walk{path: path, rest: abs, fd: -1}
	d, err := w.run()
	if err != nil {
		w.close()
		return nil, err
	}
	return d, nil
}

// walk resolves a path one component at a time.
type walk struct {
	path      string // as asked for
	at        string // resolved so far, without the final slash
	rest      string // not yet resolved
	fd        int    // of at
	st        unix.Stat_t
	untrusted bool
	links     int
}

func (w *walk) close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
}

func (w *walk) fail(op string, err error) error {
	return &os.PathError{Op: op, Path: w.path, Err: err}
}

func (w *walk) run() (*Dir, error) {
	for {
		if strings.HasPrefix(w.rest, "/") || w.fd < 0 {
			if n := ownDescriptor(w.rest); n >= 0 {
				return nil, &ownDescriptorError{n}
			}
			if err := w.enter(unix.AT_FDCWD, "/"); err != nil {
				return nil, err
			}
			w.at, w.rest = "", strings.TrimLeft(w.rest, "/")
		}
		name, rest, more := strings.Cut(w.rest, "/")
		rest = strings.TrimLeft(rest, "/")
		if name == "" {
			return nil, w.fail("open", unix.EISDIR)
		}
		if name == "." && more {
			w.rest = rest
			continue
		}
		var st unix.Stat_t
		err := unix.Fstatat(w.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK:
			if err := w.follow(name, rest, more, &st); err != nil {
				return nil, err
			}
		case !more: // the file itself, there or not
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, w.fail("open", err)
			}
			return &Dir{fd: w.fd, path: w.path, name: name, st: w.st, untrusted: w.untrusted}, nil
		case err != nil:
			return nil, w.fail("open", err)
		default:
			if err := w.enter(w.fd, name); err != nil {
				return nil, err
			}
			w.at += "/" + name
			w.rest = rest
		}
	}
}

// follow puts a link's target in front of what is left.
func (w *walk) follow(name, rest string, more bool, st *unix.Stat_t) error {
	if w.links++; w.links > maxLinks {
		return w.fail("open", unix.ELOOP)
	}
	if w.untrusted && !(w.st.Mode&unix.S_ISVTX != 0 && trusted(st.Uid)) {
		return &UnsafeError{Path: w.path, At: w.at + "/" + name, Reason: "is a symbolic link"}
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(w.fd, name, buf)
	if err != nil {
		return w.fail("readlink", err)
	}
	w.rest = string(buf[:n])
	if more {
		w.rest += "/" + rest
	}
	return nil
}

// enter opens a directory below dir and notes whether it can be trusted.
func (w *walk) enter(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return w.fail("open", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return w.fail("stat", err)
	}
	inherited := name != "/" && w.untrusted && !(w.st.Mode&unix.S_ISVTX != 0 && trusted(st.Uid))
	w.close()
	w.fd, w.st = fd, st
	w.untrusted = inherited || othersCanWrite(&st)
	return nil
}

// trusted reports whether an owner is root or the caller.
func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func othersCanWrite(st *unix.Stat_t) bool {
	ownGroup := st.Gid == 0 || int(st.Gid) == os.Getegid()
	return !trusted(st.Uid) || st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && !ownGroup
}

// Name is the name of the file in the directory.
func (d *Dir) Name() string { return d.name }

// Untrusted reports whether others can place entries in the directory.
func (d *Dir) Untrusted() bool { return d.untrusted }

// open opens the file of the directory.
func (d *Dir) open(perm os.FileMode, mode Mode) (*File, error) {
	if perm == 0 {
		perm = autoPerm
	}
	// First without O_CREAT: in sticky directories the kernel refuses even root to "create" what another
	// user owns. O_RDWR keeps a FIFO without readers from blocking or failing.
	const flags = unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	var fd int
	var err error
	for range 3 { // between the attempts somebody may make or remove it
		fd, err = unix.Openat(d.fd, d.name, flags|unix.O_RDWR, 0)
		if errors.Is(err, unix.EACCES) {
			fd, err = unix.Openat(d.fd, d.name, flags|unix.O_WRONLY, 0)
		}
		if !errors.Is(err, unix.ENOENT) || mode == Existing {
			break
		}
		fd, err = unix.Openat(d.fd, d.name, flags|unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, uint32(perm.Perm()))
		if !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.path, Err: err}
	}
	f, err := d.check(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return f, nil
}

// check looks at what has been opened.
func (d *Dir) check(fd int) (*File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	if d.untrusted {
		reason := ""
		switch {
		case kind == unix.S_IFREG && !d.onlyLink(fd):
			reason = "has more than one link, or another file has taken its name,"
		case kind != unix.S_IFREG && !(d.st.Mode&unix.S_ISVTX != 0 && trusted(st.Uid)):
			reason = "is not a regular file"
		}
		if reason != "" {
			return nil, &UnsafeError{Path: d.path, At: d.path, Reason: reason}
		}
	}
	if kind == unix.S_IFCHR { // a terminal is to be waited for; a FIFO is not
		if err := unix.SetNonblock(fd, false); err != nil {
			return nil, &os.PathError{Op: "open", Path: d.path, Err: err}
		}
	}
	return &File{fd: fd, regular: kind == unix.S_IFREG}, nil
}

// onlyLink reports whether the open file's one name is the one in this directory. Its link count alone does
// not tell: the link it was opened by may have been removed since, and put back for whoever looks. But each
// of that changes the file's change time, so the same file at the name, with the same change time and one
// link, before and after, is a proof, as far as the kernel's clock is fine enough (it is from Linux 6.13 on).
func (d *Dir) onlyLink(fd int) bool {
	const attempts = 100 // somebody may be writing to it
	for range attempts {
		var look [4]unix.Stat_t
		err := errors.Join(
			unix.Fstat(fd, &look[0]),
			unix.Fstatat(d.fd, d.name, &look[1], unix.AT_SYMLINK_NOFOLLOW),
		)
		// A rename lowers the count of what it replaces before it takes the name away. Making a link over the
		// name itself, which never succeeds, waits for the directory and so for a rename that is under way.
		_ = unix.Linkat(d.fd, d.name, d.fd, d.name, 0)
		err = errors.Join(err,
			unix.Fstatat(d.fd, d.name, &look[2], unix.AT_SYMLINK_NOFOLLOW),
			unix.Fstat(fd, &look[3]),
		)
		if err != nil {
			return false
		}
		stable := true
		for _, at := range look {
			if at.Dev != look[0].Dev || at.Ino != look[0].Ino || at.Nlink != 1 {
				return false
			}
			stable = stable && at.Ctim == look[0].Ctim
		}
		if stable {
			return true
		}
	}
	return false
}

// Stat looks at an entry of the directory without following it.
func (d *Dir) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Info{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return info(&st), nil
}

// Rename moves an entry of the directory over another one.
func (d *Dir) Rename(from, to string) error {
	if err := unix.Renameat(d.fd, from, d.fd, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Remove deletes an entry, which is not a directory.
func (d *Dir) Remove(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// Open opens the file as the function Open does.
func (d *Dir) Open(perm os.FileMode, mode Mode) (*File, error) { return d.open(perm, mode) }

// OpenOther opens another file of the directory, which is no link, as Open does.
func (d *Dir) OpenOther(name string, perm os.FileMode, mode Mode) (*File, error) {
	return d.other(name).open(perm, mode)
}

// ReadOther opens another file of the directory for reading, as OpenReader does.
func (d *Dir) ReadOther(name string) (*os.File, error) { return d.other(name).read() }

func (d *Dir) other(name string) *Dir {
	o := *d
	o.name, o.path = name, filepath.Join(filepath.Dir(d.path), name)
	return &o
}

// read opens the file of the directory for reading.
func (d *Dir) read() (*os.File, error) {
	fd, err := unix.Openat(d.fd, d.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.path, Err: err}
	}
	f, err := d.check(fd)
	if err == nil && !f.regular {
		err = &os.PathError{Op: "open", Path: d.path, Err: errNotRegular}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), d.path), nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return unix.Close(d.fd) }
