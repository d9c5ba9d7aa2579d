//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are the flags of a run.
type options struct {
	systems []system
	run     map[string]bool // nil = every workload
	full    bool
	reps    int
	sizes   []int
	secs    time.Duration
	logMiB  int64
	idle    time.Duration
	kills   int
	pipes   int
	pm2     string        // its command; "" = it is not measured
	limit   time.Duration // of every single wait
	out     string
	work    string
	logDir  string
}

// system is one pair of commands to measure.
type system struct {
	Name   string
	Daemon string
	Ctl    string
}

func main() {
	if len(os.Args) > 1 {
		if child := children()[os.Args[1]]; child != nil {
			os.Exit(child(os.Args[2:]))
		}
		if os.Args[1] == "report" {
			os.Exit(reportFiles(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parse reads the flags. The short sizes fit into a few minutes; -full are those of published tables.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Func("system", "LABEL=SUPERVISORD,SUPERVISORCTL; repeat; the first is the base of the ratios", func(s string) error {
		sys, err := parseSystem(s)
		if err == nil {
			o.systems = append(o.systems, sys)
		}
		return err
	})
	only := fs.String("run", "", "comma list of "+strings.Join(workloadNames(), ","))
	fs.BoolVar(&o.full, "full", false, "sizes of the published tables: up to 1000 programs, five rounds")
	reps := fs.Int("reps", 0, "rounds (default 3; full: 5)")
	sizes := fs.String("n", "", "comma list of numbers of programs (default 10,100; full: 10,100,1000)")
	secs := fs.Duration("secs", 0, "length of a throughput or client measurement (default 2s; full: 8s)")
	mib := fs.Int64("mib", 0, "most bytes of a log measurement, in MiB (default 256; full: 2048)")
	idle := fs.Duration("idle", 0, "length of the idle measurement (default 5s; full: 30s)")
	kills := fs.Int("kills", 0, "kills per restart measurement (default 12; full: 54)")
	fs.IntVar(&o.pipes, "pipes", 3, "pipes of a program of the scale measurement: 3, 2 with redirect_stderr, 1 with stdin=none too")
	fs.StringVar(&o.pm2, "pm2", "", "the command pm2, to measure its list beside the others")
	fs.DurationVar(&o.limit, "limit", 2*time.Minute, "longest wait for any single thing")
	fs.StringVar(&o.out, "out", "", "append results to this file as JSON lines")
	fs.StringVar(&o.work, "work", "", "scratch directory (default: in /dev/shm, else the temporary directory)")
	fs.StringVar(&o.logDir, "logdir", "", "where the logs measurement writes (default: the scratch directory)")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if len(o.systems) == 0 {
		return nil, errors.New("nothing to measure: give at least one -system LABEL=SUPERVISORD,SUPERVISORCTL")
	}
	if o.pipes < 1 || o.pipes > 3 {
		return nil, fmt.Errorf("-pipes: a program has 1 to 3, not %d", o.pipes)
	}
	if o.pm2 != "" {
		path, err := exec.LookPath(o.pm2)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if o.pm2 = path; err != nil {
			return nil, fmt.Errorf("-pm2: %w", err)
		}
	}
	pick := func(v, short, full int) int {
		switch {
		case v > 0:
			return v
		case o.full:
			return full
		}
		return short
	}
	o.reps = pick(*reps, 3, 5)
	o.kills = pick(*kills, 12, 54)
	o.secs = time.Duration(pick(int(*secs), int(2*time.Second), int(8*time.Second)))
	o.idle = time.Duration(pick(int(*idle), int(5*time.Second), int(30*time.Second)))
	o.logMiB = int64(pick(int(*mib), 256, 2048))
	if *sizes == "" {
		*sizes = "10,100"
		if o.full {
			*sizes = "10,100,1000"
		}
	}
	for _, s := range strings.Split(*sizes, ",") {
		var n int
		if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 1 {
			return nil, fmt.Errorf("-n: %q is not a number of programs", s)
		}
		o.sizes = append(o.sizes, n)
	}
	if *only != "" {
		o.run = map[string]bool{}
		for _, w := range strings.Split(*only, ",") {
			if workloads()[w] == nil {
				return nil, fmt.Errorf("-run: there is no workload %q", w)
			}
			o.run[w] = true
		}
	}
	return o, nil
}

func parseSystem(s string) (system, error) {
	label, commands, ok := strings.Cut(s, "=")
	d, ctl, ok2 := strings.Cut(commands, ",")
	if !ok || !ok2 || label == "" {
		return system{}, fmt.Errorf("%q is not LABEL=SUPERVISORD,SUPERVISORCTL", s)
	}
	out := system{Name: label}
	for p, to := range map[string]*string{d: &out.Daemon, ctl: &out.Ctl} {
		abs, err := filepath.Abs(p)
		if err != nil {
			return system{}, err
		}
		if st, err := os.Stat(abs); err != nil || st.Mode()&0o111 == 0 {
			return system{}, fmt.Errorf("%s is not a command", p)
		}
		*to = abs
	}
	if d == ctl {
		return system{}, fmt.Errorf("%q names one command for both", s)
	}
	return out, nil
}

// run measures and prints the tables.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b, err := newBench(o, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	for _, name := range workloadNames() {
		if o.run == nil || o.run[name] {
			if err := workloads()[name](ctx, b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return report(b.rows, o.systems[0].Name, stdout)
}
