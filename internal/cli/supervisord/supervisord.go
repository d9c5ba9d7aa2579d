// Package supervisord is the daemon as Supervisor's users know it: its command line, its way into the
// background, its exit statuses. What it runs is wired in package app.
//
// Source: spec/supervisor 1.1, 1.2, 2.8.
package supervisord

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/base/units"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/keeper"
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
	o := app.Options{Load: load, Program: ident(prog), Environ: os.Environ()}
	link, items, err := keeper.Attach()
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	if link != nil {
		return report(prog, manage(o, link, items))
	}
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
	process, err := app.Prepare(c)
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	defer process.Release()
	o.Background, o.Notes = daemon.Take(), append(process.Notes, notes...)
	if keeper.Supported() && process.Place != nil && !args.NoKeeper {
		return keep(o, process)
	}
	o.Config = c
	return report(prog, alone(o, process))
}

// report is the exit status of a daemon that has ended.
func report(prog string, err error) int {
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	return 0
}

// keep makes this process the keeper of a daemon. Its manager is this same command.
func keep(o app.Options, process *app.Process) int {
	k := keeper.Options{
		Argv: os.Args, Env: slices.Concat(os.Environ(), process.Place.Environ(), app.NotesEnviron(o.Notes)),
		Items: process.Claimed,
	}
	if fd := process.Lock(); fd >= 0 {
		k.Items = []keeper.Item{{Key: app.LockKey, Roles: "k", FDs: []int{fd}}}
	}
	if o.Background != nil {
		k.Ready = o.Background.Ready
	}
	debug.FreeOSMemory() // the configuration was needed for the checks alone
	return keeper.Run(k)
}

// manage runs the daemon under a keeper.
func manage(o app.Options, link *keeper.Link, items []keeper.Item) error {
	place, ok := app.InheritedPlace()
	if !ok {
		return errors.New("the keeper does not say where the state is")
	}
	var err error
	if o.State, err = app.OpenState(place); err != nil {
		return err
	}
	defer o.State.Close()
	if o.Continue = link.Previous() != ""; o.Continue {
		o.Config = o.State.Config()
	} else {
		o.Notes = app.InheritedNotes()
	}
	if o.Config == nil {
		if o.Config, err = o.Load(); err != nil {
			return err
		}
	}
	sigs := signals.Receive()
	defer sigs.Close()
	again := keeper.Options{
		Argv: os.Args, Env: slices.Concat(os.Environ(), place.Environ()), Socket: place.Socket(),
	}
	o.Keeper = app.NewKeeper(link, items, func(s syscall.Signal) { sigs.Deliver(s) }, func(items []keeper.Item) error {
		return keeper.Become(again, items)
	})
	_, err = run(o, sigs)
	return err
}

// continueVariable tells a process that it follows itself.
const continueVariable = "UPKEEP_CONTINUE"

// alone runs the daemon without a keeper. An upgrade executes the binary anew in this process.
func alone(o app.Options, process *app.Process) error {
	if process.Place != nil {
		var err error
		if o.State, err = app.OpenState(*process.Place); err != nil {
			return err
		}
		defer o.State.Close()
	}
	if _, o.Continue = os.LookupEnv(continueVariable); o.Continue {
		os.Unsetenv(continueVariable)
		if o.State != nil && o.State.Config() != nil {
			o.Config = o.State.Config()
		}
	}
	sigs := signals.Receive()
	defer sigs.Close()
	outcome, err := run(o, sigs)
	if err != nil || outcome != app.Left {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	self = strings.TrimSuffix(self, " (deleted)")
	return syscall.Exec(self, os.Args, append(os.Environ(), continueVariable+"=1"))
}

// processors is the least number of Go's logical processors. While one is inside a long system call, as
// moving output is, an idle one must be there: without it the scheduler wakes up every 20 µs to take the
// busy one away, which costs a third of the throughput on a machine with two cores.
const processors = 8

// run builds and runs the daemon, again after each ordered restart.
func run(o app.Options, sigs *signals.Receiver) (app.Outcome, error) {
	o.Signals = sigs.C()
	if o.Config.Settings.NoDaemon && !o.Config.Settings.Silent {
		o.Stdout = os.Stdout
	}
	if o.State != nil {
		o.Notes = append(o.State.Notes, o.Notes...)
	}
	good := &lastGood{load: o.Load}
	o.Load = good.read
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), processors))
	stop, err := app.StartProfile(o.Config.Settings.Profile)
	if err != nil {
		return app.Ended, err
	}
	defer stop()
	standing := o.Notes
	for {
		a, err := app.Build(o)
		if err != nil {
			return app.Ended, err
		}
		outcome, err := a.Run()
		a.Close()
		if err != nil || outcome != app.Restarted {
			return outcome, err
		}
		o.Background, o.Notes, o.Continue = nil, standing, false
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
