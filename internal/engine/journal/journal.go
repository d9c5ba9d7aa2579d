package journal

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say where a store is and how it behaves. Dir and Name are needed.
type Options struct {
	Dir  string // absolute; made when it is missing, mode 0700
	Name string // of the file in it; NAME.spare and NAME.damaged-N are used too
	// Stamp is the era that the content is valid in, the boot id for what a reboot makes moot. Content of
	// another stamp is history: Recovered shows it, and the first Put that is written replaces it. Content
	// that has no stamp is valid for ever.
	Stamp string
	// Runtime is for content that a power cut makes moot: the file is replaced without fsync then, so that
	// no Flush waits for the disk. Sync still tells the truth about the moment it is called, but only
	// until the file is replaced the next time.
	Runtime bool
	// FS is nil for the system's.
	FS FS
	// Log is told of damage, of files set aside, of trouble with the disk and of its end, each once. It
	// must not call the store.
	Log func(format string, args ...any)
	// Retry is how long a Flush keeps from trying to replace the file after that failed, and how often a
	// volatile store tries to get its disk back. 0 = 1 s, negative = always try. A Sync of a store that is
	// not volatile always tries.
	Retry time.Duration
	// CompactAt is the length in bytes up to which the file is left alone; a longer one is replaced when it
	// is more than four times its content. 0 = 64 KiB, with Runtime 4 MiB: what a listener holds comes and goes.
	CompactAt int64
	// Reserve is how much storage is kept ready, in bytes, twice: behind the end of the file and, beside
	// its whole content, for its successor. 0 = 64 KiB, negative = none.
	Reserve int64
	Now     func() time.Time // nil = time.Now
	ID      func() uint64    // a random number for each file; nil = the system's
}

// Recovered is what a store found when it was opened.
type Recovered struct {
	// Entries are the keys and their values; they must not be changed.
	Entries map[string][]byte
	// Stamp is the one of the file that was found, "" when there was none or it could not be read.
	Stamp string
	// Same says that the stamp is ours, so that the entries are the content of this store. Otherwise they
	// are history. True when there was no file.
	Same bool
	// Damage is what could not be read.
	Damage []Damage
	// Aside are the new names of files that were set aside.
	Aside []string
	// Volatile is why nothing can be kept on the disk; nil when it can. A volatile store refuses nothing,
	// forgets all when it is closed, and tries again now and then.
	Volatile error
}

// SizeError says that a record was not taken because it is larger than a file can hold.
type SizeError struct {
	Key   string // its beginning
	Bytes int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("record %.40q of %d bytes is too large", e.Key, e.Bytes)
}

// ErrClosed is the answer of a store that was closed.
var ErrClosed = errors.New("the store is closed")

// op is one Put that is not in the file yet.
type op struct {
	key   string
	value []byte // nil = delete
}

// content is the value of a key: its bytes, or what makes them again.
type content struct {
	value []byte
	again func() []byte
}

func (c content) bytes() []byte {
	if c.again != nil {
		return c.again()
	}
	return c.value
}

// Store is a small durable map. All methods can be called by several goroutines at once.
type Store struct {
	opt   Options
	path  string
	spare string // path of the next fresh file

	kick  chan struct{} // of 1: there is work for the goroutine
	later chan struct{} // of 1: there will be, when lookEvery is over
	quit  chan struct{}
	done  chan struct{} // the goroutine has ended

	mu       sync.Mutex // held for moments only; after io where both are
	entries  map[string]content
	live     int64 // bytes of the frames that entries need
	ops      []op
	opsBytes int64
	dropped  bool // ops were given up: the file must be replaced
	rejected error
	waiters  []func(error)
	closed   bool
	rec      Recovered

	io   sync.Mutex // held while the disk is used
	disk disk
}

// Open opens the store, or makes it. The error speaks about the options alone: whatever is wrong with the
// disk is in Recovered.
func Open(o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, o.Name)
	s := &Store{
		opt: o, path: path, spare: path + ".spare",
		kick: make(chan struct{}, 1), later: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		entries: map[string]content{},
	}
	s.disk.compactAt = o.CompactAt
	s.recover()
	go s.run()
	return s, nil
}

// complete checks the options and fills in what is left out.
func (o *Options) complete() error {
	switch {
	case !filepath.IsAbs(o.Dir):
		return fmt.Errorf("journal: directory %q is not absolute", o.Dir)
	case o.Name == "" || o.Name == "." || o.Name == ".." || strings.ContainsAny(o.Name, "/\\\x00"):
		return fmt.Errorf("journal: %q is no name of a file", o.Name)
	case len(o.Stamp) > maxKey:
		return fmt.Errorf("journal: the stamp has %d bytes", len(o.Stamp))
	}
	if o.FS == nil {
		o.FS = system{}
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Retry == 0 {
		o.Retry = time.Second
	}
	switch {
	case o.CompactAt != 0:
	case o.Runtime:
		o.CompactAt = 4 << 20
	default:
		o.CompactAt = 64 << 10
	}
	if o.Reserve == 0 {
		o.Reserve = 64 << 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ID == nil {
		o.ID = func() uint64 {
			var b [8]byte
			_, _ = crand.Read(b[:]) // cannot fail
			return binary.LittleEndian.Uint64(b[:])
		}
	}
	return nil
}

// Recovered tells what was found at Open, and whether the store is volatile now.
func (s *Store) Recovered() Recovered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec
}

// Forget gives up the entries that Recovered holds, once they are dealt with.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec.Entries = nil
}

// Snapshot is the content now, written or not. The values must not be changed.
func (s *Store) Snapshot() map[string][]byte {
	s.mu.Lock()
	all := maps.Clone(s.entries)
	s.mu.Unlock()
	out := make(map[string][]byte, len(all))
	for key, c := range all {
		out[key] = c.bytes()
	}
	return out
}

// Put sets a key, or deletes it when the value is nil. Both are copied. It touches no disk and is in force
// at once for this process; Flush and Sync make it last, in the order of the Puts. A record that is too
// large is not taken, and the next Flush or Sync says so with a *SizeError.
func (s *Store) Put(key string, value []byte) { s.set(key, value, true) }

func (s *Store) set(key string, value []byte, foreign bool) {
	if len(key) > maxKey || len(value) > maxValue {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rejected = &SizeError{Key: strings.Clone(key[:min(len(key), 40)]), Bytes: len(key) + len(value)}
		return
	}
	key = strings.Clone(key)
	if value != nil && foreign {
		value = append(make([]byte, 0, len(value)), value...) // stays non-nil when it is empty
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.put(key, value, content{value: value})
}

// Give is Put of a value that nobody changes any more: it is not copied.
func (s *Store) Give(key string, value []byte) { s.set(key, value, false) }

// PutMade is Put of a value that is large beside what it is made of, so that it is not kept in memory: again makes it,
// now and whenever all is written anew. It must always make the same, is called on any goroutine, and must not call the
// store.
func (s *Store) PutMade(key string, again func() []byte) {
	value := again()
	if value == nil || len(key) > maxKey || len(value) > maxValue {
		s.Put(key, value)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.put(strings.Clone(key), value, content{again: again})
	}
}

// put sets a key, whose value is remembered as c.
func (s *Store) put(key string, value []byte, c content) {
	known, had := s.entries[key]
	old := known.bytes()
	switch {
	case value == nil && !had:
		return
	case value == nil:
		delete(s.entries, key)
	case had && bytes.Equal(old, value):
		s.entries[key] = c
		return
	default:
		s.entries[key] = c
		s.live += size(key, value)
	}
	if had {
		s.live -= size(key, old)
	}
	if s.dropped {
		return
	}
	s.ops = append(s.ops, op{key, value})
	s.opsBytes += size(key, value)
	if s.opsBytes > max(maxPending, 4*s.live) { // the disk does not take them; the content itself is bounded
		s.ops, s.opsBytes, s.dropped = nil, 0, true
	}
}

// maxPending is how many bytes of Puts may wait before the file is replaced instead of continued.
const maxPending = 1 << 20

// Flush hands everything that was Put before to the system, in one write: it survives the death of this
// process. It costs next to nothing when there is nothing to write. After an error the content is kept in
// memory and the next call tries again. A store with Runtime never waits for the disk here; another one
// may, for a Sync at work.
func (s *Store) Flush() error {
	s.io.Lock()
	defer s.io.Unlock()
	if s.disk.closed {
		return ErrClosed
	}
	return s.flush(false)
}

// Sync calls done when everything that was Put before is on the disk, once, from a goroutine of the
// store; all callers that wait share one fsync. done must not wait for the store. An error means that
// this is not so, or not known: the content is still in force and in memory, and a later Sync may succeed.
// A volatile store reports no error. After Close done is called at once, with ErrClosed.
func (s *Store) Sync(done func(error)) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		done(ErrClosed)
		return
	}
	s.waiters = append(s.waiters, done)
	s.mu.Unlock()
	s.wake()
}

func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// lookLater has the goroutine look after the file when lookEvery is over. Callers hold io.
func (s *Store) lookLater() {
	select {
	case s.later <- struct{}{}:
	default: // it will
	}
}

// run is the goroutine: it serves those that wait, looks after the file, and compacts what must not be compacted by a
// caller.
func (s *Store) run() {
	defer close(s.done)
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	pause.Stop()
	for {
		select {
		case <-s.kick:
			s.serve()
		case <-s.later:
			pause.Reset(lookEvery)
		case <-pause.C:
			s.serve()
		case <-s.quit:
			s.serve() // those that came before Close
			return
		}
	}
}

func (s *Store) serve() {
	s.mu.Lock()
	waiters := s.waiters
	s.waiters = nil
	s.mu.Unlock()
	if len(waiters) > 0 {
		err := s.commit()
		for _, done := range waiters {
			done(err)
		}
	}
	s.io.Lock()
	defer s.io.Unlock()
	if s.disk.unseen {
		if s.look(); s.disk.owed && s.settled() {
			_ = s.flush(false) // reports its own trouble
		}
	}
	if s.disk.wantCompact {
		s.disk.wantCompact = false
		s.compact()
	}
}

// settled: nothing was Put since the last Flush. What was is written together, by the Flush that follows.
func (s *Store) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ops) == 0 && !s.dropped
}

// Close answers all that wait, writes what is left and, unless the store is for runtime content, makes it
// last. The error is that of the last write. It must not be called by a done.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	<-s.done
	if !s.opt.Runtime {
		err := s.commit()
		s.io.Lock()
		defer s.io.Unlock()
		s.disk.close()
		return err
	}
	s.io.Lock()
	defer s.io.Unlock()
	s.look()
	err := s.flush(false)
	s.disk.close()
	return err
}
