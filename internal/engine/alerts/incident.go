package alerts

import (
	"maps"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// incident is something that lasts until it is over. A program has at most one of a kind.
type incident struct {
	Kind   model.TriggerKind
	ID     model.ID      `json:",omitzero"` // zero = of the daemon
	Name   string        `json:",omitzero"` // of the daemon: which
	N      uint64        // the note that opened it
	Since  time.Time     // it began
	Gen    uint64        `json:",omitzero"` // the instance that it began with
	Checks []string      `json:",omitzero"` // unhealthy: those that fail
	Within time.Duration `json:",omitzero"` // restart: over when there was none for so long
	Item   *said         // what was said when it began, for reminders
	// Told is who was told of it, and when last.
	Told map[string]time.Time `json:",omitzero"`
}

func (in *incident) key() string {
	if in.ID == (model.ID{}) {
		return in.Kind.String() + "//" + in.Name
	}
	return in.Kind.String() + "/" + in.ID.Namespec()
}

// enter finds an incident, or begins it.
func (a *Alerts) enter(like *incident, n *note) *incident {
	in := a.incidents[like.key()]
	if in == nil {
		in = like
		in.N, in.Since, in.Gen, in.Told = n.N, n.Time, n.Gen, map[string]time.Time{}
		a.incidents[in.key()] = in
	}
	if in.Told == nil {
		in.Told = map[string]time.Time{}
	}
	a.putIncident(in)
	return in
}

// open begins an incident, or goes on with it, and has those told who are to be and were not.
func (a *Alerts) open(like *incident, n *note, st *model.Status) {
	in := a.enter(like, n)
	switch in.Kind {
	case model.TriggerFatal: // it began when the program did not stay up
		if tries := a.incidents[(&incident{Kind: model.TriggerBackoff, ID: n.ID}).key()]; tries != nil {
			in.Since = tries.Since
			a.putIncident(in)
			a.drop(tries)
		}
	case model.TriggerUnhealthy:
		if !slices.Contains(in.Checks, n.Key) {
			in.Checks = append(in.Checks, n.Key)
		}
	}
	a.putIncident(in)
	tries := 0
	if in.Kind == model.TriggerBackoff {
		tries = max(n.Tries, 1)
	}
	a.addAll(n, st, telling{kind: in.Kind, in: in}, func(who *model.Notifier) bool {
		return has(who, in.Kind, tries) && in.Told[who.Name].IsZero()
	})
}

// drop forgets an incident without a word.
func (a *Alerts) drop(in *incident) {
	delete(a.incidents, in.key())
	a.put(incidentPrefix+in.key(), nil)
}

// close ends an incident, and tells those who were told of it that it is over. What was not told yet is told with how it
// has come out.
func (a *Alerts) close(like *incident, n *note, tell bool) {
	in := a.incidents[like.key()]
	if in == nil {
		return
	}
	defer a.drop(in) // when it is known who is told of that
	if !tell {
		return
	}
	for _, who := range a.everybody(in) {
		if !in.Told[who.Name].IsZero() && has(who, model.TriggerRecovered, 0) {
			a.add(who, telling{n: n, kind: model.TriggerRecovered, said: recovery(in, n)})
		}
	}
}

// recovering are the names of those who are about to tell that a program is well again, and know it by this note.
func (a *Alerts) recovering(n *note) []string {
	var names []string
	for _, p := range a.pending {
		if p.Kind == model.TriggerRecovered && p.ID == n.ID && p.Last == n.N {
			names = append(names, p.Notifier)
		}
	}
	return names
}

// closeAll ends all incidents of a program.
func (a *Alerts) closeAll(n *note, tell bool) {
	for k := range model.NumTriggers {
		a.close(&incident{Kind: model.TriggerKind(k), ID: n.ID}, n, tell)
	}
}

// everybody are all who may have been told of an incident.
func (a *Alerts) everybody(in *incident) []*model.Notifier {
	if st, ok := a.o.Status(in.ID); ok {
		return a.audience(st.Program)
	}
	return a.configured()
}

// fault begins an incident of the daemon.
func (a *Alerts) fault(n *note) {
	in := a.enter(&incident{Kind: model.TriggerDaemon, Name: n.Key}, n)
	t := telling{n: n, kind: model.TriggerDaemon, in: in, said: daemonSaid(n)}
	a.conceal(&t.said)
	if n.Type == noteGap {
		a.drop(in) // it is over as soon as it has happened
		t.in = nil
	}
	t.fault = n.Key
	for _, who := range a.configured() {
		if has(who, model.TriggerDaemon, 0) && in.Told[who.Name].IsZero() && !a.about(who, in) {
			a.add(who, t)
		}
	}
}

// about reports whether a notifier is about to tell of an incident.
func (a *Alerts) about(who *model.Notifier, in *incident) bool {
	return slices.ContainsFunc(a.pending, func(p *pending) bool {
		return p.Notifier == who.Name && slices.Contains(p.Incident, in.key())
	})
}

// look ends incidents of which no event tells that they are over.
func (a *Alerts) look(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(a.incidents)) {
		in := a.incidents[key]
		if in.ID == (model.ID{}) {
			continue
		}
		st, ok := a.o.Status(in.ID)
		n := &note{N: a.state.Through, Time: now, ID: in.ID, Gen: st.Generation, PID: st.PID, Start: st.Start}
		switch {
		case !ok || !a.concerns(st.Program), a.rests(&st, now):
			a.drop(in)
		case (in.Kind == model.TriggerFatal || in.Kind == model.TriggerBackoff) && st.State == model.Running && a.longAgo(st.Start, now):
			a.close(in, n, true)
		case in.Kind == model.TriggerRestart && st.State == model.Running && a.quiet(in, now):
			a.close(in, n, true)
		case in.Kind == model.TriggerUnhealthy && a.o.Checks != nil && a.well(in, &st):
			a.close(in, n, true)
		}
	}
}

// rests reports whether a program is not to run: it is STOPPED, and not only on the way to its next start; or it is disabled.
func (a *Alerts) rests(st *model.Status, now time.Time) bool {
	return (st.State == model.Stopped || st.PID == 0 && st.Program.Disabled) && a.longAgo(st.Stop, now)
}

// longAgo reports whether something happened so long ago that its event has been read, or will not come.
func (a *Alerts) longAgo(at, now time.Time) bool {
	ago := now.Sub(at)
	return ago >= a.o.Pace.Look || ago < 0 // a clock that was set back
}

// quiet reports whether a program that was restarted too often has not been for a while.
func (a *Alerts) quiet(in *incident, now time.Time) bool {
	last := in.Since
	if p := a.programs[in.ID]; p != nil && len(p.Restarts) > 0 {
		last = p.Restarts[len(p.Restarts)-1]
	}
	ago := now.Sub(last)
	return ago >= max(in.Within, a.o.Pace.Damp) || ago < 0
}

// well reports whether all checks that failed pass now, or are not made any more.
func (a *Alerts) well(in *incident, st *model.Status) bool {
	known := a.o.Checks(in.ID)
	for _, name := range in.Checks {
		if !slices.ContainsFunc(st.Program.Checks, func(c model.Check) bool { return c.Name == name }) {
			continue
		}
		if !slices.ContainsFunc(known, func(c model.CheckState) bool { return c.Check.Name == name && c.Verdict == model.Passing }) {
			return false
		}
	}
	return true
}
