package logfile

import (
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

// File is an open log. Its methods are not safe for concurrent use, except ReadAt and Stat.
type File struct {
	fd       int
	regular  bool
	noAppend bool // the file system has no append flag for single writes
}

// Open opens path for writing at its end. New files get perm less the umask (0: 0666). /dev/stdout,
// /dev/stderr, /dev/fd/N and links to them are this process's own descriptors. Nothing blocks: a FIFO is
// opened for reading too, so that it needs no reader. Source: spec/supervisor 3.3, 3.5.
func Open(path string, perm os.FileMode, mode Mode) (*File, error) {
	if n := ownDescriptor(path); n >= 0 {
		return dup(path, n)
	}
	d, err := OpenDir(path)
	if err != nil {
		var own *ownDescriptorError
		if errors.As(err, &own) {
			return dup(path, own.fd)
		}
		return nil, err
	}
	defer d.Close()
	return d.open(perm, mode)
}

func dup(path string, n int) (*File, error) {
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &File{fd: fd}, nil // never rotated, never truncated, whatever it is
}

// Regular reports whether it is a regular file, which can be rotated, cleared and spliced to.
func (f *File) Regular() bool { return f.regular }

// Append writes p at the end of the file, where other writers of it see it whole. It returns how much was
// written; ErrAgain when a FIFO or terminal takes no more now.
func (f *File) Append(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := f.write(p[done:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return done, ErrAgain
		case err != nil:
			return done, err
		case n == 0:
			return done, io.ErrShortWrite
		}
		done += n
	}
	return done, nil
}

func (f *File) write(p []byte) (int, error) {
	if !f.regular {
		n, err := unix.Write(f.fd, p)
		return max(n, 0), err
	}
	if !f.noAppend {
		n, err := unix.Pwritev2(f.fd, [][]byte{p}, 0, unix.RWF_APPEND)
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
			return max(n, 0), err
		}
		f.noAppend = true
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	n, err := unix.Pwrite(f.fd, p, info.Size)
	return max(n, 0), err
}

// Splice moves up to n bytes from a pipe to position pos; see pipe.Splice.
func (f *File) Splice(from int, pos int64, n int) (int, error) {
	return pipe.Splice(from, f.fd, pos, n)
}

// Stat says what the open file is now.
func (f *File) Stat() (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return Info{}, err
	}
	return info(&st), nil
}

func info(st *unix.Stat_t) Info {
	return Info{Size: st.Size, Links: uint64(st.Nlink), Dev: uint64(st.Dev), Ino: st.Ino}
}

// Truncate empties a regular file.
func (f *File) Truncate() error { return unix.Ftruncate(f.fd, 0) }

// Own sets the mode of the file and, where they are not negative, its owner and group.
func (f *File) Own(perm os.FileMode, uid, gid int) error {
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchown(f.fd, uid, gid); err != nil {
			return os.NewSyscallError("fchown", err)
		}
	}
	return os.NewSyscallError("fchmod", unix.Fchmod(f.fd, uint32(perm.Perm())))
}

// Handout is a descriptor for a program that writes to the file itself: for writing at its end, blocking, the caller's.
// It belongs to an opening of its own where the file is a regular one.
func (f *File) Handout() (*os.File, error) {
	if !f.regular {
		fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		return os.NewFile(uintptr(fd), "log"), nil
	}
	name := "/proc/self/fd/" + strconv.Itoa(f.fd) // the file that was opened, whatever its name means by now
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), "log"), nil
}

// ReadAt reads at a position, as io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := unix.Pread(f.fd, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return max(n, 0), err
}

// Close closes it; a second time does nothing.
func (f *File) Close() error {
	if f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	return unix.Close(fd)
}

// OpenReader opens a log for reading. Only regular files are read: a FIFO would give its bytes to us
// instead of to whom they are meant for.
func OpenReader(path string) (*os.File, error) {
	if ownDescriptor(path) >= 0 {
		return nil, &os.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	d, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.read()
}
