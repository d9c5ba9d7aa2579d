package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// recover reads what is there and makes the store ready. It never fails: the worst is a volatile store.
func (s *Store) recover() {
	d := &s.disk
	s.live = size("", []byte(s.opt.Stamp))
	s.rec = Recovered{Entries: map[string][]byte{}, Same: true}
	trouble := s.opt.FS.MkdirAll(s.opt.Dir)
	f, writable, err := s.opt.FS.Open(s.path)
	if err == nil {
		if err = s.load(f, writable); err != nil {
			f.Close()
		}
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
	case s.opt.FS.Unreadable(err) || unfit(err):
		s.opt.Log("%s cannot be used: %v", s.path, err)
		s.rec.Damage = append(s.rec.Damage, Damage{Records: -1, Reason: err.Error()})
		if moved := s.move(s.path); moved != nil {
			d.aside = true
			trouble = errors.Join(trouble, moved)
		}
	default: // a shortage of ours; the file may be perfect
		d.aside = true
		trouble = errors.Join(trouble, err)
	}
	if d.owed && d.aside && trouble == nil { // damage: have a good file before anything else happens
		trouble = s.replace(!s.opt.Runtime, nil)
	}
	if d.spare == nil && trouble == nil {
		trouble = s.probe()
	}
	if trouble != nil && d.file == nil {
		d.volatile, s.rec.Volatile = trouble, trouble
		d.failure, d.replaceAt = trouble, s.opt.Now().Add(s.opt.Retry)
		s.opt.Log("%s cannot be kept on disk, changes are forgotten when this process ends: %v", s.path, trouble)
	}
}

func unfit(err error) bool {
	var u *statefile.UnfitError
	return errors.As(err, &u)
}

// probe makes the spare file, which shows whether anything can be written.
func (s *Store) probe() error {
	d := &s.disk
	if f, writable, err := s.opt.FS.Open(s.spare); err == nil {
		if n, err := f.Size(); err == nil && n == 0 && writable {
			d.spare = f // the reserve of the last time: on a full disk there might be no other
			return s.provide()
		}
		f.Close()
	}
	if s.opt.Reserve >= 0 {
		return s.provide()
	}
	f, err := s.fresh()
	if err != nil {
		return err
	}
	f.Close()
	_ = s.opt.FS.Remove(s.spare) // a leftover is no harm
	return nil
}

// load reads the open file. An error speaks about the file as a whole.
func (s *Store) load(f File, writable bool) error {
	d := &s.disk
	b, holes, err := read(f, s.opt.FS.Unreadable)
	if err != nil {
		return err
	}
	r := decode(b)
	switch {
	case r.newer:
		return &statefile.UnfitError{Path: s.path, Reason: "is of a newer version"}
	case r.frames == 0 && !r.blank():
		return &statefile.UnfitError{Path: s.path, Reason: "has no record that can be read"}
	}
	for _, h := range holes {
		if !covered(h, r.damage) {
			r.damage = append(r.damage, h)
		}
	}
	s.rec.Entries, s.rec.Damage = r.entries, r.damage
	ours := identify(r.id.file, s.opt.Stamp)
	if r.first {
		s.rec.Stamp, s.rec.Same = r.stamp, r.stamp == s.opt.Stamp
	} else if r.frames > 0 { // the first frame is lost; the others carry its sum
		if s.rec.Same = r.id == ours; s.rec.Same {
			s.rec.Stamp = s.opt.Stamp
		}
	}
	for _, x := range r.damage {
		s.opt.Log("%s: %s", s.path, x)
	}
	clean := len(r.damage) == 0 && r.frames > 0
	d.aside = !r.blank() || len(holes) > 0
	if !s.rec.Same {
		f.Close() // history stays until there is something to take its place
		return nil
	}
	for k, v := range r.entries {
		s.live += size(k, v)
		s.entries[k] = content{value: v}
	}
	if clean && writable && s.opt.Runtime {
		d.file, d.id, d.number, d.size = f, r.id, r.next, int64(len(b))
		d.names = true
		return nil
	}
	// Nobody knows whether an fsync of the former process failed, after which another one would report
	// success. A durable store begins with a fresh file.
	d.owed = r.frames > 0
	f.Close()
	return nil
}

// read reads all of a file. What cannot be read is zeros in the text and is reported.
func read(f File, unreadable func(error) bool) (b []byte, holes []Damage, err error) {
	const block, sector = 1 << 20, 512
	n, err := f.Size()
	if err != nil {
		return nil, nil, err
	}
	if n > maxFile {
		return nil, nil, &statefile.UnfitError{Path: "file", Reason: fmt.Sprintf("has %d bytes, which is too much", n)}
	}
	b = make([]byte, n)
	for at := 0; at < len(b); {
		part := b[at:min(at+block, len(b))]
		got, err := f.ReadAt(part, int64(at))
		switch {
		case got == len(part):
			at += got
			continue
		case errors.Is(err, io.EOF): // shorter than it said
			return b[:at+got], holes, nil
		case !unreadable(err):
			return nil, nil, err
		}
		for end := at + len(part); at < end; at += sector {
			part := b[at:min(at+sector, end)]
			got, err := f.ReadAt(part, int64(at))
			if got == len(part) {
				continue
			}
			if !unreadable(err) {
				return nil, nil, err
			}
			clear(part)
			holes = append(holes, Damage{Offset: int64(at), Length: int64(len(part)), Records: -1, Reason: "cannot be read: " + err.Error()})
		}
		at = min(at, len(b))
	}
	return b, holes, nil
}

// covered reports whether the damage is inside one that is known.
func covered(h Damage, all []Damage) bool {
	for _, d := range all {
		if d.Offset <= h.Offset && h.Offset+h.Length <= d.Offset+d.Length {
			return true
		}
	}
	return false
}
