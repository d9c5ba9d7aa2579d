// Package streams moves the output of programs into their logs, and data into their standard input.
//
// A few workers serve all streams; a stream whose program is quiet costs nothing. On Linux bytes go from
// the pipe to the log inside the kernel, so that none is lost when this process is killed at any instant;
// whoever else wants to see them gets a copy. A program that writes faster than that way takes has its
// bytes moved through a second pipe, so that it need not wait while they are copied into the log.
//
// Where the bytes change on the way, or others write to the log too, or the log cannot be written now, they
// go through a stage: memory that outlives this process, with a record of which of them are in the log (see
// backlog). Second pipe and stage are given to a Keeper before anything is in them; whoever attaches the pipe
// next gets them back and goes on.
//
// A log that cannot be written (full disk, I/O error) is the matter of its stream only: the log's oldest
// backups are deleted, then output waits in the pipe and in bounded memory, then it is dropped and the
// log gets a record of how much at exactly that place. It is tried again all the time, and nothing is
// tried while no stream waits. Source: spec/reliability R1, R16–R18.
package streams

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// Logger takes lines about streams in trouble; *activity.Logger is one.
type Logger interface {
	Logf(level activity.Level, format string, args ...any)
}

// Options of a pump. The zero value is usable.
type Options struct {
	Log          Logger           // nil = nobody
	Reactor      *reactor.Reactor // nil = one of its own
	StreamMemory int              // bytes that wait in memory for one log; default 4 MiB
	TotalMemory  int64            // and for all; default 64 MiB
	PipeMemory   int64            // for enlarged pipes; default half of what the system allows one user
	Keeper       Keeper           // nil = a kill of this process may lose what is on its way through memory
	// Stalled is told whenever a log cannot be written any more, or again: how many there are, and why the last one
	// cannot. It is called by workers, must return at once and must not call the pump; nil = nobody asks.
	Stalled func(logs int, err error)
}

// Keeper holds descriptors for whoever takes over when this process is gone. Its methods are called by workers and
// must not call the pump.
type Keeper interface {
	// Keep gives it a duplicate of fd, which belongs to the stream with that key. When it returns without
	// an error the duplicate is out of reach of the death of this process.
	Keep(key string, fd int) error
	// Drop lets it close its duplicate.
	Drop(key string, fd int)
}

const (
	defaultStreamMemory = 4 << 20
	defaultTotalMemory  = 64 << 20

	// chunk is the most that consumers get at once. Source: spec/supervisor 3.4.
	chunk = 128 << 10
	// scratchSize is the capacity of the pipes that copies are made through: room for a chunk in pages that
	// are not full.
	scratchSize = 256 << 10
	// spareScratch is how many of them are kept.
	spareScratch = 4
	// endPatience is how long Close waits for streams whose disk does not answer, closePatience how long a
	// stream that is closed tries to write what it has.
	endPatience   = 3 * time.Second
	closePatience = 2 * time.Second
)

// Output says where the output of a program goes. With none of its fields set it is thrown away.
type Output struct {
	File      *logs.File   // gets every byte; belongs to the stream from Attach on
	StripANSI bool         // remove terminal sequences first
	Captured  bool         // what is between the marks of captured output does not go into the file
	Line      func([]byte) // gets whole lines, without their ends
	Tap       func([]byte) // gets a copy of each piece, at most 128 KiB
	Closed    func()       // called once when every writer of the pipe is gone and all has been written
	Key       string       // for the Keeper
	// Stages are the descriptors that the Keeper got from the predecessor under this key, in any order, with
	// their numbers in this process; they belong to the stream.
	Stages []int
	// Prompt shows the Tap every piece as soon as it comes. Else a program that writes many small ones is looked at now
	// and then, which costs less.
	Prompt bool
	// Gather, asked when a Prompt stream's bytes keep coming, says for how long they may be left to become a larger piece,
	// 0 = not at all. The end of the program's output, and Drain, do not wait for that. nil = never.
	Gather func() time.Duration
	// Rest, asked after every step, says how long to leave the pipe alone, 0 = not at all: whoever has no use for a flood
	// does not read it as fast as it comes.
	Rest func() time.Duration
	// Flow counts the bytes that are taken out of the pipe, and those that its log has lost; nil = nobody counts.
	Flow *model.Flow
	// Block makes the program wait when the log cannot be written, instead of dropping output.
	Block bool
}

func (o *Output) rules() (r rules) {
	if o.StripANSI {
		r |= noANSI
	}
	if o.Captured {
		r |= noCaptured
	}
	return r
}

// Pump moves bytes. Its methods are safe for concurrent use. The functions of an Output run on its workers,
// one at a time for each stream, and must not keep the slice they are given.
type Pump struct {
	o      Options
	r      *reactor.Reactor
	own    bool
	budget *pipe.Budget
	mem    memory
	began  time.Time

	mu      sync.Mutex
	closed  bool
	streams map[*Stream]struct{}
	latest  map[*logs.File]*Stream // who has begun last to write to a log
	inputs  map[*Input]struct{}
	disks   map[any]*line // those that somebody is at
	spare   []*scratch
	extras  []*Stream     // those that have a stage or a second pipe, the longest ago first
	empty   chan struct{} // closed when closed and no stream is left

	stallMu sync.Mutex // comes after all others, and is held while Options.Stalled is called
	stalls  int        // logs that cannot be written

	fast      atomic.Int32 // second pipes
	fastBytes int64
	fastRate  float64

	detached atomic.Bool
	calm     chan struct{} // a token for each worker that has left its stream after Detach
}

// NewPump makes a pump and starts its workers.
func NewPump(o Options) (*Pump, error) {
	if o.StreamMemory <= 0 {
		o.StreamMemory = defaultStreamMemory
	}
	if o.TotalMemory <= 0 {
		o.TotalMemory = defaultTotalMemory
	}
	p := &Pump{
		o: o, r: o.Reactor, budget: pipe.NewBudget(o.PipeMemory), mem: memory{limit: o.TotalMemory}, began: time.Now(),
		streams: make(map[*Stream]struct{}), latest: make(map[*logs.File]*Stream), inputs: make(map[*Input]struct{}),
		disks: make(map[any]*line), empty: make(chan struct{}),
		fastBytes: fastBytes, fastRate: fastRate,
	}
	if p.r == nil {
		r, err := reactor.New(reactor.Options{})
		if err != nil {
			return nil, fmt.Errorf("streams: %w", err)
		}
		p.r, p.own = r, true
	}
	return p, nil
}

// Close moves what is in the pipes now, lets go of all streams and inputs and ends the workers. A worker
// that hangs in a disk is left there after three seconds: errStuck.
func (p *Pump) Close() error {
	streams, inputs, ok := p.shut()
	if !ok {
		return nil
	}
	for _, in := range inputs {
		in.Close()
	}
	for _, s := range streams {
		s.Close()
	}
	t := time.NewTimer(endPatience)
	defer t.Stop()
	select {
	case <-p.empty:
	case <-t.C:
		return errStuck
	}
	p.mu.Lock()
	for _, c := range p.spare {
		c.close()
	}
	p.spare = nil
	p.mu.Unlock()
	if p.own {
		return p.r.Close()
	}
	return nil
}

// shut lets nobody in any more and returns who is inside; false when that was done before.
func (p *Pump) shut() (streams []*Stream, inputs []*Input, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, false
	}
	p.closed = true
	for s := range p.streams {
		streams = append(streams, s)
	}
	for in := range p.inputs {
		inputs = append(inputs, in)
	}
	if len(streams) == 0 {
		close(p.empty)
	}
	return streams, inputs, true
}

// Detach ends all moving at a clean point and leaves everything as it is, for another process to go on: the pipes
// with what is in them, the stages, all descriptors open. No function of an Output is called any more. The
// pump is of no use afterwards. errStuck when a worker hangs in a disk for three seconds; what it does is
// as safe as if it were killed.
func (p *Pump) Detach() error {
	p.detached.Store(true)
	streams, inputs, ok := p.shut()
	if !ok {
		return nil
	}
	for _, in := range inputs {
		in.detach()
	}
	p.calm = make(chan struct{}, len(streams))
	busy := 0
	for _, s := range streams {
		if s.detach() {
			busy++
		}
	}
	t := time.NewTimer(endPatience)
	defer t.Stop()
	for ; busy > 0; busy-- {
		select {
		case <-p.calm:
		case <-t.C:
			return errStuck
		}
	}
	if p.own {
		return p.r.Close()
	}
	return nil
}

var errStuck = errors.New("streams: a log's disk does not answer")

func (p *Pump) note(format string, args ...any) {
	if p.o.Log != nil {
		p.o.Log.Logf(activity.Critical, format, args...)
	}
}

func (p *Pump) log(level activity.Level, format string, args ...any) {
	if p.o.Log != nil {
		p.o.Log.Logf(level, format, args...)
	}
}

func (p *Pump) addInput(in *Input) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.inputs[in] = struct{}{}
	}
	return !p.closed
}

func (p *Pump) removeInput(in *Input) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inputs, in)
}

func (p *Pump) addStream(s *Stream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.streams[s] = struct{}{}
	}
	return !p.closed
}

func (p *Pump) removeStream(s *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.streams[s]; !ok {
		return
	}
	delete(p.streams, s)
	p.forgetLocked(s)
	if p.closed && len(p.streams) == 0 {
		close(p.empty)
	}
}

// scratch is what a worker needs to look at bytes: a buffer, and a pipe for copies out of another pipe.
type scratch struct {
	r, w  int // -1 where there are no such copies
	null  int // takes what nobody keeps, without a copy; ≤ 0 = there is none
	buf   []byte
	plain []byte // what remains of buf without terminal sequences; made when needed
}

func (p *Pump) scratch() *scratch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.spare); n > 0 {
		c := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return c
	}
	r, w, err := pipe.New(scratchSize)
	if err != nil {
		r, w = -1, -1 // out of descriptors: read and write then
	}
	null, err := pipe.Null()
	if err != nil {
		null = -1
	}
	return &scratch{r: r, w: w, null: null, buf: make([]byte, chunk)}
}

func (p *Pump) recycle(c *scratch) {
	p.mu.Lock()
	keep := c.r >= 0 && len(p.spare) < spareScratch && !p.closed
	if keep {
		p.spare = append(p.spare, c)
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

func (c *scratch) close() {
	if c.r >= 0 {
		pipe.Close(c.r)
		pipe.Close(c.w)
		c.r, c.w = -1, -1
	}
	if c.null > 0 {
		pipe.Close(c.null)
		c.null = -1
	}
}

// drop takes n bytes, which are there, out of a pipe.
func (c *scratch) drop(fd, n int) (int, error) {
	if c.null > 0 {
		if m, err := pipe.Splice(fd, c.null, -1, n); err == nil && m > 0 {
			return m, nil
		}
	}
	return pipe.Read(fd, c.buf[:n])
}

// peek copies up to n bytes (at most a chunk) out of a pipe without taking them.
func (c *scratch) peek(fd, n int) ([]byte, error) {
	if c.r < 0 {
		return nil, errors.ErrUnsupported
	}
	m, err := pipe.Tee(fd, c.w, min(n, len(c.buf)))
	if err != nil {
		return nil, err
	}
	for got := 0; got < m; {
		k, err := pipe.Read(c.r, c.buf[got:m])
		if err != nil || k == 0 {
			c.close() // cannot be; but what remains in it must not be taken for something else
			return nil, errors.ErrUnsupported
		}
		got += k
	}
	return c.buf[:m], nil
}
