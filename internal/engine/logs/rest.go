package logs

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

const (
	// fewOpen is how many logs may be open however quiet they are: a small share of the descriptors of a process, which
	// thousands of programs need for their pipes.
	fewOpen = 128
	// manyOpen is how many may be open when all are busy.
	manyOpen = 4096
	// quietAfter is how long a log beyond the few must not have been written to before its descriptor is given up.
	quietAfter = time.Second
	// restLook is how many open logs are looked at for one to be closed.
	restLook = 64
	// restYield is how many are closed when this process has no descriptor left.
	restYield = 4
)

// openFiles is the list of regular files that have a descriptor, and the bound on their number.
type openFiles struct {
	few, many int

	mu   sync.Mutex
	list []*File
	hand int
}

// add notes that a file, whose lock is held, has a descriptor, and takes others theirs when there are too many.
func (l *openFiles) add(f *File) {
	l.mu.Lock()
	if f.spot == 0 {
		l.list = append(l.list, f)
		f.spot = len(l.list)
	}
	var rested []*logfile.File
	now := time.Now().UnixNano()
	for looked := 0; looked < restLook && len(l.list) > l.few; looked++ {
		l.hand = (l.hand + 1) % len(l.list)
		quiet := now-l.list[l.hand].last.Load() > int64(quietAfter)
		if g := l.list[l.hand]; g != f && (quiet || len(l.list) > l.many) {
			if h := l.restLocked(g); h != nil {
				rested = append(rested, h)
			}
		}
	}
	l.mu.Unlock()
	for _, h := range rested {
		_ = h.Close() // nothing is buffered by us
	}
}

// make opens the log at a path. When this process has no descriptor left, other logs give up theirs, however busy they
// are: an open and a close more for their next bytes is better than no log.
func (l *openFiles) make(path string, perm os.FileMode) (*logfile.File, error) {
	h, err := logfile.Open(path, perm, logfile.Create)
	if (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && l.yield() {
		return logfile.Open(path, perm, logfile.Create)
	}
	return h, err
}

// yield takes some files their descriptors; false when there is none that can do without.
func (l *openFiles) yield() bool {
	l.mu.Lock()
	var rested []*logfile.File
	for looked := 0; looked < restLook && len(rested) < restYield && len(l.list) > 0; looked++ {
		l.hand = (l.hand + 1) % len(l.list)
		if h := l.restLocked(l.list[l.hand]); h != nil {
			rested = append(rested, h)
		}
	}
	l.mu.Unlock()
	for _, h := range rested {
		_ = h.Close() // nothing is buffered by us
	}
	return len(rested) > 0
}

// restLocked takes a file its descriptor, unless it is in use.
func (l *openFiles) restLocked(g *File) *logfile.File {
	select {
	case g.lock <- struct{}{}:
	default:
		return nil
	}
	defer g.release()
	if g.moved { // its path does not lead to it
		return nil
	}
	l.removeLocked(g)
	h := g.h
	g.h = nil
	g.forgetTimes()
	return h
}

func (l *openFiles) remove(f *File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(f)
}

func (l *openFiles) removeLocked(f *File) {
	if f.spot == 0 {
		return
	}
	n := len(l.list) - 1
	l.list[f.spot-1] = l.list[n]
	l.list[f.spot-1].spot = f.spot
	l.list[n] = nil
	l.list, f.spot = l.list[:n], 0
}
