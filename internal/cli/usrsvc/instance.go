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
	native "github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/home"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// instance is the daemon of one configuration, whether it runs or not.
type instance struct {
	home.Instance
	pidfile string // of the daemon; empty = it is not known
}

const (
	// startPatience is how long a daemon may take until it answers, endPatience how long until it is gone.
	startPatience = 30 * time.Second
	endPatience   = time.Minute
	// look is how often something is looked at that nobody reports.
	look = 20 * time.Millisecond
)

func (i instance) client() *upkeep.Client { return upkeep.New(upkeep.Options{Socket: i.Socket}) }

// running is the daemon's own account of itself; ok is false when there is none. One that ends while it is asked is no answer:
// the next one is asked, or there is none.
func (i instance) running(ctx context.Context) (s upkeep.System, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	c := i.client()
	defer c.Close()
	for {
		s, err = c.System(ctx)
		var absent *upkeep.AbsentError
		switch {
		case err == nil:
			return s, true, nil
		case errors.As(err, &absent) && !errors.Is(err, os.ErrPermission):
			return s, false, nil
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return s, false, i.mute(err)
		case !cut(err):
			return s, false, err
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
		}
	}
}

// cut reports whether an error says that the daemon has ended while it was asked.
func cut(err error) bool {
	var p *upkeep.Problem
	var f *failure
	return !errors.As(err, &p) && !errors.As(err, &f) && !errors.Is(err, os.ErrPermission) && !errors.Is(err, context.Canceled)
}

// start starts a daemon in the background, unless somebody else does that at the same time, and returns when it answers. One
// that only watches makes room for one that does more. One that is about to end is waited for.
func (i instance) start(ctx context.Context, mode, file string) (s upkeep.System, err error) {
	if err := i.ready(); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	seen := func(ctx context.Context) (upkeep.System, bool, error) {
		s, ok, err := i.running(ctx)
		return s, ok && (!s.Passive || mode == modePassive), err
	}
	begin := func(ctx context.Context, s upkeep.System) (bool, error) {
		if s.Passive { // it makes room, and nobody else starts one meanwhile
			return false, i.end(ctx, s)
		}
		return i.launch(mode, file)
	}
	s, _, err = native.Once(ctx, i.State, seen, begin)
	if errors.Is(err, context.DeadlineExceeded) {
		err = i.mute(nil)
	}
	return s, err
}

// mute is why nothing is known of a daemon that should answer by now.
func (i instance) mute(err error) error {
	if pid, look := lock.Holder(filepath.Join(i.State, "lock")); look == nil && pid > 0 && !procstat.Gone(pid) {
		return fail(UnknownFailure, "usrsvcd (pid %d) does not answer at %s: end it with kill %d, its programs run on; its log is in %s", pid, i.Socket, pid, i.Logs)
	}
	if err != nil {
		return fail(UnknownFailure, "the daemon does not answer: %v; its log is in %s", err, i.Logs)
	}
	return fail(UnknownFailure, "the daemon does not answer; its log is in %s", i.Logs)
}

// ready makes the folders that a daemon needs.
func (i instance) ready() error {
	for _, dir := range []string{i.Logs, filepath.Dir(i.Socket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return i.homeless(err)
		}
	}
	return nil
}

// homeless is why the instance has no place for its files.
func (i instance) homeless(err error) error {
	return fail(InsufficientPermissions, "there is no place for the files of the daemon: %v; HOME may not be that of this account, and XDG_STATE_HOME can name another place", err)
}

// launch starts the daemon's own process, and returns when it is ready. It is not, without an error, when another one has the
// lock of the instance: one that is about to end, or has just begun.
func (i instance) launch(mode, file string) (launched bool, err error) {
	status, err := daemon.Start([]string{"usrsvcd", "--" + instanceOption + "=" + mode, "--config=" + file})
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return false, err
	case Code(status) == UsrsvcdAlreadyRunning:
		return false, nil
	case status != 0 || err != nil:
		return false, fail(max(Code(status), GeneralFailure), "the daemon has not started; its log is in %s", i.Logs)
	}
	return true, nil
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
