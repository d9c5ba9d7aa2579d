package core

import (
	"errors"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// guest is a process.
type guest struct {
	t       *town
	h       *house
	key     heldKey
	pid     int
	born    time.Duration
	found   bool
	dir     string // in which it was started
	dead    bool
	strange bool
	exit    model.Exit
	ended   time.Duration
	inst    Instance
	life    int
	ready   bool
	was     bool // ready, at some time: it may be believed after a kill until the checks have looked again
	asked   bool // to end
}

// townWishes are durable some time after they were put, or never.
type townWishes struct {
	t       *town
	waiting []putting
	disk    map[string][]byte
}

func (w *townWishes) Put(key string, value []byte) {
	w.waiting = append(w.waiting, putting{key: key, kept: kept{value: value}})
}

func (w *townWishes) Sync(done func(error)) {
	n := len(w.waiting)
	for _, p := range w.waiting[:n] {
		if p.value == nil {
			delete(w.disk, p.key)
		} else {
			w.disk[p.key] = p.value
		}
	}
	w.waiting = w.waiting[n:]
	w.t.lifelong(w.t.span(time.Millisecond), func() { done(nil) })
}

// lives has a process end some time, or send itself away: then another one is what it was.
func (g *guest) lives() {
	t := g.t
	most := time.Minute
	if t.quick {
		most = 2 * time.Second
	}
	if t.one(6) {
		t.later(blur+t.span(most), g.moves) // the core has heard of the one before
		return
	}
	t.later(t.span(most), func() { g.die(model.Exit{Known: true, Status: t.dice.IntN(2)}) })
}

func (g *guest) moves() {
	t := g.t
	if g.dead || g.strange {
		return
	}
	t.pids++
	next := *g
	next.pid = 1000 + t.pids
	g.dead, g.h.live, t.held[g.key] = true, &next, &next
	t.tell("%s:%d is pid %d now", g.key.id.Name, g.key.gen, next.pid)
	next.lives()
	if t.up && g.life == t.life {
		t.lifelong(t.span(blur/2), func() { t.core.Moved(next.inst, &next) })
	}
}

func (g *guest) PID() int                { return g.pid }
func (g *guest) WriteStdin([]byte) error { return nil }

func (g *guest) die(e model.Exit) {
	if g.dead || g.strange {
		return
	}
	g.dead, g.exit, g.ended = true, e, g.t.now
	g.h.live, g.h.lastDeath = nil, g.t.now
	g.h.done = g.h.done || e.Signal == 0 && e.Status == 0
	g.t.tell("death %s:%d %s", g.key.id.Name, g.key.gen, ExitText(e))
	if g.t.up && g.life == g.t.life {
		g.t.lifelong(g.t.span(blur/2), func() { g.t.core.Ended(g.inst, e) })
	}
}

func (g *guest) Signal(sig int, _ model.Reach) error {
	t := g.t
	t.point("before a signal")
	if g.strange {
		t.fail("%s was let go of, and gets signal %d", g.key.id, sig)
	}
	t.tell("signal %d to %s:%d", sig, g.key.id.Name, g.key.gen)
	if t.core.end.begun && !g.asked && g.born <= t.endAt { // one that was about to begin then is given up at once
		for _, h := range t.houses {
			for _, d := range h.spec.Depends {
				if d.About(g.key.id) && h.live != nil && t.group(h.spec).Priority >= t.group(g.h.spec).Priority {
					t.fail("%s is asked to end before %s, which depends on it", g.key.id, h.spec.ID)
				}
			}
		}
	}
	g.asked = true
	defer t.point("after a signal")
	if g.dead {
		return syscall.ESRCH
	}
	t.later(t.span(time.Second), func() { g.die(model.Exit{Known: true, Signal: sig}) })
	return nil
}

func (g *guest) Detach() {
	t := g.t
	t.point("before a detachment")
	t.tell("let go of %s:%d", g.key.id.Name, g.key.gen)
	if !g.dead {
		g.strange, g.h.live, g.h.let, g.h.down = true, nil, g, true
		t.strange++
	}
	delete(t.held, g.key)
	t.point("after a detachment")
}

// Since and Take make a stranger one of us again.
func (g *guest) Since() time.Duration { return g.born }

func (g *guest) Take(i Instance) (Process, error) {
	t := g.t
	t.point("before a taking")
	if !g.strange || g.dead || g.h.live != nil {
		return nil, errors.ErrUnsupported
	}
	t.tell("take %s:%d", g.key.id.Name, i.Gen)
	g.strange, g.found, g.asked = false, true, false
	g.key.gen, g.inst, g.life, g.ready, g.was = i.Gen, i, t.life, false, false
	g.h.live, t.held[g.key] = g, g
	t.taken++
	g.lives()
	t.point("after a taking")
	return g, nil
}

func (g *guest) Release() {
	if g.strange || !g.dead {
		g.t.fail("pid %d of %s is given up while it lives", g.pid, g.key.id)
	}
	g.t.point("before a release")
	if g.t.held[g.key] == g {
		delete(g.t.held, g.key)
	}
	g.t.point("after a release")
}
