package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/keeper"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/notify"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
)

// Launch becomes the daemon of a configuration: its keeper where there can be one, unless alone is set, else all of it. It
// returns when the daemon has ended, with the exit status.
func Launch(o Options, c *supervisord.Config, alone bool) (status int, err error) {
	notes, err := RaiseLimits(c)
	if err != nil {
		return 0, err
	}
	o.Notify = notify.Take() // not before the last time that this process executes itself for its limits
	o.Environ = notify.Without(o.Environ)
	process, err := Prepare(c)
	if err != nil {
		return 0, err
	}
	defer process.Release()
	o.Background, o.Notes = daemon.Take(), append(process.Notes, notes...)
	if process.Keepable() && !alone {
		return Keep(o, process), nil
	}
	o.Config = c
	return 0, Alone(o, process)
}

// Keepable reports whether the daemon can have a keeper: the system offers what that takes, and there is a
// place for the state.
func (p *Process) Keepable() bool { return keeper.Supported() && p.Place != nil }

// Keep makes this process the keeper of a daemon. Its manager is this same command.
func Keep(o Options, process *Process) int {
	k := keeper.Options{
		Argv: os.Args, Env: slices.Concat(os.Environ(), process.Place.Environ(), NotesEnviron(o.Notes)),
		Items: process.Claimed,
	}
	if fd := process.Lock(); fd >= 0 {
		k.Items = []keeper.Item{{Key: lockKey, Roles: "k", FDs: []int{fd}}}
	}
	k.Ready = func() error {
		if o.Background == nil {
			return o.Notify.Ready()
		}
		return errors.Join(o.Background.Ready(), o.Notify.Ready())
	}
	debug.FreeOSMemory() // the configuration was needed for the checks alone
	return keeper.Run(k)
}

// Manage runs the daemon when a keeper has started this process to do that; handled is false when none has.
func Manage(o Options) (handled bool, err error) {
	link, items, err := keeper.Attach()
	if err != nil || link == nil {
		return err != nil, err
	}
	return true, manage(o, link, items)
}

func manage(o Options, link *keeper.Link, items []keeper.Item) error {
	place, ok := InheritedPlace()
	if !ok {
		return errors.New("the keeper does not say where the state is")
	}
	var err error
	if o.State, err = OpenState(place); err != nil {
		return err
	}
	defer o.State.Close()
	if o.Continue = link.Previous() != ""; o.Continue {
		o.Config = o.State.Config()
	} else {
		o.Notes = InheritedNotes()
	}
	if o.Config == nil || o.State.damaged() { // of what is missing in the journal the files may know
		c, err := o.First()
		switch {
		case err == nil:
			o.Config = c
		case o.Config == nil:
			return err
		}
	}
	sigs := signals.Receive()
	defer sigs.Close()
	again := keeper.Options{
		Argv: os.Args, Env: slices.Concat(os.Environ(), place.Environ()), Socket: place.Socket(),
	}
	o.Keeper = newKeeper(link, items, func(s syscall.Signal) { sigs.Deliver(s) }, func(items []keeper.Item) error {
		return keeper.Become(again, items, func() { sign(place.State) })
	})
	_, err = run(o, sigs)
	return err
}

// continueVariable tells a process that it follows itself.
const continueVariable = "UPKEEP_CONTINUE"

// Alone runs the daemon without a keeper. An upgrade executes the binary anew in this process.
func Alone(o Options, process *Process) error {
	if process.Place != nil {
		var err error
		if o.State, err = OpenState(*process.Place); err != nil {
			return err
		}
		defer o.State.Close()
	}
	if _, o.Continue = os.LookupEnv(continueVariable); o.Continue {
		os.Unsetenv(continueVariable)
		if o.State != nil && !o.State.damaged() {
			o.Config = cmp.Or(o.State.Config(), o.Config)
		}
	}
	sigs := signals.Receive()
	defer sigs.Close()
	defer heed(o.Stop, sigs)()
	outcome, err := run(o, sigs)
	if err != nil || outcome != Left {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	self = strings.TrimSuffix(self, " (deleted)")
	environ := append(os.Environ(), continueVariable+"=1")
	list, held, err := handOver(o.State.held)
	if err == nil {
		defer list.Close()
		environ = append(environ, held)
	} // else it goes on with what it finds by itself
	return syscall.Exec(self, os.Args, environ)
}

// heed has stop mean the same as a signal to end, until the function that it returns is called.
func heed(stop <-chan struct{}, sigs *signals.Receiver) func() {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-stop:
			sigs.Deliver(syscall.SIGTERM)
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// processors is the least number of Go's logical processors. While one is inside a long system call, as
// moving output is, an idle one must be there: without it the scheduler wakes up every 20 µs to take the
// busy one away, which costs a third of the throughput on a machine with two cores.
const processors = 8

// run builds and runs the daemon, again after each ordered restart.
func run(o Options, sigs *signals.Receiver) (Outcome, error) {
	o.Signals = sigs.C()
	if o.Config.Settings.NoDaemon && !o.Config.Settings.Silent {
		o.Stdout = os.Stdout
	}
	if o.State != nil {
		o.Notes = append(o.State.Notes, o.Notes...)
	}
	good := &lastGood{load: o.Load}
	o.Load = good.read
	giveBack()
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), processors))
	stop, err := StartProfile(o.Config.Settings.Profile)
	if err != nil {
		return Ended, err
	}
	defer stop()
	standing := o.Notes
	o.Serial = new(uint64)
	for {
		a, err := Build(o)
		if err != nil {
			return Ended, err
		}
		outcome, err := a.Run()
		a.Close()
		if outcome == Left && o.Keeper == nil && o.State != nil {
			o.State.held = a.host.Belongings()
		}
		if err != nil || outcome != Restarted {
			return outcome, err
		}
		o.Background, o.Notes, o.Continue, o.Again, o.Bad = nil, standing, false, true, ""
		o.Config, err = o.Load()
		if err != nil { // it was good when the restart was ordered: what was read then is run (F4)
			o.Config = good.last()
			o.Bad = fmt.Sprintf("the configuration is bad, the last good one is in force: %v", err)
			o.Notes = append(slices.Clone(o.Notes), Note{
				Level: units.LevelError,
				Text:  fmt.Sprintf("the configuration is bad, the last good one is in force: %v", err),
			})
		}
	}
}

// lastGood remembers the configuration that was read last. Its methods are safe for concurrent use.
type lastGood struct {
	load func() (*supervisord.Config, error)

	mu sync.Mutex
	c  *supervisord.Config
}

func (g *lastGood) read() (*supervisord.Config, error) {
	c, err := g.load()
	if err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.c = c
	}
	return c, err
}

func (g *lastGood) last() *supervisord.Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.c
}
