package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// World is this machine as importers see it.
func World(home, cwd string, vars map[string]string) *imports.World {
	return &imports.World{
		Vars: vars, Home: home, Cwd: cwd, GOOS: runtime.GOOS, UID: os.Getuid(), CPUs: runtime.NumCPU(), Started: processStart,
	}
}

// processStart is when a process began; false when there is none that lives.
func processStart(pid int) (time.Time, bool) {
	st, err := procstat.Read(pid)
	if err != nil || st.Dead() {
		return time.Time{}, false
	}
	age, err := procstat.Age(st.StartTicks)
	if err != nil {
		return time.Time{}, true // it is there; nobody can tell since when
	}
	return time.Now().Add(-age), true
}

const (
	// monitorPatience is how long a monitor of the other tool may take to end, and monitorLook how often that is looked at.
	monitorPatience = 15 * time.Second
	monitorLook     = 10 * time.Millisecond
)

// TakeOver makes the process that chalmers runs the running one of a program that the daemon knows: the process that watches
// it there is asked to end, which leaves it alone, and it is adopted. Nothing is touched that is not what was read about, as
// numbers are given away again: the process began when it is said to, its monitor is its parent and is chalmers, and nothing
// runs yet for the program. Source: one-model 5, spec/chalmers CH-99.
func TakeOver(ctx context.Context, c *upkeep.Client, name string, live *imports.Live) error {
	if alive, why := chalmers.Verify(chalmers.State{Child: live.PID, Start: live.Start}, processStart); !alive {
		return errors.New(why)
	}
	switch p, err := c.Process(ctx, name); {
	case err != nil:
		return err
	case p.PID != nil:
		return fmt.Errorf("it runs here already (pid %d)", *p.PID)
	}
	if err := endMonitor(ctx, live); err != nil {
		return err
	}
	if _, err := c.Adopt(ctx, name, live.PID); err != nil {
		return fmt.Errorf("process %d runs on, and nobody watches it: %w", live.PID, err)
	}
	return nil
}

// endMonitor ends the process that watches a program under the other tool.
func endMonitor(ctx context.Context, live *imports.Live) error {
	child, err := procstat.Read(live.PID)
	if err != nil {
		return err
	}
	same := func() bool {
		now, err := procstat.Read(live.PID)
		return err == nil && !now.Dead() && now.StartTicks == child.StartTicks
	}
	watched := func() bool {
		now, err := procstat.Read(live.PID)
		return err == nil && now.StartTicks == child.StartTicks && now.PPID == live.Monitor
	}
	if live.Monitor <= 1 || child.PPID != live.Monitor {
		if _, alive := processStart(live.Monitor); live.Monitor > 1 && alive {
			return fmt.Errorf("process %d is no child of its monitor %d", live.PID, live.Monitor)
		}
		return nil // nobody watches it
	}
	if args, err := procstat.Cmdline(live.Monitor); err == nil && !strings.Contains(strings.Join(args, " "), "chalmers") {
		return fmt.Errorf("process %d, the parent of %d, is not chalmers", live.Monitor, live.PID)
	}
	if err := procfd.SignalIf(live.Monitor, int(syscall.SIGTERM), watched); err != nil {
		return fmt.Errorf("its monitor (pid %d) cannot be ended: %w", live.Monitor, err)
	}
	ctx, cancel := context.WithTimeout(ctx, monitorPatience)
	defer cancel()
	tick := time.NewTicker(monitorLook)
	defer tick.Stop()
	for watched() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("its monitor (pid %d) does not end: %w", live.Monitor, ctx.Err())
		}
	}
	if !same() {
		return fmt.Errorf("process %d ended with its monitor", live.PID)
	}
	return nil
}
