package pipe

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Available is the number of bytes that wait in a pipe; end is true when there are none and every writer
// is gone.
func Available(fd int) (n int, end bool, err error) {
	peek := windows.NewLazySystemDLL("kernel32.dll").NewProc("PeekNamedPipe")
	var avail uint32
	ok, _, err := peek.Call(uintptr(fd), 0, 0, 0, uintptr(unsafe.Pointer(&avail)), 0)
	if ok == 0 {
		if errors.Is(err, windows.ERROR_BROKEN_PIPE) {
			return 0, true, nil
		}
		return 0, false, err
	}
	return int(avail), false, nil
}

// Read takes bytes that Available has seen; the caller is the only reader.
func Read(fd int, b []byte) (int, error) {
	n, err := windows.Read(windows.Handle(fd), b)
	if errors.Is(err, windows.ERROR_BROKEN_PIPE) {
		return 0, nil
	}
	return max(n, 0), err
}

// Write puts bytes into a pipe. Here it may block.
func Write(fd int, b []byte) (int, error) {
	n, err := windows.Write(windows.Handle(fd), b)
	if errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA) {
		return max(n, 0), ErrBroken
	}
	return max(n, 0), err
}

// SetNonblock does nothing here.
func SetNonblock(int) error { return nil }

// Close closes a descriptor.
func Close(fd int) error { return windows.Close(windows.Handle(fd)) }

// IsPipe reports whether fd is a pipe.
func IsPipe(fd int) bool {
	t, err := windows.GetFileType(windows.Handle(fd))
	return err == nil && t == windows.FILE_TYPE_PIPE
}
