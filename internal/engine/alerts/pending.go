package alerts

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// pending is something that one notifier is about to tell: it waits for more that belongs into the same message.
type pending struct {
	N        uint64 // the note that it began with
	Last     uint64 // the last one of its kind
	Notifier string
	Email    []string `json:",omitzero"` // of model.EmailAlerts: the destinations
	Kind     model.TriggerKind
	ID       model.ID `json:",omitzero"` // zero = the daemon
	Fault    string   `json:",omitzero"` // of the daemon: which
	Gen      uint64   `json:",omitzero"`
	Time     time.Time
	Due      time.Time
	Times    int      `json:",omitzero"`
	Incident []string `json:",omitzero"` // the keys of those that it tells of
	Said     said
}

// rank orders what is told of one program at the same time: the highest is told, with the others in it. What is not in it
// stands for itself.
func rank(k model.TriggerKind) int {
	switch k {
	case model.TriggerFatal:
		return 7
	case model.TriggerOOM:
		return 6
	case model.TriggerCheck:
		return 5
	case model.TriggerUnhealthy:
		return 4
	case model.TriggerBackoff:
		return 3
	case model.TriggerRestart:
		return 2
	case model.TriggerStarted:
		return 1
	}
	return 0
}

// add has a notifier tell something when the window is over.
func (a *Alerts) add(who *model.Notifier, t telling) {
	if slices.Contains(t.but, who.Name) {
		return
	}
	if t.found {
		t.said.dead(t.n)
	}
	p := &pending{
		N: t.n.N, Last: t.n.N, Notifier: who.Name, Kind: t.kind, ID: t.n.ID, Gen: t.n.Gen, Time: t.n.Time, Due: t.n.Time.Add(a.o.Pace.Window),
		Times: max(t.times, 1), Said: t.said, Fault: t.fault,
	}
	if who.Name == model.EmailAlerts {
		p.Email = slices.Clone(who.To)
	}
	if t.in != nil {
		p.Incident = []string{t.in.key()}
		if t.in.Item == nil {
			t.in.Item = &t.said
			a.putIncident(t.in)
		}
	}
	for i, q := range a.pending {
		if q.joins(p) {
			a.pending[i] = merge(q, p)
			a.putPending(a.pending[i])
			return
		}
	}
	if at := a.spoken(p); !at.IsZero() && !at.After(a.o.Now()) && damped(p.Kind) {
		p.Due = later(p.Due, at.Add(a.o.Pace.Damp))
	}
	a.pending = append(a.pending, p)
	a.putPending(p)
}

// addAll is add for those of a program's audience who want it. What there is to say is collected only where there are such:
// output has to be read for that.
func (a *Alerts) addAll(n *note, st *model.Status, like telling, wants func(*model.Notifier) bool) {
	var t telling
	for _, who := range a.audience(st.Program) {
		if !wants(who) {
			continue
		}
		if t.n == nil {
			t = a.telling(n, st, like.kind)
			t.in, t.found, t.but = like.in, like.found, like.but
		}
		a.add(who, t)
	}
}

// joins reports whether two are told as one; they have the same key then. A fault of the daemon joins nothing but itself, when
// this process was killed in the middle of it.
func (p *pending) joins(q *pending) bool {
	if p.Notifier != q.Notifier || p.ID != q.ID {
		return false
	}
	if p.ID == (model.ID{}) {
		return p.Kind == q.Kind && p.Fault == q.Fault && p.N == q.N
	}
	return (rank(p.Kind) == 0) == (rank(q.Kind) == 0)
}

// merge is one of two that are told of the same program at the same time, p the later one.
func merge(q, p *pending) *pending {
	if q.Kind == p.Kind {
		if p.N <= q.Last { // it is counted: by another trigger, or by a process that was killed
			q.Times, q.Incident = max(q.Times, p.Times), union(q.Incident, p.Incident)
			return q
		}
		p.N, p.Due, p.Time = q.N, q.Due, q.Time
		p.Times = max(p.Times, q.Times+1)
		p.Incident = union(q.Incident, p.Incident)
		return p
	}
	if rank(q.Kind) > rank(p.Kind) {
		q, p = p, q
	}
	for _, f := range q.Said.Item.Facts {
		if !slices.ContainsFunc(p.Said.Item.Facts, func(g report.Fact) bool { return g.Name == f.Name }) {
			p.Said.Item.Facts = append(p.Said.Item.Facts, f)
		}
	}
	if q.Due.Before(p.Due) {
		p.Due = q.Due
	}
	p.Incident = union(q.Incident, p.Incident)
	return p
}

func union(x, y []string) []string {
	out := slices.Clone(x)
	for _, s := range y {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func later(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}

// damped reports whether a kind is told at most once in a while: it can come again and again by itself.
func damped(k model.TriggerKind) bool {
	switch k {
	case model.TriggerFatal, model.TriggerStarted, model.TriggerRecovered:
		return false
	}
	return true
}

func spokenKey(notifier string, k model.TriggerKind) string { return notifier + "/" + k.String() }

// spoken is when the notifier has last told the same of the program.
func (a *Alerts) spoken(p *pending) time.Time {
	if p.ID == (model.ID{}) {
		return a.state.Faults[p.Notifier+"/"+p.Fault]
	}
	known := a.programs[p.ID]
	if known == nil {
		return time.Time{}
	}
	return known.Spoken[spokenKey(p.Notifier, p.Kind)]
}

// bucket says which of them come in one message.
func (p *pending) bucket() string {
	return strings.Join(append([]string{p.Notifier, p.Kind.String(), p.ID.Group, p.Said.State}, p.Email...), "\x00")
}

// explained is what is looked up of programs that are about to be told of, before the lock is taken.
type explained map[model.ID][]report.Fact

// explanations asks why programs have failed that are about to be told of, a few of each message.
func (a *Alerts) explanations(ctx context.Context, now time.Time) explained {
	if a.o.Explain == nil {
		return nil
	}
	a.mu.Lock()
	var ids []model.ID
	of := map[string]int{}
	for _, p := range a.pending {
		if p.Due.After(now) || p.Kind != model.TriggerFatal && p.Kind != model.TriggerBackoff || slices.Contains(ids, p.ID) {
			continue
		}
		if of[p.bucket()]++; of[p.bucket()] <= report.Detailed {
			ids = append(ids, p.ID)
		}
	}
	a.mu.Unlock()
	out := explained{}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		if st, ok := a.o.Status(id); ok && (st.State == model.Fatal || st.State == model.Backoff || st.State == model.Exited) {
			out[id], _ = soon(a, func() []report.Fact { return a.o.Explain(ctx, id) })
		}
	}
	return out
}

// tell makes messages of what is due.
func (a *Alerts) tell(now time.Time, facts explained) {
	var due []string // the buckets of which one is, in their order
	together := map[string][]*pending{}
	for _, p := range a.pending {
		if p.Due.After(now) {
			continue
		}
		if b := p.bucket(); together[b] == nil {
			due, together[b] = append(due, b), []*pending{}
		}
	}
	if len(due) == 0 {
		return
	}
	a.pending = slices.DeleteFunc(a.pending, func(p *pending) bool {
		if p.Due.After(now.Add(a.o.Pace.Window)) {
			return false
		}
		b := p.bucket()
		if together[b] == nil {
			return false
		}
		together[b] = append(together[b], p)
		return true
	})
	for _, b := range due {
		all := together[b]
		slices.SortFunc(all, byNote)
		a.message(now, all, facts)
		for _, p := range slices.Backward(all) { // the first, of which the ids are made, at last
			a.put(pendingKey(p), nil)
		}
	}
}

// message makes the messages, one for each destination, that tell all of a bucket.
func (a *Alerts) message(now time.Time, all []*pending, facts explained) {
	first := all[0]
	who := a.named(first.Notifier)
	if who == nil {
		return // it is not configured any more
	}
	if first.Email != nil {
		who.To = first.Email
	}
	r := &report.Report{
		Kind: first.Kind.String(), State: first.Said.State, Host: a.o.Host, Notifier: first.Notifier, Group: first.ID.Group, Time: now,
		Command: a.o.Command,
	}
	for _, p := range all {
		it := p.Said.Item
		it.Facts = slices.Clone(it.Facts)
		if len(r.Items) >= report.Detailed { // or a message of a thousand programs would be as long as their logs
			it.Stream, it.Lines = "", nil
		}
		if p.Times > 1 {
			it.Times = p.Times
			it.Facts = append(it.Facts, report.Fact{Name: "times", Text: fmt.Sprintf("%s since %s", words.Times(p.Times), clock(p.Time))})
		}
		for _, f := range facts[p.ID] {
			it.Facts = append(it.Facts, report.Fact{Name: f.Name, Text: a.hide.Line(f.Text)})
		}
		if f, ok := a.outcome(p, now); ok {
			it.Facts = append(it.Facts, f)
		}
		r.Items = append(r.Items, it)
		a.mark(p, now)
	}
	a.enqueue(who, r, first.Time, fmt.Sprint(first.N, first.Kind, first.ID))
}

// mark notes who was told of what.
func (a *Alerts) mark(p *pending, now time.Time) {
	for _, key := range p.Incident {
		if in := a.incidents[key]; in != nil {
			in.Told[p.Notifier] = now
			a.putIncident(in)
		}
	}
	if p.Fault != "" {
		if a.state.Faults == nil {
			a.state.Faults = map[string]time.Time{}
		}
		a.state.Faults[p.Notifier+"/"+p.Fault] = now
		a.put(stateKey, a.state)
	}
	if known := a.programs[p.ID]; known != nil {
		if known.Spoken == nil {
			known.Spoken = map[string]time.Time{}
		}
		known.Spoken[spokenKey(p.Notifier, p.Kind)] = now
		a.putProgram(p.ID)
	}
}

// outcome is what has become of the program meanwhile. Source: spec/usrsvc US-92.
func (a *Alerts) outcome(p *pending, now time.Time) (report.Fact, bool) {
	st, ok := a.o.Status(p.ID)
	if !ok || p.ID == (model.ID{}) {
		return report.Fact{}, false
	}
	text := "it is " + st.State.String()
	switch st.State {
	case model.Running:
		text += fmt.Sprintf(" since %s, pid %d", clock(st.Start), st.PID)
	case model.Backoff:
		if next := model.NextTry(st); next.After(now) {
			text += ", and is tried again in " + words.Duration(next.Sub(now))
		}
	case model.Stopped:
		if st.Past.StopBy != "" {
			text += ": " + st.Past.StopBy + " has stopped it"
		}
	}
	return report.Fact{Name: "now", Text: text}, true
}

// remind tells again of what lasts.
func (a *Alerts) remind(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(a.incidents)) {
		in := a.incidents[key]
		if in.Item == nil {
			continue
		}
		for name, at := range in.Told {
			who := a.named(name)
			if who == nil || who.Repeat <= 0 || now.Sub(at) < who.Repeat {
				continue
			}
			it := in.Item.Item
			it.Facts = append(slices.Clone(it.Facts), report.Fact{Name: "lasts", Text: "for " + words.Duration(now.Sub(in.Since))})
			if f, ok := a.outcome(&pending{ID: in.ID}, now); ok {
				it.Facts = append(it.Facts, f)
			}
			a.enqueue(who, &report.Report{
				Kind: in.Kind.String(), State: in.Item.State, Host: a.o.Host, Notifier: name, Group: in.ID.Group, Time: now, Command: a.o.Command,
				Reminder: true, Items: []report.Item{it},
			}, at, in.key())
			in.Told[name] = now
			a.putIncident(in)
		}
	}
}

// ulid is an id that sorts by its time; the rest is made of words, so that the same message gets the same id again.
func ulid(at time.Time, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	ms := uint64(at.UnixMilli())
	b := []byte{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
	b = append(b, sum[:10]...)
	// 128 bits are 26 characters of 5 bits: two zero bits come first.
	wide := append([]byte{0, 0, 0, 0}, b...)
	return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding).EncodeToString(wide)[6:]
}
