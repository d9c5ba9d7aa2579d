package usrsvc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/home"
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

// start starts a daemon in the background, with the arguments of its own process, and returns when it answers. Another one
// that has been started meanwhile is as good.
func (i instance) start(ctx context.Context, mode, file string) (upkeep.System, error) {
	status, err := daemon.Start([]string{"usrsvcd", "--" + instanceOption + "=" + mode, "--config=" + file})
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return upkeep.System{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for first := true; ; first = false {
		s, ok, err := i.running(ctx)
		switch {
		case ok:
			return s, nil
		case err != nil && ctx.Err() == nil:
			return s, err
		case status != 0 && first: // that of somebody else may be about to answer
			status = 0
			ctx, cancel = context.WithTimeout(ctx, startPatience/10)
			defer cancel()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, fail(UnknownFailure, "the daemon does not answer; its log is in %s", i.Logs)
		}
	}
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
