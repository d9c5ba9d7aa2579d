package pipe

import (
	"crypto/rand"
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// size is how much the pipes of Pair hold in bytes.
const size = DefaultCapacity

// Pair makes a pipe for a program: ours is the end that stays here, made for overlapped work so that it can be watched by
// a reactor and written to without waiting; theirs is an ordinary one. With input the program reads, else it writes.
// Neither is inherited as it is.
func Pair(input bool) (ours, theirs windows.Handle, err error) {
	name, err := windows.UTF16PtrFromString(`\\.\pipe\upkeep-` + rand.Text())
	if err != nil {
		return 0, 0, err
	}
	access, other := uint32(windows.PIPE_ACCESS_INBOUND), uint32(windows.GENERIC_WRITE|windows.FILE_READ_ATTRIBUTES)
	if input {
		access, other = windows.PIPE_ACCESS_OUTBOUND, windows.GENERIC_READ|windows.FILE_WRITE_ATTRIBUTES
	}
	// One instance of a name that nobody knows: the next step takes it, and nobody else can.
	ours, err = windows.CreateNamedPipe(name, access|windows.FILE_FLAG_OVERLAPPED|windows.FILE_FLAG_FIRST_PIPE_INSTANCE,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, size, size, 0, nil)
	if err != nil {
		return 0, 0, os.NewSyscallError("CreateNamedPipe", err)
	}
	theirs, err = windows.CreateFile(name, other, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		windows.CloseHandle(ours)
		return 0, 0, os.NewSyscallError("CreateFile", err)
	}
	return ours, theirs, nil
}

// handle is the handle that a descriptor is; those of this system have 32 bits that count.
func handle(fd int) windows.Handle { return windows.Handle(uint32(fd)) }

// over reports whether an error means that nobody is at the other end.
func over(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA) ||
		errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED)
}

// peekNamedPipe is a function of the system that package windows does not have.
var peekNamedPipe = windows.NewLazySystemDLL("kernel32.dll").NewProc("PeekNamedPipe")

// Available is the number of bytes that wait in a pipe; end is true when there are none and every writer
// is gone.
func Available(fd int) (n int, end bool, err error) {
	var avail uint32
	ok, _, err := peekNamedPipe.Call(uintptr(handle(fd)), 0, 0, 0, uintptr(unsafe.Pointer(&avail)), 0)
	if ok == 0 {
		if over(err) {
			return 0, true, nil
		}
		return 0, false, err
	}
	return int(avail), false, nil
}

// Read takes bytes that Available has seen; the caller is the only reader.
func Read(fd int, b []byte) (int, error) {
	o, err := begin()
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(event(o))
	var n uint32
	if err = windows.ReadFile(handle(fd), b, nil, o); err == nil || errors.Is(err, windows.ERROR_IO_PENDING) {
		err = windows.GetOverlappedResult(handle(fd), o, &n, true)
	}
	if over(err) {
		return 0, nil
	}
	return int(n), err
}

// begin prepares an operation with an event of its own, and no report to a completion port.
func begin() (*windows.Overlapped, error) {
	e, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return nil, os.NewSyscallError("CreateEvent", err)
	}
	return &windows.Overlapped{HEvent: e | 1}, nil
}

// event is the event of an operation.
func event(o *windows.Overlapped) windows.Handle { return o.HEvent &^ 1 }

// Writer writes to our end of a pipe without waiting for who reads. It is not safe for concurrent use.
type Writer struct {
	h      windows.Handle
	o      *windows.Overlapped // of the write under way or the last one; nil = there was none
	buf    []byte              // what is being written; the system reads it
	active bool
}

// NewWriter makes the writer of a descriptor, which stays the caller's to close, after Stop.
func NewWriter(fd int) (Writer, error) { return Writer{h: handle(fd)}, nil }

// Ready is the descriptor that a reactor finds writable when there is room again after ErrAgain.
func (w *Writer) Ready() int {
	if w.o == nil {
		return -1
	}
	return int(event(w.o))
}

// Write takes as many bytes as may be on their way at once: ErrAgain for none, ErrBroken when nobody reads.
func (w *Writer) Write(b []byte) (int, error) {
	if w.o == nil {
		var err error
		if w.o, err = begin(); err != nil {
			return 0, err
		}
		w.buf = make([]byte, 0, size)
	}
	if w.active {
		var n uint32
		err := windows.GetOverlappedResult(w.h, w.o, &n, false)
		if errors.Is(err, windows.ERROR_IO_INCOMPLETE) {
			return 0, ErrAgain
		}
		w.active = false
		if err != nil {
			return 0, broken(err)
		}
	}
	if len(b) == 0 {
		return 0, nil
	}
	w.buf = append(w.buf[:0], b[:min(len(b), size)]...)
	err := windows.WriteFile(w.h, w.buf, nil, w.o)
	if err != nil && !errors.Is(err, windows.ERROR_IO_PENDING) {
		return 0, broken(err)
	}
	w.active = true
	return len(w.buf), nil
}

func broken(err error) error {
	if over(err) {
		return ErrBroken
	}
	return err
}

// Stop ends a write that is under way; what has not been read of it is lost. The writer is of no use afterwards.
func (w *Writer) Stop() {
	if w.o == nil {
		return
	}
	if w.active {
		var n uint32
		_ = windows.CancelIoEx(w.h, w.o)
		_ = windows.GetOverlappedResult(w.h, w.o, &n, true) // it ends at once
	}
	windows.CloseHandle(event(w.o))
	w.o, w.active = nil, false
}

// Close closes a descriptor.
func Close(fd int) error { return windows.Close(handle(fd)) }

// IsPipe reports whether fd is a pipe.
func IsPipe(fd int) bool {
	t, err := windows.GetFileType(handle(fd))
	return err == nil && t == windows.FILE_TYPE_PIPE
}
