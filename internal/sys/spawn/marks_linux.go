package spawn

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Marks is a table in a file, which outlives all its users. A process at a gate is let through by a message, and
// the place into which the system copies that message is the process's word of the table. So the word has
// the process's tag if and only if the process was let through, whoever is killed at whichever instant.
type Marks struct {
	file *os.File
	mem  []byte
}

const marksSize = 8 * MarkLimit

// OpenMarks opens the table at path and makes it where it is missing, with all its space on the disk: what the
// system cannot write there would be a program that cannot start.
func OpenMarks(path string) (*Marks, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, marksSize); err != nil {
		f.Close()
		return nil, os.NewSyscallError("fallocate", err)
	}
	m, err := mapMarks(int(f.Fd()))
	if err != nil {
		f.Close()
		return nil, err
	}
	m.file = f
	return m, nil
}

// mapMarks is the table in an open file, which the caller may close.
func mapMarks(fd int) (*Marks, error) {
	mem, err := unix.Mmap(fd, 0, marksSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &Marks{mem: mem}, nil
}

// Close closes the table. Nobody may use it any more.
func (m *Marks) Close() {
	_ = unix.Munmap(m.mem) // fails on bad arguments only
	if m.file != nil {
		m.file.Close()
	}
}

// Passed reports whether the process with this mark was let through.
func (m *Marks) Passed(k Mark) bool {
	return k.At < MarkLimit && k.Tag != 0 && atomic.LoadUint64(m.word(k.At)) == k.Tag
}

// set notes it for a process that has no gate.
func (m *Marks) set(k Mark) {
	if m != nil && k.At < MarkLimit && k.Tag != 0 {
		atomic.StoreUint64(m.word(k.At), k.Tag)
	}
}

func (m *Marks) word(at uint32) *uint64 {
	return (*uint64)(unsafe.Pointer(&m.mem[8*int(at)]))
}
