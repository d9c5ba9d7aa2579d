package logfile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// shared lets others do with a file what they may do with one that is not open: above all rename and delete it.
const shared = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// open opens a file so that it can be renamed and deleted while it is open, which package os does not.
func open(path string, access, how, attributes uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		var h windows.Handle
		if h, err = windows.CreateFile(name, access, shared, nil, how, attributes, 0); err == nil {
			return os.NewFile(uintptr(h), path), nil
		}
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: err}
}

// openLog opens a log to append to it, to read and to clear it. Of perm only the right to write has a meaning here.
func openLog(path string, perm os.FileMode, mode Mode) (*os.File, error) {
	how, attributes := uint32(windows.OPEN_EXISTING), uint32(windows.FILE_ATTRIBUTE_NORMAL)
	if mode == Create {
		how = windows.OPEN_ALWAYS
	}
	if perm&0o200 == 0 {
		attributes = windows.FILE_ATTRIBUTE_READONLY // takes effect when it is made
	}
	return open(path, windows.GENERIC_READ|windows.GENERIC_WRITE, how, attributes)
}

func openReader(path string) (*os.File, error) {
	return open(path, windows.GENERIC_READ, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL)
}

// appendTo writes at the end of a file, wherever that is by then.
func appendTo(f *os.File, p []byte) (int, error) {
	kind, err := windows.GetFileType(windows.Handle(f.Fd()))
	if err != nil || kind != windows.FILE_TYPE_DISK {
		return f.Write(p)
	}
	written := 0
	for written < len(p) {
		var n uint32
		end := &windows.Overlapped{Offset: 0xffffffff, OffsetHigh: 0xffffffff}
		err := windows.WriteFile(windows.Handle(f.Fd()), p[written:], &n, end)
		written += int(n)
		if errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) {
			err = syscall.ENOSPC // as everywhere else
		}
		if err != nil {
			return written, &os.PathError{Op: "write", Path: f.Name(), Err: err}
		}
	}
	return written, nil
}

func unlink(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	return windows.DeleteFile(name)
}

// rename moves a file over another one, even if somebody has that open, as who follows a log has: then it is moved aside
// first, and is gone when the last one has closed it.
func rename(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, windows.ERROR_ACCESS_DENIED) && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return err
	}
	if fi, none := os.Lstat(to); none != nil || !fi.Mode().IsRegular() {
		return err
	}
	aside := to + ".old-" + rand.Text()
	if os.Rename(to, aside) != nil {
		return err
	}
	if again := os.Rename(from, to); again != nil {
		return errors.Join(again, os.Rename(aside, to))
	}
	return os.Remove(aside)
}

// infoOf has no identity to give: only what is open has.
func infoOf(fi fs.FileInfo) Info { return Info{Size: fi.Size(), Links: 1} }

// InfoOfFile says what an open file is.
func InfoOfFile(f *os.File) (Info, error) {
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &i); err != nil {
		fi, err := f.Stat()
		if err != nil {
			return Info{}, err
		}
		return infoOf(fi), nil
	}
	return Info{
		Size: int64(i.FileSizeHigh)<<32 | int64(i.FileSizeLow), Links: uint64(i.NumberOfLinks),
		Dev: uint64(i.VolumeSerialNumber), Ino: uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow),
	}, nil
}

// infoOfPath looks at an entry without following it.
func infoOfPath(path string) (Info, error) {
	f, err := open(path, windows.FILE_READ_ATTRIBUTES, windows.OPEN_EXISTING,
		windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	return InfoOfFile(f)
}

// duplicate is the same opening under another handle.
func duplicate(f *os.File) (*os.File, error) {
	self, h := windows.CurrentProcess(), windows.Handle(0)
	if err := windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &h, 0, false, windows.DUPLICATE_SAME_ACCESS); err != nil {
		return nil, os.NewSyscallError("DuplicateHandle", err)
	}
	return os.NewFile(uintptr(h), f.Name()), nil
}
