package logs

import (
	"errors"
	"io"
	"io/fs"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// ErrBadArguments refuses offsets and lengths that mean nothing.
var ErrBadArguments = errors.New("bad offset or length")

// Read returns a part of the log at a path: length bytes from offset; to the end with length 0; the last
// -offset bytes with a negative offset and length 0. Errors: ErrBadArguments, fs.ErrNotExist, and those of
// the system. Source: spec/supervisor 5.9.
func Read(path string, offset, length int64) ([]byte, error) {
	if offset < 0 && length != 0 || length < 0 {
		return nil, ErrBadArguments
	}
	f, err := logfile.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := fi.Size()
	if offset < 0 {
		offset = max(size+offset, 0)
	}
	if length == 0 {
		length = size
	}
	return readPart(f, offset, length, size)
}

// Tail returns a part of the log near its end for clients that poll: the bytes, the size of the file to be
// passed as the next offset, and whether the client has missed some. The arithmetic is the original's,
// oddities included. A log that is not there, or cannot be read, is empty; the error is then
// fs.ErrNotExist, or nil with the offset as given. Source: spec/supervisor 5.9 (K37).
func Tail(path string, offset, length int64) (data []byte, end int64, overflow bool, err error) {
	f, err := logfile.OpenReader(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, 0, false, err
		}
		return nil, offset, false, nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, offset, false, nil
	}
	size := fi.Size()
	offset, length, overflow = tailRange(size, offset, length)
	data, err = readPart(f, offset, length, size)
	if err != nil {
		return nil, offset, false, nil
	}
	return data, size, overflow, nil
}

// farOff bounds offsets and lengths so that sums do not wrap.
const farOff = 1 << 61

func tailRange(size, offset, length int64) (from, count int64, overflow bool) {
	offset = min(max(offset, -farOff), farOff)
	length = min(max(length, -farOff), farOff)
	if overflow = size > offset+length; overflow {
		offset = size - 1
	}
	if offset+length > size {
		if offset > size-1 {
			length = 0
		}
		offset = size - length
	}
	return max(offset, 0), max(length, 0), overflow
}

// readPart reads what there is of [offset, offset+length) in a file of this size.
func readPart(f io.ReaderAt, offset, length, size int64) ([]byte, error) {
	length = min(length, size-offset)
	if length <= 0 {
		return nil, nil
	}
	data := make([]byte, length)
	n, err := f.ReadAt(data, offset)
	if errors.Is(err, io.EOF) { // cut off meanwhile
		err = nil
	}
	return data[:n], err
}
