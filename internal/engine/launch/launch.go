// Package launch turns a definition into a running process: it finds the command, opens the logs, builds
// the environment, spawns, connects the streams, and reports the end. It is the core's real Host.
package launch

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/listeners"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/clock"
	"github.com/upkeep-project/upkeep/internal/sys/command"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
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
	LaunchFailed(core.Instance, string)
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
	LogTimes   bool // note beside the logs when their bytes came, and in which run

	// What makes instances survive this process; nil = they do not.
	Store   Store
	Journal core.Journal
	// Marks is where the spawner notes which instances were let go; nil = nowhere.
	Marks *spawn.Marks

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

	marks   marks
	estate  estate
	sockets *sockets
}

// New makes a host. Call Tell; it launches when Serve is called.
func New(o Options) *Host {
	h := &Host{
		o: o, env: newEnvironment(o.Environ, o.ServerURL), order: orderPatience, last: make(chan struct{}),
		sockets: newSockets(o.Store, o.Log),
	}
	close(h.last)
	h.more = sync.NewCond(&h.mu)
	return h
}

// job is one launch, to be reported after the one before it.
type job struct {
	inst         core.Instance
	before, done chan struct{}
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
		j := job{i, h.last, make(chan struct{})}
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
		h.mu.Unlock()
		h.launch(j)
	}
}

func (h *Host) launch(j job) {
	i := j.inst // alone is kept as long as the instance lives
	p := i.Slot.Program()
	inst, err := h.start(i, p)
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
	h.to.Launched(i, inst)
	if err := h.o.Watcher.Watch(inst.handle, func() { h.ended(i, inst) }); err != nil {
		// Nobody would notice its end: what cannot be supervised must not run.
		h.o.Log.Logf(activity.Critical, "cannot watch %s (pid %d), it is killed: %v", p.ID.Name, inst.PID(), err)
		_ = inst.Signal(int(syscall.SIGKILL), model.ReachGroup)
		h.to.Ended(i, model.Exit{Reason: "it could not be watched"})
	}
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
		Stdin:         spawn.StdioPipe, Stdout: spawn.StdioPipe, Stderr: spawn.StdioPipe,
	}
	if p.IO.MergeStderr {
		req.Stderr = spawn.StdioMerge
	}
	if p.IO.NoStdin {
		req.Stdin = spawn.StdioNull
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
	out, err := h.outputs(i.Slot)
	if err != nil {
		return nil, &streamsError{err}
	}
	group := h.enclose(i, p, req)
	key, born, err := h.bear(i, req, group)
	if err != nil {
		out.close()
		abandon(group)
		return nil, err
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
		return nil, err
	}
	inst := &instance{host: h, handle: res.Handle, key: key}
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
	streams.Drain(inst.out...)
	h.sweep(i, inst)
	e, over, err := inst.handle.Wait(true)
	if err != nil || !over {
		e = model.Exit{Reason: fmt.Sprint("wait: ", err)}
	}
	e = h.wasKilled(i, inst, e)
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

// instance is one running process and its streams.
type instance struct {
	host   *Host
	handle procfd.Handle
	key    string // in the store and the journal; empty = in none
	in     *streams.Input
	out    []*streams.Stream
	roles  []rune // of out
	cgroup *cgroup.Group
	listen func(*streams.Input) // begins the conversation with a listener; nil = it is none

	mu       sync.Mutex
	open     int  // outputs that have not come to their end
	released bool // the process
	users    int  // of the handle besides its owner
}

// use counts those who use the handle, and closes it after the last, its owner or another one.
func (n *instance) use(more int) {
	n.mu.Lock()
	n.users += more
	last := n.users < 0
	n.mu.Unlock()
	if last {
		n.handle.Close()
	}
}

// know makes an instance one of ours.
func (h *Host) know(n *instance) {
	h.pids.set(n.handle.PID(), n)
	if n.key != "" {
		h.keys.set(n.key, n)
	}
}

// streamKey is the key of the k-th output.
func (n *instance) streamKey(k int) string { return n.key + "/" + string(n.roles[k]) }

// connect attaches our ends of the pipes (stdin, stdout, stderr; -1 = none).
func (n *instance) connect(fds [3]int, out *outputs) {
	if fds[0] >= 0 {
		limit := stdinLimit
		if n.listen != nil {
			limit = listenerLimit
			_, _ = pipe.SetCapacity(fds[0], listenerPipe) // a smaller one is as good, and slower
		}
		n.in = n.host.o.Pump.AttachInput(fds[0], limit)
		if n.listen != nil {
			n.listen(n.in)
		}
	}
	for _, fd := range fds[1:] {
		if fd >= 0 {
			n.open++
		}
	}
	for k, fd := range fds[1:] {
		if fd < 0 {
			if out.of[k].File != nil {
				out.of[k].File.Close()
			}
			continue
		}
		out.of[k].Closed = n.closed
		if over := out.over[k]; over != nil {
			out.of[k].Closed = func() {
				over()
				n.closed()
			}
		}
		n.roles = append(n.roles, [2]rune{roleStdout, roleStderr}[k])
		if n.key != "" {
			out.of[k].Key = n.streamKey(len(n.roles) - 1)
			out.of[k].Stages = n.host.estate.stages(out.of[k].Key)
		}
		n.out = append(n.out, n.host.o.Pump.Attach(fd, out.of[k]))
	}
	n.settle()
}

// closed notes that one output has come to its end.
func (n *instance) closed() {
	n.mu.Lock()
	n.open--
	n.mu.Unlock()
	n.settle()
}

// settle gives up what the store and the journal have of an instance of which nothing is left.
func (n *instance) settle() {
	n.mu.Lock()
	over := n.released && n.open == 0 && n.key != ""
	key := n.key
	if over {
		n.key = ""
	}
	n.mu.Unlock()
	if over {
		if n.host.keys.remove(key, n) { // else it is another's by now
			n.host.unbear(key)
		}
	}
}

// PID is the process's pid.
func (n *instance) PID() int { return n.handle.PID() }

// Signal sends one signal.
func (n *instance) Signal(sig int, reach model.Reach) error { return n.handle.Signal(sig, reach) }

// WriteStdin queues data; streams.ErrClosed when there is no standard input.
func (n *instance) WriteStdin(data []byte) error {
	if n.in == nil {
		return streams.ErrClosed
	}
	return n.in.Write(data)
}

// Release reaps the process and lets go of it. Its outputs stay connected for descendants that hold
// them; the pump lets go of those at their end.
func (n *instance) Release() {
	if n.in != nil {
		n.in.Close()
	}
	pid := n.handle.PID()
	if _, _, err := n.handle.Wait(false); err != nil {
		n.host.o.Log.Logf(activity.Critical, "waitpid error %v; a process may not be cleaned up properly", err)
	}
	n.host.pids.remove(pid, n) // the number may belong to a new instance already
	n.use(-1)
	abandon(n.cgroup)
	if n.key != "" && n.host.o.Store != nil {
		_ = n.host.o.Store.Release(n.key) // who reports a lost keeper is its link
	}
	n.mu.Lock()
	n.released = true
	n.mu.Unlock()
	n.settle()
}

// streamsError is a failure to open logs.
type streamsError struct{ err error }

func (e *streamsError) Error() string { return e.err.Error() }
func (e *streamsError) Unwrap() error { return e.err }

// failureText is spawnerr: why a program could not be started. Source: spec/supervisor 2.5.
func failureText(p *model.Program, err error) string {
	name := p.ID.Name
	var (
		command *CommandError
		socket  *SocketError
		logging *streamsError
		pipe    *spawn.PipeError
		errno   syscall.Errno
	)
	known := errors.As(err, &errno)
	switch {
	case errors.As(err, &command):
		return command.Error()
	case errors.As(err, &socket):
		return socket.Error()
	case known && (errno == syscall.EMFILE || errno == syscall.ENFILE):
		return fmt.Sprintf("too many open files to spawn '%s'", name)
	case errors.As(err, &logging) && !known:
		return fmt.Sprintf("unknown error making dispatchers for '%s': %v", name, err)
	case errors.As(err, &logging) || errors.As(err, &pipe):
		return fmt.Sprintf("unknown error making dispatchers for '%s': %s", name, units.ErrnoName(errno))
	case known && errno == syscall.EAGAIN:
		return fmt.Sprintf("Too many processes in process table to spawn '%s'", name)
	case known:
		return fmt.Sprintf("unknown error during fork for '%s': %s", name, units.ErrnoName(errno))
	}
	return fmt.Sprintf("unknown error during fork for '%s': %v", name, err)
}

// CommandError says why a command cannot be run. Its text is the original's.
type CommandError struct {
	Text    string
	Missing bool // there is no such file
}

func (e *CommandError) Error() string { return e.Text }

// split parses a command line.
func split(line string) ([]string, error) {
	argv, err := command.Split(line)
	if err != nil {
		return nil, &CommandError{Text: fmt.Sprintf("can't parse command %s: %v", repr(line), err)}
	}
	if len(argv) == 0 {
		return nil, &CommandError{Text: "command is empty"}
	}
	return argv, nil
}
