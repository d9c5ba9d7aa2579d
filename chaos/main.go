//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// options are the flags of a run.
type options struct {
	daemon   string
	other    string // another build of it, for upgrades
	peer     string
	roles    []string
	count    int
	programs int
	rate     int64
	load     string
	span     time.Duration
	limit    time.Duration
	outage   time.Duration
	seed     uint64
	user     bool
	pid1     bool
	keep     bool
	verbose  bool
	work     string
	evidence string
	env      []string // of the daemon, beside our own
}

func roleNames() []string {
	return []string{"manager", "keeper", "spawner", "all", "daemon", "upgrade", "none"}
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case mainWord:
			os.Exit(childMain(os.Args[2:]))
		case grandWord:
			os.Exit(grandMain(os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	status, err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		status = 2
	}
	os.Exit(status)
}

// parse reads the flags.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("chaos", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.daemon, "daemon", "", "the supervisord to kill")
	fs.StringVar(&o.other, "other", "", "another build of it, for -role upgrade")
	fs.StringVar(&o.peer, "peer", "", "another supervisord: the same load and one kill, for comparison")
	roles := fs.String("role", "manager", "comma list of "+strings.Join(roleNames(), ", "))
	fs.IntVar(&o.count, "n", 20, "faults per role")
	fs.IntVar(&o.programs, "programs", 40, "programs of the mixed load (8 or more)")
	fs.Int64Var(&o.rate, "rate", 0, "bytes a second of all talkers together (default: 100 kB a program)")
	fs.StringVar(&o.load, "load", "mixed", "mixed, or bytes: one talker through rotation and one at full speed")
	secs := fs.Float64("secs", 10, "length of a run without faults, in seconds")
	fs.DurationVar(&o.limit, "limit", time.Minute, "longest wait for any single thing")
	fs.DurationVar(&o.outage, "outage", 2*time.Second, "longest time until the daemon is started again (roles all and daemon)")
	fs.Uint64Var(&o.seed, "seed", 0, "seed of everything random (default: the time)")
	fs.BoolVar(&o.user, "user", false, "run the daemon as an ordinary user (needs root)")
	fs.BoolVar(&o.pid1, "pid1", false, "run the daemon as PID 1 of fresh namespaces (needs root)")
	fs.Func("env", "NAME=VALUE for the daemon's environment; repeat", func(s string) error {
		o.env = append(o.env, s)
		return nil
	})
	fs.BoolVar(&o.keep, "keep", false, "keep the scratch directories")
	fs.BoolVar(&o.verbose, "v", false, "print every violation as it is found")
	fs.StringVar(&o.work, "work", "", "scratch directory (default: in /dev/shm, else the temporary directory)")
	fs.StringVar(&o.evidence, "evidence", "", "directory for the activity logs of failed runs")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	o.span = time.Duration(*secs * float64(time.Second))
	o.roles = strings.Split(*roles, ",")
	if o.rate == 0 {
		o.rate = int64(o.programs) * 100_000
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if o.work == "" {
		if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
			o.work = "/dev/shm"
		}
	}
	return o, o.check()
}

// check refuses what cannot be run.
func (o *options) check() error {
	for _, role := range o.roles {
		switch {
		case !slices.Contains(roleNames(), role):
			return fmt.Errorf("there is no role %q", role)
		case role == "upgrade" && o.other == "":
			return errors.New("-role upgrade needs another build: -other")
		case o.pid1 && (role == "keeper" || role == "all" || role == "daemon"):
			return fmt.Errorf("-role %s: the end of PID 1 is the end of its namespace", role)
		}
	}
	switch {
	case o.daemon == "":
		return errors.New("nothing to kill: -daemon is missing")
	case o.programs < 8:
		return errors.New("-programs: the load needs 8 or more")
	case o.load != "mixed" && o.load != "bytes":
		return fmt.Errorf("there is no load %q", o.load)
	case (o.user || o.pid1) && os.Geteuid() != 0:
		return errors.New("-user and -pid1 need root")
	}
	for _, p := range []*string{&o.daemon, &o.other, &o.peer} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		if st, err := os.Stat(abs); err != nil || st.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not a command", *p)
		}
		*p = abs
	}
	return nil
}

// command makes the runs and prints the verdict; 1 = a promise was broken, 2 = some run could not be judged.
// The comparison counts for neither.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	o, err := parse(args, stderr)
	if err != nil {
		return 2, err
	}
	// Orphans come to us, as they would to an init system.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 2, err
	}
	fmt.Fprintf(stdout, "chaos: load %s, %d programs, seed %d\n", o.load, o.programs, o.seed)
	var results []*result
	status := 0
	one := func(name, role, daemon string, n int) error {
		r, err := newRun(o, name, role, daemon, n, o.seed, stdout)
		if err != nil {
			return err
		}
		results = append(results, r.do(ctx))
		return ctx.Err()
	}
	for _, role := range o.roles {
		if err := one(role, role, o.daemon, o.count); err != nil {
			return 2, err
		}
		res := results[len(results)-1]
		switch {
		case res.err != nil:
			status = 2
		case len(res.violations) > 0 && status == 0:
			status = 1
		}
	}
	if o.peer != "" {
		if err := one("peer, 1 kill", "daemon", o.peer, 1); err != nil {
			return 2, err
		}
	}
	return status, table(stdout, results)
}
