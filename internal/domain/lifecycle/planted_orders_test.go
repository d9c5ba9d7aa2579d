package lifecycle

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func plantedInStarting() []planted {
	return []planted{
		{"one attempt too many", "no more attempts than allowed", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			p.Start.Retries++
		})},
		{"one attempt too few", "no fewer attempts than allowed", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			p.Start.Retries--
		})},
		{"every spawn forgets the failures", "no more attempts than allowed", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if find(out, Spawn) >= 0 {
				m.Tries = 0
			}
			return out
		})},
		{"success does not reset the failures", "attempts are told", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if m.State == model.Running && before.State == model.Starting {
				m.Tries = before.Tries
			}
			return out
		})},
		{"an order to start does not reset the failures", "no fewer attempts than allowed", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Start && before.State == model.Stopped {
				m.Tries = before.Tries
			}
			return out
		})},
		{"a failed spawn is no attempt", "no more attempts than allowed", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == SpawnFailed {
				m.Tries = before.Tries
			}
			return out
		})},
		{"BACKOFF is not left when nothing is left", "giving up does not wait", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if before.State == model.Starting && m.State == model.Fatal {
				out = drop(out, SayGaveUp)
				m.State, m.Tries = model.Backoff, before.Tries+1
				return out[:len(out)-1]
			}
			return out
		})},
		{"an expected quick end is a success", "a quick end is a failed start", with(func(m *Machine, p *Policy, now *time.Duration, ev *Event) {
			if ev.Kind == Ended && m.State == model.Starting && p.Exit.Expected(ev.Code) {
				m.Started = *now - p.Start.Secs
			}
		})},
		{"startsecs is longer for those that end", "a later end is an exit", with(func(_ *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended && p.Start.Secs > 0 {
				p.Start.Secs++
			}
		})},
		{"a life is counted from the program's first start", "a quick end is a failed start", then(func(before Machine, m *Machine, _ *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Spawned && m.Live && !before.Live {
				m.Started = now - time.Hour
			}
			return out
		})},
		{"RUNNING at half of startsecs", "RUNNING is earned", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			p.Start.Secs /= 2
		})},
		{"RUNNING as soon as it is spawned", "RUNNING is earned", with(func(_ *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Spawned {
				p.Start.Secs = 0
			}
		})},
		{"an early timer is believed", "RUNNING is earned", with(func(m *Machine, _ *Policy, now *time.Duration, ev *Event) {
			if ev.Kind == Timer {
				m.Due = min(m.Due, *now)
			}
		})},
		{"all waits are one second", "waits are 1, 2, 3 … s", then(func(_ Machine, m *Machine, _ *Policy, now time.Duration, _ Event, out []Action) []Action {
			if m.State == model.Backoff {
				return rearmed(m, out, now+time.Second)
			}
			return out
		})},
		{"waits are 1, 2, 4 … s", "waits are 1, 2, 3 … s", then(func(_ Machine, m *Machine, _ *Policy, now time.Duration, ev Event, out []Action) []Action {
			if m.State == model.Backoff && ev.Kind != Timer {
				return rearmed(m, out, now+time.Second<<(m.Tries-1))
			}
			return out
		})},
		{"the first wait is none", "waits are 1, 2, 3 … s", then(func(_ Machine, m *Machine, _ *Policy, now time.Duration, _ Event, out []Action) []Action {
			if m.State == model.Backoff {
				return rearmed(m, out, now+time.Duration(m.Tries-1)*time.Second)
			}
			return out
		})},
		{"an order to start cuts the wait short", "waits are 1, 2, 3 … s", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Start && m.Armed && m.State == model.Backoff {
				m.Due = now
				ev = Event{Kind: Timer, Epoch: m.Epoch}
			}
			return m.Step(p, now, ev, out)
		}},
		{"RestartNever restarts", "the policy decides on restarts", with(func(_ *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if p.Exit.Restart == model.RestartNever {
				p.Exit.Restart = model.RestartUnexpected
			}
		})},
		{"expected ends are restarted too", "the policy decides on restarts", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			if p.Exit.Restart == model.RestartUnexpected {
				p.Exit.Restart = model.RestartAlways
			}
		})},
		{"RestartAlways leaves expected ends", "the policy decides on restarts", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			if p.Exit.Restart == model.RestartAlways {
				p.Exit.Restart = model.RestartUnexpected
			}
		})},
		{"only the first expected code counts", "the meaning of an end is told", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			p.Exit.Codes = p.Exit.Codes[:min(1, len(p.Exit.Codes))]
		})},
		{"ends restart while draining", "nothing starts while draining", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			was := m.Draining
			m.Draining = was && ev.Kind != Ended
			out = m.Step(p, now, ev, out)
			m.Draining = was
			return out
		}},
		{"orders start while draining", "nothing starts while draining", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Start {
				m.Draining = false
			}
		})},
		{"the wait for the next attempt outlives the drain", "nothing starts while draining", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if m.State == model.Backoff && ev.Kind == Drain {
				m.Draining = true
				return out
			}
			was := m.Draining
			m.Draining = was && m.State != model.Backoff
			out = m.Step(p, now, ev, out)
			m.Draining = m.Draining || was
			return out
		}},
		{"an order to start after giving up is not obeyed", "an order to start is obeyed", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if m.State == model.Fatal && ev.Kind == Start {
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"a start is not confirmed", "a start goes on", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if m.State == model.Starting && m.Live {
				return disarmed(m, out)
			}
			return out
		})},
		{"a failed spawn is tried again at once", "a failed spawn is a failed start", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == SpawnFailed && m.Spawning && ev.Gen == m.Gen && !m.Killing {
				m.Gen++
				return append(out, Action{Do: Spawn, Gen: m.Gen})
			}
			return m.Step(p, now, ev, out)
		}},
	}
}

func plantedInStopping() []planted {
	return []planted{
		{"stop restarts", "stopped stays stopped", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			stopping := m.State == model.Stopping
			out = m.Step(p, now, ev, out)
			if stopping && m.State == model.Stopped && p.Exit.Restart == model.RestartAlways {
				out = m.Step(p, now, Event{Kind: Start}, out)
			}
			return out
		}},
		{"a stop in BACKOFF waits on", "an order to stop is obeyed", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Stop && m.State == model.Backoff {
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"a stop in BACKOFF gives up", "an order to stop is obeyed", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Stop && m.State == model.Backoff {
				ev.Kind = Quit
			}
		})},
		{"the end of the daemon makes BACKOFF STOPPED", "an order to stop is obeyed", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Quit && m.State == model.Backoff {
				m.Draining = true
				ev.Kind = Stop
			}
			return m.Step(p, now, ev, out)
		}},
		{"a stop before the spawn is forgotten", "what is to stop is asked to", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Spawned && m.State == model.Stopping {
				return drop(out, Send)
			}
			return out
		})},
		{"the signal is sent before there is a process", "signals go to the living", then(func(_ Machine, m *Machine, p *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Stop && m.Spawning && m.State == model.Stopping {
				return append(out, Action{Do: Send, Gen: m.Gen, Signal: p.Stop.Signal, Reach: p.Stop.Reach})
			}
			return out
		})},
		{"the signal goes to the generation before", "signals go to the living", edited(func(_ *Machine, _ *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == Send {
				a.Gen--
			}
		})},
		{"KILL comes at once", "KILL is patient", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) { p.Stop.Wait = 0 })},
		{"KILL is repeated at the stop wait however short", "KILL is rare", then(func(before Machine, m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if find(out, SayKill) >= 0 {
				return rearmed(m, out, now+p.Stop.Wait)
			}
			return out
		})},
		{"KILL is sent once only", "a stop goes on", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if find(out, SayKill) >= 0 {
				return disarmed(m, out)
			}
			return out
		})},
		{"the KILL timer is dropped", "a stop goes on", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if m.State == model.Stopping {
				return disarmed(m, out)
			}
			return out
		})},
		{"KILL reaches as far as the first signal", "the right signal, so far", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			p.Stop.KillReach = p.Stop.Reach
		})},
		{"the first signal reaches as far as the KILL", "the right signal, so far", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			p.Stop.Reach = p.Stop.KillReach
		})},
		{"the first signal is repeated in place of the KILL", "the right signal, so far", edited(func(_ *Machine, p *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == Send {
				a.Signal = p.Stop.Signal
			}
		})},
		{"the first signal is always TERM", "the right signal, so far", edited(func(_ *Machine, p *Policy, _ time.Duration, _ Event, a *Action) {
			if a.Do == Send && a.Signal == p.Stop.Signal {
				a.Signal = 15
			}
		})},
		{"signal and KILL at once", "one signal at a time", then(func(_ Machine, m *Machine, p *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if i := find(out, Send); i >= 0 && p.Stop.Wait == 0 && find(out, SayKill) < 0 {
				return append(out, Action{Do: Send, Gen: m.Gen, Signal: 9, Reach: p.Stop.KillReach})
			}
			return out
		})},
		{"a start during a stop is forgotten", "a start during a stop is kept", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			m.Again = m.Again && ev.Kind != Start
			return out
		})},
		{"a kept start is not obeyed", "a kept start is obeyed", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended {
				m.Again = false
			}
		})},
		{"a kept start outlives the next stop", "stopped stays stopped", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			m.Again = m.Again || before.Again && ev.Kind == Stop
			return out
		})},
		{"a kept start outlives the stop that failed", "a start during a stop is kept", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			m.Again = m.Again || before.Again && ev.Kind == SignalFailed
			return out
		})},
		{"the stop is not over when the signal fails", "killing is STOPPING", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			m.Killing = m.Killing || before.Killing && ev.Kind == SignalFailed
			return out
		})},
		{"a signal that fails is not noticed", "a signal that fails is told", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == SignalFailed {
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"patience begins after the signal", "patience begins before the signal", then(func(_ Machine, _ *Machine, _ *Policy, _ time.Duration, _ Event, out []Action) []Action {
			if a, s := find(out, Arm), find(out, Send); a >= 0 && s == a+1 {
				out[a], out[s] = out[s], out[a]
			}
			return out
		})},
	}
}
