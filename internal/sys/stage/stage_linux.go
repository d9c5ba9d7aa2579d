package stage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

// The layout: a page with a magic number, a word that says which of two slots is the state, and the slots; the
// bytes begin on the next page.
const (
	headSize  = 4096
	wordAt    = 8
	slotsAt   = 64
	slotSize  = 8 + MaxState
	magic     = "UPKSTG1\n"
	emptyWord = 0 // no state; else 1 + the number of the slot
)

// file is a file in memory, with its first page mapped.
type file struct {
	fd   int
	head []byte
}

func newFile() (*file, error) {
	fd, err := unix.MemfdCreate("stage", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, headSize); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	f, err := mapped(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	copy(f.head, magic)
	return f, nil
}

// adoptFile checks what is there: the file comes from another process, perhaps another version of it.
func adoptFile(fd int) (*file, int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size < headSize {
		return nil, 0, errForeign
	}
	f, err := mapped(fd)
	if err != nil {
		return nil, 0, err
	}
	if string(f.head[:len(magic)]) != magic || atomic.LoadUint64(f.word()) > 2 {
		_ = unix.Munmap(f.head)
		return nil, 0, errForeign
	}
	return f, st.Size - headSize, nil
}

func mapped(fd int) (*file, error) {
	head, err := unix.Mmap(fd, 0, headSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &file{fd: fd, head: head}, nil
}

func (f *file) word() *uint64 { return (*uint64)(unsafe.Pointer(&f.head[wordAt])) }

func (f *file) slot(n uint64) []byte { return f.head[slotsAt+n*slotSize:][:slotSize] }

func (f *file) state() []byte {
	w := atomic.LoadUint64(f.word())
	if w == emptyWord {
		return nil
	}
	slot := f.slot(w - 1)
	return slot[8:][:min(binary.LittleEndian.Uint64(slot), MaxState)]
}

func (f *file) commit(state []byte) {
	next := uint64(0)
	if atomic.LoadUint64(f.word()) == 1 {
		next = 1
	}
	slot := f.slot(next)
	binary.LittleEndian.PutUint64(slot, uint64(copy(slot[8:], state)))
	atomic.StoreUint64(f.word(), next+1)
}

func (f *file) fill(from int, size int64, n int) (int, error) {
	m, err := pipe.Splice(from, f.fd, headSize+size, n)
	if !errors.Is(err, errors.ErrUnsupported) {
		return m, err
	}
	buf := make([]byte, min(n, 64<<10)) // no pipe
	if m, err = pipe.Read(from, buf); m > 0 {
		if _, err := unix.Pwrite(f.fd, buf[:m], headSize+size); err != nil {
			return 0, err
		}
	}
	return m, err
}

func (f *file) readAt(p []byte, at int64) (int, error) {
	n, err := unix.Pread(f.fd, p, headSize+at)
	return max(n, 0), err
}

func (f *file) truncate(size int64) error { return unix.Ftruncate(f.fd, headSize+size) }

func (f *file) free(before int64) {
	_ = unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, headSize, before)
}

func (f *file) close() {
	_ = unix.Munmap(f.head)
	unix.Close(f.fd)
}
