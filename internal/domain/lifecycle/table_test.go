package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The table says for every situation of a program and every class of event what is done and what the next
// situation is. It is written from the specification (supervisor 2.4–2.8, F2, F14–F16), not from the machine.
//
// Situations: the state; STARTING and STOPPING are divided into ".spawn" (the process was ordered and does
// not exist yet) and the rest; "+" means that a start was ordered during the stop, "!" that the daemon drains.
// ".unproved" stands for a process whose checks have not passed, "-" and "^" for a stop since a start has failed and
// since a check wants the program anew.
// "X*" stands for X and X!, on both sides of a row; "=" is the same situation.
//
// Classes: the orders; up (spawned; up.confirmed when startsecs is 0), nospawn (spawn failed; .left and
// .last tell whether attempts are left), quick (ended before startsecs), end (.restart and .rest are what
// the restart policy says), timer, timer.early, nosignal (a signal could not be sent), and old: an answer,
// an end or a timer that is not the one in question.
//
// Actions: ">S" enters the state S; the others are spelled out in expand.
type row struct{ on, class, to, do string }

func rows() []row {
	return []row{
		// Orders to start. 2.5: refused while up. F16: kept while stopping. 2.8: nothing starts while draining.
		{"STOPPED EXITED FATAL", "start", "STARTING.spawn", ">STARTING spawn"},
		{"STOPPED! EXITED! FATAL!", "start", "=", ""},
		{"STARTING.spawn* STARTING* RUNNING* BACKOFF* UNKNOWN*", "start", "=", ""},
		{"STOPPING.spawn", "start", "STOPPING.spawn+", ""},
		{"STOPPING", "start", "STOPPING+", ""},
		{"STOPPING.spawn+ STOPPING+ STOPPING.spawn! STOPPING!", "start", "=", ""},

		{"STARTING.unproved* STOPPING-!", "start", "=", ""},
		{"STOPPING- STOPPING^", "start", "STOPPING+", ""},
		{everywhere, "start.masked", "=", ""},

		// Orders to stop. 2.7; refused where nothing runs; the newest order counts.
		{"STOPPED* EXITED* FATAL* UNKNOWN* STOPPING.spawn* STOPPING*", "stop", "=", ""},
		{"STOPPING.spawn+", "stop", "STOPPING.spawn", ""},
		{"STOPPING+", "stop", "STOPPING", ""},
		{"STARTING.spawn*", "stop", "STOPPING.spawn*", ">STOPPING"},
		{"STARTING*", "stop", "STOPPING*", "disarm >STOPPING arm:stop signal:stop"},
		{"RUNNING*", "stop", "STOPPING*", ">STOPPING arm:stop signal:stop"},
		{"STARTING.unproved*", "stop", "STOPPING*", "void >STOPPING arm:stop signal:stop"},
		{"STOPPING-*", "stop", "STOPPING*", ""},
		{"STOPPING^", "stop", "STOPPING", ""},
		{"BACKOFF", "stop", "STOPPED", "disarm >STOPPED"},
		{"BACKOFF!", "stop", "STOPPED!", ">STOPPED"},

		// The daemon drains. 2.8: no automatic starts from here on; what starts may still become RUNNING.
		{"STOPPED EXITED FATAL UNKNOWN", "drain", "!", ""},
		{"STARTING.spawn STARTING RUNNING STOPPING.spawn STOPPING", "drain", "!", ""},
		{"STOPPING.spawn+", "drain", "STOPPING.spawn!", ""},
		{"STOPPING+", "drain", "STOPPING!", ""},
		{"STARTING.unproved STOPPING-", "drain", "!", ""},
		{"STARTING.unproved! STOPPING-!", "drain", "=", ""},
		{"STOPPING^", "drain", "STOPPING!", ""},
		{"BACKOFF", "drain", "BACKOFF!", "disarm"},
		{"STOPPED! EXITED! FATAL! UNKNOWN! STARTING.spawn! STARTING! RUNNING! STOPPING.spawn! STOPPING! BACKOFF!", "drain", "=", ""},

		// The daemon ends and it is the program's turn. 2.8: BACKOFF becomes FATAL without a word.
		{"STOPPED EXITED FATAL UNKNOWN STOPPING.spawn STOPPING", "quit", "!", ""},
		{"STOPPED! EXITED! FATAL! UNKNOWN! STOPPING.spawn! STOPPING!", "quit", "=", ""},
		{"STOPPING.spawn+", "quit", "STOPPING.spawn!", ""},
		{"STOPPING+", "quit", "STOPPING!", ""},
		{"STARTING.spawn STARTING.spawn!", "quit", "STOPPING.spawn!", ">STOPPING"},
		{"STARTING STARTING!", "quit", "STOPPING!", "disarm >STOPPING arm:stop signal:stop"},
		{"STARTING.unproved STARTING.unproved!", "quit", "STOPPING!", "void >STOPPING arm:stop signal:stop"},
		{"STOPPING- STOPPING-! STOPPING^", "quit", "STOPPING!", ""},
		{"RUNNING RUNNING!", "quit", "STOPPING!", ">STOPPING arm:stop signal:stop"},
		{"BACKOFF", "quit", "FATAL!", "disarm >FATAL"},
		{"BACKOFF!", "quit", "FATAL!", ">FATAL"},

		// The process exists. 2.5; 2.6: with startsecs=0 it is RUNNING at once.
		{"STARTING.spawn*", "up", "STARTING*", "arm:start"},
		{"STARTING.spawn*", "up.confirmed", "RUNNING*", ">RUNNING say:running"},
		{"STOPPING.spawn*", "up", "STOPPING*", "arm:stop signal:stop"},
		{"STOPPING.spawn+", "up", "STOPPING+", "arm:stop signal:stop"},
		{"STARTING.spawn*", "up.unproved", "STARTING.unproved*", "arm:checks"},
		{"STARTING.spawn*", "found", "RUNNING*", ">RUNNING"},
		{"STOPPING.spawn*", "found", "STOPPING*", "arm:stop signal:stop"},
		{"STOPPING.spawn+", "found", "STOPPING+", "arm:stop signal:stop"},

		// Its checks. They decide on the start together with startsecs.
		{"STARTING.unproved*", "proved", "STARTING*", "void arm:rest"},
		{"STARTING.unproved*", "proved.confirmed", "RUNNING*", "void >RUNNING say:running"},
		{"STARTING.unproved*", "startfailed", "STOPPING-*", "void >STOPPING arm:stop signal:stop"},
		{"STARTING* RUNNING* UNKNOWN* STOPPING* STOPPING+ STOPPING-* STOPPING^", "proved", "=", ""},
		{"STARTING* RUNNING* UNKNOWN* STOPPING* STOPPING+ STOPPING-* STOPPING^", "startfailed", "=", ""},
		{"RUNNING", "bounce", "STOPPING^", ">STOPPING arm:stop signal:stop"},
		{"STARTING* STARTING.unproved* RUNNING! UNKNOWN* STOPPING* STOPPING+ STOPPING-* STOPPING^", "bounce", "=", ""},
		{"STARTING* STARTING.unproved* RUNNING* UNKNOWN* STOPPING* STOPPING+ STOPPING-* STOPPING^", "bounce.masked", "=", ""},

		// It is another process, or nobody's.
		{"STARTING* STARTING.unproved* RUNNING* UNKNOWN*", "moved", "=", ""},
		{"STOPPING* STOPPING+ STOPPING-* STOPPING^", "moved", "=", "signal:stop"},
		{"STARTING* STARTING.unproved* STOPPING* STOPPING-*", "released", "STOPPED*", "void >STOPPED"},
		{"STOPPING+ STOPPING^", "released", "STOPPED", "void >STOPPED"},
		{"RUNNING* UNKNOWN*", "released", "STOPPED*", ">STOPPED"},

		// It could not be started. 2.5: that counts as a failed start; 2.4: the wait, or giving up.
		{"STARTING.spawn", "nospawn.left", "BACKOFF", ">BACKOFF arm:backoff"},
		{"STARTING.spawn!", "nospawn.left", "BACKOFF!", ">BACKOFF"},
		{"STARTING.spawn*", "nospawn.last", "FATAL*", ">BACKOFF >FATAL say:gaveup"},
		{"STOPPING.spawn*", "nospawn", "STOPPED*", ">STOPPED"},
		{"STOPPING.spawn+", "nospawn", "STARTING.spawn", ">STOPPED >STARTING spawn"},

		{"STARTING.spawn*", "nospawn.masked", "STOPPED*", ">BACKOFF >STOPPED"},
		{"STOPPING.spawn* STOPPING.spawn+", "nospawn.masked", "STOPPED*", ">STOPPED"},

		// It ended. 2.6, judged by the time at which it happened (F14). K14: a restart is immediate.
		{"STARTING", "quick.left", "BACKOFF", "disarm >BACKOFF say:quick arm:backoff"},
		{"STARTING!", "quick.left", "BACKOFF!", "disarm >BACKOFF say:quick"},
		{"STARTING*", "quick.last", "FATAL*", "disarm >BACKOFF say:quick >FATAL say:gaveup"},
		{"STARTING", "end.restart", "STARTING.spawn", "disarm >RUNNING >EXITED say:ended >STARTING spawn"},
		{"STARTING!", "end.restart", "EXITED!", "disarm >RUNNING >EXITED say:ended"},
		{"STARTING*", "end.rest", "EXITED*", "disarm >RUNNING >EXITED say:ended"},
		{"RUNNING UNKNOWN", "end.restart", "STARTING.spawn", ">EXITED say:ended >STARTING spawn"},
		{"RUNNING! UNKNOWN!", "end.restart", "EXITED!", ">EXITED say:ended"},
		{"RUNNING* UNKNOWN*", "end.rest", "EXITED*", ">EXITED say:ended"},
		{"STOPPING*", "end", "STOPPED*", "disarm >STOPPED say:stopped"},
		{"STOPPING+", "end", "STARTING.spawn", "disarm >STOPPED say:stopped >STARTING spawn"},

		{"STARTING*", "quick.masked", "STOPPED*", "disarm >BACKOFF say:quick >STOPPED"},
		{"STARTING.unproved", "quick.left", "BACKOFF", "void >BACKOFF say:quick arm:backoff"},
		{"STARTING.unproved!", "quick.left", "BACKOFF!", "void >BACKOFF say:quick"},
		{"STARTING.unproved*", "quick.last", "FATAL*", "void >BACKOFF say:quick >FATAL say:gaveup"},
		{"STARTING.unproved*", "quick.masked", "STOPPED*", "void >BACKOFF say:quick >STOPPED"},
		{"STARTING", "end.delayed", "BACKOFF", "disarm >RUNNING >EXITED say:ended >BACKOFF arm:backoff"},
		{"STARTING!", "end.delayed", "EXITED!", "disarm >RUNNING >EXITED say:ended"},
		{"RUNNING UNKNOWN", "end.delayed", "BACKOFF", ">EXITED say:ended >BACKOFF arm:backoff"},
		{"RUNNING! UNKNOWN!", "end.delayed", "EXITED!", ">EXITED say:ended"},
		{"STOPPING-", "end.left", "BACKOFF", "disarm >BACKOFF say:stopped arm:backoff"},
		{"STOPPING-!", "end.left", "BACKOFF!", "disarm >BACKOFF say:stopped"},
		{"STOPPING-*", "end.last", "FATAL*", "disarm >BACKOFF say:stopped >FATAL say:gaveup"},
		{"STOPPING-*", "end.masked", "STOPPED*", "disarm >BACKOFF say:stopped >STOPPED"},
		{"STOPPING^", "end", "STARTING.spawn", "disarm >STOPPED say:stopped >STARTING spawn"},
		{"STOPPING^", "end.delayed", "BACKOFF", "disarm >STOPPED say:stopped >BACKOFF arm:backoff"},
		{"STOPPING* STOPPING+ STOPPING^", "end.masked", "STOPPED*", "disarm >STOPPED say:stopped"},

		// Time. 2.4; 2.7: KILL, again and again.
		{"STARTING*", "timer", "RUNNING*", ">RUNNING say:running"},
		{"BACKOFF", "timer", "STARTING.spawn", ">STARTING spawn"},
		{"STOPPING* STOPPING+", "timer", "=", "say:kill arm:kill signal:kill"},
		{"STOPPING-* STOPPING^", "timer", "=", "say:kill arm:kill signal:kill"},
		{"STARTING.unproved*", "timer", "STOPPING-*", "say:unproved >STOPPING arm:stop signal:stop"},
		{"BACKOFF", "timer.masked", "STOPPED", ">STOPPED"},
		{"STARTING* STARTING.unproved* BACKOFF STOPPING* STOPPING+ STOPPING-* STOPPING^", "timer.early", "=", "arm:same"},

		// A signal could not be sent. 2.7: only in a stop does it mean something to the machine.
		{"STOPPING*", "nosignal", "UNKNOWN*", "disarm >UNKNOWN"},
		{"STOPPING+", "nosignal", "UNKNOWN", "disarm >UNKNOWN"},
		{"STOPPING-*", "nosignal", "UNKNOWN*", "disarm >UNKNOWN"},
		{"STOPPING^", "nosignal", "UNKNOWN", "disarm >UNKNOWN"},
		{"STARTING* STARTING.unproved* RUNNING* UNKNOWN*", "nosignal", "=", ""},

		// What is not the present.
		{everywhere, "old", "=", ""},
	}
}

// everywhere are all situations.
const everywhere = "STOPPED* EXITED* FATAL* UNKNOWN* STARTING.spawn* STARTING* STARTING.unproved* RUNNING* BACKOFF* " +
	"STOPPING.spawn* STOPPING* STOPPING.spawn+ STOPPING+ STOPPING-* STOPPING^"

// place is a situation and a class of event.
type place struct{ on, class string }

// answer is what the table says there.
type answer struct {
	to string
	do []string
}

type table struct {
	answers map[place]answer
	visits  map[place]int
	strange map[place]bool // visited and not in the table
	names   map[nameKey]string
	room    []Action
}

// newTable spells the rows out. It fails when a place is answered twice.
func newTable(t testing.TB) *table {
	t.Helper()
	tb := &table{
		answers: make(map[place]answer), visits: make(map[place]int), strange: make(map[place]bool),
		names: make(map[nameKey]string), room: make([]Action, 0, maxActs),
	}
	for _, r := range rows() {
		for _, on := range strings.Fields(r.on) {
			variants := []string{""}
			if base, ok := strings.CutSuffix(on, "*"); ok {
				on, variants = base, []string{"", "!"}
			}
			for _, v := range variants {
				at := place{on + v, r.class}
				if _, twice := tb.answers[at]; twice {
					t.Fatalf("%v is in the table twice", at)
				}
				to := strings.Replace(r.to, "*", v, 1)
				switch to {
				case "=":
					to = at.on
				case "!":
					to = at.on + "!"
				}
				tb.answers[at] = answer{to, strings.Fields(r.do)}
			}
		}
	}
	return tb
}

// unvisited fails for every place that the walk did not come to, and for every one that it found besides.
func (tb *table) unvisited(t *testing.T) {
	t.Helper()
	for at := range tb.answers {
		if tb.visits[at] == 0 {
			t.Errorf("%v is in the table and was never visited", at)
		}
	}
	for at := range tb.strange {
		t.Errorf("%v was visited and is not in the table", at)
	}
	t.Logf("%d transitions in the table", len(tb.answers))
}

// nameKey is what a situation's name is made of.
type nameKey struct {
	state                     model.State
	spawning, again, draining bool

	unproved, failing, bouncing bool
}

// situation is where the onlooker sees the program.
func (tb *table) situation(w *world) string {
	key := nameKey{w.state, w.spawning, w.again, w.draining, w.unproved, w.failing, w.bouncing}
	if name, ok := tb.names[key]; ok {
		return name
	}
	name := w.state.String()
	if w.spawning {
		name += ".spawn"
	}
	for _, mark := range []struct {
		on   bool
		text string
	}{{w.unproved, ".unproved"}, {w.again, "+"}, {w.failing, "-"}, {w.bouncing, "^"}} {
		if mark.on {
			name += mark.text
		}
	}
	if w.draining {
		name += "!"
	}
	tb.names[key] = name
	return name
}

// class is what an event means in its situation.
func (s *seen) class() string {
	if !s.fresh {
		return "old"
	}
	stopping := s.before.state == model.Stopping
	attempts := func(name string) string {
		switch {
		case limited(s.p, s.before.failed+1):
			return name + ".last"
		case s.p.Masked:
			return name + ".masked"
		}
		return name + ".left"
	}
	masked := func(name string) string {
		if s.p.Masked {
			return name + ".masked"
		}
		return name
	}
	switch s.ev.Kind {
	case Start:
		return masked("start")
	case Stop:
		return "stop"
	case Drain:
		return "drain"
	case Quit:
		return "quit"
	case Spawned:
		switch {
		case stopping:
			return "up"
		case s.p.Checked:
			return "up.unproved"
		case s.p.Start.Secs == 0:
			return "up.confirmed"
		}
		return "up"
	case SpawnFailed:
		if stopping {
			return masked("nospawn")
		}
		return attempts("nospawn")
	case Ended:
		switch {
		case s.before.failing:
			return attempts("end")
		case s.before.bouncing && !s.p.Masked && s.p.Start.Delay > 0:
			return "end.delayed"
		case stopping:
			return masked("end")
		case s.quick():
			return attempts("quick")
		case !s.restarts() || s.p.Masked:
			return "end.rest"
		case s.p.Start.Delay > 0:
			return "end.delayed"
		}
		return "end.restart"
	case Timer:
		switch {
		case s.now < s.before.due:
			return "timer.early"
		case s.before.state == model.Backoff:
			return masked("timer")
		}
		return "timer"
	case Proved:
		if s.before.unproved && s.now-s.before.born >= s.p.Start.Secs {
			return "proved.confirmed"
		}
		return "proved"
	case Bounce:
		return masked("bounce")
	}
	return map[Kind]string{Found: "found", StartFailed: "startfailed", Moved: "moved", Released: "released", SignalFailed: "nosignal"}[s.ev.Kind]
}

// holds compares a step with the table: the next situation, and every action with all its values.
func (tb *table) holds(s *seen) bool {
	at := place{tb.situation(&s.before), s.class()}
	want, known := tb.answers[at]
	if !known {
		tb.strange[at] = true
		return false
	}
	tb.visits[at]++
	return tb.situation(&s.after) == want.to && slices.Equal(s.acts, tb.expand(s, want.do))
}

// expand turns the words of a row into actions.
func (tb *table) expand(s *seen, words []string) []Action {
	out := tb.room[:0]
	state, failed, gen, epoch := s.before.state, s.before.failed, s.before.gen, s.before.m.Epoch
	if s.ev.Kind == Released {
		failed = 0
	}
	arm := func(at time.Duration) {
		epoch++
		out = append(out, Action{Do: Arm, At: at, Epoch: epoch})
	}
	for _, word := range words {
		switch word {
		case "spawn":
			out = append(out, Action{Do: Spawn, Gen: gen})
		case "disarm":
			epoch++
			out = append(out, Action{Do: Disarm})
		case "void":
			if s.before.armed {
				epoch++
				out = append(out, Action{Do: Disarm})
			}
		case "arm:checks":
			if s.p.Start.Timeout > 0 {
				arm(s.now + s.p.Start.Timeout)
			}
		case "arm:rest":
			arm(s.before.born + s.p.Start.Secs)
		case "say:unproved":
			out = append(out, Action{Do: SayUnproved, Gen: gen})
		case "arm:start":
			arm(s.now + s.p.Start.Secs)
		case "arm:backoff":
			arm(s.now + wait(s.p, failed))
		case "arm:stop":
			arm(s.now + s.p.Stop.Wait)
		case "arm:kill":
			arm(s.now + max(s.p.Stop.Wait, time.Second))
		case "arm:same":
			arm(s.before.due)
		case "signal:stop":
			out = append(out, Action{Do: Send, Gen: gen, Signal: s.p.Stop.Signal, Reach: s.p.Stop.Reach})
		case "signal:kill":
			out = append(out, Action{Do: Send, Gen: gen, Signal: 9, Reach: s.p.Stop.KillReach})
		case "say:running":
			out = append(out, Action{Do: SayRunning})
		case "say:quick":
			out = append(out, Action{Do: SayEnded, Gen: gen, TooQuick: true})
		case "say:ended":
			out = append(out, Action{Do: SayEnded, Gen: gen, Expected: s.expected()})
		case "say:stopped":
			out = append(out, Action{Do: SayStopped, Gen: gen, Expected: s.expected()})
		case "say:gaveup":
			out = append(out, Action{Do: SayGaveUp})
		case "say:kill":
			out = append(out, Action{Do: SayKill, Gen: gen})
		default:
			to := stateOf(strings.TrimPrefix(word, ">"))
			switch to {
			case model.Backoff:
				if state == model.Starting || state == model.Stopping {
					failed++
				}
			case model.Running, model.Exited, model.Fatal:
				failed = 0
			case model.Starting:
				gen++
				if state != model.Backoff {
					failed = 0
				}
			}
			out = append(out, Action{
				Do: Enter, From: state, To: to, Gen: gen, Tries: failed, Expected: to == model.Exited && s.expected(),
			})
			state = to
		}
	}
	return out
}

// stateOf reads a state's name; a word that is none is a mistake in the table.
func stateOf(name string) model.State {
	for s := range model.State(model.NumStates) {
		if s.String() == name {
			return s
		}
	}
	panic("the table says " + name)
}
