package core

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// foreigner is a process that somebody else has started.
type foreigner struct {
	s     *stage
	pid   int
	since time.Duration
	err   error
	took  []uint64
	actor *actor
}

func (f *foreigner) Since() time.Duration { return f.since }

func (f *foreigner) Take(i Instance) (Process, error) {
	if f.took = append(f.took, i.Gen); f.err != nil {
		return nil, f.err
	}
	f.actor = &actor{s: f.s, inst: i, pid: f.pid}
	f.s.alive[i.Slot.spec.ID.Name] = f.actor
	return f.actor, nil
}

// TestAdoptForeign: from the moment of its adoption it is an instance like any other.
func TestAdoptForeign(t *testing.T) {
	s := newStage(t)
	wishes := &wishbook{}
	s.core.keep.wishes = wishes
	s.script["x"] = script{}
	s.add("x", func(p *model.Program, _ *model.Group) {
		p.Start.Auto, p.Exit.Restart = false, model.RestartAlways
	})
	x, seen := s.slot("x"), s.ring.Last()
	f := &foreigner{s: s, pid: 4711, since: s.w.now - time.Minute}
	if err := s.core.adoptForeign(x, f); err != nil {
		t.Fatal(err)
	}
	st := x.Status()
	if st.State != model.Running || st.PID != 4711 || !st.Start.Equal(s.Wall().Add(-time.Minute)) || st.HasExit || st.SpawnErr != "" {
		t.Errorf("%+v", st)
	}
	var told []string
	list, _ := s.ring.Since(seen, 100)
	for _, e := range list {
		told = append(told, fmt.Sprint(e.Type, " ", e.From, " ", e.PID))
	}
	if d := cmp.Diff([]string{"PROCESS_STATE_STARTING STOPPED 0", "PROCESS_STATE_RUNNING STARTING 4711"}, told); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"x:x=up"}, wishes.puts); d != "" {
		t.Error(d)
	}
	if err := s.core.adoptForeign(x, &foreigner{s: s}); !errors.Is(err, ErrAlreadyStarted) {
		t.Error(err)
	}

	// It ends by itself and is followed by one of our own.
	f.actor.end(model.Exit{Known: true, Status: 3})
	s.pass(time.Second)
	if st := x.Status(); st.PID == 4711 || !st.State.Up() || st.Generation != f.took[0]+1 {
		t.Errorf("%+v", st)
	}
	s.pass(time.Minute)
	o := s.core.stop([]*Slot{x}, Each, true)
	s.pass(time.Minute)
	wishes.flush(nil)
	if _, err := s.one(o); err != nil {
		t.Fatal(err)
	}
	s.state("x", model.Stopped)

	// And one that is stopped.
	f = &foreigner{s: s, pid: 4712}
	if err := s.core.adoptForeign(x, f); err != nil {
		t.Fatal(err)
	}
	if st := x.Status(); !st.Start.Equal(s.Wall()) { // it is not known since when it runs
		t.Errorf("since %v, it is %v", st.Start, s.Wall())
	}
	o = s.core.stop([]*Slot{x}, Each, true)
	s.pass(time.Minute)
	wishes.flush(nil)
	if _, err := s.one(o); err != nil || len(f.actor.got) != 1 {
		t.Errorf("%v, signals %v", err, f.actor.got)
	}
	s.state("x", model.Stopped)
}

// TestAdoptForeignInEveryState: only for a program of which nothing runs or is about to, and only when the process can
// be taken.
func TestAdoptForeignInEveryState(t *testing.T) {
	failed := errors.New("it is gone")
	for _, tt := range []struct {
		name   string
		script script
		after  time.Duration
		then   func(*stage, *Slot)
		err    error // of Take
		want   error
	}{
		{"stopped", script{}, 0, func(s *stage, x *Slot) { s.stop("x", true) }, nil, nil},
		{"exited", script{lives: 2 * time.Second}, 5 * time.Second, nil, nil, nil},
		{"fatal", script{fails: "no"}, time.Minute, nil, nil, nil},
		{"it cannot be taken", script{lives: 2 * time.Second}, 5 * time.Second, nil, failed, failed},
		{"starting", script{}, 500 * time.Millisecond, nil, nil, ErrAlreadyStarted},
		{"about to exist", script{}, 0, nil, nil, ErrAlreadyStarted},
		{"running", script{}, 5 * time.Second, nil, nil, ErrAlreadyStarted},
		{"backoff", script{fails: "no"}, 500 * time.Millisecond, nil, nil, ErrAlreadyStarted},
		{"stopping", script{stubborn: true}, 5 * time.Second, func(s *stage, x *Slot) { s.stop("x", false) }, nil, ErrAlreadyStarted},
		{"unknown", script{refuses: true}, 5 * time.Second, func(s *stage, x *Slot) { s.stop("x", false) }, nil, ErrAlreadyStarted},
		{"the daemon ends", script{lives: 2 * time.Second}, 5 * time.Second, func(s *stage, _ *Slot) { s.core.BeginEnd(model.DaemonShutdown) }, nil, ErrEnding},
		{"it is forgotten", script{lives: 2 * time.Second}, 5 * time.Second, func(s *stage, _ *Slot) {
			if err := s.core.removeGroup("x"); err != nil {
				t.Error(err)
			}
		}, nil, ErrNoGroup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.script["x"] = tt.script
			s.add("x", func(p *model.Program, _ *model.Group) {
				p.Start.Secs, p.Start.Auto, p.Exit.Restart = time.Second, true, model.RestartNever
			})
			x := s.slot("x")
			s.pass(tt.after)
			if tt.then != nil {
				tt.then(s, x)
			}
			before := x.Status()
			f := &foreigner{s: s, pid: 4711, err: tt.err}
			err := s.core.adoptForeign(x, f)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if tt.want == nil {
				s.state("x", model.Running)
				return
			}
			if now := x.Status(); now.State != before.State || now.PID != before.PID || now.Generation != before.Generation {
				t.Errorf("%+v, was %+v", now, before)
			}
			if tt.err == nil && len(f.took) > 0 {
				t.Error("it was taken")
			}
		})
	}
}
