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

		// Orders to stop. 2.7; refused where nothing runs; the newest order counts.
		{"STOPPED* EXITED* FATAL* UNKNOWN* STOPPING.spawn* STOPPING*", "stop", "=", ""},
		{"STOPPING.spawn+", "stop", "STOPPING.spawn", ""},
		{"STOPPING+", "stop", "STOPPING", ""},
		{"STARTING.spawn*", "stop", "STOPPING.spawn*", ">STOPPING"},
		{"STARTING*", "stop", "STOPPING*", "disarm >STOPPING arm:stop signal:stop"},
		{"RUNNING*", "stop", "STOPPING*", ">STOPPING arm:stop signal:stop"},
		{"BACKOFF", "stop", "STOPPED", "disarm >STOPPED"},
		{"BACKOFF!", "stop", "STOPPED!", ">STOPPED"},

		// The daemon drains. 2.8: no automatic starts from here on; what starts may still become RUNNING.
		{"STOPPED EXITED FATAL UNKNOWN", "drain", "!", ""},
		{"STARTING.spawn STARTING RUNNING STOPPING.spawn STOPPING", "drain", "!", ""},
		{"STOPPING.spawn+", "drain", "STOPPING.spawn!", ""},
		{"STOPPING+", "drain", "STOPPING!", ""},
		{"BACKOFF", "drain", "BACKOFF!", "disarm"},
		{"STOPPED! EXITED! FATAL! UNKNOWN! STARTING.spawn! STARTING! RUNNING! STOPPING.spawn! STOPPING! BACKOFF!", "drain", "=", ""},

		// The daemon ends and it is the program's turn. 2.8: BACKOFF becomes FATAL without a word.
		{"STOPPED EXITED FATAL UNKNOWN STOPPING.spawn STOPPING", "quit", "!", ""},
		{"STOPPED! EXITED! FATAL! UNKNOWN! STOPPING.spawn! STOPPING!", "quit", "=", ""},
		{"STOPPING.spawn+", "quit", "STOPPING.spawn!", ""},
		{"STOPPING+", "quit", "STOPPING!", ""},
		{"STARTING.spawn STARTING.spawn!", "quit", "STOPPING.spawn!", ">STOPPING"},
		{"STARTING STARTING!", "quit", "STOPPING!", "disarm >STOPPING arm:stop signal:stop"},
		{"RUNNING RUNNING!", "quit", "STOPPING!", ">STOPPING arm:stop signal:stop"},
		{"BACKOFF", "quit", "FATAL!", "disarm >FATAL"},
		{"BACKOFF!", "quit", "FATAL!", ">FATAL"},

		// The process exists. 2.5; 2.6: with startsecs=0 it is RUNNING at once.
		{"STARTING.spawn*", "up", "STARTING*", "arm:start"},
		{"STARTING.spawn*", "up.confirmed", "RUNNING*", ">RUNNING say:running"},
		{"STOPPING.spawn*", "up", "STOPPING*", "arm:stop signal:stop"},
		{"STOPPING.spawn+", "up", "STOPPING+", "arm:stop signal:stop"},

		// It could not be started. 2.5: that counts as a failed start; 2.4: the wait, or giving up.
		{"STARTING.spawn", "nospawn.left", "BACKOFF", ">BACKOFF arm:backoff"},
		{"STARTING.spawn!", "nospawn.left", "BACKOFF!", ">BACKOFF"},
		{"STARTING.spawn*", "nospawn.last", "FATAL*", ">BACKOFF >FATAL say:gaveup"},
		{"STOPPING.spawn*", "nospawn", "STOPPED*", ">STOPPED"},
		{"STOPPING.spawn+", "nospawn", "STARTING.spawn", ">STOPPED >STARTING spawn"},

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

		// Time. 2.4; 2.7: KILL, again and again.
		{"STARTING*", "timer", "RUNNING*", ">RUNNING say:running"},
		{"BACKOFF", "timer", "STARTING.spawn", ">STARTING spawn"},
		{"STOPPING* STOPPING+", "timer", "=", "say:kill arm:kill signal:kill"},
		{"STARTING* BACKOFF STOPPING* STOPPING+", "timer.early", "=", "arm:same"},

		// A signal could not be sent. 2.7: only in a stop does it mean something to the machine.
		{"STOPPING*", "nosignal", "UNKNOWN*", "disarm >UNKNOWN"},
		{"STOPPING+", "nosignal", "UNKNOWN", "disarm >UNKNOWN"},
		{"STARTING* RUNNING* UNKNOWN*", "nosignal", "=", ""},

		// What is not the present.
		{"STOPPED* EXITED* FATAL* UNKNOWN* STARTING.spawn* STARTING* RUNNING* BACKOFF* STOPPING.spawn* STOPPING* STOPPING.spawn+ STOPPING+", "old", "=", ""},
	}
}

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
}

// situation is where the onlooker sees the program.
func (tb *table) situation(w *world) string {
	key := nameKey{w.state, w.spawning, w.again, w.draining}
	if name, ok := tb.names[key]; ok {
		return name
	}
	name := w.state.String()
	if w.spawning {
		name += ".spawn"
	}
	if w.again {
		name += "+"
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
		if s.before.failed+1 > s.p.Start.Retries {
			return name + ".last"
		}
		return name + ".left"
	}
	switch s.ev.Kind {
	case Start:
		return "start"
	case Stop:
		return "stop"
	case Drain:
		return "drain"
	case Quit:
		return "quit"
	case Spawned:
		if !stopping && s.p.Start.Secs == 0 {
			return "up.confirmed"
		}
		return "up"
	case SpawnFailed:
		if stopping {
			return "nospawn"
		}
		return attempts("nospawn")
	case Ended:
		switch {
		case stopping:
			return "end"
		case s.quick():
			return attempts("quick")
		case s.restarts():
			return "end.restart"
		}
		return "end.rest"
	case Timer:
		if s.now < s.before.due {
			return "timer.early"
		}
		return "timer"
	}
	return "nosignal"
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
		case "arm:start":
			arm(s.now + s.p.Start.Secs)
		case "arm:backoff":
			arm(s.now + time.Duration(failed)*time.Second)
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
				failed++
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
