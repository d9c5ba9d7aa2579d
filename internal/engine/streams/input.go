package streams

import (
	"errors"
	"sync"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// Errors of Input.Write.
var (
	ErrFull   = errors.New("streams: the program does not read its standard input")
	ErrClosed = errors.New("streams: standard input is closed")
)

// Input is the standard input of a program, fed from a bounded queue. Its methods are safe for concurrent
// use and do not block.
type Input struct {
	p   *Pump
	reg *reactor.Registration

	mu     sync.Mutex
	fd     int // -1 when closed
	w      pipe.Writer
	queue  []byte
	limit  int
	closed bool
}

// AttachInput takes over the writing end of a program's standard input. At most limit bytes wait for the
// program to read.
func (p *Pump) AttachInput(fd, limit int) *Input {
	in := &Input{p: p, fd: fd, limit: limit}
	in.mu.Lock()
	defer in.mu.Unlock()
	var err error
	if in.w, err = pipe.NewWriter(fd); err != nil {
		p.note("cannot use the standard input of a program: %v", err)
		in.closeLocked()
		return in
	}
	if !p.addInput(in) {
		in.closeLocked()
	}
	return in
}

// Write queues data as a whole: ErrFull and nothing is queued when there is no room for all of it, ErrClosed
// when the program has closed its end or Close was called.
func (in *Input) Write(data []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return ErrClosed
	}
	if len(in.queue)+len(data) > in.limit {
		return ErrFull
	}
	if len(in.queue) == 0 {
		n, err := in.w.Write(data)
		if err != nil && !errors.Is(err, pipe.ErrAgain) {
			in.closeLocked()
			return ErrClosed
		}
		data = data[n:]
	}
	if len(data) > 0 {
		in.queue = append(in.queue, data...)
		return in.watchLocked()
	}
	return nil
}

// watchLocked has the queue written on when the pipe has room again. Most programs are never sent anything, so that
// the descriptor is watched from the first time on that something waits.
func (in *Input) watchLocked() error {
	if in.reg != nil {
		in.reg.Arm()
		return nil
	}
	reg, err := in.p.r.Register(in.w.Ready(), reactor.Writable, in.ready)
	if err != nil {
		in.p.note("cannot use the standard input of a program: %v", err)
		in.closeLocked()
		return ErrClosed
	}
	in.reg = reg
	return nil
}

// Queued is how many bytes are not in the pipe yet.
func (in *Input) Queued() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.queue)
}

// ready writes on when the pipe has room again.
func (in *Input) ready() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed || len(in.queue) == 0 {
		return
	}
	n, err := in.w.Write(in.queue)
	if err != nil && !errors.Is(err, pipe.ErrAgain) {
		in.closeLocked()
		return
	}
	in.queue = in.queue[n:]
	if len(in.queue) == 0 {
		in.queue = nil
		return
	}
	in.reg.Arm()
}

// Close closes the program's standard input; what is queued is dropped.
func (in *Input) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closeLocked()
	return nil
}

// detach lets go of the descriptor without closing it.
func (in *Input) detach() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.closed {
		in.closed = true
		if in.reg != nil {
			in.reg.Close()
		}
	}
}

func (in *Input) closeLocked() {
	if in.closed {
		return
	}
	in.closed, in.queue = true, nil
	if in.reg != nil {
		in.reg.Close()
	}
	in.w.Stop()
	pipe.Close(in.fd)
	in.fd = -1
	in.p.removeInput(in)
}
