package lifecycle

import "github.com/upkeep-project/upkeep/internal/domain/model"

// rulesOfChecks are about starts that have to prove themselves, instances that a check brings down, programs that may not be
// started, and processes that are taken, followed and let go of.
func rulesOfChecks() []rule {
	came := func(s *seen, kind Kind) bool { return s.ev.Kind == kind && s.fresh }
	late := func(s *seen) bool {
		return came(s, Timer) && s.now >= s.before.due && s.before.state == model.Starting && s.before.unproved
	}
	return []rule{
		{"RUNNING is proved", func(s *seen) bool {
			return s.each(Enter, func(w *world, a Action) bool {
				return a.To != model.Running || !w.unproved && (!s.before.unproved || s.ev.Kind == Proved)
			})
		}},
		{"a proof is believed", func(s *seen) bool {
			proved := came(s, Proved) && s.before.unproved
			return !proved || (s.after.state == model.Running) == (s.now-s.before.born >= s.p.Start.Secs)
		}},
		{"a start that has failed is ended", func(s *seen) bool {
			failed := came(s, StartFailed) && s.before.unproved || late(s)
			return failed == (s.entered(model.Stopping) && s.after.m.Failed)
		}},
		{"a start that was ended has failed", func(s *seen) bool {
			return !came(s, Ended) || s.before.failing == (s.before.state == model.Stopping && s.entered(model.Backoff) && !s.before.bouncing)
		}},
		{"a lack of proof is told", func(s *seen) bool { return s.count(SayUnproved) == b2i(late(s)) }},
		{"only what runs is bounced", func(s *seen) bool {
			wanted := came(s, Bounce) && s.before.state == model.Running && !s.before.draining && !s.p.Masked
			return s.ev.Kind != Bounce || wanted == s.entered(model.Stopping)
		}},
		{"what is bounced comes back", func(s *seen) bool {
			if !came(s, Ended) || s.before.state != model.Stopping || !s.before.bouncing {
				return true
			}
			switch {
			case s.p.Masked:
				return s.after.state == model.Stopped
			case s.p.Start.Delay > 0:
				return s.after.state == model.Backoff
			}
			return s.count(Spawn) == 1
		}},
		{"nothing masked is started", func(s *seen) bool { return !s.p.Masked || s.count(Spawn) == 0 }},
		{"what is found runs", func(s *seen) bool {
			if !came(s, Found) {
				return true
			}
			if s.before.state == model.Stopping {
				return s.count(Send) == 1
			}
			return s.after.state == model.Running
		}},
		{"what has moved is asked too", func(s *seen) bool {
			return s.ev.Kind != Moved || s.count(Send) == b2i(s.fresh && s.before.state == model.Stopping)
		}},
		{"what is released is a stranger", func(s *seen) bool {
			return !came(s, Released) || s.after.state == model.Stopped && !s.after.m.Live && s.count(Send) == 0
		}},
	}
}
