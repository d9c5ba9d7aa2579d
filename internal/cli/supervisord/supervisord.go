// Package supervisord is the daemon as Supervisor's users know it: its command line, its way into the
// background, its exit statuses. What it runs is wired in package app.
//
// Source: spec/supervisor 1.1, 1.2, 2.8.
package supervisord

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/base/units"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/rlimit"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
)

// Version is the release whose behaviour we provide. Source: one-model 7.
const Version = "4.3.0"

// usageStatus is the exit status of every refused command line and configuration.
const usageStatus = 2

// Main runs the daemon and returns its exit status. prog is how it was called, for people to read.
func Main(prog string, argv []string) int {
	env, err := conf.SystemEnviron()
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	args, err := conf.ParseArgsIn(env, prog, argv)
	switch {
	case err != nil:
		return refuse(os.Stderr, prog, err)
	case args.Help:
		fmt.Print(conf.HelpText(prog))
		return 0
	case args.Version:
		fmt.Println(Version)
		return 0
	}
	awaited := daemon.Awaited()
	if warning := args.SearchWarning(env.UID); warning != "" && !awaited && !rlimit.Reexecuted() {
		fmt.Fprintln(os.Stderr, warning)
	}
	location, err := conf.Locate(args, env)
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	load := func() (*conf.Config, error) { return conf.LoadFrom(args, location, env) }
	c, err := load()
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	if !c.Settings.NoDaemon && !awaited {
		status, err := daemon.Start(os.Args)
		if err != nil {
			return refuse(os.Stderr, prog, err)
		}
		return status
	}
	notes, err := app.RaiseLimits(c)
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	o := app.Options{
		Config: c, Load: load, Program: ident(prog), Environ: os.Environ(), Background: daemon.Take(), Notes: notes,
	}
	if c.Settings.NoDaemon && !c.Settings.Silent {
		o.Stdout = os.Stdout
	}
	if err := run(o); err != nil {
		return refuse(os.Stderr, prog, err)
	}
	return 0
}

// processors is the least number of Go's logical processors. While one is inside a long system call, as
// moving output is, an idle one must be there: without it the scheduler wakes up every 20 µs to take the
// busy one away, which costs a third of the throughput on a machine with two cores.
const processors = 8

// run builds and runs the daemon, again after each ordered restart.
func run(o app.Options) error {
	sigs := signals.Receive()
	defer sigs.Close()
	o.Signals = sigs.C()
	good := &lastGood{load: o.Load}
	o.Load = good.read
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), processors))
	stop, err := app.StartProfile(o.Config.Settings.Profile)
	if err != nil {
		return err
	}
	defer stop()
	process, err := app.Prepare(o.Config)
	if err != nil {
		return err
	}
	defer process.Release()
	o.Notes = append(process.Notes, o.Notes...)
	for {
		a, err := app.Build(o)
		if err != nil {
			return err
		}
		again, err := a.Run()
		a.Close()
		if err != nil || !again {
			return err
		}
		o.Background, o.Notes = nil, process.Notes
		o.Config, err = o.Load()
		if err != nil { // it was good when the restart was ordered: what was read then is run (F4)
			o.Config = good.last()
			o.Notes = append(slices.Clone(o.Notes), app.Note{
				Level: units.LevelError,
				Text:  fmt.Sprintf("the configuration is bad, the last good one is in force: %v", err),
			})
		}
	}
}

// lastGood remembers the configuration that was read last. Its methods are safe for concurrent use.
type lastGood struct {
	load func() (*conf.Config, error)

	mu sync.Mutex
	c  *conf.Config
}

func (g *lastGood) read() (*conf.Config, error) {
	c, err := g.load()
	if err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.c = c
	}
	return c, err
}

func (g *lastGood) last() *conf.Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.c
}

// refuse prints an error in the form of both programs. Source: spec/supervisor 1.1.
func refuse(w io.Writer, prog string, err error) int {
	fmt.Fprint(w, conf.UsageText(prog, err))
	return usageStatus
}

// ident is the daemon's name in the system's log: supervisord, however it was called.
func ident(prog string) string {
	words := strings.Fields(prog)
	if len(words) == 0 {
		return "supervisord"
	}
	return filepath.Base(words[len(words)-1])
}
