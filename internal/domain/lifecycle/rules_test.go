package lifecycle

import "github.com/upkeep-project/upkeep/internal/domain/model"

// edge is a change of state.
type edge struct{ from, to model.State }

// graph is every change of state that is documented.
// Source: spec/supervisor 2.4, 2.5, 2.6, 2.7, 2.8, and F2 for the way out of UNKNOWN.
func graph() map[edge]bool {
	return map[edge]bool{
		{model.Stopped, model.Starting}:  true, // 2.4 autostart, an order
		{model.Exited, model.Starting}:   true, // 2.4 autorestart, an order
		{model.Fatal, model.Starting}:    true, // 2.5 an order
		{model.Backoff, model.Starting}:  true, // 2.4 the next attempt
		{model.Starting, model.Running}:  true, // 2.4 confirmed
		{model.Starting, model.Backoff}:  true, // 2.5 spawn failed, 2.6 too quick
		{model.Starting, model.Stopping}: true, // 2.7
		{model.Running, model.Stopping}:  true, // 2.7
		{model.Running, model.Exited}:    true, // 2.6
		{model.Backoff, model.Fatal}:     true, // 2.4 gave up, 2.8 shutdown
		{model.Backoff, model.Stopped}:   true, // 2.7
		{model.Stopping, model.Stopped}:  true, // 2.6
		{model.Stopping, model.Unknown}:  true, // 2.7
		{model.Unknown, model.Exited}:    true, // F2
		{model.Stopping, model.Backoff}:  true, // the checks of a start have not passed
		{model.Exited, model.Backoff}:    true, // restart_delay
		{model.Stopped, model.Backoff}:   true, // restart_delay, after a check has ended it
		{model.Starting, model.Stopped}:  true, // released
		{model.Running, model.Stopped}:   true, // released
		{model.Unknown, model.Stopped}:   true, // released
	}
}

// releases are the changes that only a release makes.
func releases() map[edge]bool {
	return map[edge]bool{
		{model.Starting, model.Stopped}: true, {model.Running, model.Stopped}: true, {model.Unknown, model.Stopped}: true,
	}
}

// rule is something that holds in every step, whatever happens.
type rule struct {
	name  string
	holds func(s *seen) bool
}

// allRules are the rules and the table.
func allRules(t *table) []rule {
	out := append(rulesOfLife(), rulesOfStarting()...)
	out = append(out, rulesOfStopping()...)
	out = append(out, rulesOfChecks()...)
	out = append(out, rulesOfTimers()...)
	out = append(out, rulesOfTelling()...)
	return append(out, rule{"the table", t.holds})
}

func rulesOfLife() []rule {
	documented, released := graph(), releases()
	return []rule{
		{"only one process at a time", func(s *seen) bool {
			return s.each(Spawn, func(w *world, _ Action) bool { return !w.spawning && !w.live })
		}},
		{"at rest nothing is alive", func(s *seen) bool {
			dead := func(w *world) bool {
				return !resting(w.state) && w.state != model.Backoff || !w.live && !w.spawning
			}
			return s.each(Enter, func(w *world, a Action) bool {
				next := *w
				next.state = a.To
				return dead(&next)
			}) && dead(&s.after)
		}},
		{"RUNNING is alive", func(s *seen) bool { return s.after.state != model.Running || s.after.live }},
		{"RUNNING is earned", func(s *seen) bool {
			born := s.before.born // it may have ended in this very step
			if s.ev.Kind == Spawned {
				born = s.now
			}
			return s.each(Enter, func(_ *world, a Action) bool {
				return a.To != model.Running || s.ev.Kind == Found || s.now-born >= s.p.Start.Secs
			})
		}},
		{"only documented changes", func(s *seen) bool {
			return s.each(Enter, func(_ *world, a Action) bool {
				e := edge{a.From, a.To}
				return documented[e] && (s.ev.Kind == Released || !released[e])
			})
		}},
		{"every change is announced", func(s *seen) bool {
			return s.each(Enter, func(w *world, a Action) bool { return a.From == w.state }) && s.after.m.State == s.after.state
		}},
		{"the record is true", func(s *seen) bool {
			m, w := &s.after.m, &s.after
			return m.Live == w.live && m.Spawning == w.spawning && m.Gen == w.gen && m.Draining == w.draining &&
				m.Unproved == w.unproved && m.Failed == w.failing && m.Bouncing == w.bouncing &&
				m.Armed == w.armed && (!m.Armed || m.Epoch == w.epoch) && m.Due == w.due &&
				(!m.Live || m.Started == w.born || w.born == noLife)
		}},
		{"news of the past change nothing", func(s *seen) bool {
			return s.fresh || len(s.acts) == 0 && s.after.m == s.before.m
		}},
		{"the same again gives the same", func(s *seen) bool { return s.same && len(s.acts) <= maxActs }},
		{"generations are new", func(s *seen) bool {
			return s.each(Spawn, func(w *world, a Action) bool { return a.Gen > w.gen })
		}},
	}
}

func rulesOfStarting() []rule {
	return []rule{
		{"an order to start is obeyed", func(s *seen) bool {
			wanted := s.ev.Kind == Start && resting(s.before.state) && !s.before.draining && !s.p.Masked
			return !wanted || s.entered(model.Starting) && s.count(Spawn) == 1
		}},
		{"nothing starts while draining", func(s *seen) bool {
			return s.each(Spawn, func(w *world, _ Action) bool { return !w.draining })
		}},
		{"stopped stays stopped", func(s *seen) bool {
			return s.each(Spawn, func(w *world, _ Action) bool { return !w.down })
		}},
		{"no more attempts than allowed", func(s *seen) bool {
			return s.each(Spawn, func(w *world, _ Action) bool { return !limited(s.p, w.failed) })
		}},
		{"no fewer attempts than allowed", func(s *seen) bool {
			return s.each(Enter, func(w *world, a Action) bool {
				return a.To != model.Fatal || s.ev.Kind == Quit || s.p.Start.Retries != model.Endless && w.failed == s.p.Start.Retries+1
			})
		}},
		{"giving up does not wait", func(s *seen) bool {
			return s.after.state != model.Backoff || !limited(s.p, s.after.failed)
		}},
		{"attempts are told", func(s *seen) bool {
			return s.each(Enter, func(w *world, a Action) bool {
				switch a.To {
				case model.Backoff, model.Starting:
					return a.Tries == w.failed
				case model.Running, model.Exited, model.Fatal:
					return a.Tries == 0
				}
				return true
			}) && s.after.m.Tries == s.after.failed
		}},
		{"waits are 1, 2, 3 … s", func(s *seen) bool {
			if s.before.state == model.Backoff && s.entered(model.Starting) {
				early := s.now < s.before.failedAt+wait(s.p, s.before.failed)
				if s.ev.Kind != Timer || early {
					return false
				}
			}
			return s.each(Arm, func(w *world, a Action) bool {
				return w.state != model.Backoff || a.At == w.failedAt+wait(s.p, w.failed)
			})
		}},
		{"a failed spawn is a failed start", func(s *seen) bool {
			if s.ev.Kind != SpawnFailed || !s.fresh {
				return true
			}
			if s.before.state == model.Stopping {
				return s.entered(model.Stopped)
			}
			return s.entered(model.Backoff)
		}},
		{"a quick end is a failed start", func(s *seen) bool {
			return !s.quick() || s.entered(model.Backoff) && !s.entered(model.Running) && !s.entered(model.Exited)
		}},
		{"a later end is an exit", func(s *seen) bool {
			ended := s.ev.Kind == Ended && s.fresh && s.before.state != model.Stopping && !s.quick()
			return !ended || s.entered(model.Exited) && (s.before.state != model.Starting || s.entered(model.Running))
		}},
		{"the policy decides on restarts", func(s *seen) bool {
			by := s.restarts() && !s.before.draining && !s.p.Masked
			return !s.entered(model.Exited) || (s.count(Spawn) == 1) == (by && s.p.Start.Delay == 0) &&
				(s.after.state == model.Backoff) == (by && s.p.Start.Delay > 0)
		}},
	}
}

func rulesOfStopping() []rule {
	return []rule{
		{"an order to stop is obeyed", func(s *seen) bool {
			if s.ev.Kind != Stop && s.ev.Kind != Quit {
				return true
			}
			switch s.before.state {
			case model.Starting, model.Running:
				return s.after.state == model.Stopping
			case model.Backoff:
				return s.after.state == model.Stopped && s.ev.Kind == Stop || s.after.state == model.Fatal && s.ev.Kind == Quit
			}
			return s.after.state == s.before.state
		}},
		{"what is to stop is asked to", func(s *seen) bool {
			return s.after.state != model.Stopping || !s.after.live || s.after.signaled
		}},
		{"a stop goes on", func(s *seen) bool {
			w := &s.after
			if w.state != model.Stopping || !w.live {
				return true
			}
			if w.killed {
				return w.armed && w.due == w.killAt+max(s.p.Stop.Wait, KillInterval)
			}
			return w.armed && w.due == w.signalAt+s.p.Stop.Wait
		}},
		{"KILL is patient", func(s *seen) bool {
			return s.each(Send, func(w *world, _ Action) bool {
				return !w.signaled || w.killed || w.resend || s.now >= w.signalAt+s.p.Stop.Wait
			})
		}},
		{"KILL is rare", func(s *seen) bool {
			return s.each(Send, func(w *world, _ Action) bool { return !w.killed || w.resend || s.now >= w.killAt+KillInterval })
		}},
		{"the right signal, so far", func(s *seen) bool {
			return s.each(Send, func(w *world, a Action) bool {
				if !w.signaled || w.resend {
					return a.Signal == s.p.Stop.Signal && a.Reach == s.p.Stop.Reach
				}
				return a.Signal == 9 && a.Reach == s.p.Stop.KillReach
			})
		}},
		{"signals go to the living", func(s *seen) bool {
			return s.each(Send, func(w *world, a Action) bool {
				return w.live && a.Gen == w.gen && w.state == model.Stopping
			})
		}},
		{"one signal at a time", func(s *seen) bool { return s.count(Send) <= 1 }},
		{"killing is STOPPING", func(s *seen) bool { return s.after.m.Killing == (s.after.state == model.Stopping) }},
		{"a start during a stop is kept", func(s *seen) bool {
			return s.after.m.Again == s.after.again && (!s.after.m.Again || s.after.state == model.Stopping)
		}},
		{"a kept start is obeyed", func(s *seen) bool {
			return s.each(Enter, func(w *world, a Action) bool {
				if w.state != model.Stopping || a.To != model.Stopped || w.bouncing {
					return true
				}
				return (w.again && !s.p.Masked) == (s.count(Spawn) == 1) && (w.again || s.after.state == model.Stopped)
			})
		}},
		{"a signal that fails is told", func(s *seen) bool {
			failed := s.ev.Kind == SignalFailed && s.fresh && s.before.state == model.Stopping
			return !failed || s.after.state == model.Unknown
		}},
	}
}

func rulesOfTimers() []rule {
	return []rule{
		{"timers are new", func(s *seen) bool {
			return s.each(Arm, func(w *world, a Action) bool { return a.Epoch > w.epoch && a.Epoch > s.before.m.Epoch })
		}},
		{"only a timer is disarmed", func(s *seen) bool {
			return s.each(Disarm, func(w *world, _ Action) bool { return w.armed })
		}},
		{"at rest no timer runs", func(s *seen) bool {
			w := &s.after
			idle := resting(w.state) || w.state == model.Running || w.state == model.Unknown || w.spawning
			return !idle || !w.armed && !w.m.Armed
		}},
		{"a start goes on", func(s *seen) bool {
			w := &s.after
			if w.state != model.Starting {
				return true
			}
			if w.live && w.unproved {
				return !w.spawning && w.armed == (s.p.Start.Timeout > 0) && (!w.armed || w.due == w.born+s.p.Start.Timeout || w.born == noLife)
			}
			return w.spawning != w.live && (!w.live || w.armed && (w.due == w.born+s.p.Start.Secs || w.born == noLife))
		}},
		{"BACKOFF goes on, unless draining", func(s *seen) bool {
			return s.after.state != model.Backoff || s.after.armed != s.after.draining
		}},
		{"an early timer is asked again", func(s *seen) bool {
			early := s.ev.Kind == Timer && s.fresh && s.now < s.before.due
			return !early || len(s.acts) == 1 && s.acts[0].Do == Arm && s.acts[0].At == s.before.due
		}},
		{"patience begins before the signal", func(s *seen) bool {
			return s.each(Send, func(w *world, _ Action) bool { return w.armed })
		}},
	}
}

func rulesOfTelling() []rule {
	oneIf := func(cond bool) int {
		if cond {
			return 1
		}
		return 0
	}
	ended := func(s *seen) bool { return s.ev.Kind == Ended && s.fresh }
	return []rule{
		{"a success is told", func(s *seen) bool {
			return s.count(SayRunning) == oneIf(s.entered(model.Running) && s.ev.Kind != Ended && s.ev.Kind != Found)
		}},
		{"an end is told", func(s *seen) bool {
			return s.count(SayEnded) == oneIf(ended(s) && s.before.state != model.Stopping)
		}},
		{"a stop is told", func(s *seen) bool {
			return s.count(SayStopped) == oneIf(ended(s) && s.before.state == model.Stopping)
		}},
		{"giving up is told", func(s *seen) bool {
			return s.count(SayGaveUp) == oneIf(s.entered(model.Fatal) && s.ev.Kind != Quit)
		}},
		{"a KILL is told", func(s *seen) bool {
			kill := s.count(Send) == 1 && s.before.signaled && s.ev.Kind != Moved
			return s.count(SayKill) == oneIf(kill)
		}},
		{"the meaning of an end is told", func(s *seen) bool {
			for _, a := range s.acts {
				switch {
				case a.Do == SayEnded && (a.TooQuick != s.quick() || a.Expected != (s.expected() && !s.quick())),
					a.Do == SayStopped && a.Expected != s.expected(),
					a.Do == Enter && a.Expected != (a.To == model.Exited && s.expected()):
					return false
				}
			}
			return true
		}},
		{"first the state, then the word", func(s *seen) bool {
			in := func(states ...model.State) func(w *world, _ Action) bool {
				return func(w *world, _ Action) bool {
					for _, st := range states {
						if w.state == st {
							return true
						}
					}
					return false
				}
			}
			return s.each(SayRunning, in(model.Running)) && s.each(SayEnded, in(model.Exited, model.Backoff)) &&
				s.each(SayStopped, in(model.Stopped, model.Backoff)) && s.each(SayGaveUp, in(model.Fatal)) &&
				s.each(Spawn, in(model.Starting)) && s.killsAreAnnounced()
		}},
		{"what is told is about the right process", func(s *seen) bool {
			for _, a := range s.acts {
				if (a.Do == SayEnded || a.Do == SayStopped) && a.Gen != s.before.gen {
					return false
				}
			}
			return true
		}},
	}
}

// killsAreAnnounced: the word comes before the KILL.
func (s *seen) killsAreAnnounced() bool {
	said := false
	for _, a := range s.acts {
		switch {
		case a.Do == SayKill:
			said = true
		case a.Do == Send && s.before.signaled && s.ev.Kind != Moved && !said:
			return false
		}
	}
	return true
}
