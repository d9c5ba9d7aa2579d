package manager

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/service"
)

// applicant is a process that is played.
type applicant struct {
	s      *stage
	pid    int
	fails  error
	closed bool
}

func (a *applicant) Since() time.Duration { return 0 }
func (a *applicant) Close()               { a.closed = true }

func (a *applicant) Take(i core.Instance) (core.Process, error) {
	return &actor{s: a.s, i: i, pid: a.pid}, a.fails
}

// waiting are programs with one process that may be adopted.
type waiting struct {
	programs
	applicant *applicant
	fails     error
}

func (w waiting) Candidate(pid int) (launch.Candidate, error) {
	if w.fails != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, w.fails)
	}
	w.applicant.pid = pid
	return w.applicant, nil
}

func TestAdopt(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"))
	id, ctx := model.ID{Group: "x", Name: "x"}, context.Background()
	set := func(w waiting) *applicant {
		w.programs = programs{launch.New(launch.Options{})}
		w.applicant = &applicant{s: s}
		s.Manager.o.Programs = w
		return w.applicant
	}
	a := set(waiting{})
	st, err := s.Adopt(ctx, id, 4711)
	if err != nil || st.PID != 4711 || st.State != model.Running || !a.closed {
		t.Errorf("%+v, %v", st, err)
	}
	s.state("x", model.Running)
	_, err = s.Adopt(ctx, id, 4711)
	code(t, "a program that is up", err, service.CodeAlreadyStarted)
	_, err = s.Adopt(ctx, model.ID{Group: "x", Name: "y"}, 4711)
	code(t, "an unknown program", err, service.CodeNoSuchProgram)
	for _, pid := range []int{0, -1} {
		_, err = s.Adopt(ctx, id, pid)
		code(t, "no pid", err, service.CodeBadArguments)
	}
	rs, err := s.Stop(ctx, one("x"), service.WaitOutcome)
	is(t, "stop", rs, err, "x:x ok")
	if got := s.took(); got != "signal x" {
		t.Error(got)
	}

	for _, tt := range []struct {
		err  error
		want service.Code
		text string
	}{
		{launch.ErrNoProcess, service.CodeNoProcess, "no such process: pid 7: there is no such process"},
		{launch.ErrNotPermitted, service.CodeNotPermitted, "not permitted: pid 7: this daemon may not signal it"},
		{launch.ErrKernel, service.CodeNotAdoptable, "not adoptable: pid 7: it is a thread of the kernel"},
		{launch.ErrInit, service.CodeNotAdoptable, "not adoptable: pid 7: it is the first process of the system"},
		{launch.ErrOurselves, service.CodeNotAdoptable, "not adoptable: pid 7: it is a process of this daemon"},
		{launch.ErrTaken, service.CodeTaken, "already an instance: pid 7: it is an instance of a program already"},
		{errors.ErrUnsupported, service.CodeFailed, "failed: pid 7: unsupported operation"},
	} {
		set(waiting{fails: tt.err})
		_, err := s.Adopt(ctx, id, 7)
		code(t, "a process that is unfit", err, tt.want)
		if err == nil || err.Error() != tt.text {
			t.Errorf("%v, want %s", err, tt.text)
		}
	}
	a = set(waiting{})
	a.fails = fmt.Errorf("pid 7: %w", launch.ErrTaken)
	_, err = s.Adopt(ctx, id, 7)
	code(t, "one that another was faster with", err, service.CodeTaken)
	if !a.closed {
		t.Error("it is still held")
	}
	s.state("x", model.Stopped)
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = s.Adopt(ctx, id, 7)
	code(t, "while the daemon ends", err, service.CodeShuttingDown)
}
