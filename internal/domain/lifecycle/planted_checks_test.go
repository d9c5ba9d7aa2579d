package lifecycle

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func plantedInChecks() []planted {
	return []planted{
		{"startsecs alone make it RUNNING", "RUNNING is proved", then(func(_ Machine, m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Spawned && m.Unproved && m.State == model.Starting && p.Start.Secs == 0 {
				m.State, m.Unproved = model.Running, false
				return append(disarmed(m, out), Action{Do: Enter, From: model.Starting, To: model.Running, Gen: m.Gen}, Action{Do: SayRunning})
			}
			return out
		})},
		{"the checks are not asked", "the record is true", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) { p.Checked = false })},
		{"a proof makes it RUNNING before startsecs", "a proof is believed", with(func(_ *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Proved {
				p.Start.Secs = 0
			}
		})},
		{"startsecs begin with the proof", "a proof is believed", with(func(m *Machine, _ *Policy, now *time.Duration, ev *Event) {
			if ev.Kind == Proved && m.Unproved {
				m.Started = *now
			}
		})},
		{"a proof is forgotten", "a proof is believed", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Proved {
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"a check that fails at the start is not heard", "a start that has failed is ended", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == StartFailed {
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"a check of the start ends what runs", "a start that has failed is ended", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == StartFailed && m.State == model.Running {
				m.Unproved = true
			}
		})},
		{"time without a proof is a proof", "a start that has failed is ended", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Timer && m.Armed && ev.Epoch == m.Epoch {
				m.Unproved = false
			}
		})},
		{"a start that was ended is a stop", "a start that was ended has failed", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended {
				m.Failed = false
			}
		})},
		{"every stop is a failed start", "a start that was ended has failed", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended && m.State == model.Stopping {
				m.Failed = true
			}
		})},
		{"a stop does not win over a failed start", "the record is true", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if m.Failed && ev.Kind == Stop {
				ev.Kind = Moved
			}
		})},
		{"the checks have for ever", "a start goes on", then(func(_ Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			if m.Unproved {
				return disarmed(m, out)
			}
			return out
		})},
		{"a lack of proof is not told", "a lack of proof is told", without(SayUnproved)},
		{"what starts is bounced", "only what runs is bounced", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Bounce && m.State == model.Starting && m.Live {
				return m.Step(p, now, Event{Kind: Stop}, out)
			}
			return m.Step(p, now, ev, out)
		}},
		{"the end of the daemon does not keep from bouncing", "only what runs is bounced", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			was := m.Draining
			m.Draining = was && ev.Kind != Bounce
			out = m.Step(p, now, ev, out)
			m.Draining = was || m.Draining
			return out
		}},
		{"a bounce is a stop", "what is bounced comes back", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended {
				m.Bouncing = false
			}
		})},
		{"a bounce survives a stop", "stopped stays stopped", then(func(before Machine, m *Machine, _ *Policy, _ time.Duration, ev Event, out []Action) []Action {
			m.Bouncing = m.Bouncing || before.Bouncing && ev.Kind == Stop
			return out
		})},
		{"a bounce does not wait for the delay", "what is bounced comes back", with(func(m *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended && m.Bouncing {
				p.Start.Delay = 0
			}
		})},
		{"an exit does not wait for the delay", "the policy decides on restarts", with(func(m *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Ended && !m.Killing {
				p.Start.Delay = 0
			}
		})},
		{"an attempt does not wait for the delay", "waits are 1, 2, 3 … s", with(func(m *Machine, p *Policy, _ *time.Duration, ev *Event) {
			if m.State == model.Starting && m.Spawning {
				p.Start.Delay = 0
			}
		})},
		{"attempts without end have one", "no fewer attempts than allowed", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) {
			if p.Start.Retries == model.Endless {
				p.Start.Retries = 1
			}
		})},
		{"nothing is masked", "nothing masked is started", with(func(_ *Machine, p *Policy, _ *time.Duration, _ *Event) { p.Masked = false })},
		{"what is masked starts by itself", "nothing masked is started", with(func(_ *Machine, p *Policy, _ *time.Duration, ev *Event) {
			p.Masked = p.Masked && ev.Kind != Timer
		})},
		{"what is found has to stay up first", "what is found runs", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Found {
				ev.Kind = Spawned
			}
		})},
		{"what is found is not stopped", "what is found runs", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Found {
				m.Killing = false
			}
		})},
		{"what has moved is not stopped", "what has moved is asked too", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			if ev.Kind == Moved {
				return out
			}
			return m.Step(p, now, ev, out)
		}},
		{"what is released is ended", "what is released is a stranger", with(func(m *Machine, _ *Policy, _ *time.Duration, ev *Event) {
			if ev.Kind == Released && m.Live && ev.Gen == m.Gen && (m.State == model.Running || m.State == model.Starting) {
				ev.Kind = Stop
			}
		})},
		{"what is released comes back", "stopped stays stopped", func(m *Machine, p *Policy, now time.Duration, ev Event, out []Action) []Action {
			released := ev.Kind == Released && m.Live && ev.Gen == m.Gen
			out = m.Step(p, now, ev, out)
			if released {
				out = m.Step(p, now, Event{Kind: Start}, out)
			}
			return out
		}},
	}
}
