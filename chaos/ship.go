//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	shipStep  = 15 * time.Millisecond
	holeEvery = 32 << 20 // bytes after which what was read of an unrotated log is given back to the disk
)

// generation is one file of a log's life: current, then backup .1, .2 …
type generation struct {
	file *os.File
	id   fileID
	at   int64 // read so far
	hole int64 // given back so far
}

type fileID struct{ dev, ino uint64 }

// shipment follows one log through its rotations. Every file is opened while it has one of its names and
// read through that descriptor, so that nothing is lost when the daemon deletes it; the youngest file known
// stays open, so that its number cannot be given to another one.
type shipment struct {
	path    string
	backups int
	gens    []*generation // oldest first
	check   *stream
	rotated int
	missed  bool // every name was looked at and none was known: some file may have come and gone
}

// maxScans bounds how often a look at the names is begun anew because the log was rotated meanwhile.
const maxScans = 200

// scan looks for younger files. A look during which the log was rotated is begun anew: a younger file may then
// have come to a name behind that of an older one.
func (s *shipment) scan() error {
	for range maxScans {
		before := s.front()
		fresh, met, err := s.look()
		if err != nil {
			return err
		}
		if before == s.front() || len(fresh) == 0 && met {
			s.take(fresh, met)
			return nil
		}
		for _, g := range fresh {
			g.file.Close()
		}
	}
	return nil // the next one may have more luck; if files are missed meanwhile, that is noticed
}

// front are the youngest two files: each rotation changes them. One that was broken off leaves the first name to nobody.
func (s *shipment) front() (ids [2]fileID) {
	ids[0], _ = identify(s.path)
	ids[1], _ = identify(s.path + ".1")
	return ids
}

// identify is the file that has a name.
func identify(name string) (fileID, bool) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), st.Ino}, true
}

// look reads the names from the current one upwards while the daemon renames from the highest down: a file only
// ever moves towards the reader, so none can slip past. It returns unknown files, the youngest first, and whether the
// youngest known one was met.
func (s *shipment) look() (fresh []*generation, met bool, err error) {
	met = len(s.gens) == 0
	for n := 0; n <= s.backups; n++ {
		name := s.path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", s.path, n)
		}
		id, ok := identify(name)
		if !ok {
			continue // between two renames
		}
		if len(s.gens) > 0 && id == s.gens[len(s.gens)-1].id {
			met = true
			break
		}
		g, err := open(name)
		if err != nil {
			if os.IsNotExist(err) {
				n-- // it was renamed meanwhile: look again, another file may have come to this name
				continue
			}
			return fresh, met, err
		}
		if s.known(g.id, fresh) {
			g.file.Close()
			if len(s.gens) > 0 && g.id == s.gens[len(s.gens)-1].id {
				met = true
				break
			}
			continue
		}
		fresh = append(fresh, g)
	}
	return fresh, met, nil
}

// take adds the files of a look.
func (s *shipment) take(fresh []*generation, met bool) {
	if !met && len(fresh) > 0 {
		s.missed = true
	}
	for i := len(fresh) - 1; i >= 0; i-- {
		if len(s.gens) > 0 || i < len(fresh)-1 {
			s.rotated++
		}
		s.gens = append(s.gens, fresh[i])
	}
}

func (s *shipment) known(id fileID, fresh []*generation) bool {
	for _, list := range [][]*generation{s.gens, fresh} {
		for _, g := range list {
			if g.id == id {
				return true
			}
		}
	}
	return false
}

func open(name string) (*generation, error) {
	// For writing too: holes can be made in what was read.
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	sys := st.Sys().(*syscall.Stat_t)
	return &generation{file: f, id: fileID{uint64(sys.Dev), sys.Ino}}, nil
}

// read checks what has come, at most about limit bytes; more = there is more at once.
func (s *shipment) read(buf []byte, limit int64) (more bool, err error) {
	for len(s.gens) > 0 && limit > 0 {
		g := s.gens[0]
		younger := len(s.gens) > 1 // known before the end of g is seen: after it g does not grow
		n, err := g.file.ReadAt(buf, g.at)
		if n > 0 {
			s.check.feed(buf[:n])
			g.at += int64(n)
			limit -= int64(n)
			if g.at-g.hole >= holeEvery {
				const whole = 1 << 20
				to := g.at &^ (whole - 1)
				_ = unix.Fallocate(int(g.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, g.hole, to-g.hole)
				g.hole = to
			}
		}
		if err != nil && err != io.EOF {
			return false, err
		}
		if n > 0 {
			continue
		}
		if !younger {
			return false, nil
		}
		g.file.Close()
		s.gens = s.gens[1:]
	}
	return len(s.gens) > 0, nil
}

func (s *shipment) close() {
	for _, g := range s.gens {
		g.file.Close()
	}
	s.gens = nil
}

// shipper follows all logs: one goroutine looks for rotated files, another one reads and checks.
type shipper struct {
	list    []*shipment
	mu      []sync.Mutex // of each shipment
	quit    chan struct{}
	wg      sync.WaitGroup
	longest time.Duration // between two scans

	errMu sync.Mutex
	err   error
}

func newShipper(list []*shipment) *shipper {
	return &shipper{list: list, mu: make([]sync.Mutex, len(list)), quit: make(chan struct{})}
}

// start begins to follow; progress is called after each round of reading.
func (s *shipper) start(progress func()) {
	s.wg.Go(func() {
		runtime.LockOSThread() // ends with this goroutine, and the precedence with it
		prefer()
		last := time.Now()
		s.loop(shipStep, func() {
			for i, sh := range s.list {
				s.mu[i].Lock()
				s.fail(sh.scan())
				s.mu[i].Unlock()
			}
			now := time.Now()
			s.longest = max(s.longest, now.Sub(last))
			last = now
		})
	})
	s.wg.Go(func() {
		buf := make([]byte, 128<<10)
		s.loop(shipStep, func() {
			s.round(buf)
			progress()
		})
	})
}

// round reads a share of every log and reports whether there is more.
func (s *shipper) round(buf []byte) bool {
	any := false
	for i, sh := range s.list {
		for range 64 {
			s.mu[i].Lock()
			more, err := sh.read(buf, int64(len(buf)))
			s.mu[i].Unlock()
			s.fail(err)
			if !more || err != nil {
				break
			}
			any = true
		}
	}
	return any
}

func (s *shipper) loop(step time.Duration, do func()) {
	t := time.NewTicker(step)
	defer t.Stop()
	for {
		do()
		select {
		case <-s.quit:
			return
		case <-t.C:
		}
	}
}

func (s *shipper) fail(err error) {
	if err == nil {
		return
	}
	s.errMu.Lock()
	defer s.errMu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// finish stops following and reads the rest; nobody writes any more.
func (s *shipper) finish() error {
	close(s.quit)
	s.wg.Wait()
	for _, sh := range s.list {
		s.fail(sh.scan())
		if sh.missed {
			s.fail(fmt.Errorf("%s: rotated files were deleted before they were seen (longest pause %v)", sh.path, s.longest))
		}
	}
	buf := make([]byte, 128<<10)
	for more := true; more; {
		more = s.round(buf)
	}
	s.errMu.Lock()
	defer s.errMu.Unlock()
	return s.err
}
