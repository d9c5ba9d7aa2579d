package lifecycle

import (
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func plantedInTimers() []planted {
	return []planted{
		{"the timer's number is not looked at", "news of the past change nothing", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			ev.Epoch = m.Epoch
		})},
		{"a void timer is obeyed", "news of the past change nothing", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			m.Armed = m.Armed || ev.Kind == Timer && m.State == model.Running
			if ev.Kind == Timer && m.State == model.Running && ev.Epoch == m.Epoch {
				m.State = model.Starting
			}
		})},
		{"timers share one number", "timers are new", edited(func(m *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == Arm {
				a.Epoch--
				m.Epoch--
			}
		})},
		{"a Disarm is lost", "at rest no timer runs", without(Disarm)},
		{"a Disarm too many", "only a timer is disarmed", then(func(before Machine, _ *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Stop && before.State == model.Running {
				return append([]Action{{Do: Disarm}}, out...)
			}
			return out
		})},
		{"an Arm is lost", "the record is true", without(Arm)},
		{"FATAL tries again later", "at rest no timer runs", then(func(_ Machine, m *Machine, _ *Policy, now time.Duration, _ Event, out []Action) []Action {
			if find(out, SayGaveUp) >= 0 {
				m.Epoch++
				m.Armed, m.Due = true, now+time.Minute
				out = append(out, Action{Do: Arm, At: m.Due, Epoch: m.Epoch})
			}
			return out
		})},
		{"BACKOFF has no timer", "BACKOFF goes on, unless draining", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if m.State == model.Backoff {
				return disarmed(m, out)
			}
			return out
		})},
		{"the drain leaves the timer of BACKOFF", "BACKOFF goes on, unless draining", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Drain && m.State == model.Backoff {
				m.Draining = true
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"an early timer is lost", "an early timer is asked again", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Timer && m.Armed && ev.Epoch == m.Epoch && now < m.Due {
				return disarmed(m, out)
			}
			return m.Step(p, now, ev, out)
		}},
		{"the record does not know when the timer is due", "the record is true", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			m.Due = 0
			return out
		})},
	}
}

func plantedInFacts() []planted {
	flips := 0
	return []planted{
		{"the generation is not looked at", "news of the past change nothing", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			ev.Gen = m.Gen
		})},
		{"an end is heard twice", "news of the past change nothing", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended && ev.Gen == m.Gen && m.State == model.Exited {
				m.Live = true
			}
		})},
		{"a spawn is answered twice", "news of the past change nothing", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Spawned && m.State == model.Starting && ev.Gen == m.Gen {
				m.Spawning = true
			}
		})},
		{"two processes are spawned", "only one process at a time", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if find(out, Spawn) >= 0 {
				m.Gen++
				out = append(out, Action{Do: Spawn, Gen: m.Gen})
			}
			return out
		})},
		{"UNKNOWN is started beside its process", "only one process at a time", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Start && m.State == model.Unknown {
				m.Live = false
			}
		})},
		{"a stop does not wait for the end before the next start", "only one process at a time", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Start && m.State == model.Stopping && m.Live && !m.Draining {
				out = m.Step(p, now, Event{Kind: Ended, Gen: m.Gen}, out)
			}
			return m.Step(p, now, ev, out)
		}},
		{"STOPPED is said while it lives", "at rest nothing is alive", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Timer && m.State == model.Stopping && m.Armed && ev.Epoch == m.Epoch && now >= m.Due {
				return m.Step(p, now, Event{Kind: Ended, Gen: m.Gen, Code: -1}, out)
			}
			return m.Step(p, now, ev, out)
		}},
		{"RUNNING is said before the process is there", "RUNNING is alive", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			out = m.Step(p, now, ev, out)
			if m.Spawning && m.State == model.Starting && p.Start.Secs == 0 {
				m.State = model.Running
				out = append(out, Action{Do: Enter, From: model.Starting, To: model.Running}, Action{Do: SayRunning})
			}
			return out
		}},
		{"UNKNOWN becomes STOPPED at the end", "only documented changes", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if m.State == model.Unknown && ev.Kind == Ended && m.Live && ev.Gen == m.Gen {
				m.Live, m.State = false, model.Stopped
				return append(out, Action{Do: Enter, From: model.Unknown, To: model.Stopped, Gen: m.Gen, Tries: m.Tries})
			}
			return m.Step(p, now, ev, out)
		}},
		{"generations are counted from the same number", "generations are new", edited(func(m *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == Spawn {
				m.Gen--
				a.Gen--
			}
		})},
		{"the drain is forgotten", "the record is true", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			m.Draining = m.Draining && ev.Kind != Start
			return out
		})},
		{"the end of the daemon does not drain", "the record is true", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Quit {
				m.Draining = before.Draining
			}
			return out
		})},
		{"a coin is thrown", "the same again gives the same", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if flips++; flips%11 == 0 {
				return drop(out, SayRunning)
			}
			return out
		})},
	}
}

func plantedInWords() []planted {
	return []planted{
		{"STOPPING is not announced", "every change is announced", then(func(_ Machine, _ *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			return slices.DeleteFunc(out, func(a Action) bool { return a.Do == Enter && a.To == model.Stopping })
		})},
		{"BACKOFF is left out before FATAL", "only documented changes", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if m.State != model.Fatal || find(out, SayGaveUp) < 0 {
				return out
			}
			out = slices.DeleteFunc(out, func(a Action) bool { return a.Do == Enter && a.To == model.Backoff })
			for i := range out {
				if out[i].Do == Enter {
					out[i].From = model.Starting
				}
			}
			return out
		})},
		{"RUNNING is left out before EXITED", "a later end is an exit", then(func(before Machine, _ *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Ended && before.State == model.Starting {
				return slices.DeleteFunc(out, func(a Action) bool { return a.Do == Enter && a.To == model.Running })
			}
			return out
		})},
		{"the word comes before the state", "first the state, then the word", then(func(_ Machine, _ *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			for i, a := range out {
				if i > 0 && (a.Do == SayStopped || a.Do == SayRunning) {
					out[i-1], out[i] = out[i], out[i-1]
				}
			}
			return out
		})},
		{"KILL comes before its word", "first the state, then the word", then(func(_ Machine, _ *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if i := find(out, SayKill); i >= 0 {
				return append(slices.Delete(out, i, i+1), Action{Do: SayKill, Gen: out[len(out)-1].Gen})
			}
			return out
		})},
		{"a success is not told", "a success is told", without(SayRunning)},
		{"an exit is called a success first", "a success is told", then(func(before Machine, _ *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if i := slices.IndexFunc(out, func(a Action) bool { return a.To == model.Running }); i >= 0 && ev.Kind == Ended {
				return slices.Insert(out, i+1, Action{Do: SayRunning})
			}
			return out
		})},
		{"an end is told twice", "an end is told", then(func(_ Machine, _ *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if i := find(out, SayEnded); i >= 0 {
				return slices.Insert(out, i, out[i])
			}
			return out
		})},
		{"a stop is told of what never was", "a stop is told", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if i := slices.IndexFunc(out, func(a Action) bool { return a.To == model.Stopped }); i >= 0 && ev.Kind == SpawnFailed {
				return slices.Insert(out, i+1, Action{Do: SayStopped, Gen: before.Gen})
			}
			return out
		})},
		{"giving up is not told", "giving up is told", without(SayGaveUp)},
		{"the end of the daemon is called giving up", "giving up is told", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Quit && m.State == model.Fatal && len(out) > 0 {
				return append(out, Action{Do: SayGaveUp})
			}
			return out
		})},
		{"a KILL is not told", "a KILL is told", without(SayKill)},
		{"expected and unexpected are mixed up", "the meaning of an end is told", edited(func(_ *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == SayEnded {
				a.Expected = !a.Expected
			}
		})},
		{"a quick end is not called so", "the meaning of an end is told", edited(func(_ *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			a.TooQuick = false
		})},
		{"the end is told of the next process", "what is told is about the right process", edited(func(m *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == SayEnded {
				a.Gen = m.Gen
			}
		})},
		{"failures are told one too low", "attempts are told", edited(func(_ *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == Enter && a.To == model.Backoff {
				a.Tries--
			}
		})},
		{"a word more than the specification has", "the table", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			for i := range out {
				if out[i].Do == Enter {
					out[i].Gen++
				}
			}
			return out
		})},
	}
}
