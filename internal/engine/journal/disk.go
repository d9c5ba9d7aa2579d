package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// disk is the state of the file. Store.io guards it.
type disk struct {
	file   File // nil = there is none that can be continued
	id     identity
	number uint64 // of the next frame
	size   int64  // of the file
	synced int64  // up to here it is on the disk
	names  bool   // the directory must be synced before the file counts as durable

	spare File // the next fresh file, empty; nil = none

	owed   bool // there is content that no file has: replace, even when there is nothing new
	aside  bool // what is at the path must not be overwritten but set aside
	closed bool

	reserved    int64 // storage was asked for up to here
	compactAt   int64
	wantCompact bool

	looked time.Time // when it was seen that the file is still where it was
	unseen bool      // something was written since; Store.run looks

	volatile  error // why, nil when not; Recovered has a copy
	trouble   string
	replaceAt time.Time // not before, after a failure
	failure   error     // that one
	buf       []byte
}

// maxBuf bounds the memory that is kept between writes, and chunk the size of the writes of a new file.
const (
	maxBuf = 256 << 10
	chunk  = 256 << 10
)

func (d *disk) close() {
	d.drop()
	if d.spare != nil {
		d.spare.Close()
		d.spare = nil
	}
	d.closed = true
}

// drop gives up the file for writing.
func (d *disk) drop() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

// take is everything that waits to be written.
func (s *Store) take() (ops []op, rejected error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ops, rejected = s.ops, s.rejected
	s.ops, s.opsBytes, s.rejected = nil, 0, nil
	if s.dropped {
		s.dropped, s.disk.owed = false, true
	}
	return ops, rejected
}

// giveBack puts what could not be written before what came since.
func (s *Store) giveBack(ops []op) {
	if s.disk.file == nil {
		s.disk.owed = true
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(ops, s.ops...)
	for _, o := range ops {
		s.opsBytes += size(o.key, o.value)
	}
}

// flush writes what waits: behind the end of the file, or by replacing it. sync is for callers that will
// need it on the disk, and that are not to be put off. Callers hold io.
func (s *Store) flush(sync bool) error {
	d := &s.disk
	ops, rejected := s.take()
	if len(ops) == 0 && !d.owed && (!sync || d.file == nil || d.size == d.synced && !d.names) {
		return rejected
	}
	if s.mustLook(sync) {
		s.look()
	}
	if d.file != nil && !d.owed {
		err := s.extend(ops)
		if err == nil {
			s.grown()
			return rejected
		}
		s.say(fmt.Sprintf("cannot append to %s: %v", s.path, err))
	}
	if err := s.again(sync, ops); err != nil {
		return err
	}
	return rejected
}

// again replaces the file unless that failed a moment ago, and is the whole answer of a flush.
func (s *Store) again(sync bool, ops []op) error {
	d := &s.disk
	var err error
	if (!sync || d.volatile != nil) && d.failure != nil && s.opt.Now().Before(d.replaceAt) {
		s.giveBack(ops)
		err = d.failure
	} else {
		err = s.replace(!s.opt.Runtime || sync, ops)
	}
	if err != nil && d.volatile != nil {
		return nil
	}
	return err
}

// lookEvery is how often a flush of a store for runtime content looks whether its file is still there: that costs more
// than what it has to write.
const lookEvery = 50 * time.Millisecond

// mustLook says whether this flush is to look. When it is not, the store's goroutine looks soon.
func (s *Store) mustLook(sync bool) bool {
	d := &s.disk
	if sync || !s.opt.Runtime || s.opt.Now().Sub(d.looked).Abs() >= lookEvery {
		return true
	}
	if !d.unseen {
		d.unseen = true
		s.lookLater()
	}
	return false
}

// look finds out whether the file is still where it was.
func (s *Store) look() {
	d := &s.disk
	d.looked, d.unseen = s.opt.Now(), false
	if d.file == nil {
		return
	}
	there, err := d.file.At(s.path)
	if there || err != nil { // an error says nothing about the file; the write will
		return
	}
	s.opt.Log("%s was removed or replaced by somebody; writing it again", s.path)
	d.drop()
	d.owed, d.aside = true, true
}

// extend appends.
func (s *Store) extend(ops []op) error {
	d := &s.disk
	if len(ops) == 0 {
		return nil
	}
	b, n := d.buf[:0], d.number
	for _, o := range ops {
		kind := byte(kindPut)
		if o.value == nil {
			kind = kindDelete
		}
		b = d.id.encode(b, kind, n, o.key, o.value)
		n++
	}
	if cap(b) <= maxBuf {
		d.buf = b
	}
	s.reserve(int64(len(b)))
	got, err := d.file.Write(b)
	if err == nil {
		d.number, d.size = n, d.size+int64(len(b))
		s.well()
		return nil
	}
	// What got in is half a record, which the next one to read would skip; without it there is nothing to
	// skip.
	if got > 0 && d.file.Truncate(d.size) != nil {
		d.drop()
		d.owed = true
	}
	return err
}

// reserve keeps storage behind the end of the file.
func (s *Store) reserve(more int64) {
	d := &s.disk
	keep := s.opt.Reserve
	if keep < 0 || d.size+more+keep/2 <= d.reserved {
		return
	}
	d.reserved = d.size + more + max(keep, d.size/4, 4*more) // the system looks at every page of the file each time
	_ = d.file.Reserve(d.reserved)                           // without it the write itself may still find room, and tells if not
}

// grown compacts when the file is much longer than its content.
func (s *Store) grown() {
	d := &s.disk
	s.mu.Lock()
	live := s.live
	s.mu.Unlock()
	if d.size <= d.compactAt || d.size <= 4*live {
		return
	}
	if s.opt.Runtime {
		s.compact()
		return
	}
	d.wantCompact = true
	s.wake()
}

// compact replaces the file with a shorter one. Not being able to is no failure: the file goes on to grow.
func (s *Store) compact() {
	d := &s.disk
	if d.file == nil || d.size <= d.compactAt {
		return
	}
	size := d.size
	s.look() // what somebody has put in its place is not overwritten
	if err := s.replace(!s.opt.Runtime, nil); err != nil {
		d.compactAt = 2 * size
		return
	}
	d.compactAt = s.opt.CompactAt
}

// commit makes everything last that was Put before the call.
func (s *Store) commit() error {
	s.io.Lock()
	defer s.io.Unlock()
	d := &s.disk
	for {
		if d.closed {
			return ErrClosed
		}
		if err := s.flush(true); err != nil {
			return err
		}
		f := d.file
		if f == nil { // nothing to keep, or no disk to keep it on
			return nil
		}
		if d.size > d.synced {
			upTo := d.size
			s.io.Unlock()
			err := f.Sync()
			s.io.Lock()
			if d.file != f {
				continue // replaced meanwhile: that fsync says nothing
			}
			if err != nil {
				return s.elsewhere(err)
			}
			d.synced = max(d.synced, upTo)
		}
		if d.names {
			if err := s.syncDir(); err != nil {
				return s.elsewhere(err)
			}
			d.names = false
		}
		return nil
	}
}

// elsewhere is the answer to an fsync that failed: what it was to write may be lost while the system
// shows it as written, and another fsync would find nothing to do. So everything goes to a fresh file.
// Source: spec/reliability R22.
func (s *Store) elsewhere(cause error) error {
	d := &s.disk
	s.say(fmt.Sprintf("fsync of %s failed: %v; writing all of it to a fresh file", s.path, cause))
	d.drop()
	d.owed = true
	return s.again(true, nil)
}

// replace writes the whole content to a fresh file and puts that in the place of the old one. ops are the
// Puts that are in the content but in no file yet; when the old file can still be continued after a
// failure they wait again.
func (s *Store) replace(durable bool, ops []op) error {
	d := &s.disk
	content, newer := s.content()
	err := s.rewrite(durable, content)
	if err != nil {
		s.giveBack(append(ops, newer...))
		d.failure, d.replaceAt = err, s.opt.Now().Add(s.opt.Retry)
		s.say(fmt.Sprintf("cannot write %s: %v", s.path, err))
		return err
	}
	d.failure, d.owed = nil, false
	s.well()
	_ = s.provide() // it is made when it is needed; that will say what is wrong
	return nil
}

// content is everything, in the order of the keys, and the Puts that came since the last take and are in
// it.
func (s *Store) content() (all, newer []op) {
	s.mu.Lock()
	entries := maps.Clone(s.entries)
	newer = s.ops
	s.disk.owed = s.disk.owed || s.dropped
	s.ops, s.opsBytes, s.dropped = nil, 0, false
	s.mu.Unlock()
	all = make([]op, 0, len(entries))
	for k, c := range entries {
		all = append(all, op{k, c.bytes()})
	}
	slices.SortFunc(all, func(a, b op) int { return strings.Compare(a.key, b.key) })
	return all, newer
}

// rewrite is replace without its consequences for the Puts.
func (s *Store) rewrite(durable bool, content []op) error {
	d := &s.disk
	f, err := s.fresh()
	if err != nil {
		return err
	}
	id := identify(s.opt.ID(), s.opt.Stamp)
	length, err := fill(f, id, s.opt.Stamp, content)
	if err == nil && durable {
		err = f.Sync()
	}
	if err == nil && d.aside {
		err = s.setAside(durable)
	}
	if err != nil {
		f.Close()
		_ = s.opt.FS.Remove(s.spare) // a leftover is no harm
		return err
	}
	d.drop() // before the step: some systems do not replace an open file
	f, err = s.opt.FS.Replace(f, s.spare, s.path)
	if err != nil {
		_ = s.opt.FS.Remove(s.spare)
		return err
	}
	if durable {
		if err := s.syncDir(); err != nil {
			f.Close()
			return err
		}
	}
	d.file, d.id, d.number, d.size = f, id, uint64(len(content))+1, length
	d.synced, d.names, d.reserved = 0, !durable, 0
	if durable {
		d.synced = length
	}
	return nil
}

// fill writes a whole file and returns its length in bytes.
func fill(f File, id identity, stamp string, content []op) (int64, error) {
	var length int64
	b := id.encode(make([]byte, 0, 4096), kindFirst, 0, "", []byte(stamp))
	for i, o := range content {
		b = id.encode(b, kindPut, uint64(i)+1, o.key, o.value)
		if len(b) >= chunk {
			if _, err := f.Write(b); err != nil {
				return 0, err
			}
			length += int64(len(b))
			b = b[:0]
		}
	}
	_, err := f.Write(b)
	return length + int64(len(b)), err
}

func (s *Store) syncDir() error { return s.opt.FS.SyncDir(s.opt.Dir) }

// fresh is an empty file at the spare path: the one that was provided, or a new one.
func (s *Store) fresh() (File, error) {
	d := &s.disk
	if f := d.spare; f != nil {
		d.spare = nil
		if there, err := f.At(s.spare); there && err == nil {
			return f, nil
		}
		f.Close()
	}
	if err := s.opt.FS.MkdirAll(s.opt.Dir); err != nil {
		return nil, err
	}
	f, err := s.opt.FS.Create(s.spare)
	if errors.Is(err, fs.ErrExist) { // left by somebody who was interrupted
		if s.opt.FS.Remove(s.spare) != nil {
			if err := s.move(s.spare); err != nil {
				return nil, err
			}
		}
		f, err = s.opt.FS.Create(s.spare)
	}
	return f, err
}

// maxReserve is the most that a spare file reserves, in bytes.
const maxReserve = 1 << 20

// provide makes the spare file for the next time, with room for the content as it is and some more.
func (s *Store) provide() error {
	d := &s.disk
	if s.opt.Reserve < 0 {
		return nil
	}
	if d.spare == nil {
		f, err := s.fresh()
		if err != nil {
			return err
		}
		d.spare = f
	}
	s.mu.Lock()
	want := s.live + s.opt.Reserve
	s.mu.Unlock()
	_ = d.spare.Reserve(min(want, max(maxReserve, s.opt.Reserve))) // less room is no trouble yet
	return nil
}

// say tells of trouble once, until all is well or it is another one.
func (s *Store) say(text string) {
	if s.disk.volatile != nil || s.disk.trouble == text {
		return
	}
	s.disk.trouble = text
	s.opt.Log("%s", text)
}

// well ends trouble.
func (s *Store) well() {
	d := &s.disk
	if d.trouble == "" && d.volatile == nil {
		return
	}
	d.trouble, d.volatile = "", nil
	s.opt.Log("%s is kept on disk again", s.path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec.Volatile = nil
}
