//go:build unix

package procfd

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// endSource is what a system has to tell when processes end.
type endSource interface {
	// add begins to watch a process; syscall.ESRCH: it has ended, or is about to.
	add(pid int, child bool) error
	remove(pid int)
	// take is what has ended since it was asked last; it does not wait.
	take() []ending
}

// ending is one end.
type ending struct {
	pid   int
	known bool // the wait status is:
	raw   uint32
}

// roll is the list of the processes that are watched. The number of one may have been given to another.
type roll struct {
	src  endSource
	kick func(time.Duration) // have run called after that time

	mu  sync.Mutex
	of  map[int][]*vigil // by number
	due []*vigil         // to be looked at now
}

// vigil is one watch.
type vigil struct {
	h      *numbered
	start  procstart
	exited func()
	off    bool // it was ended; guarded by the roll's lock
}

func newRoll(src endSource, kick func(time.Duration)) *roll {
	return &roll{src: src, kick: kick, of: map[int][]*vigil{}}
}

// watch has exited called once when the process has ended and its status can be read.
func (r *roll) watch(h *numbered, exited func()) error {
	v := &vigil{h: h, start: h.Identity().StartTicks, exited: exited}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return os.ErrClosed
	}
	h.unwatch = func() { r.drop(v) }
	h.recheck = func() { r.again(v) }
	look := h.told || h.reaped
	h.mu.Unlock()

	r.mu.Lock()
	defer r.mu.Unlock()
	if had := r.of[h.pid]; len(had) > 0 {
		r.src.remove(h.pid) // with an end that was not taken yet: that of a former owner of the number is not to be ours
		delete(r.of, h.pid)
		for _, o := range had {
			if o.start == v.start {
				r.of[h.pid] = append(r.of[h.pid], o)
			} else {
				r.due = append(r.due, o)
			}
		}
	}
	r.of[h.pid] = append(r.of[h.pid], v)
	switch err := r.src.add(h.pid, h.child); {
	case errors.Is(err, syscall.ESRCH):
		r.due = append(r.due, r.of[h.pid]...)
		delete(r.of, h.pid)
	case err != nil:
		r.forget(v)
		v.off = true
		return err
	case look:
		r.due = append(r.due, v)
		r.forget(v)
	}
	if len(r.due) > 0 {
		r.kick(0)
	}
	return nil
}

// forget takes a watch off the list of its number.
func (r *roll) forget(v *vigil) {
	pid := v.h.pid
	list := r.of[pid]
	for i, o := range list {
		if o == v {
			r.of[pid] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) > 0 && len(r.of[pid]) == 0 {
		delete(r.of, pid)
		r.src.remove(pid)
	}
}

// drop ends a watch.
func (r *roll) drop(v *vigil) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.off = true
	r.forget(v)
}

// again has a process looked at soon.
func (r *roll) again(v *vigil) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !v.off {
		r.forget(v)
		r.due = append(r.due, v)
		r.kick(0)
	}
}

// showsSoon is the pause between looks at a process of which the kernel has told the end before it shows it.
const showsSoon = 5 * time.Millisecond

// run tells of the ends. It is called when there are some, and after a kick, by one goroutine at a time.
func (r *roll) run() {
	r.mu.Lock()
	list := r.due
	r.due = nil
	told := map[*vigil]ending{}
	for _, e := range r.src.take() {
		for _, v := range r.of[e.pid] {
			told[v] = e
			list = append(list, v)
		}
		delete(r.of, e.pid)
	}
	r.mu.Unlock()
	for _, v := range list {
		if e, ok := told[v]; ok {
			v.h.ended(e.known, e.raw)
		}
		_, done, err := v.h.Wait(true)
		r.mu.Lock()
		fire := !v.off && (done || err != nil)
		if fire {
			v.off = true
		} else if !v.off {
			r.due = append(r.due, v)
		}
		r.mu.Unlock()
		if fire {
			v.exited()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.due) > 0 {
		r.kick(showsSoon)
	}
}
