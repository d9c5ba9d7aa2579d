//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// workloadNames is the order of a run.
func workloadNames() []string {
	return []string{"size", "start", "idle", "status", "restart", "logs", "stop", "clients", "events", "scale", "hostile", "checks"}
}

func workloads() map[string]func(context.Context, *bench) error {
	return map[string]func(context.Context, *bench) error{
		"size": runSize, "start": runStart, "idle": runIdle, "status": runStatus,
		"restart": runRestart, "logs": runLogs, "stop": runStop, "clients": runClients, "events": runEvents, "scale": runScale,
		"hostile": runHostile, "checks": runChecks,
	}
}

// withSleepers runs measure in a session of n sleeping programs that are all RUNNING.
func (b *bench) withSleepers(sys system, n int, measure func(*session) (*figures, error)) (*figures, error) {
	progs, err := b.sleepers(n)
	if err != nil {
		return nil, err
	}
	s, err := b.newSession(sys, progs)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.up(n); err != nil {
		return nil, err
	}
	return measure(s)
}

// runSize: bytes on disk, and the time of the shortest possible command.
func runSize(ctx context.Context, b *bench) error {
	return b.each(ctx, "size", "commands", func(ctx context.Context, sys system) (*figures, error) {
		f := &figures{}
		var bytes int64
		seen := map[string]bool{}
		for _, p := range []string{sys.Daemon, sys.Ctl} {
			real, err := filepath.EvalSymlinks(p)
			if err != nil {
				return nil, err
			}
			st, err := os.Stat(real)
			if err != nil {
				return nil, err
			}
			if !seen[real] {
				bytes += st.Size()
			}
			seen[real] = true
		}
		f.set("commands_mb", float64(bytes)/1e6)
		var times []float64
		for range 9 {
			t := time.Now()
			out, err := exec.CommandContext(ctx, sys.Daemon, "--version").CombinedOutput()
			if err != nil {
				return f, fmt.Errorf("--version: %w: %.100s", err, out)
			}
			times = append(times, ms(time.Since(t)))
		}
		f.set("version_ms", quantile(times, 0.5))
		return f, nil
	})
}

// runStart: launch → all alive, → all RUNNING.
func runStart(ctx context.Context, b *bench) error {
	for _, n := range b.o.sizes {
		err := b.each(ctx, "start", fmt.Sprintf("%d programs", n), func(_ context.Context, sys system) (*figures, error) {
			progs, err := b.sleepers(n)
			if err != nil {
				return nil, err
			}
			s, err := b.newSession(sys, progs)
			if err != nil {
				return nil, err
			}
			defer s.end()
			if err := s.up(n); err != nil {
				return nil, err
			}
			f := &figures{}
			f.set("running_s", float64(monotonic()-s.started)/1e9)
			c := measureCost(managers(s.pid()), false)
			f.set("manager_cpu_s", c.cpu.Seconds())
			// A program that counts as started at once may be a moment away from its first instruction.
			alive := workload(s.pid())
			for end := time.Now().Add(time.Second); alive != n && time.Now().Before(end); alive = workload(s.pid()) {
				time.Sleep(10 * time.Millisecond)
			}
			if alive != n {
				return f, fmt.Errorf("%d RUNNING, but %d processes", n, alive)
			}
			return f, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// runIdle: what it costs to keep programs that do nothing.
func runIdle(ctx context.Context, b *bench) error {
	for _, n := range b.o.sizes {
		err := b.each(ctx, "idle", fmt.Sprintf("%d programs", n), func(ctx context.Context, sys system) (*figures, error) {
			return b.withSleepers(sys, n, func(s *session) (*figures, error) {
				if err := pause(ctx, 2*time.Second); err != nil { // let the start settle
					return nil, err
				}
				pids := managers(s.pid())
				before, t := measureCost(pids, true), time.Now()
				if err := pause(ctx, b.o.idle); err != nil {
					return nil, err
				}
				after, span := measureCost(pids, false), time.Since(t).Seconds()
				f := &figures{}
				f.set("pss_mb", float64(before.pssKiB)*1024/1e6)
				f.set("rss_mb", float64(before.rssKiB)*1024/1e6)
				f.set("cpu_ms_per_s", ms(after.cpu-before.cpu)/span)
				f.set("wakeups_per_s", float64(after.wakes-before.wakes)/span)
				return f, nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// runStop: stop all, start all, shutdown.
func runStop(ctx context.Context, b *bench) error {
	for _, n := range b.o.sizes {
		err := b.each(ctx, "stop", fmt.Sprintf("%d programs", n), func(ctx context.Context, sys system) (*figures, error) {
			return b.withSleepers(sys, n, func(s *session) (*figures, error) {
				f := &figures{}
				took, err := s.ctl(ctx, "stop", "all")
				if err != nil {
					return f, err
				}
				f.set("stop_all_s", took.Seconds())
				if left := workload(s.pid()); left > 0 {
					return f, fmt.Errorf("%d programs left after stop all", left)
				}
				if took, err = s.ctl(ctx, "start", "all"); err != nil {
					return f, err
				}
				f.set("start_all_s", took.Seconds())
				if alive := workload(s.pid()); alive != n {
					return f, fmt.Errorf("%d programs after start all", alive)
				}
				if took, err = s.shutdown(); err != nil {
					return f, err
				}
				f.set("shutdown_s", took.Seconds())
				return f, nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// runRestart: SIGKILL → first act of the replacement.
func runRestart(ctx context.Context, b *bench) error {
	others := 100
	if b.o.full {
		others = 500
	}
	for _, n := range []int{0, others} {
		kase := fmt.Sprintf("%d others", n)
		err := b.each(ctx, "restart", kase, func(ctx context.Context, sys system) (*figures, error) {
			return b.restart(ctx, sys, n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// victims is how many programs are killed in turn, so that each is old enough when its turn comes: some
// managers hold back a program that dies young.
const (
	victims     = 6
	victimAgeMs = 1600
)

func (b *bench) restart(ctx context.Context, sys system, others int) (*figures, error) {
	progs, err := b.sleepers(others)
	if err != nil {
		return nil, err
	}
	acts := make([]string, victims)
	for i := range acts {
		acts[i] = filepath.Join(b.dir, fmt.Sprintf("act%d", i))
		os.Remove(acts[i])
		argv, err := b.child("child-act", acts[i])
		if err != nil {
			return nil, err
		}
		progs = append(progs, program{name: fmt.Sprintf("victim%d", i), argv: argv})
	}
	s, err := b.newSession(sys, progs)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.up(len(progs)); err != nil {
		return nil, err
	}
	times, err := b.kills(ctx, acts)
	if err != nil {
		return nil, err
	}
	f := &figures{}
	f.set("p50_ms", quantile(times, 0.5))
	f.set("p99_ms", quantile(times, 0.99))
	f.set("min_ms", slices.Min(times))
	return f, nil
}

// kills ends the programs of childAct that write to the given files in turn, and returns the milliseconds until their
// replacements acted.
func (b *bench) kills(ctx context.Context, acts []string) (times []float64, err error) {
	for k := range b.o.kills {
		file := acts[k%len(acts)]
		if !until(b.o.limit, 10*time.Millisecond, func() bool {
			_, at := lastAct(file)
			return at > 0 && monotonic()-at > victimAgeMs*1e6
		}) {
			return nil, fmt.Errorf("victim %d does not come up", k%len(acts))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pid, _ := lastAct(file)
		killed := monotonic()
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			return nil, err
		}
		var at int64
		if !until(b.o.limit, time.Millisecond, func() bool {
			var now int
			now, at = lastAct(file)
			return now != pid
		}) {
			return nil, fmt.Errorf("no replacement within %v", b.o.limit)
		}
		times = append(times, float64(at-killed)/1e6)
	}
	return times, nil
}

// lastAct reads the last complete line of a childAct's file.
func lastAct(file string) (pid int, at int64) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0
	}
	lines := splitLines(text)
	if len(lines) == 0 {
		return 0, 0
	}
	if _, err := fmt.Sscanf(lines[len(lines)-1], "%d %d", &pid, &at); err != nil {
		return 0, 0
	}
	return pid, at
}

// splitLines returns the lines that end in a newline.
func splitLines(text []byte) []string {
	var lines []string
	for begin, i := 0, 0; i < len(text); i++ {
		if text[i] == '\n' {
			lines = append(lines, string(text[begin:i]))
			begin = i + 1
		}
	}
	return lines
}

// pause waits unless the run is interrupted.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
