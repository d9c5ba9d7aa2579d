// Package checks looks after programs that run: whether their start has succeeded, whether others may rely on them, and
// whether they are well. It decides when to look, takes no more looks at a time than it may, and makes verdicts of what is
// found; the core, which is told, decides what that means for the program.
//
// A look never holds up another program's: those that take their time go on beside, and one that hangs for good costs
// the check that it belongs to and nothing else. A look that could not be taken says nothing about the program: it is
// logged and shown, and never restarts anything.
//
// Source: one-model C16, spec/usrsvc US-75 to US-80.
package checks

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
	"github.com/upkeep-project/upkeep/internal/sys/probe"
)

// Reports is who acts on what is found: the core. Its methods return at once.
type Reports interface {
	Proved(core.Instance)
	StartFailed(i core.Instance, check, text string)
	SetReady(i core.Instance, ready bool)
	Bounce(i core.Instance, check, text string)
}

// Finding is what a look has found.
type Finding struct {
	OK   bool
	Text string // for people, one line
	// Trouble is why the look could not be taken; it says nothing about the program.
	Trouble error
	heard   heard // lines that were followed
	// Change is when something was changed last; zero = the look was at something else. OK and Text are made of it.
	Change probe.Change
}

// World takes looks.
type World interface {
	// Refuses says why checks like this cannot be done for a program on this system; empty = they can.
	Refuses(p *model.Program, k *model.Check) string
	// Look looks at what takes time; it is to return soon after ctx has ended.
	Look(ctx context.Context, p *model.Program, pid int, k *model.Check) Finding
	// Measure looks at what a process uses, at once. Of cpu the time that was used since it began is Spent, and no more is said.
	Measure(pid int, k *model.Check) Measure
}

// Measure is what a process uses of the one thing that a check looks at.
type Measure struct {
	Amount  int64 // bytes or descriptors
	Spent   time.Duration
	Trouble error
}

// Options are the parts of Checks.
type Options struct {
	World World
	Log   core.Log
	Ring  *events.Ring
	Now   func() time.Duration // the host's clock
	Wall  func() time.Time
	// Journal keeps what could not be found out again after a crash; nil = nothing does.
	Journal core.Journal
	// Running reports whether an instance's start is confirmed; nil = by the state of its slot. One that is told as running
	// needs no startup checks, and one that is not is not restarted.
	Running func(core.Instance) bool
	// Adopted reports whether an instance was begun by somebody else; nil = by the status of its slot.
	Adopted func(core.Instance) bool
	// Known reports whether there is still such a program; nil = there is.
	Known func(model.ID) bool
}

// happening is what is to happen at some time, and timer when.
type (
	happening func(now time.Duration)
	timer     = agenda.Item[happening]
)

// Checks has the checks of all programs. It implements core.Watch.
type Checks struct {
	o    Options
	wake chan struct{}

	mu       sync.Mutex
	to       Reports
	programs map[model.ID]*program
	living   map[core.Instance]*program
	speakers map[int]*program // by the pid of the instance, those that are to send messages
	ears     map[model.ID]*ear
	queue    agenda.Queue[happening]
	lanes    [numLanes]lane
	armed    time.Duration // when Run takes its next turn; 0 = it is in one
	batch    []*check      // to be measured in this turn
	flying   sync.WaitGroup
	begins   int // files that are opened for instances that begin
	closed   bool
	begun    map[model.ID]beginning // those that are to send messages, until they are told
	said     map[int]said           // by the sender
	kept     map[model.ID]uint64    // which generation has said that it is ready, before this process began
}

var _ core.Watch = (*Checks)(nil)

// New makes checks without programs. Tell says who acts; nothing is looked at before Run.
func New(o Options) *Checks {
	if o.Adopted == nil {
		o.Adopted = func(i core.Instance) bool { return i.Slot.Status().Past.Adopted }
	}
	if o.Running == nil {
		o.Running = func(i core.Instance) bool { return i.Slot.Status().State == model.Running }
	}
	return &Checks{
		o: o, wake: make(chan struct{}, 1), programs: map[model.ID]*program{}, living: map[core.Instance]*program{},
		ears: map[model.ID]*ear{}, speakers: map[int]*program{},
		kept: map[model.ID]uint64{}, begun: map[model.ID]beginning{}, said: map[int]said{},
	}
}

// Tell says who acts on what is found.
func (c *Checks) Tell(to Reports) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = to
}

// program is what is known of a program with checks.
type program struct {
	inst     core.Instance
	spec     *model.Program
	up       bool
	pid      int // of the instance
	main     int // of the process that the program calls its main one; 0 = pid
	since    time.Duration
	checks   []*check
	proved   bool          // its start has succeeded
	failed   bool          // … or failed: nothing is looked at any more
	ends     time.Duration // it has said that it ends, and has time for that until then; 0 = it has not
	ready    bool          // what was said last
	said     bool          // that, or its contrary, was said
	deadline timer
	status   string // in its own words
	kept     bool   // in the journal

	bounces int           // restarts by checks that have not helped
	bounced time.Duration // when the last was
}

// check is one check of one program and its present instance.
type check struct {
	model.Check
	of       *program
	re       *regexp.Regexp
	disabled string

	verdict       model.Verdict
	text, trouble string
	at            time.Time
	took          time.Duration
	counts
	fails, passes int // in a row

	timer  timer         // the next look
	plan   time.Duration // when that was to be; the cadence goes by it
	eager  int           // looks since it began, until it passes
	flight *flight       // the look under way; nil = there is none
	queued bool          // it waits in a lane
	slow   bool          // the last one took its time
	gone   bool          // its instance is not there any more

	change   probe.Change  // activity: at the last look
	age      time.Duration // activity: of that change, then
	agedAt   time.Duration // activity: when that was
	spent    time.Duration // cpu: at the last look
	spentAt  time.Duration // 0 = there was none
	beat     time.Duration // heartbeat: the last
	mute     bool          // heartbeat: nobody has told the process where to send it
	tripped  bool          // heartbeat: the program itself says that it is not well
	matches  int           // log: since the last look
	line     string        // log: the last of them
	follows  bool          // log: in a file
	tail     *tail         // log: that file
	owed     bool          // log: they have not led to the restart that they were to
	answered bool          // notify, and log before it is live: what is waited for has come
}

// counts are since the daemon has begun, over all instances.
type counts struct {
	looks, failed, acted uint64
	times                model.Times
}

// Up begins to look after an instance.
func (c *Checks) Up(i core.Instance, p *model.Program, pid int, since time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.programs[p.ID]
	if len(p.Checks) == 0 && w == nil || c.closed {
		return
	}
	if w == nil {
		w = &program{}
		c.programs[p.ID] = w
	}
	now := c.o.Now()
	if w.up && w.inst == i {
		if w.pid != pid {
			c.hush(w)
			w.pid = pid
			w.looksAt(0)
		}
		c.define(w, p, now)
		return
	}
	c.down(w)
	w.inst, w.up, w.pid, w.main, w.since = i, true, pid, 0, since
	c.living[i] = w
	w.proved, w.failed, w.ends, w.ready, w.said, w.status = false, false, 0, false, false, ""
	if gen, ok := c.kept[p.ID]; ok {
		w.kept = gen == i.Gen
		delete(c.kept, p.ID)
	}
	old := w.checks
	w.checks = nil
	c.define(w, p, now)
	for _, k := range w.checks { // what is counted goes on
		if at := slices.IndexFunc(old, func(o *check) bool { return o.Name == k.Name && o.Kind == k.Kind }); at >= 0 {
			k.counts = old[at].counts
		}
	}
	c.hearEarly(w, now)
}

// define gives an instance the checks of a definition; those that are the same go on.
func (c *Checks) define(w *program, p *model.Program, now time.Duration) {
	old := w.checks
	w.spec, w.checks = p, make([]*check, 0, len(p.Checks))
	for n := range p.Checks {
		at := slices.IndexFunc(old, func(o *check) bool { return o.Check == p.Checks[n] })
		if at >= 0 {
			w.checks = append(w.checks, old[at])
			old = slices.Delete(slices.Clone(old), at, at+1)
			continue
		}
		k := &check{Check: p.Checks[n], of: w, beat: now, answered: w.kept && p.Checks[n].Kind == model.CheckNotify}
		k.timer = timer{What: func(now time.Duration) { c.begin(k, now) }}
		k.mute = k.Kind == model.CheckHeartbeat && c.o.Adopted(w.inst)
		k.disabled = c.o.World.Refuses(p, &k.Check)
		if k.Pattern != "" {
			var err error
			if k.re, err = regexp.Compile(k.Pattern); err != nil {
				k.disabled = err.Error()
			}
		}
		w.checks = append(w.checks, k)
	}
	for _, k := range old {
		c.forget(k)
	}
	c.hush(w)
	if w.expects() {
		c.speakers[w.pid] = w
	}
	c.attune(w)
	if !p.Staged(model.StageStartup) || !w.proved && c.o.Running(w.inst) {
		w.proved = true
	}
	c.setDeadline(w, now)
	for _, k := range w.checks {
		if k.Stage == model.StageStartup && w.proved && k.verdict == model.Unjudged {
			k.verdict, k.text = model.Passing, "the start had succeeded before"
		}
		if k.idle() {
			c.schedule(k, now)
		}
	}
	c.judgeReady(w)
	c.nudge()
}

// setDeadline arms the end of the time that a start may take.
func (c *Checks) setDeadline(w *program, now time.Duration) {
	if w.deadline.What == nil {
		w.deadline = timer{What: func(time.Duration) { c.late(w) }}
	}
	if w.proved || w.failed || w.spec.Start.Timeout <= 0 {
		c.queue.Unset(&w.deadline)
		return
	}
	if !w.deadline.Waits() {
		c.queue.Set(&w.deadline, now+w.spec.Start.Timeout)
	}
}

// Down ends the looking after an instance.
func (c *Checks) Down(i core.Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.living[i]; w != nil {
		c.down(w)
	}
}

func (c *Checks) down(w *program) {
	if !w.up {
		return
	}
	w.up = false
	delete(c.living, w.inst)
	c.hush(w)
	if e := c.ears[w.spec.ID]; e != nil && e.inst == w.inst {
		c.deafen(w.spec.ID)
	}
	for _, k := range w.checks {
		c.forget(k)
	}
	c.queue.Unset(&w.deadline)
	c.keep(w, false)
}

// forget ends a check.
func (c *Checks) forget(k *check) {
	k.gone = true
	c.queue.Unset(&k.timer)
	if k.flight != nil {
		k.flight.cancel() // who lands closes what it has followed
		return
	}
	c.shut(k.tail)
	k.tail = nil
}

// journalPrefix begins the keys of what is kept.
const journalPrefix = "ready/"

// keep notes that an instance has said that it is ready: it says it once.
func (c *Checks) keep(w *program, ready bool) {
	if w.kept == ready {
		return
	}
	w.kept = ready
	if c.o.Journal == nil {
		return
	}
	var value []byte
	if ready {
		value, _ = json.Marshal(w.inst.Gen) // a number
	}
	c.o.Journal.Put(journalPrefix+w.spec.ID.Namespec(), value)
}

// Restore takes what an earlier process has kept, before any instance is told.
func (c *Checks) Restore(entries map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, value := range entries {
		name, ok := strings.CutPrefix(key, journalPrefix)
		if !ok {
			continue
		}
		var gen uint64
		if id, single := model.SplitNamespec(name); single && json.Unmarshal(value, &gen) == nil {
			c.kept[id] = gen
		}
	}
}

// Run looks until ctx ends. A look that hangs then is left alone.
func (c *Checks) Run(ctx context.Context) {
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	defer c.end()
	sweep := time.NewTicker(forgetAfter)
	defer sweep.Stop()
	for ctx.Err() == nil {
		if next, ok := c.turn(); ok {
			wake.Reset(next)
		} else {
			wake.Stop()
		}
		select {
		case <-c.wake:
		case <-wake.C:
		case <-sweep.C:
			c.sweep()
		case <-ctx.Done():
		}
	}
}

// endPatience is how long looks under way are waited for at the end.
const endPatience = 2 * time.Second

func (c *Checks) end() {
	c.mu.Lock()
	for _, w := range c.programs {
		w.up = false // what is kept stays for a successor
		for _, k := range w.checks {
			c.forget(k)
		}
	}
	for id := range c.ears {
		c.deafen(id)
	}
	c.closed = true
	c.mu.Unlock()
	landed := make(chan struct{})
	go func() {
		defer close(landed)
		c.flying.Wait()
	}()
	t := time.NewTimer(endPatience)
	defer t.Stop()
	select {
	case <-landed:
	case <-t.C:
	}
}

// nudge has Run take a turn, if something is due before it would.
func (c *Checks) nudge() {
	if at, ok := c.queue.Next(); !ok || at >= c.armed {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// States are the checks of programs that have an instance, in the order of their definition.
func (c *Checks) States(ids []model.ID) map[model.ID][]model.CheckState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[model.ID][]model.CheckState{}
	for _, id := range ids {
		w := c.programs[id]
		if w == nil || !w.up || len(w.checks) == 0 {
			continue
		}
		list := make([]model.CheckState, len(w.checks))
		for n, k := range w.checks {
			list[n] = model.CheckState{
				Check: k.Check, Verdict: k.verdict, Text: k.shown(), At: k.at, Took: k.took,
				Looks: k.looks, Failed: k.failed, Acted: k.acted, Times: k.times, Disabled: k.disabled,
			}
		}
		out[id] = list
	}
	return out
}

// shown is what people see of the last look.
func (k *check) shown() string {
	if k.trouble != "" {
		return k.trouble
	}
	if k.of.status != "" && (k.Kind == model.CheckNotify || k.Kind == model.CheckHeartbeat) {
		return k.text + " (" + k.of.status + ")"
	}
	return k.text
}
