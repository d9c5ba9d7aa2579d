package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// maxAside is where the search for a free name ends.
const maxAside = 100_000

// setAside gives what is at the path a second name, so that replacing it destroys nothing.
func (s *Store) setAside(durable bool) error {
	err := s.rename(s.path, func(from, to string) error {
		err := s.opt.FS.Link(from, to)
		if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// No links here, or not for this kind of thing.
		err = s.copy(from, to)
		if unfit(err) {
			err = s.opt.FS.Move(from, to)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.disk.aside = false
	if durable {
		return s.syncDir()
	}
	return nil
}

// copy makes a second file of the same content.
func (s *Store) copy(from, to string) error {
	f, _, err := s.opt.FS.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	b, _, err := read(f, s.opt.FS.Unreadable)
	if err != nil {
		return err
	}
	g, err := s.opt.FS.Create(to)
	if err != nil {
		return err
	}
	_, err = g.Write(b)
	if err == nil {
		err = g.Sync()
	}
	if err = errors.Join(err, g.Close()); err != nil {
		_ = s.opt.FS.Remove(to)
	}
	return err
}

// move renames what is at the path out of the way.
func (s *Store) move(path string) error { return s.rename(path, s.opt.FS.Move) }

// rename finds a free name for what is at the path, and takes it by way of step. When nothing is there
// there is nothing to do.
func (s *Store) rename(path string, step func(from, to string) error) error {
	for n := 1; n <= maxAside; n++ {
		to := fmt.Sprintf("%s.damaged-%d", path, n)
		err := step(path, to)
		switch {
		case errors.Is(err, fs.ErrExist):
			continue
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err == nil:
			s.opt.Log("%s is kept as %s", path, to)
			s.mu.Lock()
			s.rec.Aside = append(slices.Clip(s.rec.Aside), to)
			s.mu.Unlock()
		}
		return err
	}
	return fmt.Errorf("%s: too many damaged files", filepath.Base(path))
}
