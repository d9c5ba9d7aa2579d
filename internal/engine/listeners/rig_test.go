package listeners

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

const longest = 10 * time.Second

// rig is a real core over a host whose programs always run, and the pools beside it.
type rig struct {
	t    *testing.T
	core *core.Core
	p    *Pools

	mu      sync.Mutex
	lines   []string
	journal map[string][]byte
	bounced []string
	inputs  map[string]*input
	now     time.Time
}

// newRig makes a rig with some pools, whose listeners are connected and RUNNING. before is what a predecessor has left.
func newRig(t *testing.T, before map[string][]byte, pools ...*model.Group) *rig {
	t.Helper()
	r := &rig{t: t, journal: maps.Clone(before), inputs: map[string]*input{}, now: time.Unix(1_000_000, 0)}
	if r.journal == nil {
		r.journal = map[string][]byte{}
	}
	ring := events.New(100)
	r.p = New(Options{
		Identifier: "id", Ring: ring, Log: r, Journal: r, Now: r.clock,
		Table:  func() *core.Table { return r.core.Table() },
		Bounce: func(id model.ID, gen uint64) { r.note(&r.bounced, fmt.Sprintf("%s/%d", id, gen)) },
	})
	ring.Observe(r.p.Happened)
	r.core = core.New(core.Options{Host: r, Log: r, Ring: ring, Settled: r.p.Kick})
	if before != nil {
		r.p.Restore(before, pools)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.core.Run(ctx) })
	running.Go(func() { r.p.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	var add []core.NewGroup
	for _, g := range pools {
		add = append(add, core.NewGroup{Spec: g, Logs: make([]core.LogPaths, len(g.Programs))})
	}
	if err := r.core.AddGroups(ctx, add); err != nil {
		t.Fatal(err)
	}
	for _, g := range pools {
		for _, p := range g.Programs {
			r.until("it runs", func() bool { return r.core.Table().Slot(p.ID).Status().State == model.Running })
		}
	}
	return r
}

// poolOf is a pool of listeners.
func poolOf(name, subscribed string, buffer int, listeners ...string) *model.Group {
	g := &model.Group{
		Name: name, Kind: model.KindEventListener, Priority: -1,
		Pool: &model.Pool{Events: strings.Split(subscribed, ","), Buffer: buffer, ResultHandler: DefaultHandler},
	}
	for _, l := range listeners {
		g.Programs = append(g.Programs, &model.Program{
			ID: model.ID{Group: name, Name: l}, Kind: model.KindEventListener, Start: model.StartPolicy{Auto: true},
		})
	}
	return g
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	r.now = r.now.Add(d)
	r.mu.Unlock()
	r.p.Kick()
}

func (r *rig) note(to *[]string, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*to = append(*to, text)
}

// Logf keeps what is about events.
func (r *rig) Logf(l activity.Level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.Contains(text, "spawned") || strings.Contains(text, "success") {
		return
	}
	r.note(&r.lines, l.String()+" "+text)
}

// said takes the lines since the last time.
func (r *rig) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := strings.Join(r.lines, "\n")
	r.lines = nil
	return out
}

func (r *rig) Put(key string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if value == nil {
		delete(r.journal, key)
		return
	}
	r.journal[key] = bytes.Clone(value)
}

func (r *rig) Give(key string, value []byte) { r.Put(key, value) }

func (r *rig) Flush() error { return nil }

// left is what a successor finds.
func (r *rig) left() map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.journal)
}

func (r *rig) Now() time.Duration      { return time.Duration(time.Now().UnixNano()) }
func (r *rig) Wall() time.Time         { return time.Now() }
func (r *rig) Release()                {}
func (r *rig) PID() int                { return 77 }
func (r *rig) WriteStdin([]byte) error { return nil }

func (r *rig) Signal(int, model.Reach) error { return nil }

func (r *rig) Launch(i core.Instance) {
	id := i.Slot.Program().ID
	in := &input{}
	r.mu.Lock()
	r.inputs[id.Name] = in
	r.mu.Unlock()
	r.p.Listen(id, i.Gen, in)
	r.core.Launched(i, r)
}

func (r *rig) Resume(core.Instance, bool) core.Resumed { return core.Resumed{} }

// hear has a listener say something.
func (r *rig) hear(g *model.Group, name, text string) {
	r.p.Heard(model.ID{Group: g.Name, Name: name}, 1, []byte(text))
}

// remote makes an event.
func (r *rig) remote(kind string) {
	r.p.o.Ring.Append(model.Event{Type: model.EventRemote, Kind: kind})
}

// got are the types of the remote events that a listener was sent, with both serials.
func (r *rig) got(name string) string {
	r.mu.Lock()
	in := r.inputs[name]
	r.mu.Unlock()
	return in.kinds()
}

func (r *rig) until(what string, f func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(longest); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("in vain: %s\n%s", what, r.said())
		}
	}
}

// expect waits until a listener has been sent exactly these.
func (r *rig) expect(name, want string) {
	r.t.Helper()
	r.until(fmt.Sprintf("%s gets %q, has %q", name, want, r.got(name)), func() bool { return r.got(name) == want })
}

// input is the standard input of a listener.
type input struct {
	mu     sync.Mutex
	data   strings.Builder
	queued int
	broken bool
}

func (i *input) Write(b []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.broken {
		return errors.New("closed")
	}
	i.data.Write(b)
	return nil
}

func (i *input) Queued() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.queued
}

func (i *input) set(f func(*input)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i)
}

func (i *input) kinds() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []string
	for _, m := range regexp.MustCompile(`serial:(\d+) pool:\S+ poolserial:(\d+) eventname:(\S+) len:\d+\n(?:type:(\w+))?`).
		FindAllStringSubmatch(i.data.String(), -1) {
		out = append(out, cmp.Or(m[4], m[3])+m[1]+"/"+m[2])
	}
	return strings.Join(out, " ")
}
