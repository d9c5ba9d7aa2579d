package alerts

import (
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// read turns notes into incidents and what is to be told, some at a time, and reports whether there are more.
func (a *Alerts) read(now time.Time) (more bool) {
	notes, lost, more := a.inbox.take()
	for i := range notes {
		a.handle(&notes[i])
		a.state.Through = notes[i].N
		a.latest = later(a.latest, notes[i].Time.Round(0))
	}
	if lost > 0 {
		a.o.Log.Logf(activity.Error, "alerts: %s came too fast and were not looked at", words.Count(int(lost), "event", "events"))
		a.fault(&note{
			N: a.state.Through, Time: now, Type: noteGap, Key: "events",
			Text: words.Count(int(lost), "event", "events") + " came too fast: somebody may not have been told of what happened",
		})
	}
	if len(notes) == 0 {
		return false
	}
	a.put(stateKey, a.state)
	a.flush()
	if a.o.Journal != nil {
		for i := range notes { // they are in the store now
			a.o.Journal.Put(noteKey(notes[i].N), nil)
		}
	}
	return more
}

// handle deals with one note.
func (a *Alerts) handle(n *note) {
	switch n.Type {
	case noteTrouble:
		a.fault(n)
		return
	case noteOver:
		a.close(&incident{Kind: model.TriggerDaemon, Name: n.Key}, n, true)
		return
	case model.EventGroupRemoved:
		a.removed(n)
		return
	}
	st, ok := a.o.Status(n.ID)
	if !ok {
		a.forget(n)
		return
	}
	p := a.of(n.ID)
	if n.N <= p.Last {
		return // this process was killed after that, and before it could say so of all that it had read
	}
	p.Last = n.N
	if n.Ending && n.Type != model.EventProcessStopped {
		switch n.Type {
		case model.EventProcessExited, model.EventProcessFatal:
			n.Type = model.EventProcessStopped // nobody starts it again, and nobody is to
		default:
			return
		}
	}
	switch n.Type {
	case model.EventProcessStarting:
		p.Auto = p.Auto || n.Auto
	case model.EventProcessRunning:
		a.runs(n, &st, p)
	case model.EventProcessStopping:
		if p.Acted != 0 && p.Acted == n.Gen {
			a.occurs(n, &st, model.TriggerCheck)
		}
	case model.EventProcessExited, model.EventProcessBackoff:
		p.Up = p.Up || n.From == model.Running // its beginning was another daemon's matter
		a.ended(n, &st, p)
	case model.EventProcessFatal:
		p.Up = false
		a.open(&incident{Kind: model.TriggerFatal, ID: n.ID}, n, &st)
	case model.EventProcessStopped, model.EventReleased:
		if p.Acted != 0 && n.From == model.Stopping { // it comes again
			p.Until = n.Time
			break
		}
		*p = program{Last: p.Last, Spoken: p.Spoken}
		a.closeAll(n, false)
	case model.EventCheckFailed, model.EventCheckPassed, model.EventCheckAction:
		a.checked(n, &st, p)
	}
	a.putProgram(n.ID)
}

// runs deals with a program that has come up.
func (a *Alerts) runs(n *note, st *model.Status, p *program) {
	a.close(&incident{Kind: model.TriggerFatal, ID: n.ID}, n, true)
	a.close(&incident{Kind: model.TriggerBackoff, ID: n.ID}, n, true)
	if in := a.incidents[(&incident{Kind: model.TriggerUnhealthy, ID: n.ID}).key()]; in != nil && in.Gen != n.Gen {
		a.close(in, n, true)
	}
	recovered := a.recovering(n)
	was := p.Up
	if p.Told < n.Gen || p.Auto {
		switch {
		case n.Past.Adopted: // it ran all the time
		case p.Auto:
			n.Auto = true
			a.starts(n, st, was, recovered)
		case n.Past.Restarts > 0 && p.Dead != 0 && p.Dead < n.Gen:
			a.starts(n, st, true, recovered)
		case !was || n.Past.Restarts == 0: // somebody has started it
		case p.Acted != 0 && p.Acted < n.Gen, p.Asked != 0 && p.Asked < n.Gen: // told, or asked for
		default:
			if len(p.Restarts) < maxRestarts {
				p.Restarts = append(p.Restarts, n.Time)
			}
			a.restarts(n, st, p, recovered)
		}
	}
	p.Up, p.Auto, p.Told, p.Since, p.Until = true, false, n.Gen, n.Start, time.Time{}
	p.Asked, p.Acted, p.Check, p.Found, p.Dead = 0, 0, "", "", 0
}

// starts tells of a start by the daemon.
func (a *Alerts) starts(n *note, st *model.Status, found bool, but []string) {
	a.addAll(n, st, telling{kind: model.TriggerStarted, but: but, found: found}, func(who *model.Notifier) bool {
		return has(who, model.TriggerStarted, 0) || found && has(who, model.TriggerRestart, 1)
	})
}

// restarts tells of a restart, or of the one with which there have been too many.
func (a *Alerts) restarts(n *note, st *model.Status, p *program, but []string) {
	for _, who := range a.audience(st.Program) {
		for _, tr := range who.On {
			if tr.Kind != model.TriggerRestart {
				continue
			}
			t := a.telling(n, st, model.TriggerRestart)
			t.but = but
			if tr.Count <= 1 {
				a.add(who, t)
				continue
			}
			times := 0
			for _, at := range p.Restarts {
				if ago := n.Time.Sub(at); tr.Within == 0 || ago >= 0 && ago < tr.Within {
					times++
				}
			}
			if times < tr.Count {
				continue
			}
			in := a.enter(&incident{Kind: model.TriggerRestart, ID: n.ID, Within: tr.Within}, n)
			in.Within = max(in.Within, tr.Within)
			if t.in, t.times = in, times; in.Told[who.Name].IsZero() {
				a.add(who, t)
			}
		}
	}
}

// ended deals with the end of an instance that is not one that was asked for by a stop.
func (a *Alerts) ended(n *note, st *model.Status, p *program) {
	if p.Until.IsZero() && !p.Since.IsZero() {
		p.Until = n.Stop
	}
	over := n.Past.Ended // where the program is started again in the same step, Gen is the next one
	if n.asked() {
		p.Asked = over
	} else if n.Past.Unseen {
		p.Dead = over
	}
	if n.Exit.OOMKills > 0 && p.OOM != over {
		p.OOM = over
		a.occurs(n, st, model.TriggerOOM)
	}
	switch {
	case n.Type == model.EventProcessBackoff:
		if p.Asked != over {
			a.open(&incident{Kind: model.TriggerBackoff, ID: n.ID}, n, st)
		}
	case st.Program.Exit.Restart == model.RestartNever && !n.Expected:
		if p.Up = false; p.Asked != over {
			a.open(&incident{Kind: model.TriggerFatal, ID: n.ID}, n, st)
		}
	case n.Expected && st.Program.Exit.Restart != model.RestartAlways: // it has done what it had to
		p.Up = false
		a.closeAll(n, false)
	}
}

// asked reports whether somebody has ended the instance by a signal of ours.
func (n *note) asked() bool {
	switch sig := syscall.Signal(n.Past.Signal); {
	case sig == 0:
		return false
	case n.Exit.Signal == int(sig):
		return true
	default:
		return sig == syscall.SIGTERM || sig == syscall.SIGKILL || sig == syscall.SIGINT || sig == syscall.SIGQUIT
	}
}

// checked deals with what a check has found.
func (a *Alerts) checked(n *note, st *model.Status, p *program) {
	at := slices.IndexFunc(st.Program.Checks, func(c model.Check) bool { return c.Name == n.Key })
	if at < 0 || st.Program.Checks[at].Stage != model.StageLive {
		return
	}
	in := &incident{Kind: model.TriggerUnhealthy, ID: n.ID}
	switch n.Type {
	case model.EventCheckAction:
		p.Acted, p.Check, p.Found = n.Gen, n.Key, n.Text
	case model.EventCheckFailed:
		if st.Program.Checks[at].Action != model.CheckEvent {
			a.open(in, n, st)
		}
	case model.EventCheckPassed:
		open := a.incidents[in.key()]
		if open == nil {
			return
		}
		open.Checks = slices.DeleteFunc(open.Checks, func(name string) bool { return name == n.Key })
		if a.putIncident(open); len(open.Checks) == 0 {
			a.close(open, n, true)
		}
	}
}

// occurs tells of something that is over as soon as it has happened.
func (a *Alerts) occurs(n *note, st *model.Status, k model.TriggerKind) {
	a.addAll(n, st, telling{kind: k}, func(who *model.Notifier) bool { return has(who, k, 0) })
}

// forget deals with a program that is not there any more.
func (a *Alerts) forget(n *note) {
	a.closeAll(n, false)
	delete(a.programs, n.ID)
	a.put(programPrefix+n.ID.Namespec(), nil)
}

// removed forgets the programs of a group that are not there any more.
func (a *Alerts) removed(n *note) {
	for id := range a.programs {
		if id.Group != n.ID.Group {
			continue
		}
		if _, ok := a.o.Status(id); !ok {
			a.forget(&note{N: n.N, Time: n.Time, ID: id})
		}
	}
}

// audience are those who may be told of a program.
func (a *Alerts) audience(p *model.Program) []*model.Notifier {
	var out []*model.Notifier
	for _, n := range a.configured() {
		if n.Tells(p) {
			out = append(out, n)
		}
	}
	if len(p.Email) > 0 {
		n := a.named(model.EmailAlerts)
		n.To = nil
		for _, address := range p.Email {
			n.To = append(n.To, "mailto:"+address)
		}
		// What usrsvc tells, with the outcomes that it does not. Source: spec/usrsvc US-90, one-model C16.
		n.On = []model.Trigger{
			{Kind: model.TriggerStarted},
			{Kind: model.TriggerRestart},
			{Kind: model.TriggerCheck},
			{Kind: model.TriggerFatal},
			{Kind: model.TriggerRecovered},
		}
		out = append(out, n)
	}
	return out
}

// has reports whether a notifier is to tell of a kind; count is how often something has happened, 0 = that does not matter.
func has(n *model.Notifier, k model.TriggerKind, count int) bool {
	return slices.ContainsFunc(n.On, func(t model.Trigger) bool { return t.Kind == k && (count == 0 || t.Count <= count) })
}

// try says which attempt has failed.
func (n *note) try(st *model.Status) string {
	text := "try " + strconv.Itoa(n.Tries)
	if retries := st.Program.Start.Retries; retries >= 0 {
		text += " of " + strconv.Itoa(retries+1)
	}
	return text
}
