package keeper

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// child is the manager. pid 0: there is none.
type child struct {
	pid, pidfd int
	attached   bool // it has said hello
	ready      bool
	readySince time.Time
	leaving    bool
	safe       bool
	deadline   time.Time // when it is killed
	why        string    // … and what for
	killed     string    // why it was killed by us
	struck     bool      // it was killed by somebody else
}

// images are the executables. good has said READY, or is the only one; next is the one to come.
type images struct {
	good, next     int    // descriptors, -1 = none
	path, nextPath string // where they were started from
	trying         bool   // next runs and was not READY yet
}

// begin starts with a manager of these options.
func (k *keeper) begin(o Options) error {
	var err error
	if o.Image == "" {
		k.images.good, err = fdpass.Self()
	} else {
		k.images.good, err = fdpass.OpenImage(o.Image)
	}
	if err != nil {
		return err
	}
	k.images.path = origin(o)
	k.ready = o.Ready
	k.argv, k.env = o.Argv, o.Env
	for _, it := range o.Items {
		k.items.put(it)
	}
	k.watchAll()
	k.listen(o.Socket)
	k.start()
	return nil
}

// start starts a manager.
func (k *keeper) start() {
	now := time.Now()
	conn, other, err := fdpass.Pair()
	if err != nil {
		k.startFailed(err)
		return
	}
	defer fdpass.CloseAll([]int{other})
	image := k.images.good
	if k.images.next >= 0 {
		image, k.images.trying = k.images.next, true
	}
	const linkFD = 3
	env := slices.DeleteFunc(slices.Clone(k.env), func(kv string) bool {
		return strings.HasPrefix(kv, linkVariable+"=") || strings.HasPrefix(kv, manifestVariable+"=")
	})
	env = append(env, linkVariable+"="+strconv.Itoa(linkFD))
	// In a group of its own, so that what a terminal sends to the daemon's group reaches the manager once.
	pid, pidfd, err := fdpass.Start(fdpass.Process{
		Path: fdpass.ImagePath(image), Argv: k.argv, Env: env, Files: []int{0, 1, 2, other}, OwnGroup: true,
	})
	if err == nil {
		if err = k.poll.Add(conn.FD(), linkToken); err != nil {
			_ = fdpass.Kill(pidfd, pid)
		}
	}
	if err != nil {
		conn.Close()
		k.startFailed(err)
		return
	}
	k.conn, k.blocked, k.retry = conn, false, time.Time{}
	k.child = child{
		pid: pid, pidfd: pidfd, safe: k.policy.safe(now), deadline: now.Add(k.t.ReadyWithin),
		why: fmt.Sprintf("it was not ready within %v", k.t.ReadyWithin),
	}
}

// startFailed deals with a manager that could not even be started.
func (k *keeper) startFailed(err error) {
	if !k.everReady {
		complain(err)
		k.finish(1)
		return
	}
	k.next("it could not be started: " + err.Error())
}

// handBack answers the hello of a manager with everything that is held.
func (k *keeper) handBack() {
	if k.child.attached {
		return
	}
	k.child.attached = true
	k.tell(wire.Message{
		Type: wire.Hello, Version: wire.Version, PID: os.Getpid(), Safe: k.child.safe, Text: k.rolled, Last: k.last,
		Path: k.images.path,
	})
	all := k.items.inOrder()
	for _, h := range all {
		k.tell(wire.Message{Type: wire.Item, Key: h.Key})
	}
	k.tell(wire.Message{Type: wire.Done, Number: uint64(len(all))})
	for _, h := range all {
		if h.Ended {
			k.tell(wire.Message{Type: wire.Exit, Key: h.Key})
		}
	}
}

// managerReady notes that the running image works.
func (k *keeper) managerReady() {
	if k.child.ready {
		return
	}
	k.child.ready, k.child.readySince = true, time.Now()
	if !k.child.leaving {
		k.child.deadline = time.Time{}
	}
	k.heart.start(time.Now())
	if k.images.trying {
		fdpass.CloseAll([]int{k.images.good})
		k.images.good, k.images.path = k.images.next, k.images.nextPath
		k.images.next, k.images.nextPath, k.images.trying = -1, "", false
		k.replace = true
	}
	k.rolled = "" // it has been told
	if !k.everReady {
		k.everReady = true
		if k.ready != nil {
			if err := k.ready(); err != nil {
				complain(err)
			}
		}
	}
}

// upgrade prepares another image and asks the manager to leave.
func (k *keeper) upgrade(m wire.Message, fds []int) {
	defer fdpass.CloseAll(fds)
	if len(fds) != 1 || k.ending || k.images.trying {
		k.refuse("", "not now")
		return
	}
	fd, err := fdpass.KeepImage(fds[0])
	if err != nil {
		k.refuse("", err.Error())
		return
	}
	fdpass.CloseAll([]int{k.images.next})
	k.images.next, k.images.nextPath = fd, m.Text
	k.leave(k.t.LeaveWithin)
}

// leave asks the manager to end cleanly.
func (k *keeper) leave(within time.Duration) {
	k.child.leaving = true
	k.child.deadline, k.child.why = time.Now().Add(within), fmt.Sprintf("it did not leave within %v", within)
	k.tell(wire.Message{Type: wire.Leave})
}

// kill ends the manager by force.
func (k *keeper) kill(why string) {
	k.child.deadline = time.Time{}
	k.heart.stop()
	if k.child.pid == 0 || k.child.killed != "" {
		return
	}
	k.child.killed = why
	_ = fdpass.Kill(k.child.pidfd, k.child.pid) // it is our child and unreaped: nobody else can be hit
}

// hungUp: the manager has closed its end. It is about to end; when it does not, it is no use.
func (k *keeper) hungUp() {
	k.closeLink()
	if k.child.pid != 0 {
		k.child.deadline, k.child.why = time.Now().Add(k.t.LeaveWithin), "it closed its link and stayed"
	}
}

func (k *keeper) closeLink() {
	k.heart.stop()
	k.orphans.untold(k.out)
	k.out, k.unsent, k.blocked, k.retry = nil, 0, false, time.Time{}
	if k.conn != nil {
		_ = k.poll.Remove(k.conn.FD())
		k.conn.Close()
		k.conn = nil
	}
}

// managerEnded deals with the end of the manager, which is still unreaped.
func (k *keeper) managerEnded(raw uint32) {
	for k.receive(batch) { // everything it said before counts
	}
	k.closeLink()
	_, _, _ = fdpass.Reap(k.child.pidfd, k.child.pid)
	how := fdpass.Describe(raw)
	if k.child.killed != "" {
		how += ": " + k.child.killed
	}
	// What it has not obeyed is for the next one.
	for _, n := range k.pending {
		if !slices.Contains(k.underway, n) {
			k.underway = append(k.underway, n)
		}
	}
	k.pending, k.underway = k.underway, nil
	k.watchAll() // it is reaped: what it had started is ours from now on
	if !k.everReady && !k.ending {
		k.finish(fdpass.ExitStatus(raw))
		return
	}
	k.child.struck = fdpass.Struck(raw) && k.child.killed == ""
	k.next(how)
}

// struckPause is how many times the shortest pause follows when a manager is killed before it is ready.
const struckPause = 5

// next decides what follows a manager that is gone, or could not be started.
func (k *keeper) next(how string) {
	now := time.Now()
	was := k.child
	fdpass.CloseAll([]int{was.pidfd})
	k.child = child{pidfd: -1}
	k.last = how
	switch {
	case k.ending:
		k.finish(k.status)
	case k.claims.wanted:
		k.handOver()
	case k.images.trying:
		k.rolled = fmt.Sprintf("%s: %s", k.images.nextPath, how)
		fdpass.CloseAll([]int{k.images.next})
		k.images.next, k.images.nextPath, k.images.trying = -1, "", false
		k.start()
	case k.images.next >= 0:
		k.policy.forget()
		k.start()
	case was.safe && !was.ready && slices.ContainsFunc(k.pending, fdpass.Asks):
		// Not even a manager that starts nothing lives long enough to be told.
		k.finish(1)
	case was.struck && was.ready:
		k.restart = now.Add(k.t.Backoff) // somebody killed it: that is no fault of its own
	case was.struck:
		k.restart = now.Add(struckPause * k.t.Backoff)
	default:
		ready := time.Duration(-1)
		if was.ready {
			ready = now.Sub(was.readySince)
		}
		k.restart = now.Add(k.policy.crashed(now, ready))
	}
}

// finish ends the loop.
func (k *keeper) finish(status int) { k.done, k.status = true, status }
