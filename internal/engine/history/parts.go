package history

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// maxParts bounds the search for backups, maxGap the missing numbers in a row: a rotation that is under way, or was broken
// off, leaves one.
const (
	maxParts = 1000
	maxGap   = 3
)

// part is one file of a log: the log itself or one of its backups.
type part struct {
	path string
	info os.FileInfo
}

// list finds the files of a log, the oldest first.
func list(path string) []part {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // that is what is rotated
	}
	var out []part
	missing := 0
	for k := 0; k <= maxParts && missing < maxGap; k++ {
		p := path
		if k > 0 {
			p += "." + strconv.Itoa(k)
		}
		info, err := os.Lstat(p)
		if err != nil || !info.Mode().IsRegular() {
			if k > 0 {
				missing++
			}
			continue
		}
		missing = 0
		// A rotation that came between two looks has moved a file to where it is seen again.
		if n := len(out); n == 0 || !os.SameFile(out[n-1].info, info) {
			out = append(out, part{p, info})
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// find is the place of a file in a list; -1 when it is not there.
func find(parts []part, info os.FileInfo) int {
	for i, p := range parts {
		if os.SameFile(p.info, info) {
			return i
		}
	}
	return -1
}

// file is an open part with its index; idx is nil when there is none.
type file struct {
	*os.File
	path  string
	info  os.FileInfo
	idx   *timeindex.Reader
	index *os.File
}

// errMoved: there is another file under that name by now.
var errMoved = errors.New("rotated meanwhile")

// open opens a part.
func (p part) open() (*file, error) {
	r, err := logfile.OpenReader(p.path)
	if err != nil {
		return nil, err
	}
	info, err := r.Stat()
	if err == nil && !os.SameFile(info, p.info) {
		err = errMoved
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	f := &file{File: r, path: p.path, info: info}
	f.findIndex()
	return f, nil
}

// openOf opens the file of a log that is the one of a list, under whatever name it has by now.
func openOf(path string, p part) (*file, error) {
	var err error
	for range maxHops {
		var f *file
		if f, err = p.open(); err == nil || !errors.Is(err, errMoved) && !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		now := list(path)
		at := find(now, p.info)
		if at < 0 {
			break
		}
		p = now[at]
	}
	return nil, err
}

// maxHops is how often a file that is being renamed is looked for.
const maxHops = 8

// findIndex opens the index. A crash in a rotation, or a tool that renamed the log, leaves it under a name close by.
func (f *file) findIndex() {
	d, err := logfile.OpenDir(f.path)
	if err != nil {
		return
	}
	defer d.Close()
	is, err := logfile.InfoOfFile(f.File)
	if err != nil {
		return
	}
	for _, name := range []string{d.Name(), newer(d.Name())} {
		r, err := d.ReadOther(timeindex.Name(name))
		if err != nil {
			continue
		}
		if idx := timeindex.NewReader(r); idx.Of(is.Ino) {
			f.idx, f.index = idx, r
			return
		}
		_ = r.Close()
	}
}

// newer is the name that a backup had before the last rotation.
func newer(name string) string {
	ext := filepath.Ext(name)
	k, err := strconv.Atoi(ext[min(1, len(ext)):])
	base := name[:len(name)-len(ext)]
	switch {
	case err != nil || k < 1:
		return name
	case k == 1:
		return base
	}
	return base + "." + strconv.Itoa(k-1)
}

func (f *file) close() {
	if f == nil {
		return
	}
	_ = f.Close()
	if f.index != nil {
		_ = f.index.Close()
	}
}

// state is what the index says of a position: when what is there came, and of which run it is.
type state struct {
	time time.Time
	run  time.Time // when it began; zero = not known
	gen  uint64
}

// take goes on to a record.
func (s *state) take(r timeindex.Record) {
	s.time, s.run = r.Time, r.Run
	if r.Kind == timeindex.Bytes || r.Kind == timeindex.Started {
		s.gen = uint64(r.Value)
	}
}

// at is the state of the byte at a position. What came before the first record came before its time.
func (f *file) at(pos int64) state {
	s := state{time: f.info.ModTime()}
	if f.idx.Len() == 0 {
		return s
	}
	if r, ok := f.idx.At(0); ok {
		s.time = r.Time
	}
	i := f.idx.AfterOffset(pos) - 1
	r, ok := f.idx.At(i)
	if !ok {
		return s
	}
	s.take(r)
	s.gen = uint64(f.idx.Generation(i))
	return s
}

// splits is the last position in (from, to] at which another run begins; 0 = there is none.
func (f *file) splits(from, to int64) int64 {
	for i := f.idx.AfterOffset(to) - 1; i >= 1; i-- {
		r, ok := f.idx.At(i)
		if !ok || r.Offset <= from {
			return 0
		}
		if before, ok := f.idx.At(i - 1); ok && !before.Run.Equal(r.Run) {
			return r.Offset
		}
	}
	return 0
}

// starts reports whether a line begins at a position.
func (f *file) starts(pos int64) bool {
	var b [1]byte
	n, _ := f.ReadAt(b[:], pos-1)
	return pos == 0 || n < 1 || b[0] == '\n' || f.splits(pos-1, pos) == pos
}

// next is where the first record from number i on says that something else holds; the largest number for nowhere.
func (f *file) next(i int) int64 {
	if r, ok := f.idx.At(i); ok {
		return r.Offset
	}
	return math.MaxInt64
}
