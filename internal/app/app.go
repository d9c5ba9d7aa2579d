// Package app wires the parts of the daemon together: Build makes them in the order in which they need
// each other, Run works until an ordered end, Close takes them apart.
//
// The order of a start is chosen so that nothing of another instance is touched before it is certain that
// there is none: first the lock and the sockets, then logs, programs and everything else (F6).
// Source: spec/supervisor 2.8.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/alerts"
	"github.com/upkeep-project/upkeep/internal/engine/checks"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/engine/listeners"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/spawner"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/engine/tally"
	"github.com/upkeep-project/upkeep/internal/face/httpapi"
	"github.com/upkeep-project/upkeep/internal/face/metrics"
	"github.com/upkeep-project/upkeep/internal/face/rpc2"
	"github.com/upkeep-project/upkeep/internal/service/manager"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
	"github.com/upkeep-project/upkeep/internal/sys/syslog"
)

// recentEvents is how many events are kept for those who read them.
const recentEvents = 10_000

// App is a daemon, ready to run.
type App struct {
	o         Options
	notes     []Note
	endpoints []endpoint
	servers   []*rpc2.Server
	api       *httpapi.API
	serving   sync.WaitGroup
	log       *activity.Logger
	files     *logs.Store
	ring      *events.Ring
	core      *core.Core
	pools     *listeners.Pools
	good      *goodKeeper
	tally     *tally.Tally
	requests  *metrics.Requests
	host      *launch.Host
	alerts    *alerts.Alerts
	checks    *checks.Checks
	messages  *messages
	manager   *manager.Manager
	spawner   spawn.Spawner
	watcher   *procfd.Watcher
	pump      *streams.Pump
	syslog    *syslog.Sender
	troubles  *logs.File   // nil = there is no file for them alone
	tree      *cgroup.Tree // nil = no control groups
	pidfile   string
	first     []core.NewGroup // what the first configuration runs
	found     *core.Saved     // what an earlier process has left; nil = no state is kept
	saved     *core.Saved     // found, if there is something to go on with; else nil
	left      bool            // programs run on without this process
	detached  bool            // they do so without any process of ours
	said      said
	latest    read
	orders    chan signals.Signal // of clients, for the daemon as a whole
	applies   sync.WaitGroup      // changes of the configuration that a signal has ordered
}

// Build makes a daemon that is about to run: its sockets are bound, its logs open, its programs known
// but not started. After an error nothing is left behind. The error's text is for the launching terminal.
func Build(o Options) (*App, error) {
	a := &App{o: o, notes: o.Notes, orders: make(chan signals.Signal, 1)}
	for _, step := range []func() error{a.recover, a.listen, a.openLog, a.cleanLogs, a.makeEngine, a.makeServers, a.makeLogs} {
		if err := step(); err != nil {
			a.Close()
			return nil, err
		}
	}
	return a, nil
}

// note keeps a line until the activity log is open.
func (a *App) note(l activity.Level, text string) { a.notes = append(a.notes, Note{l, text}) }

// set is the [supervisord] section in force.
func (a *App) set() *supervisord.Settings { return &a.o.Config.Settings }

// openLog opens the activity log and writes what was noted so far.
func (a *App) openLog() error {
	s := a.set()
	a.files = logs.NewStore()
	opts := activity.Options{
		Level: s.LogLevel, Stdout: a.o.Stdout, Files: a.files,
		Alarm: func(destination string, err error) {
			fmt.Fprintf(os.Stderr, "%s: the activity log cannot be written to %s: %v\n", a.o.Program, destination, err)
		},
	}
	if s.LogFile == "syslog" {
		a.syslog = syslog.New(a.o.Program)
		opts.Syslog = a.syslog.Send
	} else {
		opts.Path, opts.MaxBytes, opts.Backups = s.LogFile, s.LogFileMaxBytes, s.LogFileBackups
	}
	if err := a.openProblems(&opts); err != nil {
		return err
	}
	log, err := activity.New(opts)
	if err != nil {
		return fmt.Errorf("cannot open the log file %s: %w", s.LogFile, err)
	}
	a.log = log
	if a.o.Continue {
		a.told(a.o.Config)
	} else {
		a.tell(a.o.Config)
	}
	if a.found != nil {
		log.Restore(a.found.Lines())
	}
	for _, n := range a.notes {
		log.Logf(n.Level, "%s", n.Text)
	}
	return nil
}

// cleanLogs deletes the automatic logs that an earlier run left behind. Source: spec/supervisor 3.4.
func (a *App) cleanLogs() error {
	if a.set().NoCleanup || a.saved != nil { // some of them are in use
		return nil
	}
	dir := a.set().ChildLogDir
	for _, path := range logs.CleanAuto(dir, a.set().Identifier) {
		if path == dir {
			a.log.Logf(activity.Warn, "Could not clear childlog dir")
			continue
		}
		a.log.Logf(activity.Warn, "Failed to clean up '%s'", path)
	}
	return nil
}

// makeEngine makes the parts that run programs, and the service over them.
func (a *App) makeEngine() (err error) {
	s := a.set()
	if a.watcher, err = procfd.NewWatcher(); err != nil {
		return err
	}
	if a.pump, err = streams.NewPump(a.pumpOptions()); err != nil {
		return err
	}
	if a.syslog == nil {
		a.syslog = syslog.New(a.o.Program)
	}
	a.ring = events.New(recentEvents)
	opts := launch.Options{
		Watcher: a.watcher, Pump: a.pump, Files: a.files, Log: a.log, Syslog: a.syslog.Send,
		Environ: a.environ(), ServerURL: a.o.Config.ServerURL(), UID: privilege.UID(), StripANSI: s.StripANSI,
		AutoDir: s.ChildLogDir, Identifier: s.Identifier, LogTimes: a.o.Config.Native != nil && !a.foreign(),
	}
	parts := core.Options{Log: a.log, Ring: a.ring, Lines: a.log}
	if a.o.State != nil {
		a.tree = a.cgroups()
		opts.Cgroups = a.tree
		opts.Journal, parts.Journal, parts.Wishes = a.o.State.journal, a.o.State.journal, a.o.State.wishes
		opts.Marks = a.o.State.marks
		a.o.State.keepConfig(a.o.Config)
	}
	if a.o.Keeper != nil {
		opts.Store = a.o.Keeper.store()
		parts.Safe = a.o.Keeper.link.Safe()
	}
	parts.Passive, parts.Gentle = a.passive(), a.foreign()
	opts.Census = procfd.NewCensus(procfd.CensusOptions{
		Reapers: func() []int { return []int{a.pid()} },
		Known:   func(pid int) bool { return a.host.Known(pid) },
	})
	a.tally, a.requests = a.newTally(), metrics.NewRequests()
	a.makePools()
	a.makeAlerts()
	opts.Events, opts.Flows = a.pools, a.tally.Flows
	a.makeChecks(&opts, &parts)
	a.host = launch.New(opts)
	parts.Host, parts.Settled, parts.Announce = a.host, a.pools.Kick, !a.o.Continue
	parts.Drain = a.pools.Drain
	a.core = core.New(parts)
	a.checks.Tell(a.core)
	service := manager.Options{
		Core: a.core, Programs: a.host, Checks: a.checks, Log: a.log, Ring: a.ring, Files: a.files, MainLog: a.mainLog(),
		PID: a.pid(), Version: a.o.Version, Manager: os.Getpid(), RolledBack: a.o.Keeper.rolledBack(), Identifier: s.Identifier, Load: a.load,
	}
	service.Gentle = a.foreign()
	a.insight(&service)
	a.measure(&service)
	service.Alerts = a.alerts
	a.good = a.keepGood()
	service.Changed = a.good.changed
	a.manager = manager.New(service)
	return nil
}

// pumpOptions are those of the pump.
func (a *App) pumpOptions() streams.Options {
	o := streams.Options{Log: a.log, Stalled: a.logsStall}
	if a.o.Keeper != nil {
		o.Keeper = launch.Stages(a.o.Keeper.store())
	}
	return o
}

// cgroups is where programs that are to be stopped with all they have started get control groups; nil = nowhere,
// which is said once.
func (a *App) cgroups() *cgroup.Tree {
	tree, err := cgroup.Detect("upkeep-" + filepath.Base(a.o.State.dir))
	if err != nil {
		a.log.Logf(activity.Debug, "no control groups: %v", err)
		return nil
	}
	return tree
}

// makeLogs makes the automatic logs of the programs while the launching terminal can still be told that it
// is impossible.
func (a *App) makeLogs() (err error) {
	if a.first, err = a.manager.Prepare(a.o.Config.Model, a.restored); err != nil {
		return fmt.Errorf("cannot make the log file of a program: %w", err)
	}
	return nil
}

// pid is the process that people know as the daemon.
func (a *App) pid() int {
	if a.o.Keeper != nil {
		return a.o.Keeper.PID()
	}
	return os.Getpid()
}

// environ is what programs inherit of the daemon's environment.
func (a *App) environ() []string {
	var out []string
	for _, kv := range a.o.Environ {
		if !daemon.Private(kv) {
			out = append(out, kv)
		}
	}
	return out
}

func (a *App) mainLog() string {
	if a.set().LogFile == "syslog" {
		return ""
	}
	return a.set().LogFile
}

// Run starts the programs and works until an ordered end is complete or another process takes over.
func (a *App) Run() (Outcome, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := a.background(); err != nil {
		return Ended, err
	}
	// The spawner keeps the directory and the umask that it finds, so it is made after the way into the
	// background.
	var err error
	if a.spawner, err = a.makeSpawner(); err != nil {
		return Ended, err
	}
	a.host.Tell(a.core)
	a.resume()
	a.host.Serve(a.spawner)
	leave, lost := make(chan struct{}, 1), make(chan error)
	if k := a.o.Keeper; k != nil {
		leave, lost = k.leave, k.lost
		k.serve(a)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.core.Run(ctx)
	}()
	defer a.runPools()()
	defer a.good.run()()
	defer a.runAlerts()()
	defer a.runChecks(ctx)()
	ordered := a.expectStarts(a.coming())
	if err := a.manager.Activate(ctx, a.first); err != nil && !errors.Is(err, core.ErrEnding) { // else the end goes on
		return Ended, err
	}
	a.good.changed()
	ordered()
	a.first = nil
	a.anew(ctx)
	defer a.capture(ctx)()
	a.serve() // whoever connected before now waits for an answer that knows the programs
	if a.o.Keeper != nil {
		if err := a.o.Keeper.ready(); err != nil {
			a.log.Logf(activity.Error, "keeper: %v", err)
		}
	} else if err := a.o.Notify.Ready(); err != nil {
		a.log.Logf(activity.Warn, "%v", err)
	}
	for {
		select {
		case s := <-a.o.Signals:
			if a.foreign() && s.Kind == signals.End {
				return a.detach(s, func() { cancel(); <-ended; a.core.Leave() }), nil
			}
			if a.signal(ctx, a.meaning(s)) {
				leave <- struct{}{}
			}
		case s := <-a.orders:
			if a.signal(ctx, s) {
				leave <- struct{}{}
			}
		case <-leave:
			cancel()
			<-ended
			a.left = true
			return Left, nil
		case err := <-lost:
			cancel()
			<-ended
			a.keeperLost(err)
		case <-ended:
			return a.ended(), nil
		}
	}
}

// ended completes an ordered end.
func (a *App) ended() Outcome {
	restart := a.core.State() == model.DaemonRestarting
	a.host.CloseSockets()
	if !restart && a.o.Keeper != nil {
		if err := a.o.Keeper.link.End(0); err != nil {
			a.log.Logf(activity.Error, "keeper: %v", err)
		}
	}
	if a.o.State != nil {
		a.o.State.clear()
	}
	if restart {
		return Restarted
	}
	return Ended
}

// makeSpawner makes what forks: with a keeper a small process of its own, else this one.
func (a *App) makeSpawner() (spawn.Spawner, error) {
	var marks *spawn.Marks
	if a.o.State != nil {
		marks = a.o.State.marks
	}
	if a.o.Keeper == nil {
		return spawn.NewDirect(spawn.Options{Marks: marks})
	}
	return spawner.New(spawner.Options{Marks: marks, Log: func(line string) { a.log.Logf(activity.Warn, "%s", line) }})
}

// background finishes the way into the background and writes the pidfile.
func (a *App) background() error {
	s := a.set()
	if a.o.Background != nil || a.o.Keeper.background(s) {
		a.log.Logf(activity.Info, "daemonizing the supervisord process")
		if s.Directory != "" {
			if err := os.Chdir(s.Directory); err != nil {
				a.log.Logf(activity.Critical, "can't chdir into '%s': %v", s.Directory, err)
			} else {
				a.log.Logf(activity.Info, "set current directory: '%s'", s.Directory)
			}
		}
		daemon.Umask(s.Umask)
		if a.o.Background == nil {
			if err := daemon.Silence(); err != nil {
				return err
			}
		} else if err := a.o.Background.Ready(); err != nil {
			return err
		}
		a.o.Background = nil
	}
	switch err := pidfile.Write(s.PIDFile, a.pid(), nil); {
	case errors.Is(err, pidfile.ErrDevice):
	case err != nil:
		a.log.Logf(activity.Critical, "could not write pidfile %s", s.PIDFile)
		return nil
	default:
		a.pidfile = s.PIDFile
	}
	if !a.o.Continue {
		a.log.Logf(activity.Info, "supervisord started with pid %d", a.pid())
	}
	return nil
}

// signal obeys one signal, and reports whether this process is to leave. Source: spec/supervisor 2.8.
func (a *App) signal(ctx context.Context, s signals.Signal) (leave bool) {
	switch s.Kind {
	case signals.Upgrade:
		a.log.Logf(activity.Warn, "received %s indicating upgrade request", s.Name)
		return a.upgrade()
	case signals.End:
		a.log.Logf(activity.Warn, "received %s indicating exit request", s.Name)
		a.core.BeginEnd(model.DaemonShutdown)
	case signals.Restart:
		if a.o.Config.Native != nil {
			a.log.Logf(activity.Warn, "received %s indicating that the configuration is to be applied", s.Name)
			a.reopen()
			a.applies.Go(func() { a.apply(ctx) })
			return false
		}
		if a.core.State() == model.DaemonShutdown {
			a.log.Logf(activity.Warn, "ignored %s indicating restart request (shutdown in progress)", s.Name)
			return false
		}
		a.log.Logf(activity.Warn, "received %s indicating restart request", s.Name)
		if a.core.State() == model.DaemonRestarting {
			return false // that is under way
		}
		if err := a.manager.Restart(ctx); err != nil {
			a.log.Logf(activity.Error, "not restarted, everything runs on: %v", err)
		}
	case signals.Reopen:
		a.log.Logf(activity.Info, "received %s indicating log reopen request", s.Name)
		a.log.Logf(activity.Info, "supervisord logreopen")
		if err := errors.Join(a.log.Reopen(), a.files.Reopen()); err != nil {
			a.log.Logf(activity.Error, "cannot reopen a log: %v", err)
		}
	case signals.Child:
		a.log.Logf(activity.Debug, "received %s indicating a child quit", s.Name)
		if os.Getpid() == 1 {
			a.host.ReapOrphans()
		}
	}
	return false
}

// Close takes the daemon apart; it may be built in part. Programs that live are left alone.
func (a *App) Close() {
	a.closeServers()
	a.awaitApplies()
	if a.host != nil {
		a.closeHost()
	}
	if a.messages != nil {
		a.messages.close(a.left)
	}
	if a.watcher != nil {
		a.watcher.Close()
	}
	if a.pump != nil && a.left {
		a.pump.Detach()
	} else if a.pump != nil {
		a.pump.Close()
	}
	if a.spawner != nil {
		a.spawner.Close()
	}
	if a.tree != nil {
		a.tree.Close()
	}
	if a.pidfile != "" && !a.left {
		os.Remove(a.pidfile)
	}
	if a.log != nil {
		a.log.Close()
	}
	if a.detached {
		a.core.LogClosed()
	}
	if a.troubles != nil {
		a.troubles.Close()
	}
	if a.syslog != nil {
		a.syslog.Close()
	}
}
