package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// orderKind is what a client asks for.
type orderKind uint8

const (
	orderStart orderKind = iota
	orderStop
	orderRestart
	orderSignal
	orderAdd
	orderRemove
	orderEnd
	orderStatus
)

func (k orderKind) String() string {
	return [...]string{"start", "stop", "restart", "signal", "add", "remove", "end", "status"}[k]
}

// request is one order of one client, and what was known when it was given.
type request struct {
	kind    orderKind
	progs   []*prog
	slots   []*Slot
	mode    Mode
	wait    bool // for the confirmation, or until it is gone
	add     []NewGroup
	remove  string
	at      time.Duration
	before  map[*prog]must
	during  map[*prog]bool // the program was STOPPING
	outcome *order
	reply   <-chan error
	second  bool // a restart that has stopped
}

func (q *request) String() string {
	if q.kind == orderAdd || q.kind == orderRemove {
		return fmt.Sprint(q.kind, " ", q.remove, len(q.add))
	}
	return fmt.Sprint(q.kind, q.progs, " mode ", q.mode, " wait ", q.wait)
}

// ended is what is known of an order to end everything.
type ended struct {
	asked bool
	acked bool
}

// client gives orders for ever, one after the other.
func (r *realm) client() {
	if r.calm {
		return
	}
	pause := r.between(0, 50*time.Millisecond)
	if r.one(2) {
		pause = r.between(0, 4*time.Second)
	}
	r.later(pause, r.client)
	if r.up {
		r.request()
	}
}

// request gives a random order.
func (r *realm) request() {
	q := &request{wait: r.one(2), mode: Mode(r.dice.IntN(2))}
	switch n := r.dice.IntN(100); {
	case n < 30:
		q.kind = orderStart
	case n < 55:
		q.kind = orderStop
	case n < 65:
		q.kind = orderRestart
		q.wait, q.mode = true, Each
	case n < 77:
		q.kind = orderSignal
	case n < 82:
		q.kind = orderRemove
		q.remove = r.config[r.dice.IntN(len(r.config))].Name
	case n < 89:
		q.kind = orderAdd
		for _, g := range r.config {
			if r.one(2) {
				q.add = append(q.add, newGroup(g))
			}
		}
	case n < 92 && !r.ending.asked && r.one(2):
		q.kind = orderEnd
	default:
		q.kind = orderStatus
	}
	for _, p := range r.order {
		if r.core.Table().Slot(p.id) != nil && (r.one(3) || len(q.progs) == 0 && p == r.order[len(r.order)-1]) {
			q.progs = append(q.progs, p)
		}
	}
	r.ask(q)
}

// ask gives an order and notes what it may change.
func (r *realm) ask(q *request) {
	q.at, q.before, q.during = r.now, map[*prog]must{}, map[*prog]bool{}
	r.count.orders++
	r.tell("ask %v", q)
	for _, p := range q.progs {
		q.slots = append(q.slots, r.core.Table().Slot(p.id))
	}
	switch q.kind {
	case orderStatus:
		r.census()
		return
	case orderEnd:
		r.end()
		return
	case orderStart:
		r.opens(q, &startKind)
		q.outcome = r.core.start(q.slots, q.mode, q.wait)
	case orderStop:
		r.opens(q, &stopKind)
		q.outcome = r.core.stop(q.slots, q.mode, q.wait)
	case orderRestart:
		r.opens(q, &stopKind)
		r.opens(q, &startKind)
		q.outcome = r.core.stop(q.slots, Each, true)
	case orderSignal:
		q.outcome = r.core.signal(q.slots, q.mode, 10)
	case orderAdd:
		for _, n := range q.add {
			q.progs = append(q.progs, r.members(n.Spec.Name)...)
		}
		r.opens(q, &startKind)
		for _, n := range q.add {
			r.groups[n.Spec.Name].certain, r.groups[n.Spec.Name].seen = false, r.now
		}
		q.reply = r.core.ask(func() error { return r.core.addGroups(q.add) })
	case orderRemove:
		r.groups[q.remove].certain, r.groups[q.remove].seen = false, r.now
		q.progs = r.members(q.remove)
		r.opens(q, &stopKind)
		r.opens(q, &startKind)
		q.reply = r.core.ask(func() error { return r.core.removeGroup(q.remove) })
	}
	r.orders = append(r.orders, q)
}

func (r *realm) members(group string) (out []*prog) {
	for _, p := range r.order {
		if p.id.Group == group {
			out = append(out, p)
		}
	}
	return out
}

// opening is the one or the other direction of orders.
type opening struct{ start bool }

var (
	startKind = opening{true}
	stopKind  = opening{}
)

func (p *prog) side(k *opening) (open *int, seen *time.Duration) {
	if k.start {
		return &p.startOpen, &p.startSeen
	}
	return &p.stopOpen, &p.stopSeen
}

// opens notes that from now on nobody knows what is wished, until the answer.
func (r *realm) opens(q *request, k *opening) {
	for _, p := range q.progs {
		if _, ok := q.before[p]; !ok {
			q.before[p], q.during[p] = p.must, p.sh.state == model.Stopping
		}
		open, seen := p.side(k)
		*open++
		*seen = r.now
		if q.kind != orderAdd {
			p.must = mustNothing
		}
		if !k.start && q.kind != orderRemove {
			p.stopAsked = true
		}
	}
}

func (r *realm) closes(q *request, k *opening) {
	for _, p := range q.progs {
		open, seen := p.side(k)
		*open--
		*seen = r.now
	}
}

// alone reports whether no other order of this direction was under way while q was.
func (p *prog) alone(q *request, k *opening) bool {
	open, seen := p.side(k)
	return *open == 0 && *seen < q.at
}

// end begins an ordered end.
func (r *realm) end() {
	r.ending.asked = true
	for _, p := range r.order {
		p.stopAsked, p.must = true, mustNothing
	}
	as := model.DaemonShutdown
	if r.one(2) {
		as = model.DaemonRestarting
	}
	r.core.BeginEnd(as)
	r.ending.acked = true
}

// settleRequests looks at the answers that have come.
func (r *realm) settleRequests() {
	kept := r.orders[:0]
	for _, q := range r.orders {
		if !r.answered(q) {
			kept = append(kept, q)
		}
	}
	r.orders = kept
}

func (r *realm) answered(q *request) bool {
	if q.reply != nil {
		select {
		case err := <-q.reply:
			r.tell("answer to %v: %v", q, err)
			r.settleGroups(q, err)
			return true
		default:
			return false
		}
	}
	select {
	case <-q.outcome.done:
	default:
		return false
	}
	out := q.outcome.out
	if q.kind == orderRestart && !q.second {
		if !r.up { // the client is cut off before it can ask for the start
			return false
		}
		q.second = true
		r.settleStop(q, out, false)
		q.outcome = r.core.start(q.slots, Each, true)
		return false
	}
	r.tell("answer to %v: %v", q, errsOf(out))
	switch q.kind {
	case orderStart:
		r.closes(q, &startKind)
		r.settleStart(q, out)
	case orderRestart:
		r.closes(q, &stopKind)
		r.closes(q, &startKind)
		for _, p := range q.progs {
			p.must = mustNothing
		}
	case orderStop:
		r.closes(q, &stopKind)
		r.settleStop(q, out, true)
	case orderSignal:
		r.settleSignal(out, q)
	}
	return true
}

func errsOf(out []Outcome) (errs []string) {
	for _, o := range out {
		errs = append(errs, fmt.Sprint(o.Slot.Status().ID.Name, " ", o.Err))
	}
	return errs
}

// forgetRequests: nobody will ever answer these.
func (r *realm) forgetRequests() {
	r.orders = nil
	for _, p := range r.order {
		if p.startOpen > 0 {
			p.startSeen = r.now
		}
		if p.stopOpen > 0 {
			p.stopSeen = r.now
		}
		p.startOpen, p.stopOpen = 0, 0
	}
}

func outcomeOf(out []Outcome, p *prog) (err error, found bool) {
	i := slices.IndexFunc(out, func(o Outcome) bool { return o.Slot.Status().ID == p.id })
	if i < 0 {
		return nil, false
	}
	return out[i].Err, true
}

// settleStart: an acknowledged start means that an instance came to be after it was asked for.
func (r *realm) settleStart(q *request, out []Outcome) {
	for _, p := range q.progs {
		err, found := outcomeOf(out, p)
		alone := p.alone(q, &stopKind)
		switch {
		case !found || errors.Is(err, ErrAlreadyStarted) || errors.Is(err, ErrEnding) || errors.Is(err, ErrUnknownState):
			if alone && p.startOpen == 0 && !r.ending.asked {
				p.must = q.before[p]
			}
		case err == nil && alone && !r.ending.asked:
			p.must, p.mustSince = mustUp, r.now
			if p.lastBirth < q.at && (q.wait || !q.during[p]) {
				r.fail("R14", "the start of %s is acknowledged, and nothing came to be since %v", p.id.Name, q.at)
			}
			if q.wait && p.lastRunning < q.at {
				r.fail("R14", "the start of %s is confirmed, and it was not RUNNING since %v", p.id.Name, q.at)
			}
		}
	}
}

// settleStop: an acknowledged stop means that nothing lives until the next start is asked for.
func (r *realm) settleStop(q *request, out []Outcome, final bool) {
	for _, p := range q.progs {
		err, found := outcomeOf(out, p)
		alone := final && p.alone(q, &startKind)
		switch {
		case !found || errors.Is(err, ErrNotRunning):
			if alone && p.stopOpen == 0 && q.before[p] != mustUp && !r.ending.asked { // a start that waited for the stop is off
				p.must = q.before[p]
			}
		case err == nil && alone && !r.ending.asked && p.lastUnknown < q.at:
			p.must, p.mustSince = mustDown, r.now
			if q.wait && p.live != nil {
				r.fail("R14", "the stop of %s is acknowledged, and pid %d lives", p.id.Name, p.live.pid)
			}
			if q.wait && p.launching {
				r.fail("R14", "the stop of %s is acknowledged while it is being launched", p.id.Name)
			}
		}
	}
}

// settleSignal: an acknowledged signal was sent, unless the process was ending.
func (r *realm) settleSignal(out []Outcome, q *request) {
	for _, p := range q.progs {
		if err, found := outcomeOf(out, p); !found || err != nil {
			continue
		}
		b := r.pids[p.lastPID]
		got := b != nil && slices.ContainsFunc(b.got, func(s signal) bool { return s.sig == 10 && s.at >= q.at })
		if !got && p.lastDeath < q.at-slack {
			r.fail("R14", "the signal to %s is acknowledged, and was not sent", p.id.Name)
		}
	}
}

// settleGroups notes the answer to an order about groups.
func (r *realm) settleGroups(q *request, err error) {
	r.closes(q, &startKind)
	if q.kind == orderRemove {
		r.closes(q, &stopKind)
		g := r.groups[q.remove]
		switch {
		case err == nil:
			if !r.groupOpen(q.remove) && g.seen <= q.at {
				g.there, g.certain = false, true
			}
			for _, p := range q.progs {
				if p.live != nil && p.lastBirth < q.at {
					r.fail("R14", "%s is removed, and pid %d lives", p.id.Name, p.live.pid)
				}
				p.must = mustDefault
				if p.startOpen > 0 || p.stopOpen > 0 {
					p.must = mustNothing
				}
			}
		case !errors.Is(err, ErrNotDurable):
			for _, p := range q.progs {
				if p.alone(q, &stopKind) && p.alone(q, &startKind) && !r.ending.asked {
					p.must = q.before[p]
				}
			}
		}
		g.seen = r.now
		return
	}
	for _, n := range q.add {
		g := r.groups[n.Spec.Name]
		if err == nil && !r.groupOpen(n.Spec.Name) && g.seen <= q.at {
			g.there, g.certain = true, true
		}
		g.seen = r.now
	}
}

// groupOpen reports whether an order about the group is under way, beside the one at hand.
func (r *realm) groupOpen(name string) bool {
	n := 0
	for _, q := range r.orders {
		if q.remove == name || slices.ContainsFunc(q.add, func(a NewGroup) bool { return a.Spec.Name == name }) {
			n++
		}
	}
	return n > 1
}

// expectBoot is called when the configuration is put into force anew: what was wished decides, or autostart.
func (p *prog) expectBoot(at time.Duration) {
	p.bootAt = at
	p.launches, p.stopAsked = 0, false
	switch p.must {
	case mustDefault:
		p.boot = mustDown
		if p.spec.Start.Auto {
			p.boot = mustUp
		}
	default:
		p.boot = p.must
	}
}

// afterCut forgets what a power cut has ended.
func (p *prog) afterCut() {
	p.live, p.launching, p.sh = nil, false, shadow{}
	p.launches, p.stopAsked = 0, false
}

// judgeBoot holds what was started by itself against what was wished. Source: spec/reliability R22, R23.
func (r *realm) judgeBoot() {
	for _, p := range r.order {
		open := p.startOpen > 0 || p.stopOpen > 0
		switch {
		case p.boot == mustNothing || !r.groups[p.id.Group].there:
		case p.boot == mustUp && p.launches == 0 && !open && p.must == mustUp:
			r.fail("R23", "%s was wished up, and is not started", p.id.Name)
		case p.boot == mustUp && p.launches == 0 && !open && p.must == mustDefault:
			r.fail("R23", "%s starts by itself, and is not started", p.id.Name)
		case p.boot == mustDown && p.launches > 0 && p.startSeen <= p.bootAt:
			r.fail("R23", "%s was wished down, and is started", p.id.Name)
		}
		p.boot = mustNothing
	}
}
