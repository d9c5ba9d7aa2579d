//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// statusCalls is how often a command is called one after the other.
const statusCalls = 20

// runStatus: the commands that show what runs, and the call that supervisorctl makes. pm2 is measured when it is given.
func runStatus(ctx context.Context, b *bench) error {
	for _, n := range b.o.sizes {
		kase := fmt.Sprintf("%d programs", n)
		err := b.each(ctx, "status", kase, func(ctx context.Context, sys system) (*figures, error) {
			return b.withSleepers(sys, n, func(s *session) (*figures, error) { return s.status(ctx, n) })
		})
		if err != nil || b.o.pm2 == "" {
			return err
		}
		r := row{Workload: "status", Case: kase, System: "pm2", Load: loadAverage()}
		f, err := b.statusPM2(ctx, n)
		if r.Figures, r.Order = f.values, f.order; err != nil {
			r.Error = err.Error()
		}
		if err := b.record(r); err != nil {
			return err
		}
	}
	return nil
}

// status measures the commands of a system: own is the one that it is known for.
func (s *session) status(ctx context.Context, n int) (*figures, error) {
	f := &figures{}
	ctl := []string{s.sys.Ctl, "-c", s.conf, "status"}
	if err := s.b.commandCost(ctx, f, "ctl", n, os.Environ(), ctl...); err != nil {
		return f, err
	}
	if native := s.sys.native(); native != "" {
		if err := s.b.commandCost(ctx, f, "own", n, os.Environ(), native, "--socket", s.sock, "status"); err != nil {
			return f, err
		}
	} else {
		for _, name := range slices.Clone(f.order) { // it is the same command
			f.set("own"+strings.TrimPrefix(name, "ctl"), f.values[name])
		}
	}
	var api []float64
	c := newClient(s.sock, false)
	defer c.close()
	for end := time.Now().Add(s.b.o.secs); len(api) < 300 && (len(api) < 5 || time.Now().Before(end)); {
		t := time.Now()
		if _, err := c.call(methodInfo); err != nil {
			return f, err
		}
		api = append(api, ms(time.Since(t)))
	}
	f.set("call_p50_ms", quantile(api, 0.5))
	f.set("call_p99_ms", quantile(api, 0.99))
	return f, nil
}

// native is the command upkeep, when supervisorctl is another name of it.
func (s system) native() string {
	if real, err := filepath.EvalSymlinks(s.Ctl); err == nil && filepath.Base(real) == "upkeep" {
		return real
	}
	return ""
}

// statusPM2 has pm2 run n programs, and measures its list.
func (b *bench) statusPM2(ctx context.Context, n int) (*figures, error) {
	f := &figures{}
	dir, err := b.scratch()
	if err != nil {
		return f, err
	}
	progs, err := b.sleepers(n)
	if err != nil {
		return f, err
	}
	type app struct {
		Name        string `json:"name"`
		Script      string `json:"script"`
		Args        string `json:"args"`
		Interpreter string `json:"interpreter"`
	}
	var apps []app
	for _, p := range progs {
		apps = append(apps, app{p.name, p.argv[0], p.argv[1], "none"})
	}
	text, err := json.Marshal(map[string]any{"apps": apps})
	if err != nil {
		return f, err
	}
	list := filepath.Join(dir, "ecosystem.json")
	if err := os.WriteFile(list, text, 0o644); err != nil {
		return f, err
	}
	env := append(os.Environ(), "PM2_HOME="+filepath.Join(dir, "pm2"), b.mark)
	defer endMarked(b.mark)
	limited, cancel := context.WithTimeout(ctx, b.o.limit)
	defer cancel()
	cmd := exec.CommandContext(limited, b.o.pm2, "start", list, "--silent")
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Setsid: true}
	t := time.Now()
	if err := cmd.Run(); err != nil { // without pipes: its daemon lives on
		return f, fmt.Errorf("pm2 start: %w after %v", cmp.Or(limited.Err(), err), time.Since(t).Round(time.Second))
	}
	f.set("started_s", time.Since(t).Seconds())
	return f, b.commandCost(ctx, f, "own", n, env, b.o.pm2, "ls")
}

// callCost is what one call of a command took.
type callCost struct {
	Wall, CPU int64 // ns
	RSS       int64 // KiB, the most
	Lines     int   // of output
	Error     string
}

// commandCost calls a command that has at least n lines to say several times.
func (b *bench) commandCost(ctx context.Context, f *figures, name string, n int, env []string, argv ...string) error {
	ctx, cancel := context.WithTimeout(ctx, b.o.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.self, append([]string{"child-cost", strconv.Itoa(statusCalls)}, argv...)...)
	cmd.Env = append(env, b.mark)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(argv, " "), cmp.Or(ctx.Err(), err))
	}
	var wall, cpu, rss []float64
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var c callCost
		if err := d.Decode(&c); err != nil {
			return err
		}
		if c.Error != "" || c.Lines < n {
			return fmt.Errorf("%s: %d lines for %d programs, %s", strings.Join(argv, " "), c.Lines, n, cmp.Or(c.Error, "no error"))
		}
		wall, cpu, rss = append(wall, float64(c.Wall)/1e6), append(cpu, float64(c.CPU)/1e6), append(rss, float64(c.RSS)*1024/1e6)
	}
	f.set(name+"_p50_ms", quantile(wall, 0.5))
	f.set(name+"_p99_ms", quantile(wall, 0.99))
	f.set(name+"_cpu_ms", quantile(cpu, 0.5))
	f.set(name+"_rss_mb", quantile(rss, 1))
	return nil
}

// childCost N COMMAND...: what each of N calls of a command takes, as lines of JSON. It is a small process: a command
// begins as a copy of the one that calls it, whose memory counts as its own.
func childCost(args []string) int {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return fail(err)
	}
	e := json.NewEncoder(os.Stdout)
	for range n {
		cmd := exec.Command(args[1], args[2:]...)
		t := time.Now()
		out, err := cmd.Output()
		c := callCost{Wall: int64(time.Since(t)), Lines: bytes.Count(out, []byte("\n"))}
		if err != nil {
			c.Error = err.Error()
		}
		if cmd.ProcessState != nil {
			c.CPU = int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
			c.RSS = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
		}
		if err := e.Encode(c); err != nil {
			return fail(err)
		}
	}
	return 0
}
