//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// scaleShape are the lines of a program that has so many pipes: stdin, stdout and stderr; both outputs in one; no
// stdin.
func scaleShape(pipes int) string {
	switch pipes {
	case 1:
		return "redirect_stderr=true\nstdin=none\n"
	case 2:
		return "redirect_stderr=true\n"
	}
	return "redirect_stderr=false\nstderr_logfile=NONE\n"
}

// scaleVictims is how many of the programs are killed in turn.
const scaleVictims = 25

// runScale: as many programs as asked for, and everything that could grow with their number.
func runScale(ctx context.Context, b *bench) error {
	for _, n := range b.o.sizes {
		err := b.each(ctx, "scale", fmt.Sprintf("%d programs, %d pipes each", n, b.o.pipes), func(ctx context.Context, sys system) (*figures, error) {
			return b.scale(ctx, sys, n, scaleShape(b.o.pipes))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scale is one session; what was found before an error is in the figures.
func (b *bench) scale(ctx context.Context, sys system, n int, more string) (*figures, error) {
	progs, acts, err := b.crowd(n, more)
	if err != nil {
		return nil, err
	}
	s, err := b.newSession(sys, progs)
	if err != nil {
		return nil, err
	}
	defer s.end()
	f := &figures{}
	if err := s.up(n); err != nil {
		return f, err
	}
	f.set("running_s", float64(monotonic()-s.started)/1e9)
	for _, measure := range []func() error{
		func() error { return s.scaleIdle(ctx, f, n) },
		func() error { return s.scaleStatus(ctx, f) },
		func() error { return s.scaleKills(ctx, f, acts) },
		func() error { return s.scaleRecovery(f, n) },
		func() error { return s.scaleStop(ctx, f, n) },
	} {
		if err := errors.Join(ctx.Err(), measure()); err != nil {
			return f, err
		}
	}
	return f, nil
}

// crowd are n programs of which the first are those to be killed, each with the file in which it says that it acts.
func (b *bench) crowd(n int, more string) (progs []program, acts []string, err error) {
	if progs, err = b.sleepers(n); err != nil {
		return nil, nil, err
	}
	for i := range min(n, scaleVictims) {
		act := filepath.Join(b.dir, fmt.Sprintf("act%d", i))
		os.Remove(act)
		if progs[i].argv, err = b.child("child-act", act); err != nil {
			return nil, nil, err
		}
		acts = append(acts, act)
	}
	for i := range progs {
		progs[i].log, progs[i].maxBytes, progs[i].backups = filepath.Join(b.dir, progs[i].name+".log"), "50MB", 10
		progs[i].more = more
	}
	return progs, acts, nil
}

// settled is how long a daemon is left alone after it has started its programs.
const settled = 8 * time.Second

// scaleIdle: memory of each process of the daemon and of each program, descriptors, threads, and what it costs that
// the programs sleep.
func (s *session) scaleIdle(ctx context.Context, f *figures, n int) error {
	if err := pause(ctx, settled); err != nil {
		return err
	}
	pids := managers(s.pid())
	before, t := measureCost(pids, false), time.Now()
	if err := pause(ctx, s.b.o.idle); err != nil {
		return err
	}
	after, span := measureCost(pids, false), time.Since(t).Seconds()
	f.set("idle_cpu_ms_per_s", ms(after.cpu-before.cpu)/span)
	f.set("idle_wakeups_per_s", float64(after.wakes-before.wakes)/span)
	var total, threads float64
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		role := roleOf(pid, s.pid())
		pss := float64(field(dir+"/smaps_rollup", "Pss:")) * 1024
		fds, _ := os.ReadDir(dir + "/fd")
		total += pss
		threads += float64(field(dir+"/status", "Threads:"))
		f.set(role+"_pss_mb", pss/1e6)
		f.set(role+"_kb_per_program", pss/1e3/float64(n))
		f.set(role+"_descriptors", float64(len(fds)))
	}
	f.set("pss_mb", total/1e6)
	f.set("threads", threads)
	return nil
}

// roleOf names a process of a daemon: the one that was started, the one below it that works, and the others.
func roleOf(pid, root int) string {
	if pid == root {
		return "top"
	}
	if pid == managerOf(root) {
		return "manager"
	}
	return "helper"
}

// managerOf is the process directly below root that is no program: of a daemon of several processes the one that
// does the work. 0 when root has none.
func managerOf(root int) int {
	for _, pid := range managers(root) {
		if p, ok := readStat(pid); ok && p.parent == root {
			return pid
		}
	}
	return 0
}

// scaleStatus: the command, the median of five.
func (s *session) scaleStatus(ctx context.Context, f *figures) error {
	var times []float64
	for range 5 {
		took, err := s.ctl(ctx, "status")
		if err != nil {
			return err
		}
		times = append(times, ms(took))
	}
	f.set("status_ms", quantile(times, 0.5))
	return nil
}

// scaleKills: SIGKILL of one program → the first act of its replacement.
func (s *session) scaleKills(ctx context.Context, f *figures, acts []string) error {
	times, err := s.b.kills(ctx, acts)
	if err != nil {
		return err
	}
	f.set("restart_p50_ms", quantile(times, 0.5))
	f.set("restart_p99_ms", quantile(times, 0.99))
	return nil
}

// scaleRecovery: SIGKILL of the manager → the interface says again that all programs run, and they are those that
// ran before. Of a daemon of one process there is nothing to measure.
func (s *session) scaleRecovery(f *figures, n int) error {
	manager := managerOf(s.pid())
	if manager == 0 {
		return nil
	}
	pids := workloadPIDs(s.pid())
	t := time.Now()
	if err := unix.Kill(manager, unix.SIGKILL); err != nil {
		return err
	}
	c := newClient(s.sock, false)
	defer c.close()
	answered := math.NaN()
	ok := until(s.b.o.limit, 5*time.Millisecond, func() bool {
		body, err := c.call(methodInfo)
		if err == nil && math.IsNaN(answered) {
			answered = time.Since(t).Seconds()
		}
		return err == nil && strings.Count(string(body), "<string>RUNNING</string>") == n
	})
	took := time.Since(t)
	if !ok {
		return fmt.Errorf("not all RUNNING %v after the manager was killed", took)
	}
	f.set("recovered_answer_s", answered)
	f.set("recovered_s", took.Seconds())
	now := workloadPIDs(s.pid())
	for pid := range pids {
		if !now[pid] {
			return fmt.Errorf("program %d did not outlive its manager", pid)
		}
	}
	if len(now) != n {
		return fmt.Errorf("%d processes of %d programs after the manager was killed", len(now), n)
	}
	return nil
}

// scaleStop: stop all, and the end of the daemon.
func (s *session) scaleStop(ctx context.Context, f *figures, n int) error {
	took, err := s.ctl(ctx, "stop", "all")
	if err != nil {
		return err
	}
	f.set("stop_all_s", took.Seconds())
	if left := workload(s.pid()); left > 0 {
		return fmt.Errorf("%d of %d programs left after stop all, which ended with %q", left, n, s.said[max(0, len(s.said)-200):])
	}
	if took, err = s.shutdown(); err != nil {
		return err
	}
	f.set("shutdown_s", took.Seconds())
	return nil
}
