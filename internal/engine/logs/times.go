package logs

import (
	"errors"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
)

// stamp notes when what is written next came. The file's lock is held.
func (f *File) stamp() {
	if f.times != nil {
		f.times.Bytes(f.pos, time.Unix(0, f.last.Load()))
	}
}

// forgetTimes lets go of the index; it is opened with the file.
func (f *File) forgetTimes() {
	f.times.Close()
	f.times = nil
}

// Began notes in the log at a path that a run of its program begins there: what is written from now on belongs to it.
// Nothing happens when the log has no index. Errors are those of Open, and ErrBusy.
func (s *Store) Began(path string, o Options, at time.Time, gen uint64) error {
	return s.mark(path, o, func(f *File) { f.times.Start(f.pos, at, gen) })
}

// Ended notes how the run that writes to the log has ended. See Began.
func (s *Store) Ended(path string, o Options, at time.Time, e model.Exit) error {
	kind, value := timeindex.Exited, uint32(e.Status)
	switch {
	case !e.Known:
		kind, value = timeindex.Ended, 0
	case e.Signal != 0:
		kind, value = timeindex.Killed, uint32(e.Signal)
	}
	return s.mark(path, o, func(f *File) { f.times.End(f.pos, at, kind, value) })
}

func (s *Store) mark(path string, o Options, note func(*File)) (err error) {
	if !o.Times {
		return nil
	}
	f, err := s.Open(path, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.acquireSoon(); err != nil {
		return err
	}
	defer f.release()
	if _, err := f.prepare(); err != nil {
		return err
	}
	note(f)
	return nil
}
