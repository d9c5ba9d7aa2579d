package launch

import (
	"sync"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// instance is one running process and its streams.
type instance struct {
	host   *Host
	handle procfd.Handle
	key    string // in the store and the journal; empty = in none
	birth  *birth // as the journal has it: it never changes
	in     *streams.Input
	out    []*streams.Stream
	roles  []rune // of out
	cgroup *cgroup.Group
	listen func(*streams.Input) // begins the conversation with a listener; nil = it is none

	mu       sync.Mutex
	open     int       // outputs that have not come to their end
	released bool      // the process
	users    int       // of the handle besides its owner
	detached bool      // it was let go of while it lived
	next     *instance // what it has left, and what goes on in its place; nil = nothing does
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
	next := n.next
	if next == nil {
		n.open--
	}
	n.mu.Unlock()
	if next != nil {
		next.closed()
		return
	}
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
	pid := n.handle.PID()
	if n.hasMoved() { // all that it had belongs to the other one
		_, _, _ = n.handle.Wait(false)
		n.host.pids.remove(pid, n)
		n.use(-1)
		return
	}
	if n.in != nil {
		n.in.Close()
	}
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

// Detach lets go of a living process: nothing of ours knows of it any more, and nothing ends it. What it writes into our
// pipes is still logged as long as we live. When it ends as a child of ours it is reaped, and that is all.
func (n *instance) Detach() {
	h := n.host
	n.mu.Lock()
	if n.released {
		n.mu.Unlock()
		return
	}
	n.detached, n.released = true, true
	key := n.key
	n.mu.Unlock()
	h.let.set(n.PID(), n)
	h.pids.remove(n.PID(), n)
	abandon(n.cgroup)
	if key != "" {
		if h.o.Store != nil {
			_ = h.o.Store.Release(key) // who reports a lost keeper is its link
		}
		h.forget(key)
	}
	n.settle()
	if _, over, err := n.handle.Wait(true); err == nil && over { // its end was told before, as of one that is followed
		n.letGo(true)
	}
}

// letGo ends what is left to do about a process that was let go of: reap it, or leave even that to who has taken it anew.
func (n *instance) letGo(reap bool) {
	if !n.host.let.remove(n.PID(), n) {
		return
	}
	if reap {
		if n.in != nil {
			n.in.Close()
		}
		_, _, _ = n.handle.Wait(false)
	}
	n.use(-1)
}

func (n *instance) isDetached() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.detached
}
