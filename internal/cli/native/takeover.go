package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// monitorPatience is how long a monitor of the other tool may take to end.
const monitorPatience = 15 * time.Second

// startTolerance is how far two accounts of the start of a process may be apart.
const startTolerance = 3 * time.Second

// takeProcess goes on with the running process of a program that has just been defined: its monitor is asked to end, which
// leaves the process alone, and the process is adopted. Source: one-model 5.
func (c *command) takeProcess(ctx context.Context, client *upkeep.Client, p *imports.Program) error {
	if _, err := client.Apply(ctx, p.Name); err != nil {
		return err
	}
	if err := endMonitor(ctx, p.Live); err != nil {
		return err
	}
	adopted, err := client.Adopt(ctx, p.Name, p.Live.PID)
	if err != nil {
		return fmt.Errorf("process %d runs on, and nobody watches it: %w", p.Live.PID, err)
	}
	fmt.Fprintf(c.out, "%s %s is managed: pid %d, not restarted\n", c.good(), adopted.ID, p.Live.PID)
	if p.Live.Stdout != "" {
		fmt.Fprintf(c.out, "  its output goes to %s until its next start\n", c.path(p.Live.Stdout))
	}
	if !p.On {
		return nil
	}
	def, err := client.Program(ctx, p.Name)
	if err != nil {
		return err
	}
	text, _, _, err := managed.Set(def.Text, managed.Section(p.Name), "autostart", "true")
	if err != nil {
		return err
	}
	if _, err := client.Define(ctx, p.Name, []byte(text), def.ETag); err != nil {
		return err
	}
	_, err = client.Apply(ctx, p.Name)
	return err
}

// endMonitor ends the process that watches a program under the other tool. It must be the parent of the program, and the
// program the one that was read about: numbers are given away again.
func endMonitor(ctx context.Context, live *imports.Live) error {
	began, alive := processStart(live.PID)
	if !alive || !live.Start.IsZero() && began.Sub(live.Start).Abs() > startTolerance {
		return fmt.Errorf("process %d is not the one that was started there", live.PID)
	}
	st, err := procstat.Read(live.PID)
	if err != nil {
		return err
	}
	if live.Monitor == 0 || st.PPID != live.Monitor {
		if _, alive := processStart(live.Monitor); live.Monitor == 0 || !alive {
			return nil // nobody watches it
		}
		return fmt.Errorf("process %d is no child of its monitor %d", live.PID, live.Monitor)
	}
	if args, err := procstat.Cmdline(live.Monitor); err == nil && !strings.Contains(strings.Join(args, " "), "chalmers") {
		return fmt.Errorf("process %d, the parent of %d, is not chalmers", live.Monitor, live.PID)
	}
	monitor, err := os.FindProcess(live.Monitor)
	if err != nil {
		return err
	}
	if err := monitor.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("its monitor (pid %d): %w", live.Monitor, err)
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, monitorPatience)
	defer cancel()
	for {
		if gone(live.Monitor) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("its monitor (pid %d) does not end", live.Monitor)
		}
	}
}
