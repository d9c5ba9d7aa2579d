// Package logs owns the log files: who has which one open, rotation, clearing, reopening, reading and
// following. Bytes are logged as they are. Source: spec/supervisor 3.3–3.7, 5.9, 5.11.
//
// One File stands for one path, however many programs write to it: their bytes share one position and
// one rotation (F43). Outside tools may rename, delete or truncate a log at any time: writing goes on in
// the renamed file until Reopen, in a new file at the path after a deletion, and at the new end after a
// truncation. Of many logs only those that are written to are held open: one that was quiet for a while is
// opened again at its path for the next bytes. Source: spec/reliability R17, R27.
package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// Options of a log file.
type Options struct {
	MaxBytes int64       // rotate when the file has reached this size; 0 = never
	Backups  int         // files kept by rotation; 0 = the file is emptied instead
	Perm     os.FileMode // of new files, less the umask; 0 = 0666
	Times    bool        // note beside it when bytes come, see package timeindex
}

// ErrBusy: the file's disk does not answer, so the file could not be cleared or reopened now.
var ErrBusy = errors.New("the log's disk does not answer")

// patience is how long clearing and reopening wait for a write that is under way.
const patience = 2 * time.Second

// Store is the set of open log files, by path. Its methods are safe for concurrent use.
type Store struct {
	mu     sync.Mutex
	files  map[string]*File
	clears map[string]clears // of the log at a path, for those who follow it
	open   openFiles
}

// NewStore makes an empty set.
func NewStore() *Store {
	return &Store{files: make(map[string]*File), clears: make(map[string]clears), open: openFiles{few: fewOpen, many: manyOpen}}
}

// Open opens a log for appending, or shares the one that is open at that path; the options given last
// hold. Every Open needs its Close. Errors name the path and wrap the system's; a refused file is a
// *logfile.UnsafeError.
func (s *Store) Open(path string, o Options) (*File, error) {
	key, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[key]; f != nil {
		f.refs++
		f.next.Store(&o)
		return f, nil
	}
	h, err := s.open.make(key, o.Perm)
	if err != nil {
		return nil, err
	}
	f := &File{store: s, path: key, refs: 1, lock: make(chan struct{}, 1), o: o}
	if err := f.adopt(h); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	s.files[key] = f
	return f, nil
}

// all is the open files in the order of their paths.
func (s *Store) all() []*File {
	s.mu.Lock()
	defer s.mu.Unlock()
	fs := make([]*File, 0, len(s.files))
	for _, f := range s.files {
		fs = append(fs, f)
	}
	sort.Slice(fs, func(i, j int) bool { return fs[i].path < fs[j].path })
	return fs
}

// Reopen closes and opens every file, as after an outside rotation. A file that cannot be opened anew
// stays the one it is; the errors of all are joined. Source: spec/supervisor 3.7.
func (s *Store) Reopen() error {
	var errs []error
	for _, f := range s.all() {
		if err := f.Reopen(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Clear empties the log at a path, open or not, in place. Devices and FIFOs are left alone, links are
// never removed; a missing file that nobody has open is fs.ErrNotExist (F12).
func (s *Store) Clear(path string) error {
	key, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	f := s.files[key]
	s.mu.Unlock()
	if f != nil {
		return f.Clear()
	}
	defer s.noteClear(key)()
	h, err := logfile.Open(key, 0, logfile.Existing)
	if err != nil {
		return err
	}
	if h.Regular() {
		err = h.Truncate()
	}
	if err := errors.Join(err, h.Close()); err != nil {
		return fmt.Errorf("clear %s: %w", path, err)
	}
	return nil
}

// clears is what followers know of how often a log was cleared.
type clears struct{ underWay, done int }

// noteClear tells followers that the log is being cleared, until the function that it returns is called.
func (s *Store) noteClear(key string) (done func()) {
	count := func(underWay, done int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		c := s.clears[key]
		s.clears[key] = clears{c.underWay + underWay, c.done + done}
	}
	count(1, 0)
	return func() { count(-1, 1) }
}

// Follow is the function Follow for a log that this store may clear: what follows a Clear is no truncation
// by somebody else, and is not announced as one.
func (s *Store) Follow(ctx context.Context, path string, backlog int64) (*Follower, error) {
	key, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	cleared := func() clears {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.clears[key]
	}
	before := cleared().done
	f, err := Follow(ctx, path, backlog)
	if err != nil {
		return nil, err
	}
	f.clears, f.cleared = before, cleared
	return f, nil
}
