package app

import (
	"context"
	"errors"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// captureEvery is how often programs that are down are looked for among the processes that others have started.
const captureEvery = 5 * time.Second

// capture has a foreign instance that is active find programs that somebody else has started, and keep them alive from then
// on, until the function that it returns is called. Source: spec/usrsvc US-02, US-69.
func (a *App) capture(ctx context.Context) (stop func()) {
	if !a.foreign() || a.passive() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(captureEvery)
		defer tick.Stop()
		for {
			a.captureAll(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// captureAll looks once. Where everything runs, nobody is looked at.
func (a *App) captureAll(ctx context.Context) {
	for _, s := range a.core.Table().Sorted {
		st := s.Status()
		p := st.Program
		cared := p.Start.Auto || p.Exit.Restart != model.RestartNever
		if !st.State.Down() || st.PID != 0 || p.Disabled || !cared || !p.Attach.Fits() || ctx.Err() != nil {
			continue
		}
		q, err := a.host.Find(ctx, p)
		if err == nil && q != nil && began(q).After(st.Stop) { // what is older was left behind by an instance that has ended
			err = a.take(ctx, s, q)
		}
		if err != nil && ctx.Err() == nil && a.said.first(st.ID.String()+": "+err.Error()) {
			a.log.Logf(activity.Warn, "%s is not looked for among the processes that run: %v", st.ID, err)
		}
	}
}

// take makes a process that was seen the instance of a program.
func (a *App) take(ctx context.Context, s *core.Slot, q *find.Process) error {
	c, err := a.host.CandidateAt(q)
	if err != nil {
		return nil // it has ended meanwhile, or may not be taken, which is its business
	}
	defer c.Close()
	return a.core.Adopt(ctx, s, c)
}

// began is when a process began; as early as can be where that is not known.
func began(q *find.Process) time.Time {
	age, err := procstat.Age(q.StartTicks)
	if err != nil {
		return time.Time{}.Add(1)
	}
	return time.Now().Add(-age)
}

// AmbiguousError says that it is not certain which process is a program's.
type AmbiguousError struct{ Text string }

// Error is the text, which names the processes.
func (e *AmbiguousError) Error() string { return e.Text }

// FindProcess is the pid of the process that somebody else has started and that a daemon would take for a program, in an
// environment and as a user: 0 = there is none. Nothing is changed. *AmbiguousError: several fit.
func FindProcess(ctx context.Context, p *model.Program, environ []string, uid int) (int, error) {
	q, err := launch.FindOf(ctx, p, environ, uid)
	var command *launch.CommandError
	var seek *launch.SeekError
	switch {
	case errors.As(err, &command): // there is no such command, so that nothing can be compared with it
		return 0, nil
	case errors.As(err, &seek):
		return 0, &AmbiguousError{seek.Text}
	case err != nil || q == nil:
		return 0, err
	}
	return q.PID, nil
}
