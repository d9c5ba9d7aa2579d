// Package launch turns a definition into a running process: it finds the command, opens the logs, builds
// the environment, spawns, connects the streams, and reports the end. It is the core's real Host.
package launch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/listeners"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/clock"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// stdinLimit bounds the bytes queued for a program that does not read its standard input.
const stdinLimit = 1 << 20

// listenerLimit is that of a listener: its pool gives it one event at a time, and none when much waits.
const listenerLimit = 1 << 30

// listenerPipe is the size of a listener's standard input: room for the largest event that is made of output, so that it
// is out of our hands at once.
const listenerPipe = 256 << 10

// Reports is where the answers to launches go: the core.
type Reports interface {
	Launched(core.Instance, core.Process)
	// LaunchedFound: nothing was started, for the process ran already, since that time.
	LaunchedFound(i core.Instance, p core.Process, since time.Duration)
	LaunchFailed(core.Instance, string)
	// Away: the process has ended with 0, and what it has left is looked for; Moved or Ended follows.
	Away(core.Instance)
	// Moved: the process has ended with 0 and left another one, which is the instance from now on.
	Moved(core.Instance, core.Process)
	Ended(core.Instance, model.Exit)
}

// Options are the parts and the settings of a Host.
type Options struct {
	Watcher *procfd.Watcher
	Pump    *streams.Pump
	Files   *logs.Store
	Log     *activity.Logger
	// Syslog sends one line of a program to the system's log; nil = there is none.
	Syslog func(line string)
	// Events gets the output that means something; nil = nobody does.
	Events *listeners.Pools

	Environ    []string // the daemon's own, without what is private to it
	ServerURL  string   // SUPERVISOR_SERVER_URL; empty = no server
	UID        int      // the daemon's
	StripANSI  bool
	AutoDir    string // directory of automatic logs
	Identifier string
	// Flows are the counters of a program's channels; nil = nobody counts.
	Flows    func(model.ID) *[2]model.Flow
	LogTimes bool // note beside the logs when their bytes came, and in which run

	// What makes instances survive this process; nil = they do not.
	Store   Store
	Journal core.Journal
	// Marks is where the spawner notes which instances were let go; nil = nowhere.
	Marks *spawn.Marks

	Watched Watched

	// What makes a stop complete; nil = what outlives one is not known, and there are no control groups.
	Census  *procfd.Census
	Cgroups *cgroup.Tree
}

// launchers is how many programs are started at a time: two make full use of the spawner, more gain nothing.
const launchers = 2

// orderPatience is how long the report of a start or an end waits for the one before it, which may hang in a
// slow file system.
const orderPatience = 50 * time.Millisecond

// Host launches programs in the order asked for.
type Host struct {
	o       Options
	env     environment
	to      Reports
	spawner spawn.Spawner
	order   time.Duration // orderPatience

	patience time.Duration // followPatience

	mu      sync.Mutex
	queue   []job
	last    chan struct{} // of the newest job: closed when it has been reported
	more    *sync.Cond
	closed  bool
	working sync.WaitGroup

	// births is held shared from before a fork until the pid is registered, so that the reaper of
	// strangers never takes a child of ours for one of them.
	births sync.RWMutex
	pids   known[int]    // every one not yet released
	keys   known[string] // every one of which something is left
	let    known[int]    // those that were let go of and are not reaped

	marks   marks
	estate  estate
	sockets *sockets
	crowd   crowd
	looking atomic.Int32 // how many instances are looked for that programs have left

	ctx context.Context // ends with Close
	end context.CancelFunc
}

// New makes a host. Call Tell; it launches when Serve is called.
func New(o Options) *Host {
	h := &Host{
		o: o, env: newEnvironment(o.Environ, o.ServerURL), order: orderPatience, patience: followPatience, last: make(chan struct{}),
		sockets: newSockets(o.Store, o.Log),
	}
	h.env.notify = o.Watched.Notify
	h.ctx, h.end = context.WithCancel(context.Background())
	close(h.last)
	h.more = sync.NewCond(&h.mu)
	return h
}

// job is one launch, to be reported after the one before it.
type job struct {
	inst         core.Instance
	before, done chan struct{}
	asked        time.Duration // when it was asked for
}

// Tell says who hears of starts and ends. Those of instances that are taken back by Resume may come at once.
func (h *Host) Tell(to Reports) { h.to = to }

// Serve begins to launch with the given spawner, on goroutines that Close ends. What predecessors have left is
// dealt with before: Resume, Settle.
func (h *Host) Serve(with spawn.Spawner) {
	h.spawner = with
	for range launchers {
		h.working.Go(h.work)
	}
}

// Close ends the launching; what is queued is not started.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed, h.queue = true, nil
	h.more.Broadcast()
	h.mu.Unlock()
	h.end()
	h.working.Wait()
}

// clockOrigin keeps the clock away from zero, which the core's records use for "never".
const clockOrigin = time.Hour

// Now is the monotonic clock, which goes on for a successor of this process.
func (h *Host) Now() time.Duration { return clockOrigin + clock.Monotonic() }

// Wall is the time of day.
func (h *Host) Wall() time.Time { return time.Now() }

// Launch queues an instance. The queue holds at most one instance of each program.
func (h *Host) Launch(i core.Instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		j := job{i, h.last, make(chan struct{}), h.Now()}
		h.last = j.done
		h.queue = append(h.queue, j)
		h.more.Signal()
	}
}

func (h *Host) work() {
	for {
		h.mu.Lock()
		for len(h.queue) == 0 && !h.closed {
			h.more.Wait()
		}
		if h.closed {
			h.mu.Unlock()
			return
		}
		j := h.queue[0]
		h.queue[0] = job{}
		if h.queue = h.queue[1:]; len(h.queue) == 0 {
			h.queue = nil // after a burst it is long
		}
		over := h.queue == nil
		h.mu.Unlock()
		h.launch(j)
		if over {
			h.crowd.forget()
		}
	}
}

func (h *Host) launch(j job) {
	i := j.inst // alone is kept as long as the instance lives
	p := i.Slot.Program()
	inst, err := h.seek(i, p, j.asked)
	found := inst != nil
	if err == nil && !found {
		inst, err = h.start(i, p)
	}
	await(j.before, h.order) // reports are in the order of the queue
	defer close(j.done)
	var lost *lostError
	if errors.As(err, &lost) {
		return // whoever follows this process starts it: the journal says that it was decided
	}
	if err != nil {
		h.to.LaunchFailed(i, failureText(p, err))
		return
	}
	if found {
		h.to.LaunchedFound(i, inst, h.since(inst.handle))
	} else {
		h.to.Launched(i, inst)
	}
	h.watch(i, inst)
}

// watch has the end of an instance noticed.
func (h *Host) watch(i core.Instance, inst *instance) {
	err := h.o.Watcher.Watch(inst.handle, func() { h.ended(i, inst) })
	if err == nil {
		return
	}
	// Nobody would notice its end: what cannot be supervised must not run.
	h.o.Log.Logf(activity.Critical, "cannot watch %s (pid %d), it is killed: %v", i.Slot.Program().ID.Name, inst.PID(), err)
	_ = inst.Signal(int(syscall.SIGKILL), model.ReachGroup)
	h.to.Ended(i, model.Exit{Reason: "it could not be watched"})
}

// await waits until c is closed, as long as the patience lasts.
func await(c <-chan struct{}, patience time.Duration) {
	select {
	case <-c:
		return
	default:
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	select {
	case <-c:
	case <-over.C:
	}
}

// start does all steps of spec/supervisor 2.5 that happen before and around the fork.
func (h *Host) start(i core.Instance, p *model.Program) (*instance, error) {
	if why := h.refuses(p); why != "" {
		return nil, &CommandError{Text: why}
	}
	argv, path, err := h.resolve(p)
	if err != nil {
		return nil, err
	}
	req := &spawn.Request{
		Path: path, Argv: argv, Dir: p.Command.Dir, Umask: p.Command.Umask,
		IgnoreSIGPIPE: p.Command.IgnoreSIGPIPE,
	}
	if uid := p.Command.UID; uid >= 0 && uid != h.o.UID {
		if req.Cred, err = spawn.LookupCred(uid); err != nil {
			return nil, err
		}
	}
	req.Env = h.env.of(p, req.Cred != nil)
	if p.Socket != nil {
		req.Stdin = spawn.StdioFile
		if req.StdinFile, err = h.sockets.use(p); err != nil {
			return nil, err
		}
	}
	out, err := h.connections(i.Slot, req)
	if err != nil {
		return nil, &streamsError{err}
	}
	defer out.handed()
	group := h.enclose(i, p, req)
	key, born, err := h.bear(i, req, group)
	if err != nil {
		out.close()
		abandon(group)
		return nil, err
	}
	if h.o.Watched.Begin != nil {
		h.o.Watched.Begin(i, p)
	}
	h.births.RLock()
	defer h.births.RUnlock()
	res, err := h.spawner.Spawn(req)
	if err != nil {
		out.close()
		if req.Pipes != nil {
			req.Pipes.Close()
		}
		h.unbear(key)
		abandon(group)
		h.dropPIDFile(born.PIDFile, born.Process.PID)
		return nil, err
	}
	if born.Process.PID == 0 {
		born.Process = res.Handle.Identity()
	}
	inst := &instance{host: h, handle: res.Handle, key: key, birth: born}
	h.know(inst)
	h.track(inst, p.ID, born.Pipes, group)
	h.speak(inst, i, inst.PID(), out)
	h.runBegins(i)
	inst.connect([3]int{res.Stdin, res.Stdout, res.Stderr}, out)
	return inst, nil
}

// ended runs when an instance is seen to have ended. Ends are reported one after the other, but one whose
// log hangs holds up the others for a moment only.
func (h *Host) ended(i core.Instance, inst *instance) {
	reported := make(chan struct{})
	report := func() {
		defer close(reported)
		h.reportEnd(i, inst)
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.working.Go(report)
	}
	h.mu.Unlock()
	if closed {
		report()
	}
	await(reported, h.order)
}

// reportEnd moves what an instance wrote to its logs, without waiting for descendants that hold the pipes,
// and reports how it ended.
func (h *Host) reportEnd(i core.Instance, inst *instance) {
	if inst.isDetached() {
		inst.letGo(true)
		return
	}
	streams.Drain(inst.out...)
	if h.follow(i, inst) {
		return
	}
	h.sweep(i, inst)
	e, over, err := inst.handle.Wait(true)
	if err != nil || !over {
		e = model.Exit{Reason: fmt.Sprint("wait: ", err)}
	}
	h.over(i, inst, h.wasKilled(i, inst, e))
}

// over reports an end.
func (h *Host) over(i core.Instance, inst *instance, e model.Exit) {
	h.dropPIDFile(inst.birth.PIDFile, inst.PID())
	h.runEnds(i.Slot, e)
	h.to.Ended(i, e)
}

// Known reports whether a pid is an instance that has not been released.
func (h *Host) Known(pid int) bool {
	return h.pids.get(pid) != nil
}

// ReapOrphans reaps ended children that are no instances, as the first process of a container must.
func (h *Host) ReapOrphans() {
	if !procfd.HasOrphans(h.Known) {
		return
	}
	h.births.Lock()
	defer h.births.Unlock()
	procfd.ReapOrphans(h.Known, func(pid int, e model.Exit) {
		h.o.Log.Logf(activity.Info, "reaped unknown pid %d (%s)", pid, core.ExitText(e))
	})
}
