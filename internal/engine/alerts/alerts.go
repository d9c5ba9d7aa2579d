// Package alerts tells people what has happened to programs and nobody asked for: mail, webhooks, chat, commands, as the
// [notify:NAME] sections say, and the email_alerts of single programs.
//
// Every event that matters is noted in the journal in the step that causes it (Happened), so that a kill of this process
// neither loses nor doubles it. One goroutine (Run) turns notes into incidents, of which each program has at most one of a
// kind, collects what is to be told for a moment, writes messages and keeps them in a file until they are delivered. Each
// destination is served by itself, with limits of time, and tried again for a day; nothing of the engine ever waits for it.
//
// A message is delivered once, but for one case: if this process is killed between a server's last word and the record
// of it, the message comes again, with the same Message-ID or Upkeep-Delivery.
package alerts

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/deliver"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// Journal is where events are noted: *journal.Store, the one in which the engine records its decisions.
type Journal interface {
	Put(key string, value []byte)
}

// Store is where incidents and messages are kept: *journal.Store, one that survives a reboot.
type Store interface {
	Put(key string, value []byte)
	Flush() error
	Snapshot() map[string][]byte
}

// Courier delivers one message to one destination and tells the dialogue; *deliver.Courier is one.
type Courier interface {
	Deliver(ctx context.Context, n *model.Notifier, to string, r *report.Report) (dialogue []string, err error)
}

// Pace is how fast things go.
type Pace struct {
	Window   time.Duration   // how long is waited for more that belongs into the same message
	Damp     time.Duration   // the same of a program is told at most this often
	Retry    []time.Duration // the waits after failed attempts; the last one repeats
	Expiry   time.Duration   // when a message is given up
	Look     time.Duration   // how often it is looked whether incidents are over of which no event tells
	Patience time.Duration   // how long is waited for what Explain and Tail find
}

// Usual is the pace unless another one is given.
func Usual() Pace {
	return Pace{
		Window: 30 * time.Second, Damp: 10 * time.Minute, Expiry: 24 * time.Hour, Look: 30 * time.Second, Patience: 2 * time.Second,
		Retry: []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute},
	}
}

// Options are the parts of Alerts.
type Options struct {
	// Journal gets the notes, and Entries is what it had when this process began; nil = they are in memory alone.
	Journal Journal
	Entries map[string][]byte
	Store   Store // nil = in memory alone
	// Status is what is known of a program now; false = there is none.
	Status func(model.ID) (model.Status, bool)
	// Checks are the states of a program's checks; nil = nobody knows.
	Checks func(model.ID) []model.CheckState
	// Explain says what was found out about a program that has failed; nil = nothing.
	Explain func(context.Context, model.ID) []report.Fact
	// Tail are the last lines of a program's output; stream is the channel's name.
	Tail    func(model.Status) (stream string, lines []string)
	Courier Courier
	Host    string // this machine's name
	Command string // tells people more, with the name of a program behind it: "upkeep why"; empty = none does
	Log     interface {
		Logf(level activity.Level, format string, args ...any)
	}
	Now func() time.Time // nil = time.Now
	// Email is how email_alerts go: Via, From.
	Email model.Notifier
	Pace  Pace // zero = Usual
}

const (
	maxInbox   = 10_000 // notes that wait for the worker: as many as the ring of events has
	maxRead    = 100    // of them that are read at once
	maxQueue   = 256    // messages that wait, for each notifier
	maxLooks   = 4      // at logs and the machine, of which none may ever return
	endingTime = 5 * time.Second
)

// Alerts is who tells. Its methods may be called at the same time from any goroutine.
type Alerts struct {
	o         Options
	hide      *report.Hider
	notifiers atomic.Pointer[[]*model.Notifier]
	kick      chan struct{} // of 1
	looks     chan struct{} // a place for each that is under way

	inbox  inbox
	posted posted

	mu        sync.Mutex // guards all that follows
	state     state
	programs  map[model.ID]*program
	incidents map[string]*incident
	pending   []*pending
	messages  []*message
	counts    map[string]*count
	lanes     map[lane]*service
	dirty     bool // the store has something to write
	looked    time.Time
	latest    time.Time // by the time of day: of all that was read, or the last turn; zero = there was none
}

// posted are the outcomes of deliveries that Run has not seen yet.
type posted struct {
	mu  sync.Mutex
	all []outcome
}

// New goes on where an earlier process was. Give the ring's events to Happened from the first on, then call Run.
func New(o Options) *Alerts {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pace.Window == 0 && o.Pace.Retry == nil {
		o.Pace = Usual()
	}
	if o.Tail == nil {
		o.Tail = func(model.Status) (string, []string) { return "", nil }
	}
	a := &Alerts{
		o: o, hide: report.NewHider(), kick: make(chan struct{}, 1), looks: make(chan struct{}, maxLooks),
		programs: map[model.ID]*program{}, incidents: map[string]*incident{}, counts: map[string]*count{}, lanes: map[lane]*service{},
	}
	a.restore()
	if a.state.Seed == "" {
		a.state.Seed = rand.Text()
		a.put(stateKey, a.state)
	}
	return a
}

// Configure puts notifiers into force. What waits for one that is not there any more is dropped.
func (a *Alerts) Configure(notifiers []*model.Notifier) {
	list := slices.Clone(notifiers)
	a.notifiers.Store(&list)
	a.mu.Lock()
	a.put(notifiersKey, list)
	a.mu.Unlock()
	a.wake()
}

// Resume puts those notifiers into force that an earlier process had.
func (a *Alerts) Resume() {
	a.mu.Lock()
	list := a.state.notifiers
	a.mu.Unlock()
	a.notifiers.Store(&list)
	a.wake()
}

// configured are the notifiers in force.
func (a *Alerts) configured() []*model.Notifier {
	if list := a.notifiers.Load(); list != nil {
		return *list
	}
	return nil
}

// named finds a notifier; nil when there is none.
func (a *Alerts) named(name string) *model.Notifier {
	if name == model.EmailAlerts {
		n := a.o.Email
		n.Name = model.EmailAlerts
		return &n
	}
	for _, n := range a.configured() {
		if n.Name == name {
			return n
		}
	}
	return nil
}

func (a *Alerts) wake() {
	select {
	case a.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// Run works until ctx ends. Deliveries under way have a moment to come to their end then.
func (a *Alerts) Run(ctx context.Context) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var under sync.WaitGroup
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := a.turn(ctx, a.o.Now(), func(d delivery) {
			under.Go(func() { a.deliver(work, d) })
		})
		timer.Reset(next)
		select {
		case <-a.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		under.Wait()
	}()
	timer.Reset(endingTime)
	select {
	case <-ended:
	case <-timer.C:
		cancel()
		<-ended
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	a.collect(now)
	for a.read(now) {
		continue
	}
	a.flush()
}

// turn does what is due, has deliveries started, and says how long nothing more is.
func (a *Alerts) turn(ctx context.Context, now time.Time, start func(delivery)) time.Duration {
	facts := a.explanations(ctx, now) // may take a second each, and nobody waits for it
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rewind(now)
	a.collect(now)
	more := a.read(now)
	if now.Sub(a.looked) >= a.o.Pace.Look {
		a.looked = now
		a.look(now)
		a.remind(now)
	}
	a.tell(now, facts)
	a.flush() // before anything is sent
	next := a.o.Pace.Look
	if len(a.incidents) == 0 {
		next = time.Hour
	}
	if more {
		next = 0 // others have had their turn at the lock
	}
	for _, p := range a.pending {
		next = min(next, p.Due.Sub(now))
	}
	for _, d := range a.due(now) {
		start(d)
	}
	return max(min(next, a.nextDelivery(now)), time.Millisecond)
}

// rewind makes up for a clock that was set back, here or before this process began: nothing waits longer than it would have.
func (a *Alerts) rewind(now time.Time) {
	was := a.latest
	if a.latest = now.Round(0); !was.IsZero() && !a.latest.Before(was) {
		return
	}
	earlier := func(t *time.Time, most time.Duration) {
		if limit := now.Add(most); t.After(limit) {
			*t = limit
		}
	}
	longest := slices.Max(a.o.Pace.Retry)
	for _, p := range a.pending {
		earlier(&p.Due, max(a.o.Pace.Window, a.o.Pace.Damp))
	}
	for _, m := range a.messages {
		earlier(&m.Created, 0)
		earlier(&m.Next, longest)
	}
	for _, s := range a.lanes {
		earlier(&s.next, longest)
	}
	for _, in := range a.incidents {
		earlier(&in.Since, 0)
		for name, at := range in.Told {
			earlier(&at, 0)
			in.Told[name] = at
		}
	}
	earlier(&a.looked, 0)
}

// Notifier is a notifier and what has become of its messages.
type Notifier struct {
	Notifier     *model.Notifier
	To           []string // without secrets
	Via          string   // without secrets
	Sent, Failed uint64
	Waiting      int
	LastError    string
	LastTime     time.Time
}

// Notifiers are those in force; that of email_alerts comes last, when it ever had something to tell.
func (a *Alerts) Notifiers() []Notifier {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.configured()
	if a.counts[model.EmailAlerts] != nil || slices.ContainsFunc(a.messages, func(m *message) bool { return m.Notifier == model.EmailAlerts }) {
		list = append(slices.Clone(list), a.named(model.EmailAlerts))
	}
	out := make([]Notifier, 0, len(list))
	for _, n := range list {
		s := Notifier{Notifier: n, Via: deliver.ShownVia(n.Via)}
		for _, to := range n.To {
			s.To = append(s.To, deliver.Shown(to))
		}
		if c := a.counts[n.Name]; c != nil {
			s.Sent, s.Failed, s.LastError, s.LastTime = c.Sent, c.Failed, c.LastError, c.LastTime
		}
		for _, m := range a.messages {
			if m.Notifier == n.Name {
				s.Waiting++
			}
		}
		out = append(out, s)
	}
	return out
}

// Delivery is what became of a test.
type Delivery struct {
	To       string // without secrets
	Err      error
	Dialogue []string
}

// Test sends a labelled message to all destinations of a notifier now, one after the other; false = there is no such
// notifier.
func (a *Alerts) Test(ctx context.Context, name string) ([]Delivery, bool) {
	n := a.named(name)
	if n == nil || name == model.EmailAlerts {
		return nil, false
	}
	now := a.o.Now()
	r := &report.Report{
		ID: ulid(now, rand.Text()), Kind: "test", State: "TEST", Host: a.o.Host, Notifier: n.Name, Time: now,
		Items: []report.Item{{
			Headline: "of notifier " + n.Name, Since: now,
			Lead: "sends a test. Nothing has happened; somebody asked for it: upkeep notify test " + n.Name + ".",
		}},
	}
	var out []Delivery
	for _, to := range n.To {
		lines, err := a.o.Courier.Deliver(ctx, n, to, r)
		out = append(out, Delivery{To: deliver.Shown(to), Err: err, Dialogue: lines})
	}
	return out, true
}

// Trouble tells of a fault of the daemon itself, once until Over says that it is over. key is a stable word.
func (a *Alerts) Trouble(key, text string) { a.say(note{Type: noteTrouble, Key: key, Text: text}) }

// Over tells that a fault of the daemon is over; one that was not told of is none.
func (a *Alerts) Over(key string) { a.say(note{Type: noteOver, Key: key}) }
