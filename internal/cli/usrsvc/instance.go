package usrsvc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/home"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// instance is the daemon of one configuration, whether it runs or not.
type instance struct {
	home.Instance
}

const (
	// startPatience is how long a daemon may take until it answers, endPatience how long until it is gone.
	startPatience = 30 * time.Second
	endPatience   = time.Minute
	// look is how often something is looked at that nobody reports.
	look = 20 * time.Millisecond
)

func (i instance) client() *upkeep.Client { return upkeep.New(upkeep.Options{Socket: i.Socket}) }

// running is the daemon's own account of itself; ok is false when there is none.
func (i instance) running(ctx context.Context) (s upkeep.System, ok bool, err error) {
	c := i.client()
	defer c.Close()
	s, err = c.System(ctx)
	var absent *upkeep.AbsentError
	switch {
	case err == nil:
		return s, true, nil
	case errors.As(err, &absent) && !errors.Is(err, os.ErrPermission):
		return s, false, nil
	}
	return s, false, err
}

// start starts a daemon in the background, unless somebody else does that at the same time, and returns when it answers.
func (i instance) start(ctx context.Context, mode, file string) (s upkeep.System, err error) {
	if err := i.ready(); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for mine, launched := false, false; ; {
		s, ok, err := i.running(ctx)
		if ok || err != nil && ctx.Err() == nil {
			return s, err
		}
		switch {
		case !mine:
			l, err := lock.Acquire(filepath.Join(i.State, "starting"))
			var held *lock.HeldError
			switch {
			case err == nil:
				mine = true
				defer l.Close()
				continue // it may have come meanwhile
			case !errors.As(err, &held):
				return s, err
			}
		case !launched:
			if err := i.launch(mode, file); err != nil {
				return s, err
			}
			launched = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, fail(UnknownFailure, "the daemon does not answer; its log is in %s", i.Logs)
		}
	}
}

// launch starts the daemon's own process, and returns when it is ready.
func (i instance) launch(mode, file string) error {
	status, err := daemon.Start([]string{"usrsvcd", "--" + instanceOption + "=" + mode, "--config=" + file})
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return err
	case status != 0 || err != nil:
		return fail(max(Code(status), GeneralFailure), "the daemon has not started; its log is in %s", i.Logs)
	}
	return nil
}

// end asks the daemon to end, which leaves its programs alone, and waits until it is gone.
func (i instance) end(ctx context.Context, s upkeep.System) error {
	st, err := procstat.Read(s.PID)
	if err == nil {
		err = procfd.SignalIf(s.PID, int(syscall.SIGTERM), func() bool {
			now, err := procstat.Read(s.PID)
			return err == nil && !now.Dead() && now.StartTicks == st.StartTicks
		})
	}
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fail(GeneralFailure, "usrsvcd (pid %d) cannot be asked to end: %v", s.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		now, err := procstat.Read(s.PID)
		if procstat.Gone(s.PID) || err == nil && now.StartTicks != st.StartTicks {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fail(GeneralFailure, "usrsvcd (pid %d) does not end; its log is %s", s.PID, s.Log)
		}
	}
}
