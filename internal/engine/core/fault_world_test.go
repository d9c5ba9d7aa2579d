package core

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

// A realm is a world in which everything fails: an operating system with a small space of pids, a keeper
// that holds processes, a journal, wishes and a log, of which each loses what it may lose, clients, and a
// core that is killed at any effect and comes again. It is the judge too: it knows the truth of every
// process and of every answer, and never asks the core whether the core is right.
type realm struct {
	dice *rand.Rand
	chances
	bug *bug // planted; nil = none

	now    time.Duration
	coming agenda.Queue[func()]
	events int

	core  *Core
	ring  *events.Ring
	heard uint64 // events of the ring that have been looked at
	life  int    // counts the cores
	up    bool   // a core lives
	began time.Duration
	again int // kills without rest

	pids   map[int]*body // until released
	held   map[heldKey]*body
	config []*model.Group
	progs  map[model.ID]*prog
	byName map[string]*prog
	order  []*prog
	groups map[string]*groupTruth

	journal journalFake
	wishes  wishesFake
	log     linesFake
	orders  []*request // of the life at hand, not answered yet
	ending  ended
	storm   time.Duration // when the bucket of automatic launches is full again

	calm  bool   // no more faults and no new orders
	fog   bool   // the journal failed before a kill: nobody can know everything
	wrong string // the first thing that was wrong
	story *strings.Builder
	count tally
}

// tally is what happened in a run.
type tally struct{ kills, doubles, cuts, births, exits, orders, signals, reused int }

// chances are the dice of one run, so that runs differ in kind.
type chances struct {
	kill      int // one in so many effects; 0 = never
	killAgain int // while a core begins
	cut       int // one in so many kills is a power cut
	badFlush  int // one in so many flushes
	badSync   int
	fail      int // launches
	quick     int // lives that end before startsecs
	stubborn  int
	refuses   int
	slow      int // launches that take seconds
	storm     bool
	pids      int
}

// one says yes once in n.
func (r *realm) one(n int) bool { return n > 0 && r.dice.IntN(n) == 0 }

func (r *realm) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.dice.Int64N(int64(hi-lo)+1))
}

func rollChances(d *rand.Rand) chances {
	pick := func(of ...int) int { return of[d.IntN(len(of))] }
	c := chances{
		kill: pick(0, 25, 70, 120, 200, 500), killAgain: pick(0, 6, 20, 60), cut: pick(0, 0, 6, 3),
		badFlush: pick(0, 0, 0, 0, 0, 0, 30), badSync: pick(0, 0, 4), fail: pick(0, 20, 5, 2), quick: pick(0, 10, 3, 2),
		stubborn: pick(0, 10, 3), refuses: pick(0, 0, 0, 8), slow: pick(0, 10), storm: d.IntN(8) == 0, pids: pick(12, 40),
	}
	if c.storm && c.kill > 0 { // long enough a life to use up the budget
		c.kill, c.killAgain = pick(200, 500, 2000), 0
	}
	return c
}

// heldKey is what the keeper knows an instance by.
type heldKey struct {
	id  model.ID
	gen uint64
}

// body is a process. Its pid is its own until it is released.
type body struct {
	r        *realm
	p        *prog
	key      heldKey
	pid      int
	born     time.Duration
	dead     bool
	ended    time.Duration
	exit     model.Exit
	stubborn bool // only a KILL ends it
	refuses  bool // nobody may signal it
	slow     bool // takes its time to die
	released bool
	watcher  Instance
	life     int // of the core that watches it
	got      []signal
}

// signal is one that a process got.
type signal struct {
	sig int
	at  time.Duration
}

// killed is the panic that is the death of a core: nothing behind the effect at hand is done any more.
type killed struct{}

// impossible is the panic that ends a run whose judge has found something.
type impossible struct{}

// fail notes the first thing that is wrong and ends the run.
func (r *realm) fail(rule, format string, args ...any) {
	if r.wrong == "" {
		r.wrong = fmt.Sprintf("%s at %v: %s", rule, r.now, fmt.Sprintf(format, args...))
	}
	panic(impossible{})
}

func (r *realm) tell(format string, args ...any) {
	if r.story != nil {
		fmt.Fprintf(r.story, "%12v ", r.now-time.Hour)
		fmt.Fprintf(r.story, format+"\n", args...)
	}
}

// point is a place at which a core may be killed.
func (r *realm) point(what string) {
	if r.calm || !r.up {
		return
	}
	chance := r.kill
	if r.now == r.began {
		switch {
		case r.again >= 3:
			chance = 0
		case r.killAgain > 0 && chance > 0:
			chance = r.killAgain
		}
	}
	if r.one(chance) {
		if r.again++; r.now == r.began {
			r.count.doubles++
		}
		r.tell("KILL at %s", what)
		panic(killed{})
	}
}

// guard does something that may be the death of the core.
func (r *realm) guard(f func()) {
	defer func() {
		switch x := recover(); x.(type) {
		case nil:
		case killed:
			r.died()
		default:
			panic(x)
		}
	}()
	f()
}

// later lets something happen; lifelong only while this core lives.
func (r *realm) later(d time.Duration, f func()) {
	r.coming.Set(&timer{What: f}, r.now+d)
}

func (r *realm) lifelong(d time.Duration, f func()) {
	life := r.life
	r.later(d, func() {
		if r.up && r.life == life {
			f()
		}
	})
}

// died buries a core: what it held in memory is gone, what the kernel and the keeper hold is not.
func (r *realm) died() {
	r.count.kills++
	r.observe()
	r.up = false
	r.settleRequests()
	r.forgetRequests()
	r.journal.kill(r)
	r.wishes.kill(r)
	r.log.kill(r)
	for _, p := range r.order {
		p.launching = false
	}
	r.core = nil
	if r.one(r.cut) {
		r.powerCut()
	}
	gap := r.between(0, 20*time.Millisecond)
	if r.one(4) {
		gap = r.between(0, 5*time.Second)
	}
	r.later(gap, r.boot)
}

// powerCut ends every process; only what is on the disk for certain remains.
func (r *realm) powerCut() {
	r.tell("POWER CUT")
	r.count.cuts++
	for pid, b := range r.pids {
		b.dead, b.released = true, true
		delete(r.pids, pid)
	}
	clear(r.held)
	r.judgeLog(true)
	r.journal.wipe()
	r.ending = ended{}
	r.storm = 0
	for _, g := range r.groups {
		g.there, g.certain = true, true
	}
	for _, p := range r.order {
		p.afterCut()
	}
	r.fog = false
}

// boot makes a core from what is left, as the daemon does.
func (r *realm) boot() {
	r.life++
	r.up, r.began = true, r.now
	r.ring, r.heard = events.New(4000), 0
	r.core = New(Options{Host: r.host(), Log: r, Ring: r.ring, Journal: r.keepJournal(), Wishes: r.keepWishes(), Lines: r.lines()})
	r.guard(func() {
		sv, errs := Read(r.journal.read())
		if len(errs) > 0 {
			r.fail("R4", "the journal cannot be read: %v", errs)
		}
		r.tell("BOOT %d: %d groups, ending %v, wishes %v", r.life, len(sv.groups), sv.ending, r.wishes.disk)
		lines, wishes := sv.Lines(), r.wishes.read()
		if r.bug != nil && r.bug.start != nil {
			lines, wishes = r.bug.start(lines, wishes)
		}
		r.log.restore(r, lines)
		r.core.SetWishes(wishes)
		if sv.Empty() {
			if len(r.held) == 0 {
				r.core.Restore(sv)
			}
			r.fresh()
			return
		}
		r.recall(sv)
		if r.bug != nil && r.bug.saved != nil {
			r.bug.saved(r, sv)
		}
		r.core.Restore(sv)
		r.point("the end of Restore")
		r.observe()
		if r.ending.acked && r.core.State() == model.DaemonRunning && !r.fog {
			r.fail("R14", "the order to end everything is forgotten")
		}
		r.sweep()
		r.checkTable()
	})
}

// fresh is the start without a journal: the configuration is put into force. When the keeper holds something
// nevertheless, the journal could not be written.
func (r *realm) fresh() {
	var add []NewGroup
	for _, g := range r.config {
		add = append(add, newGroup(g))
		r.groups[g.Name].there, r.groups[g.Name].certain = true, false
		for _, id := range g.Programs {
			p := r.progs[id.ID]
			p.sh = shadow{}
			p.expectBoot(r.now)
		}
	}
	if len(r.held) > 0 {
		r.core.Restore(Assume(add))
		r.sweep()
		r.checkTable()
		return
	}
	r.ask(&request{kind: orderAdd, add: add})
}

func newGroup(g *model.Group) NewGroup {
	return NewGroup{Spec: g, Logs: make([]LogPaths, len(g.Programs))}
}

// sweep is the keeper's: what no program claims is let go of. Nothing alive may be among it.
func (r *realm) sweep() {
	for key, b := range r.held {
		if b.life == r.life {
			continue
		}
		if !b.dead && r.fog {
			continue // as long as it lives, it is there to be adopted
		}
		if !b.dead {
			r.fail("R8", "%v lives with pid %d, and nobody has asked for it", key, b.pid)
		}
		r.free(b)
	}
}

func (r *realm) free(b *body) {
	b.released = true
	delete(r.held, b.key)
	if r.pids[b.pid] == b {
		delete(r.pids, b.pid)
	}
}

// hostFake is the Host of one life.
type hostFake struct{ *realm }

func (r *realm) host() Host {
	h := Host(hostFake{r})
	if r.bug != nil && r.bug.host != nil {
		h = r.bug.host(r, h)
	}
	return h
}

// process is what the core is given of a process.
func (r *realm) process(b *body) Process {
	if r.bug != nil && r.bug.process != nil {
		return r.bug.process(r, b)
	}
	return b
}

func (r *realm) Now() time.Duration { return r.now }
func (r *realm) Wall() time.Time    { return time.Unix(1_700_000_000, 0).Add(r.now) }

// Launch has the spawner make a process, some time later.
func (r hostFake) Launch(i Instance) {
	r.observe()
	r.point("before a launch")
	p := r.progs[i.Slot.spec.ID]
	r.judgeLaunch(p, i)
	p.launching = true
	delay := r.between(time.Millisecond, 3*time.Millisecond)
	if r.one(r.slow) {
		delay = r.between(0, 4*time.Second)
	}
	r.tell("launch %s:%d", p.id.Name, i.Gen)
	r.lifelong(delay, func() {
		p.launching = false
		if r.one(r.chances.fail) || len(r.pids) >= r.chances.pids {
			r.core.LaunchFailed(i, "no luck")
			p.sh.failing = true
			return
		}
		b := r.birth(p, i)
		r.point("after an exec")
		p.sh.heard = r.now
		r.core.Launched(i, r.process(b))
	})
	r.point("after a launch")
}

// birth makes a process with the lowest free pid, so that pids come again soon.
func (r *realm) birth(p *prog, i Instance) *body {
	b := &body{
		r: r, p: p, key: heldKey{p.id, i.Gen}, born: r.now, watcher: i, life: r.life,
		stubborn: r.one(r.stubborn), refuses: r.one(r.refuses), slow: r.one(4),
	}
	for b.pid = 2; r.pids[b.pid] != nil; b.pid++ {
	}
	if p.lastPID == b.pid {
		r.count.reused++
	}
	p.lastPID = b.pid
	if p.live != nil {
		r.fail("R8", "a second instance of %s: %d beside %d", p.id, i.Gen, p.live.key.gen)
	}
	if old := r.held[b.key]; old != nil {
		r.fail("R8", "%v was there before", b.key)
	}
	r.count.births++
	p.live, r.pids[b.pid], r.held[b.key] = b, b, b
	p.births++
	p.lastBirth = r.now
	if p.stopOpen == 0 && !r.ending.asked && p.sh.state == model.Starting {
		p.stopAsked = false
	}
	p.truth = append(p.truth, fmt.Sprintf("spawned %d", b.pid))
	r.tell("birth %s:%d pid %d", p.id.Name, i.Gen, b.pid)
	secs := p.spec.Start.Secs
	var life time.Duration
	switch {
	case r.chances.storm && !r.one(20):
		life = r.between(0, 5*time.Millisecond)
	case r.one(r.quick):
		life = r.between(0, max(secs, time.Millisecond))
	case r.one(3):
		life = secs + r.between(0, 3*time.Second)
	default:
		life = r.between(time.Second, 10*time.Minute)
	}
	status := r.dice.IntN(3)
	r.later(life, func() { b.die(model.Exit{Known: true, Status: status}) })
	return b
}

func (b *body) die(e model.Exit) {
	if b.dead {
		return
	}
	r := b.r
	r.count.exits++
	b.dead, b.ended, b.exit = true, r.now, e
	b.p.live = nil
	b.p.lastDeath = r.now
	b.p.truth = append(b.p.truth, "ended "+ExitText(e))
	r.tell("death %s:%d pid %d %s", b.key.id.Name, b.key.gen, b.pid, ExitText(e))
	if r.up && b.life == r.life {
		b.report()
	}
}

// detection is the longest time until an end is noticed while a core lives.
const detection = 2 * time.Millisecond

// report tells the core of an end, a moment later.
func (b *body) report() {
	b.r.lifelong(b.r.between(0, detection), func() {
		b.p.sh.heardEnd = b.r.now
		if bug := b.r.bug; bug != nil && bug.report != nil {
			bug.report(b.r, b)
			return
		}
		b.r.core.Ended(b.watcher, b.exit)
	})
}

func (b *body) PID() int { return b.pid }

func (b *body) WriteStdin([]byte) error { return nil }

// Signal reaches whoever has the pid.
func (b *body) Signal(sig int, reach model.Reach) error {
	r := b.r
	r.observe()
	r.point("before a signal")
	r.count.signals++
	r.judgeSignal(b, sig)
	b.got = append(b.got, signal{sig, r.now})
	r.tell("signal %d to %s:%d", sig, b.key.id.Name, b.key.gen)
	defer r.point("after a signal")
	switch {
	case b.dead && r.one(2):
		return syscall.ESRCH
	case b.dead:
		return nil
	case b.refuses:
		return syscall.EPERM
	case sig == 10 || sig != sigKill && b.stubborn:
		return nil
	}
	d := r.between(0, 5*time.Millisecond)
	if b.slow && sig != sigKill {
		d = r.between(0, 3*time.Second)
	}
	r.later(d, func() { b.die(model.Exit{Known: true, Signal: sig}) })
	return nil
}

// Release gives up the pid.
func (b *body) Release() {
	r := b.r
	r.observe()
	r.point("before a release")
	if !b.dead {
		r.fail("R11", "pid %d of %v is given up while it lives", b.pid, b.key)
	}
	if b.released {
		r.fail("R11", "pid %d of %v is given up twice", b.pid, b.key)
	}
	r.judgeRelease(b)
	r.tell("release %s:%d", b.key.id.Name, b.key.gen)
	r.free(b)
	r.point("after a release")
}

// Resume gives an instance back that the keeper held.
func (r hostFake) Resume(i Instance, whichever bool) Resumed {
	r.point("before a resume")
	id := i.Slot.spec.ID
	b := r.held[heldKey{id, i.Gen}]
	if whichever {
		b = nil
		for key, other := range r.held {
			if key.id == id && other.life != r.life && (b == nil || other.key.gen > b.key.gen) {
				b = other
			}
		}
	}
	if b == nil {
		return Resumed{}
	}
	r.tell("resume %s:%d pid %d dead %v", id.Name, i.Gen, b.pid, b.dead)
	i.Gen = b.key.gen
	b.watcher, b.life = i, r.life
	out := Resumed{Process: r.process(b), Gen: b.key.gen, Since: b.born}
	if b.dead {
		e := b.exit
		out.Exit, out.Ended = &e, b.ended
	}
	r.progs[id].sh.resumed(b, r.realm, i)
	r.point("after a resume")
	return out
}

// shadow is what the realm expects of a program's record. A copy of it is kept beside the record that the
// core puts into the journal, and comes back when the record does.
type shadow struct {
	state    model.State
	from     model.State
	tries    int
	due      time.Duration // of what comes next by itself
	spawned  time.Duration // when the core heard of the process
	stopAt   time.Duration // when it became STOPPING
	kill     time.Duration // when the KILL was decided that may not have been sent
	auto     bool          // the launch under way is nobody's order
	failing  bool          // the launch has failed, and the core is being told
	heard    time.Duration // when the core was told of the process
	heardEnd time.Duration
	draining bool
	ends     ends
	ever     bool // it was started
	expected bool // its last end was
}

// resumed corrects what is expected of an instance whose birth the earlier core did not live to see.
func (s *shadow) resumed(b *body, r *realm, i Instance) {
	if i.Slot.m.Spawning {
		s.heard = b.born
	}
	s.heardEnd = 0
}

// stateOf is the state that an event announces.
func stateOf(t model.EventType) (model.State, bool) {
	for s := range model.State(model.NumStates) {
		if model.StateEvent(s) == t {
			return s, true
		}
	}
	return 0, false
}
