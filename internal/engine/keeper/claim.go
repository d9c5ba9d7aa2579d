package keeper

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// takenWithin is how long a claimer may take to receive what it has claimed, and a keeper to let its
// manager end first.
const (
	takenWithin = 10 * time.Second
	claimBuffer = 256 // bytes of a claim
)

// claims is the way out for everything, to another keeper.
type claims struct {
	listener int
	path     string
	conn     *fdpass.Conn // of the claimer
	wanted   bool         // it has asked
	deadline time.Time    // when it must have
}

// listen opens the way. Without it the keeper works as well.
func (k *keeper) listen(path string) {
	if path == "" {
		return
	}
	fd, err := fdpass.Listen(path)
	if err != nil {
		complain(err)
		return
	}
	k.listenOn(fd, path)
}

func (k *keeper) listenOn(fd int, path string) {
	if err := k.poll.Add(fd, listenToken); err != nil {
		complain(err)
		fdpass.CloseAll([]int{fd})
		return
	}
	k.claims.listener, k.claims.path = fd, path
}

// accept lets one process of our own user in.
func (k *keeper) accept() {
	conn, err := fdpass.Accept(k.claims.listener)
	if err != nil {
		return
	}
	if _, same, err := conn.Same(); err != nil || !same || k.claims.conn != nil {
		conn.Close()
		return
	}
	if err := k.poll.Add(conn.FD(), claimToken); err != nil {
		conn.Close()
		return
	}
	k.claims.conn, k.claims.deadline = conn, time.Now().Add(k.t.ClaimWithin)
}

// claimed reads what the claimer says.
func (k *keeper) claimed() {
	c := &k.claims
	if c.conn == nil || c.wanted {
		return
	}
	var buf [claimBuffer]byte
	n, fds, err := c.conn.Recv(buf[:])
	fdpass.CloseAll(fds)
	if errors.Is(err, fdpass.ErrAgain) {
		return
	}
	m, perr := wire.Parse(buf[:n])
	if err != nil || perr != nil || k.ending {
		c.drop(k.poll)
		return
	}
	if m.Type != wire.Claim {
		return
	}
	_ = k.poll.Remove(c.conn.FD())
	c.wanted, c.deadline = true, time.Time{}
	if k.child.pid != 0 {
		k.leave(k.t.ClaimWithin)
		return
	}
	k.restart = time.Time{}
	k.handOver()
}

// drop ends a claim.
func (c *claims) drop(poll *fdpass.Poller) {
	if c.conn == nil {
		return
	}
	if !c.wanted {
		_ = poll.Remove(c.conn.FD())
	}
	c.conn.Close()
	c.conn, c.wanted, c.deadline = nil, false, time.Time{}
}

func (c *claims) close(poll *fdpass.Poller) {
	c.drop(poll)
	if c.listener >= 0 {
		fdpass.CloseAll([]int{c.listener})
		if c.path != "" {
			_ = os.Remove(c.path)
		}
	}
}

// handOver gives everything away and ends, or goes on when the claimer does not take it. There is no
// manager meanwhile, so nobody waits for us.
func (k *keeper) handOver() {
	if err := k.handAll(k.claims.conn); err != nil {
		k.claims.drop(k.poll)
		k.last = "another keeper claimed everything and did not take it: " + err.Error()
		k.start()
		return
	}
	k.claims.path = "" // the name is the other keeper's now
	k.finish(0)
}

func (k *keeper) handAll(conn *fdpass.Conn) error {
	say := func(m wire.Message, fds []int) error {
		msg := m.Append(nil)
		for {
			err := conn.Send(msg, fds)
			if !errors.Is(err, fdpass.ErrAgain) {
				return err
			}
			if ok, err := conn.Wait(true, takenWithin); err != nil || !ok {
				return fmt.Errorf("it receives nothing: %w", err)
			}
		}
	}
	if err := say(wire.Message{Type: wire.Hello, Version: wire.Version, PID: os.Getpid(), Path: k.images.path}, nil); err != nil {
		return err
	}
	all := k.items.inOrder()
	for _, h := range all {
		if err := say(h.message(), h.FDs); err != nil {
			return err
		}
	}
	if err := say(wire.Message{Type: wire.Done, Number: uint64(len(all))}, nil); err != nil {
		return err
	}
	var buf [claimBuffer]byte
	for {
		n, fds, err := conn.Recv(buf[:])
		fdpass.CloseAll(fds)
		if errors.Is(err, fdpass.ErrAgain) {
			if ok, err := conn.Wait(false, takenWithin); err != nil || !ok {
				return errors.New("it does not say that it has everything")
			}
			continue
		}
		if err != nil {
			return err
		}
		if m, err := wire.Parse(buf[:n]); err == nil && m.Type == wire.Taken {
			return nil
		}
	}
}

// Claim takes everything from the keeper that listens at socket, which ends its manager first and itself
// then. The items go into Options.Items of Run. An exit that an item reports is known for certain;
// processes that live become children of whoever adopts orphans here, and their exits are known where the
// kernel tells the holder of a handle. An error that is os.ErrNotExist or a refused connection: there is
// no keeper.
func Claim(socket string) ([]Item, error) {
	conn, err := fdpass.Dial(socket)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	defer conn.Close()
	if _, same, err := conn.Same(); err != nil || !same {
		return nil, fmt.Errorf("claim: %s belongs to another user", socket)
	}
	claim := wire.Message{Type: wire.Claim, Version: wire.Version, PID: os.Getpid()}
	if err := conn.Send(claim.Append(nil), nil); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	items, err := receiveItems(conn, func(wire.Message) {})
	if err == nil {
		for _, it := range items {
			for _, fd := range it.FDs {
				if fd < 0 {
					err = fdpass.ErrTruncated // better all with the old one than some with us
				}
			}
		}
	}
	if err == nil {
		taken := wire.Message{Type: wire.Taken}
		err = conn.Send(taken.Append(nil), nil)
	}
	if err != nil {
		closeItems(items)
		return nil, fmt.Errorf("claim: %w", err)
	}
	// Its end: the name of the socket, the pid and the lock are free for certain after it.
	var buf [claimBuffer]byte
	for {
		_, fds, err := conn.Recv(buf[:])
		fdpass.CloseAll(fds)
		if !errors.Is(err, fdpass.ErrAgain) {
			break
		}
		if ok, err := conn.Wait(false, takenWithin); err != nil || !ok {
			break
		}
	}
	return items, nil
}
