package core

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// journalFake keeps records, each with the shadow that was true when it was put. What was put and not
// flushed is lost by a kill; a flush that is cut keeps the first of its records.
type journalFake struct {
	disk    map[string]kept
	waiting []putting
	failing int // so many flushes to come fail
	missed  bool
}

type kept struct {
	value []byte
	sh    shadow
	has   bool // sh
}

type putting struct {
	key string
	kept
}

// journalSeam is the journal as one core sees it.
type journalSeam struct{ *realm }

func (r *realm) keepJournal() Journal {
	j := Journal(journalSeam{r})
	if r.bug != nil && r.bug.journal != nil {
		j = r.bug.journal(r, j)
	}
	return j
}

// Put collects a record.
func (r journalSeam) Put(key string, value []byte) {
	r.observe()
	r.point("before a Put")
	w := putting{key, kept{value: value}}
	if id, ok := slotID(key); ok && value != nil {
		if p := r.progs[id]; p != nil {
			w.sh, w.has = p.sh, true
		}
	}
	r.journal.waiting = append(r.journal.waiting, w)
}

func slotID(key string) (model.ID, bool) {
	name, ok := strings.CutPrefix(key, slotPrefix)
	if !ok {
		return model.ID{}, false
	}
	group, name, ok := strings.Cut(name, ":")
	return model.ID{Group: group, Name: name}, ok
}

var errDisk = errors.New("no space left")

// Flush makes what was put survive.
func (r journalSeam) Flush() error {
	if len(r.journal.waiting) == 0 {
		return nil
	}
	r.point("before a Flush")
	if r.journal.failing == 0 && !r.calm && r.one(r.badFlush) {
		r.journal.failing = 1 + r.dice.IntN(20)
	}
	if r.journal.failing > 0 {
		r.journal.failing--
		r.journal.missed = true
		return errDisk
	}
	if n := len(r.journal.waiting); !r.calm && r.one(r.kill) {
		r.journal.write(r.dice.IntN(n + 1))
		r.tell("KILL in a Flush of %d", n)
		panic(killed{})
	}
	r.journal.write(len(r.journal.waiting))
	r.journal.missed = false
	r.point("after a Flush")
	return nil
}

func (j *journalFake) write(n int) {
	for _, w := range j.waiting[:n] {
		if w.value == nil {
			delete(j.disk, w.key)
		} else {
			j.disk[w.key] = w.kept
		}
	}
	j.waiting = append(j.waiting[:0], j.waiting[n:]...)
}

// kill loses what is not written.
func (j *journalFake) kill(r *realm) {
	if j.missed {
		r.fog = true
	}
	j.waiting, j.missed, j.failing = nil, false, 0
	// What is expected of the programs is what the journal knows of them.
	for _, p := range r.order {
		if r.fog {
			p.foggy, p.must, p.boot = true, mustNothing, mustNothing
		}
		k := j.disk[slotPrefix+p.id.Namespec()]
		p.sh = k.sh
	}
}

func (j *journalFake) wipe() { j.disk, j.waiting, j.missed = map[string]kept{}, nil, false }

func (j *journalFake) read() map[string][]byte {
	out := map[string][]byte{}
	for key, k := range j.disk {
		out[key] = k.value
	}
	return out
}

// wishesFake loses at a power cut what was not reported to be on the disk; a kill may lose it.
type wishesFake struct {
	disk    map[string][]byte
	waiting []putting
	failing int // so many syncs to come fail
}

type wishesSeam struct{ *realm }

func (r *realm) keepWishes() Wishes {
	w := Wishes(wishesSeam{r})
	if r.bug != nil && r.bug.wishes != nil {
		w = r.bug.wishes(r, w)
	}
	return w
}

// Put collects a wish.
func (r wishesSeam) Put(key string, value []byte) {
	r.point("before a wish")
	r.wishes.waiting = append(r.wishes.waiting, putting{key, kept{value: value}})
}

// Sync writes, some time later, what is waiting now.
func (r wishesSeam) Sync(done func(error)) {
	r.point("before a sync")
	n := len(r.wishes.waiting)
	if !r.calm && r.wishes.failing == 0 && r.one(r.badSync) {
		r.wishes.failing = 1 + r.dice.IntN(10)
	}
	bad := r.wishes.failing > 0 && !r.calm
	if bad {
		r.wishes.failing--
	}
	r.lifelong(r.between(0, 30*time.Millisecond), func() {
		if bad {
			done(errDisk)
			return
		}
		r.wishes.write(min(n, len(r.wishes.waiting)))
		r.point("after a sync")
		done(nil)
	})
}

func (w *wishesFake) write(n int) {
	for _, x := range w.waiting[:n] {
		if x.value == nil {
			delete(w.disk, x.key)
		} else {
			w.disk[x.key] = x.value
		}
	}
	w.waiting = append(w.waiting[:0], w.waiting[n:]...)
}

// kill keeps some of what was not synced: the kernel has it, or, when a power cut follows, the disk.
func (w *wishesFake) kill(r *realm) {
	w.write(r.dice.IntN(len(w.waiting) + 1))
	w.waiting, w.failing = nil, 0
}

func (w *wishesFake) read() map[string][]byte { return maps.Clone(w.disk) }

// linesFake is the activity log: what is queued is lost by a kill.
type linesFake struct {
	file    []string
	judged  int // of file
	queue   []string
	number  uint64 // of the last line that was put
	written uint64
	debug   bool // lines of level debug are of interest
}

type linesSeam struct{ *realm }

func (r *realm) lines() Lines {
	l := Lines(linesSeam{r})
	if r.bug != nil && r.bug.lines != nil {
		l = r.bug.lines(r, l)
	}
	return l
}

// Line makes a line, in the form of the activity log.
func (r linesSeam) Line(level activity.Level, format string, args ...any) []byte {
	if strings.HasPrefix(format, "killing '") {
		r.observe()
		r.judgeKill(r.byName[args[0].(string)])
	}
	if level < activity.Info && !r.log.debug {
		return nil
	}
	b := r.Wall().UTC().AppendFormat(nil, "2006-01-02 15:04:05,000")
	b = append(b, ' ')
	b = append(b, level.Tag()...)
	b = append(b, ' ')
	b = fmt.Appendf(b, format, args...)
	return append(b, '\n')
}

// Write queues a line.
func (r linesSeam) Write(line []byte) uint64 {
	r.point("before a line")
	r.tell("line %q", line)
	l := &r.log
	l.queue = append(l.queue, string(line))
	l.number++
	n := l.number
	if r.one(2) {
		l.drain(r.dice.IntN(len(l.queue) + 1))
	}
	r.point("after a line")
	return n
}

func (r linesSeam) Written() uint64 { return r.log.written }

// drain writes so many of the queued lines.
func (l *linesFake) drain(n int) {
	l.file = append(l.file, l.queue[:n]...)
	l.queue = append(l.queue[:0], l.queue[n:]...)
	l.written = l.number - uint64(len(l.queue))
}

func (l *linesFake) kill(r *realm) {
	l.drain(r.dice.IntN(len(l.queue) + 1))
	l.queue, l.number, l.written = nil, 0, 0
}

// restore writes what an earlier process may not have written, as activity.Logger does it.
func (l *linesFake) restore(r *realm, lines []string) {
	for _, line := range lines {
		found := false
		for i := len(l.file) - 1; i >= 0 && i >= len(l.file)-200 && !found; i-- {
			found = l.file[i] == line
		}
		if !found {
			linesSeam{r}.Write([]byte(line))
		}
	}
}

// Logf is never called where there are Lines, but by a broken record.
func (r *realm) Logf(level activity.Level, format string, args ...any) {
	r.fail("R9", "a line that nothing protects: "+format, args...)
}
