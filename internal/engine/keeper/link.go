package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// ErrLost says that the keeper is gone; Events.Lost has been or will be called.
var ErrLost = errors.New("the keeper is gone")

// Limits of the manager's side.
const (
	attachWithin = 30 * time.Second // between two messages while everything is handed back
	queueLimit   = 16384            // messages that wait because the socket is full
)

// Events are what the keeper tells. Each is called on the one goroutine of the link, in order, and must
// not wait for the link; one that is nil is left out.
type Events struct {
	// Exit: the process of key has ended with this wait status and stays unreaped until Drop. Processes
	// that are not the keeper's children (those that this manager started itself) are never reported.
	// After a restart of the manager it is told again.
	Exit func(key string, raw uint32)
	// Orphans: n ended processes that belong to no key were reaped since the last call; pid and raw are of
	// the last of them.
	Orphans func(n, pid int, raw uint32)
	// Signal: the daemon got this signal (TERM, INT, QUIT, HUP, USR1 or USR2).
	Signal func(signal int)
	// Leave: this manager ends cleanly now, without End; another one follows, here or elsewhere. It is
	// killed when it takes too long (30 s; 5 s when another keeper has claimed everything).
	Leave func()
	// Refused: what was wished for key could not be done and the keeper does not hold it; key "" is
	// an upgrade.
	Refused func(key string, why error)
	// Alive: call reply, from any goroutine, as soon as the core has come round. Without a reply the
	// keeper takes this manager for hung (25 s) and replaces it. nil = always alive.
	Alive func(reply func())
	// Lost: the keeper is gone for certain, by its death or because it hung and was killed. It is the
	// last event.
	Lost func(error)
}

// outgoing is a message that waits for room in the socket.
type outgoing struct {
	msg  []byte
	fds  []int         // our own duplicates
	sent chan struct{} // closed when it is sent or never will be
}

// Link is the manager's connection to its keeper. Its methods may be called from any goroutine; the order
// of calls is kept.
type Link struct {
	conn  *fdpass.Conn
	hello wire.Message
	pidfd int           // of the keeper, -1 = none
	heart heart         // of the reader
	stuck time.Duration // how long the socket may stay full

	workers sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	queue   []outgoing
	broken  bool // nothing can be sent any more
	closed  bool
	serving bool
}

// Attach connects this process with the keeper that started it and returns what the keeper holds, in the
// order in which it was given; the descriptors are this process's own and closed on exec. The link is nil
// when no keeper has started this process. It comes after everything that executes this process's image
// again, and makes the process show as upkeep-manager in lists.
func Attach() (*Link, []Item, error) {
	fd, ok := take(linkVariable)
	if !ok {
		return nil, nil, nil
	}
	conn, err := fdpass.Open(fd)
	if err != nil {
		return nil, nil, fmt.Errorf("link to the keeper: %w", err)
	}
	_ = fdpass.SetName(managerName) // a name for people only
	t := Timings{}.filled()
	l := &Link{conn: conn, pidfd: -1, heart: newHeart(t), stuck: t.HangAfter}
	l.changed = sync.NewCond(&l.mu)
	items, err := l.begin()
	if err != nil {
		fdpass.CloseAll([]int{l.pidfd})
		conn.Close()
		return nil, nil, fmt.Errorf("link to the keeper: %w", err)
	}
	l.workers.Go(l.write)
	return l, items, nil
}

// take reads the descriptor that a private variable names, once.
func take(variable string) (fd int, ok bool) {
	v, ok := os.LookupEnv(variable)
	if !ok {
		return 0, false
	}
	os.Unsetenv(variable)
	fd, err := strconv.Atoi(v)
	return fd, err == nil && fd > 2
}

// begin says hello and takes everything back.
func (l *Link) begin() ([]Item, error) {
	hello := wire.Message{Type: wire.Hello, Version: wire.Version, PID: os.Getpid()}
	if err := l.conn.Send(hello.Append(nil), nil); err != nil {
		return nil, err
	}
	items, err := receiveItems(l.conn, func(m wire.Message) { l.hello = m })
	if err == nil && l.hello.PID == 0 {
		err = errors.New("it did not say hello")
	}
	if err != nil {
		closeItems(items)
		return nil, err
	}
	if os.Getppid() == l.hello.PID {
		if fd, err := fdpass.Watch(l.hello.PID); err == nil {
			l.pidfd = fd
			if os.Getppid() != l.hello.PID { // it died meanwhile and the number may be somebody else's
				fdpass.CloseAll([]int{fd})
				l.pidfd = -1
			}
		}
	}
	return items, nil
}

// receiveItems receives until everything has been handed over.
func receiveItems(conn *fdpass.Conn, hello func(wire.Message)) ([]Item, error) {
	var items []Item
	buf := make([]byte, wire.MaxSize)
	for {
		n, fds, err := conn.Recv(buf)
		if errors.Is(err, fdpass.ErrAgain) {
			switch ok, err := conn.Wait(false, attachWithin); {
			case err != nil:
				return items, err
			case !ok:
				return items, fmt.Errorf("it says nothing for %v", attachWithin)
			}
			continue
		}
		if err != nil && !errors.Is(err, fdpass.ErrTruncated) {
			return items, err
		}
		m, perr := wire.Parse(buf[:n])
		if perr != nil {
			fdpass.CloseAll(fds)
			return items, perr
		}
		switch m.Type {
		case wire.Hello:
			hello(m)
		case wire.Item:
			items = append(items, itemOf(m, fds))
			fds = nil
		case wire.Refused:
			return items, errors.New(m.Text)
		case wire.Done:
			fdpass.CloseAll(fds)
			return items, nil
		}
		fdpass.CloseAll(fds)
	}
}

// itemOf makes an item of its message; descriptors that are missing become -1.
func itemOf(m wire.Message, fds []int) Item {
	for len(fds) < len(m.Roles) {
		fds = append(fds, -1)
	}
	return Item{Key: m.Key, Note: m.Note, Roles: m.Roles, FDs: fds, PID: m.PID, Ended: m.Ended, Raw: m.Raw}
}

func closeItems(items []Item) {
	for _, it := range items {
		fdpass.CloseAll(it.FDs)
	}
}

// KeeperPID is the process that people know as the daemon.
func (l *Link) KeeperPID() int { return l.hello.PID }

// Safe reports whether managers crashed so often that this one is to start nothing: take everything back,
// serve, and wait for an operator.
func (l *Link) Safe() bool { return l.hello.Safe }

// RolledBack says why the image of the last Upgrade was given up for the one before, "" when it was not.
func (l *Link) RolledBack() string { return l.hello.Text }

// Previous says how the manager before this one ended, "" when this is the first.
func (l *Link) Previous() string { return l.hello.Last }

// Hold has the keeper hold duplicates of the item's descriptors, in place of what it held under the key. A
// PID that is set needs its handle among the descriptors (RolePidfd) to be watched well.
func (l *Link) Hold(it Item) error { return l.hold(it, false) }

func (l *Link) hold(it Item, wait bool) error {
	if len(it.Roles) != len(it.FDs) {
		return fmt.Errorf("hold %s: %d roles for %d descriptors", it.Key, len(it.Roles), len(it.FDs))
	}
	m := wire.Message{Type: wire.Hold, Key: it.Key, Note: it.Note, Roles: it.Roles, PID: it.PID}
	return l.send(&m, it.FDs, wait)
}

// Secure is Hold, and the keeper learns it even if this process dies as soon as it has returned: for what
// holds something from its first moment on.
func (l *Link) Secure(it Item) error { return l.hold(it, true) }

// Bind tells which process an item that is held is about, with its handle or -1. When it returns, the
// keeper learns it even if this process dies at once: only then may the process be let off.
func (l *Link) Bind(key string, pid, pidfd int) error {
	var fds []int
	if pidfd >= 0 {
		fds = []int{pidfd}
	}
	return l.send(&wire.Message{Type: wire.Bind, Key: key, PID: pid}, fds, true)
}

// Note replaces the note of an item that is held.
func (l *Link) Note(key string, note []byte) error {
	return l.send(&wire.Message{Type: wire.Note, Key: key, Note: note}, nil, false)
}

// Drop lets the keeper's descriptors go. When the item's process has ended and is the keeper's child it is
// reaped now, and its number is free.
func (l *Link) Drop(key string) error {
	return l.send(&wire.Message{Type: wire.Drop, Key: key}, nil, false)
}

// Release lets the item's process go, as Drop does, and keeps the other descriptors.
func (l *Link) Release(key string) error {
	return l.send(&wire.Message{Type: wire.Release, Key: key}, nil, false)
}

// Ready says that this image works. The link must serve by then. It waits until the keeper will learn it.
func (l *Link) Ready() error { return l.send(&wire.Message{Type: wire.Ready}, nil, true) }

// End orders the end: when this process has ended, whatever its own status, the keeper lets go of
// everything and ends with status (0…255).
func (l *Link) End(status int) error {
	return l.send(&wire.Message{Type: wire.End, Status: status & 0xff}, nil, true)
}

// Upgrade asks for a manager of another image: that at the path, or "" for the path that this one was
// started from. Events.Leave follows, or Events.Refused. When the new image is not READY in time, this one
// comes back and RolledBack tells.
func (l *Link) Upgrade(image string) error {
	if image == "" {
		image = l.hello.Path
	}
	if image == "" {
		return errors.New("upgrade: nobody knows where this image was started from")
	}
	image, err := filepath.Abs(image)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	fd, err := fdpass.OpenImage(image)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	defer fdpass.CloseAll([]int{fd})
	return l.send(&wire.Message{Type: wire.Upgrade, Text: image}, []int{fd}, true)
}

// send sends a message, or queues it behind others that wait for room. With wait it returns only when the
// message is in the socket, where the keeper finds it even after the death of this process.
func (l *Link) send(m *wire.Message, fds []int, wait bool) error {
	what := m.Key
	if err := m.Check(len(fds)); err != nil {
		return fmt.Errorf("keeper: %s: %w", what, err)
	}
	msg := m.Append(nil)
	l.mu.Lock()
	for len(l.queue) >= queueLimit && !l.broken {
		l.changed.Wait() // the writer makes room, or finds out that the keeper hangs
	}
	if l.broken {
		l.mu.Unlock()
		return ErrLost
	}
	if len(l.queue) == 0 {
		err := l.conn.Send(msg, fds)
		if !errors.Is(err, fdpass.ErrAgain) {
			l.broken = err != nil
			l.mu.Unlock()
			if err != nil {
				return fmt.Errorf("%w: %w", ErrLost, err)
			}
			return nil
		}
	}
	own, err := fdpass.Duplicates(fds)
	if err != nil {
		l.mu.Unlock()
		return fmt.Errorf("keeper: %s: %w", what, err)
	}
	out := outgoing{msg, own, make(chan struct{})}
	l.queue = append(l.queue, out)
	l.changed.Broadcast()
	l.mu.Unlock()
	if !wait {
		return nil
	}
	<-out.sent
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return ErrLost
	}
	return nil
}

// write sends what waits, until the link is broken.
func (l *Link) write() {
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.broken {
			l.changed.Wait()
		}
		if l.broken {
			for _, out := range l.queue {
				fdpass.CloseAll(out.fds)
				close(out.sent)
			}
			l.queue = nil
			l.mu.Unlock()
			return
		}
		out := l.queue[0]
		err := l.conn.Send(out.msg, out.fds)
		if err == nil {
			l.queue = l.queue[1:]
			l.changed.Broadcast()
		} else if !errors.Is(err, fdpass.ErrAgain) {
			l.broken = true
		}
		l.mu.Unlock()
		switch {
		case err == nil:
			fdpass.CloseAll(out.fds)
			close(out.sent)
		case errors.Is(err, fdpass.ErrAgain):
			if ok, err := l.conn.Wait(true, l.stuck); err == nil && !ok {
				l.kill() // it takes nothing for so long: it hangs
			}
		}
	}
}

// kill ends a keeper that hangs. Where we may not, it stays, and whoever waits for it waits.
func (l *Link) kill() {
	if l.pidfd >= 0 {
		_ = fdpass.Kill(l.pidfd, 0)
	}
}

// Serve begins to deliver events. It is called once.
func (l *Link) Serve(e Events) {
	l.mu.Lock()
	again := l.serving || l.closed
	l.serving = true
	l.mu.Unlock()
	if !again {
		l.workers.Go(func() { l.read(e) })
	}
}

// read delivers events until the link ends.
func (l *Link) read(e Events) {
	buf := make([]byte, wire.MaxSize)
	l.heart.start(time.Now())
	for {
		n, fds, err := l.conn.Recv(buf)
		fdpass.CloseAll(fds) // no message of the keeper brings any now
		switch {
		case errors.Is(err, fdpass.ErrAgain):
			if _, err := l.conn.Wait(false, max(time.Until(l.heart.next), 0)); err != nil {
				l.gone(e, err)
				return
			}
		case err != nil && !errors.Is(err, fdpass.ErrTruncated):
			l.gone(e, err)
			return
		default:
			if m, err := wire.Parse(buf[:n]); err == nil {
				l.deliver(e, m)
			}
		}
		switch ask, dead := l.heart.tick(time.Now()); {
		case ask:
			_ = l.send(&wire.Message{Type: wire.Ping, Number: l.heart.number}, nil, false)
		case dead:
			l.kill() // the end of the connection follows
			l.heart.start(time.Now())
		}
	}
}

func (l *Link) deliver(e Events, m wire.Message) {
	switch m.Type {
	case wire.Exit:
		if e.Exit != nil {
			e.Exit(m.Key, m.Raw)
		}
	case wire.Orphans:
		if e.Orphans != nil {
			e.Orphans(int(min(m.Number, 1<<31-1)), m.PID, m.Raw)
		}
	case wire.Signal:
		if e.Signal != nil {
			e.Signal(int(m.Number & 0xff))
		}
		_ = l.send(&wire.Message{Type: wire.Obeyed, Number: m.Number}, nil, false)
	case wire.Leave:
		if e.Leave != nil {
			e.Leave()
		}
	case wire.Refused:
		if e.Refused != nil {
			e.Refused(m.Key, errors.New(m.Text))
		}
	case wire.Pong:
		l.heart.answer(m.Number, time.Now())
	case wire.Ping:
		reply := sync.OnceFunc(func() { _ = l.send(&wire.Message{Type: wire.Pong, Number: m.Number}, nil, false) })
		if e.Alive == nil {
			reply()
		} else {
			e.Alive(reply)
		}
	}
}

// certainty is how long a keeper that has closed its end may take to be gone.
const certainty = 5 * time.Second

// gone makes sure that the keeper is gone and tells.
func (l *Link) gone(e Events, err error) {
	l.mu.Lock()
	l.broken = true
	l.changed.Broadcast()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return
	}
	if l.pidfd >= 0 {
		// Two keepers would start two managers.
		if ended, err := fdpass.Ended(l.pidfd, certainty); err == nil && !ended {
			l.kill()
			_, _ = fdpass.Ended(l.pidfd, certainty)
		}
	}
	if errors.Is(err, io.EOF) {
		err = ErrLost
	} else {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	if e.Lost != nil {
		e.Lost(err)
	}
}

// Close ends the link, without an event. What waits to be sent is not. The keeper expects this process to
// end soon. It must not be called by an event.
func (l *Link) Close() {
	l.mu.Lock()
	again := l.closed
	l.closed, l.broken = true, true
	l.changed.Broadcast()
	l.mu.Unlock()
	if again {
		return
	}
	l.conn.Shutdown()
	l.workers.Wait()
	l.conn.Close()
	fdpass.CloseAll([]int{l.pidfd})
}
