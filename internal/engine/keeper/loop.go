package keeper

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// The tokens of what the poller watches; items have larger ones.
const (
	linkToken     = 1
	listenToken   = 2
	claimToken    = 3
	firstItem     = 1000
	batch         = 256                    // messages received in a row
	listPause     = 200 * time.Millisecond // between two looks through the list of children
	sendPause     = 10 * time.Millisecond  // when the kernel takes no descriptors although there is room
	maxRefusals   = 64                     // that wait to be sent
	signalsBuffer = 64
)

// keeper is the whole state; one goroutine has it.
type keeper struct {
	t     Timings
	poll  *fdpass.Poller
	items store

	// What runs.
	argv, env []string
	images    images
	policy    policy
	child     child
	everReady bool
	ready     func() error
	last      string // how the last manager ended
	rolled    string // why an upgrade was taken back
	restart   time.Time

	// The link.
	conn      *fdpass.Conn
	buf       []byte
	out       []wire.Message
	unsent    int  // refusals in out
	blocked   bool // out waits for room
	retry     time.Time
	heart     heart
	pending   []int // signals that wait for a manager
	underway  []int // signals that were sent and not yet obeyed
	orphans   orphans
	claims    claims
	ending    bool
	status    int
	replace   bool // execute the new image in this process as soon as it is calm
	done      bool
	signals   chan os.Signal
	children  chan os.Signal
	waker     sync.WaitGroup
	stopWaker chan struct{}  // closed to end the waker
	woken     chan os.Signal // signals that the waker has received
}

// newKeeper makes a keeper that holds nothing yet and obeys signals already.
func newKeeper(t Timings) (*keeper, error) {
	// The process waits nearly always: it needs neither many threads nor much room.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(25)
	t = t.filled()
	if err := fdpass.Subreaper(); err != nil {
		return nil, err
	}
	poll, err := fdpass.NewPoller()
	if err != nil {
		return nil, err
	}
	k := &keeper{
		t: t, poll: poll, items: newStore(), policy: policy{t: t}, heart: newHeart(t), buf: make([]byte, wire.MaxSize),
		images: images{good: -1, next: -1}, child: child{pidfd: -1}, claims: claims{listener: -1},
		signals: make(chan os.Signal, signalsBuffer), children: make(chan os.Signal, 1),
		woken: make(chan os.Signal, signalsBuffer),
	}
	k.listenToSignals()
	return k, nil
}

// listenToSignals makes signals wake the loop.
func (k *keeper) listenToSignals() {
	forwarded, ended := fdpass.Forwarded()
	signal.Notify(k.signals, forwarded...)
	signal.Notify(k.children, ended)
	k.orphans.news.Store(true) // a child may have ended before
	k.stopWaker = make(chan struct{})
	k.waker.Go(func() { k.wake(k.stopWaker) })
}

// wake hands signals to the loop, which waits in the poller.
func (k *keeper) wake(stop <-chan struct{}) {
	for {
		select {
		case s := <-k.signals:
			select {
			case k.woken <- s:
			case <-stop:
				select {
				case k.signals <- s: // back, for whoever empties it
				default: // full of others
				}
				return
			}
		case <-k.children:
			k.orphans.news.Store(true)
		case <-stop:
			return
		}
		k.poll.Wake()
	}
}

// close releases what the keeper itself has; what it holds is closed too.
func (k *keeper) close() {
	k.hush()
	signal.Stop(k.signals)
	k.closeLink()
	k.claims.close(k.poll)
	for _, h := range k.items.inOrder() {
		k.drop(h)
	}
	fdpass.CloseAll([]int{k.images.good, k.images.next, k.child.pidfd})
	k.poll.Close()
}

// hush ends the waker; signals are kept in their channels.
func (k *keeper) hush() {
	if k.stopWaker != nil {
		close(k.stopWaker)
		k.waker.Wait()
		k.stopWaker = nil
	}
	signal.Stop(k.children)
}

// run works until everything has ended.
func (k *keeper) run() int {
	for !k.done {
		ready, err := k.poll.Wait(k.patience(time.Now()))
		if err != nil {
			complain(err) // only a descriptor that somebody closed under us can be the reason
			k.status = 1
			break
		}
		k.step(ready)
	}
	status := k.status
	k.close()
	return status
}

// step deals with everything that has happened.
func (k *keeper) step(ready []fdpass.Ready) {
	for _, r := range ready {
		switch r.Token {
		case linkToken:
			if r.Writable {
				k.send()
			}
		case listenToken:
			k.accept()
		case claimToken:
			k.claimed()
		default:
			if h := k.items.byToken[r.Token]; h != nil {
				k.look(h)
			}
		}
	}
	k.takeSignals()
	k.receive(batch)
	k.reapChildren()
	k.timers(time.Now())
	k.tellSignals()
	k.send()
	if k.replace && k.calm() {
		k.replaceSelf()
	}
}

// patience is how long the loop may wait, negative for ever.
func (k *keeper) patience(now time.Time) time.Duration {
	var first time.Time
	for _, t := range []time.Time{
		k.restart, k.retry, k.heart.next, k.child.deadline, k.orphans.again, k.claims.deadline,
	} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if first.IsZero() {
		return -1
	}
	return max(first.Sub(now), 0)
}

// due reports whether a moment has come.
func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

func (k *keeper) timers(now time.Time) {
	if due(k.retry, now) {
		k.retry = time.Time{}
		k.blocked = false
	}
	switch ask, dead := k.heart.tick(now); {
	case ask:
		k.tell(wire.Message{Type: wire.Ping, Number: k.heart.number})
	case dead:
		k.kill("it did not answer")
	}
	if due(k.child.deadline, now) {
		k.kill(k.child.why)
	}
	if due(k.claims.deadline, now) {
		k.claims.drop(k.poll)
	}
	if due(k.restart, now) {
		k.restart = time.Time{}
		k.start()
	}
}

// takeSignals keeps the signals that have come.
func (k *keeper) takeSignals() {
	for {
		select {
		case s := <-k.woken:
			k.signalled(s)
		default:
			return
		}
	}
}

// tellSignals gives a manager that is READY and stays the signals that wait, in order.
func (k *keeper) tellSignals() {
	if !k.child.ready || k.child.leaving || k.conn == nil {
		return
	}
	for _, n := range k.pending {
		k.tell(wire.Message{Type: wire.Signal, Number: uint64(n)})
		if !slices.Contains(k.underway, n) {
			k.underway = append(k.underway, n)
		}
	}
	k.pending = k.pending[:0]
}

// signalled keeps a signal; one that waits already is the same.
func (k *keeper) signalled(s os.Signal) {
	if n, ok := s.(syscall.Signal); ok && !slices.Contains(k.pending, int(n)) {
		k.pending = append(k.pending, int(n))
	}
}

// receive takes messages of the manager, at most so many, and reports whether there may be more.
func (k *keeper) receive(limit int) (more bool) {
	for range limit {
		if k.conn == nil {
			return false
		}
		n, fds, err := k.conn.Recv(k.buf)
		switch {
		case errors.Is(err, fdpass.ErrAgain):
			return false
		case err != nil && !errors.Is(err, fdpass.ErrTruncated):
			k.hungUp() // the end, or an error that is as good as one
			return false
		}
		m, perr := wire.Parse(k.buf[:n])
		if err != nil || perr != nil {
			fdpass.CloseAll(fds)
			k.refuse(m.Key, "the keeper has no room for its descriptors")
			continue
		}
		k.obey(m, fds)
	}
	return k.conn != nil
}

// obey does what one message of the manager says.
func (k *keeper) obey(m wire.Message, fds []int) {
	switch m.Type {
	case wire.Hold:
		k.hold(m, fds)
		return
	case wire.Bind:
		k.bind(m, fds)
		return
	case wire.Upgrade:
		k.upgrade(m, fds)
		return
	}
	fdpass.CloseAll(fds)
	switch m.Type {
	case wire.Hello:
		k.handBack()
	case wire.Note:
		k.note(m)
	case wire.Drop:
		if h := k.items.byKey[m.Key]; h != nil {
			k.drop(h)
		}
	case wire.Release:
		if h := k.items.byKey[m.Key]; h != nil {
			k.release(h)
		}
	case wire.Ready:
		k.managerReady()
	case wire.End:
		k.ending, k.status = true, m.Status
	case wire.Ping:
		k.tell(wire.Message{Type: wire.Pong, Number: m.Number})
	case wire.Pong:
		k.heart.answer(m.Number, time.Now())
	case wire.Obeyed:
		k.underway = slices.DeleteFunc(k.underway, func(n int) bool { return uint64(n) == m.Number })
	}
}

// tell queues a message for the manager; without one it is not sent, and everything that must not be lost
// is kept elsewhere.
func (k *keeper) tell(m wire.Message) {
	if k.conn != nil && k.child.attached {
		k.out = append(k.out, m)
	}
}

// refuse says that a wish was not fulfilled. Refusals that pile up are dropped: the first ones tell.
func (k *keeper) refuse(key, why string) {
	if k.unsent < maxRefusals {
		k.unsent++
		k.tell(wire.Message{Type: wire.Refused, Key: key, Text: why})
	}
}

// send sends what waits, as far as there is room.
func (k *keeper) send() {
	k.tellOrphans()
	for len(k.out) > 0 && k.conn != nil && k.retry.IsZero() {
		m := k.out[0]
		var fds []int
		switch m.Type {
		case wire.Item, wire.Exit:
			h := k.items.byKey[m.Key]
			if h == nil || m.Type == wire.Exit && !h.Ended {
				k.out = k.out[1:] // dropped meanwhile
				continue
			}
			if m.Type == wire.Item {
				m, fds = h.message(), h.FDs
			} else {
				m.Raw = h.Raw
			}
		}
		err := k.conn.Send(m.Append(k.buf[:0]), fds)
		if errors.Is(err, fdpass.ErrAgain) {
			k.wait()
			return
		}
		if err != nil {
			return // the end of the connection is received, too
		}
		switch m.Type {
		case wire.Refused:
			k.unsent--
		case wire.Orphans:
			k.orphans.told()
		}
		k.out = k.out[1:]
		if k.blocked {
			k.blocked = false
			_ = k.poll.Writable(k.conn.FD(), linkToken, false)
		}
	}
	if len(k.out) == 0 {
		k.out = nil // give the room back
	}
}

// wait arranges for the next attempt to send: when there is room, or after a pause when there is and the
// kernel refuses all the same.
func (k *keeper) wait() {
	if !k.blocked {
		k.blocked = true
		_ = k.poll.Writable(k.conn.FD(), linkToken, true)
		return
	}
	_ = k.poll.Writable(k.conn.FD(), linkToken, false)
	k.retry = time.Now().Add(sendPause)
}
