package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/lifecycle"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// prog is what the realm knows of a program. It lives as long as the realm.
type prog struct {
	id   model.ID
	spec *model.Program
	sh   shadow

	live        *body
	launching   bool // in this life
	births      int
	lastBirth   time.Duration
	lastDeath   time.Duration
	lastPID     int
	lastUnknown time.Duration
	lastGen     uint64 // of the last launch
	lastRunning time.Duration
	truth       []string // what the activity log has to tell, in this order
	foggy       bool     // what it tells is not known any more

	stopAsked bool // somebody asked for a stop since the last start that counted
	must      must // what the last answers say
	mustSince time.Duration
	startOpen int // orders to start that are being carried out in this life
	stopOpen  int
	startSeen time.Duration // when an order to start was last invoked or answered
	stopSeen  time.Duration
	launches  int // since the power cut, to hold boots against
	boot      must
	bootAt    time.Duration
}

// must is what an answer promises for the time until the next order.
type must uint8

const (
	mustNothing must = iota
	mustDown
	mustUp
	mustDefault // what autostart says
)

// groupTruth is what is known of the activity of a group.
type groupTruth struct {
	there, certain bool
	seen           time.Duration // when an order about it was last given or answered
}

// documented is Supervisor's graph of states. Source: spec/supervisor 2.4–2.8, F2.
func documented(from, to model.State) bool {
	switch from {
	case model.Stopped, model.Exited, model.Fatal:
		return to == model.Starting
	case model.Starting:
		return to == model.Running || to == model.Backoff || to == model.Stopping
	case model.Running:
		return to == model.Stopping || to == model.Exited
	case model.Backoff:
		return to == model.Starting || to == model.Fatal || to == model.Stopped
	case model.Stopping:
		return to == model.Stopped || to == model.Unknown
	case model.Unknown:
		return to == model.Exited
	}
	return false
}

// observe looks at what the core has announced since the last time.
func (r *realm) observe() {
	if r.ring == nil || r.ring.Last() == r.heard {
		return
	}
	evs, lost := r.ring.Since(r.heard, 0)
	if lost > 0 {
		r.fail("R9", "%d events are lost", lost)
	}
	for i, ev := range evs {
		r.heard = ev.Seq
		if to, ok := stateOf(ev.Type); ok {
			r.entered(r.progs[ev.ID], ev, to, evs[i+1:])
			continue
		}
		switch ev.Type {
		case model.EventGroupAdded:
			for _, p := range r.order {
				if p.id.Group == ev.ID.Group {
					p.sh = shadow{}
				}
			}
		case model.EventDaemonStopping:
			for _, p := range r.order {
				p.sh.draining = true
			}
		}
	}
}

// entered judges a change of state. Source: spec/reliability R10, R15.
func (r *realm) entered(p *prog, ev model.Event, to model.State, rest []model.Event) {
	sh := &p.sh
	r.tell("%s %s → %s tries %d", p.id.Name, ev.From, to, ev.Tries)
	switch {
	case r.fog && ev.From != sh.state:
		sh.state = ev.From
	case ev.From != sh.state:
		r.fail("R10", "%s goes from %s to %s, but it was %s", p.id.Name, ev.From, to, sh.state)
	}
	if !documented(ev.From, to) {
		r.fail("R10", "%s goes from %s to %s", p.id.Name, ev.From, to)
	}
	switch to {
	case model.Running:
		p.lastRunning = r.now
	case model.Unknown: // the stop has failed
		p.must, p.lastUnknown = mustNothing, r.now
	}
	if r.fog {
		sh.state, sh.from = to, ev.From
		r.atRest(p, to)
		return
	}
	switch to {
	case model.Starting:
		r.judgeStarting(p, ev)
	case model.Running:
		r.judgeRunning(p, rest)
	case model.Backoff:
		r.judgeBackoff(p, ev)
	case model.Fatal:
		if sh.tries <= p.spec.Start.Retries && !sh.draining {
			r.fail("R15", "%s is FATAL after %d failures, %d retries are allowed", p.id.Name, sh.tries, p.spec.Start.Retries)
		}
		sh.tries, sh.due = 0, 0
	case model.Exited:
		r.judgeExited(p, ev)
	case model.Stopping:
		if !p.stopAsked {
			r.fail("R10", "%s is stopped, and nobody asked for it", p.id.Name)
		}
		sh.due, sh.stopAt, sh.kill = 0, r.now, 0
	case model.Stopped:
		if !p.stopAsked {
			r.fail("R10", "%s is STOPPED, and nobody asked for it", p.id.Name)
		}
		sh.due, sh.kill = 0, 0
		if ev.From == model.Stopping && sh.ever {
			r.heardEnd(p)
		}
	case model.Unknown:
		if p.live == nil || !p.live.refuses {
			r.fail("R10", "%s is UNKNOWN, but every signal was taken", p.id.Name)
		}
		sh.due, sh.kill = 0, 0
	}
	sh.state, sh.from = to, ev.From
	r.atRest(p, to)
}

// atRest: what is said to be at rest must not live.
func (r *realm) atRest(p *prog, to model.State) {
	if to.Down() && to != model.Unknown || to == model.Backoff {
		if p.live != nil {
			r.fail("R10", "%s is %s, but pid %d lives", p.id.Name, to, p.live.pid)
		}
		if p.launching && !p.sh.failing {
			r.fail("R10", "%s is %s, but it is being launched", p.id.Name, to)
		}
		p.sh.failing = false
	}
}

func (r *realm) judgeStarting(p *prog, ev model.Event) {
	sh := &p.sh
	sh.auto = false
	switch ev.From {
	case model.Backoff:
		if want := max(sh.due, r.began); r.now != want {
			r.fail("R15", "%s: attempt %d is made at %v, it was due at %v", p.id.Name, sh.tries+1, r.now, want)
		}
		sh.auto = true
	case model.Exited:
		if sh.auto = r.restarts(p); !sh.auto && p.startOpen == 0 {
			r.fail("R10", "%s has ended for good, and is started", p.id.Name)
		}
	default:
		sh.tries = 0
	}
	if sh.draining {
		r.fail("R14", "%s is started after the order to end everything", p.id.Name)
	}
	if ev.Tries != sh.tries {
		r.fail("R15", "%s starts with %d failures, there were %d", p.id.Name, ev.Tries, sh.tries)
	}
	if p.must == mustDown {
		r.fail("R14", "%s is started, though a stop was acknowledged at %v", p.id.Name, p.mustSince)
	}
	if ev.From == model.Stopped && !sh.ever && !p.spec.Start.Auto && p.must != mustUp && p.startSeen < 0 {
		r.fail("R14", "%s is started, and nobody asked for it", p.id.Name)
	}
	sh.due, sh.spawned, sh.heard, sh.heardEnd, sh.failing, sh.ever = 0, 0, 0, 0, false, true
}

// restarts reports whether what has just ended is to be started again by itself.
func (r *realm) restarts(p *prog) bool {
	if p.sh.draining {
		return false
	}
	return p.spec.Exit.Restart == model.RestartAlways || p.spec.Exit.Restart == model.RestartUnexpected && !p.sh.expected
}

// slack is what the time between an end and its detection may blur.
const slack = detection + 4*time.Millisecond

func (r *realm) judgeRunning(p *prog, rest []model.Event) {
	sh := &p.sh
	secs := p.spec.Start.Secs
	if p.births == 0 {
		r.fail("R10", "%s is RUNNING without a process", p.id.Name)
	}
	ends := len(rest) > 0 && rest[0].ID == p.id && rest[0].Type == model.EventProcessExited
	if ends || p.live == nil {
		if lived := p.lastDeath - p.lastBirth; p.live != nil || lived < secs-slack {
			r.fail("R10", "%s is RUNNING after %v, startsecs are %v", p.id.Name, lived, secs)
		}
	} else if lived := r.now - p.lastBirth; lived < secs {
		r.fail("R10", "%s is RUNNING after %v, startsecs are %v", p.id.Name, lived, secs)
	}
	if want := max(sh.heard+secs, r.began); !ends && r.now != want {
		r.fail("R15", "%s is RUNNING at %v, it was due at %v", p.id.Name, r.now, want)
	}
	sh.tries, sh.due = 0, 0
}

func (r *realm) judgeBackoff(p *prog, ev model.Event) {
	sh := &p.sh
	sh.tries++
	if ev.Tries != sh.tries {
		r.fail("R15", "%s: BACKOFF with %d failures, there were %d", p.id.Name, ev.Tries, sh.tries)
	}
	at := r.now
	if !sh.failing {
		if lived := p.lastDeath - p.lastBirth; lived > p.spec.Start.Secs+slack {
			r.fail("R10", "%s has lived %v, and is in BACKOFF", p.id.Name, lived)
		}
		at = r.heardEnd(p)
	}
	sh.due = at + time.Duration(sh.tries)*time.Second
}

// heardEnd is the time of the end that the core is told of; it counts for the storm.
func (r *realm) heardEnd(p *prog) time.Duration {
	at := p.sh.heardEnd
	if at == 0 {
		at = p.lastDeath
	}
	p.sh.ends.add(at)
	return at
}

func (r *realm) judgeExited(p *prog, ev model.Event) {
	b := p.last(r)
	r.heardEnd(p)
	p.sh.tries, p.sh.due, p.sh.failing, p.sh.expected = 0, 0, false, ev.Expected
	if b == nil {
		return
	}
	if want := slices.Contains(p.spec.Exit.Codes, b.exit.Code()); ev.Expected != want {
		r.fail("R9", "%s has ended with %s; expected: %v", p.id.Name, ExitText(b.exit), ev.Expected)
	}
}

// last is the instance that has ended and is not released.
func (p *prog) last(r *realm) *body {
	if b := r.pids[p.lastPID]; b != nil && b.p == p && b.dead {
		return b
	}
	return nil
}

// judgeLaunch judges an order to the spawner.
func (r *realm) judgeLaunch(p *prog, i Instance) {
	switch {
	case p.launching:
		r.fail("R8", "%s is launched while it is being launched", p.id)
	case p.live != nil:
		r.fail("R8", "%s is launched while pid %d lives", p.id, p.live.pid)
	case p.must == mustDown:
		r.fail("R14", "%s is launched, though a stop was acknowledged at %v", p.id.Name, p.mustSince)
	}
	if d, ok := r.journal.disk[slotPrefix+p.id.Namespec()]; !r.fog && !r.journal.missed {
		if !ok || d.sh.state != model.Starting && d.sh.state != model.Stopping {
			r.fail("R1", "%s is launched, and the journal does not know of it", p.id.Name)
		}
	}
	p.launches++
	again := p.lastGen == i.Gen && p.sh.state == model.Starting
	if p.lastGen = i.Gen; p.sh.auto && p.sh.ends.often(r.now) && !r.fog && !again {
		r.storm = max(r.storm, r.now) + stormGap
		r.tell("storm %v, the core's %v, turn %v of %s", r.storm-r.now, r.core.storm.full-r.now, i.Slot.turn-r.now, p.id.Name)
		if over := r.storm - r.now; over > (stormBurst+1)*stormGap {
			r.fail("R15", "the storm of restarts is %v ahead of its budget", over-stormBurst*stormGap)
		}
	}
}

// judgeSignal: a signal is for the instance it was meant for, and there is a reason for it.
func (r *realm) judgeSignal(b *body, sig int) {
	p := b.p
	if b.released || r.pids[b.pid] != b {
		r.fail("R11", "signal %d for %v reaches a stranger: pid %d is not its own any more", sig, b.key, b.pid)
	}
	if b.life != r.life {
		r.fail("R11", "signal %d for %v, which was not taken back", sig, b.key)
	}
	if sig == 10 {
		return
	}
	if !p.stopAsked {
		r.fail("R11", "signal %d for %s, and nobody asked for its end", sig, p.id.Name)
	}
	if r.fog {
		return
	}
	sh := &p.sh
	if sh.state != model.Stopping {
		r.fail("R11", "signal %d for %s, which is %s", sig, p.id.Name, sh.state)
	}
	if d := r.journal.disk[slotPrefix+p.id.Namespec()]; !r.journal.missed && d.sh.state != model.Stopping {
		r.fail("R1", "%s gets signal %d, and the journal does not know of it", p.id.Name, sig)
	}
	switch {
	case sig != sigKill:
		if at := max(sh.stopAt, sh.heard); r.now != max(at, r.began) {
			r.fail("R15", "%s gets signal %d at %v, it was due at %v", p.id.Name, sig, r.now, at)
		}
	case sh.kill == 0 || r.now != max(sh.kill, r.began):
		r.fail("R15", "%s gets the KILL at %v, it was decided at %v", p.id.Name, r.now, sh.kill)
	}
}

// judgeKill: the patience with a program that does not end is what was configured.
func (r *realm) judgeKill(p *prog) {
	if want := max(p.killDue(), r.began); r.now != want && !r.fog {
		r.fail("R15", "%s is killed at %v, it was due at %v", p.id.Name, r.now, want)
	}
	p.sh.kill, p.sh.due = r.now, r.now+max(p.spec.Stop.Wait, lifecycle.KillInterval)
}

// killDue is when the next KILL is due.
func (p *prog) killDue() time.Duration {
	if p.sh.due != 0 {
		return p.sh.due
	}
	return max(p.sh.stopAt, p.sh.heard) + p.spec.Stop.Wait
}

// judgeRelease: the end is in the journal before the pid is given up.
func (r *realm) judgeRelease(b *body) {
	if r.fog || r.journal.missed {
		return
	}
	k, ok := r.journal.disk[slotPrefix+b.p.id.Namespec()]
	if ok && (k.sh.state == model.Running || k.sh.state == model.Unknown) && r.groups[b.p.id.Group].there {
		r.fail("R9", "pid %d of %s is given up, and the journal does not know of its end", b.pid, b.p.id.Name)
	}
}

// punctual holds what has been done until now against what was due. It is asked when the core rests.
func (r *realm) punctual() {
	r.observe()
	if r.fog {
		return
	}
	r.judgeBoot()
	for _, p := range r.order {
		sh := &p.sh
		if !r.groups[p.id.Group].there {
			continue
		}
		switch sh.state {
		case model.Backoff:
			switch {
			case sh.draining:
			case sh.tries > p.spec.Start.Retries:
				r.fail("R15", "%s has failed %d times, and is not FATAL", p.id.Name, sh.tries)
			case sh.due <= r.now:
				r.fail("R15", "%s: an attempt was due at %v", p.id.Name, sh.due)
			}
		case model.Stopped:
			if p.must == mustUp && p.startOpen == 0 && !r.ending.asked {
				r.fail("R14", "%s is STOPPED, though its start was acknowledged at %v", p.id.Name, p.mustSince)
			}
		case model.Exited:
			if r.restarts(p) {
				r.fail("R10", "%s has ended, and is not started again", p.id.Name)
			}
		case model.Starting:
			if p.live != nil && p.live.life == r.life && sh.heard > 0 && sh.heard+p.spec.Start.Secs <= r.now {
				r.fail("R15", "%s was to be RUNNING at %v", p.id.Name, sh.heard+p.spec.Start.Secs)
			}
		case model.Stopping:
			b := p.live
			if b == nil || b.life != r.life || b.refuses {
				break
			}
			if sh.heard > 0 && len(b.got) == 0 {
				r.fail("R14", "%s is STOPPING, and has got no signal", p.id.Name)
			}
			if sh.heard > 0 && p.killDue() <= r.now {
				r.fail("R15", "%s was to be killed at %v", p.id.Name, p.killDue())
			}
		}
	}
}

// census holds what the core shows against what lives.
func (r *realm) census() {
	for _, s := range r.core.Table().Sorted {
		st, p := s.Status(), r.progs[s.Status().ID]
		if st.State != p.sh.state && !r.fog {
			r.fail("R10", "%s is shown as %s, it is %s", st.ID.Name, st.State, p.sh.state)
		}
		if b := p.live; b == nil {
			if st.PID != 0 && r.now-p.lastDeath > slack && r.now-r.began > slack {
				r.fail("R10", "%s is shown with pid %d, which has ended %v ago", st.ID.Name, st.PID, r.now-p.lastDeath)
			}
		} else {
			if st.State.Down() && st.State != model.Unknown {
				r.fail("R10", "%s is shown as %s, but pid %d lives", st.ID.Name, st.State, b.pid)
			}
			if st.PID != 0 && st.PID != b.pid {
				r.fail("R10", "%s is shown with pid %d, it has %d", st.ID.Name, st.PID, b.pid)
			}
			if st.PID == 0 && (st.State == model.Running || st.State == model.Unknown) {
				r.fail("R10", "%s is shown as %s without a pid", st.ID.Name, st.State)
			}
		}
	}
}

// checkTable: every acknowledged group is there after a kill, and no other.
func (r *realm) checkTable() {
	if r.fog {
		r.refog()
		return
	}
	for name, g := range r.groups {
		there := r.core.Table().Group(name) != nil
		if g.certain && there != g.there {
			r.fail("R14", "group %s: active %v, acknowledged was %v", name, there, g.there)
		}
		g.there = there
	}
}

// refog takes the core's word for what it is, as nobody can know better, and forgets what was promised.
func (r *realm) refog() {
	for name, g := range r.groups {
		g.there, g.certain = r.core.Table().Group(name) != nil, false
	}
	for _, p := range r.order {
		p.foggy, p.must, p.boot = true, mustNothing, mustNothing
	}
}

// recall remembers what the journal says about groups whose answer was never given.
func (r *realm) recall(sv *Saved) {
	for _, p := range r.order {
		if _, ok := sv.slots[p.id]; !ok {
			p.sh = shadow{}
		}
	}
}

// judgeLog holds the activity log against the truth, line by line for each program. After a power cut the
// end of it may be missing.
func (r *realm) judgeLog(cut bool) {
	told := map[*prog][]string{}
	for _, line := range r.log.file[r.log.judged:] {
		r.parse(line, told)
	}
	r.log.judged = len(r.log.file)
	for _, p := range r.order {
		got, want := told[p], p.truth
		if cut && len(got) < len(want) {
			want = want[:len(got)]
		}
		if !p.foggy && !slices.Equal(got, want) {
			n := 0
			for n < min(len(got), len(want)) && got[n] == want[n] {
				n++
			}
			r.fail("R9", "%s: after %d lines the log tells %q, what happened is %q", p.id.Name, n, some(got[n:]), some(want[n:]))
		}
		p.truth, p.foggy = nil, false
	}
}

func some(lines []string) []string { return lines[:min(len(lines), 4)] }

func (r *realm) parse(line string, told map[*prog][]string) {
	_, line, _ = strings.Cut(line, ",")
	words := strings.Fields(line)
	if len(words) < 4 {
		return
	}
	text := strings.TrimSuffix(strings.Join(words[2:], " "), "\n")
	var name, what string
	switch words[2] {
	case "spawned:":
		name, what = strings.Trim(words[3], "'"), "spawned "+words[len(words)-1]
	case "exited:", "stopped:":
		name = words[3]
		_, how, _ := strings.Cut(text, "(")
		how = strings.TrimSuffix(how, ")")
		how, _, _ = strings.Cut(how, ";")
		what = "ended " + how
	default:
		return
	}
	if p := r.byName[name]; p != nil {
		told[p] = append(told[p], what)
	}
}

func (p *prog) String() string { return fmt.Sprint(p.id.Name) }
