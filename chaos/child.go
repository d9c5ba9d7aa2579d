//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Words in the command lines by which the harness knows its processes: "main" is the process that the
// daemon started, "grand" one that it left behind.
const (
	childName = "chaos-child"
	mainWord  = "main"
	grandWord = "grand"
)

// endAfterLoss is the exit status of a child whose output nobody takes any more.
const endAfterLoss = 250

// child is a ledger child at work.
type child struct {
	name  string
	kind  string
	book  *ledger
	slot  int
	me    *entry
	rng   *rand.Rand
	rate  int64 // bytes a second; 0 = as fast as they are taken
	term  chan os.Signal
	outs  [2]recorder
	nums  [2]uint64
	block []byte
	mark  string
}

// childMain is chaos-child main MARK NAME KIND LEDGER RATE.
func childMain(args []string) int {
	if len(args) != 5 {
		fmt.Fprintln(os.Stderr, "chaos child: five arguments needed")
		return 2
	}
	c := &child{mark: args[0], name: args[1], kind: args[2], term: make(chan os.Signal, 1)}
	rate, err := strconv.ParseInt(args[4], 10, 64)
	if err != nil {
		return childFail(err)
	}
	c.rate = rate
	// From here on an end by TERM is written down first.
	signal.Notify(c.term, unix.SIGTERM)
	if c.book, err = openLedger(args[3], 1); err != nil {
		return childFail(err)
	}
	holder, err := c.book.lock()
	if err != nil {
		return childFail(err)
	}
	if c.slot, c.me, err = c.book.claim(); err != nil {
		return childFail(err)
	}
	c.me.holder.Store(uint32(holder))
	c.rng = rand.New(rand.NewPCG(mix(uint64(c.slot)), newRecorder(c.name).base))
	c.outs = [2]recorder{newRecorder(c.name), newRecorder(c.name + ".e")}
	life, ok := lives()[c.kind]
	if !ok {
		return childFail(fmt.Errorf("there is no kind %q", c.kind))
	}
	if !life.deaf {
		go func() {
			<-c.term
			c.end(c.status())
		}()
	}
	life.run(c)
	return 0
}

func childFail(err error) int {
	fmt.Fprintln(os.Stderr, "chaos child:", err)
	return 2
}

// status is the plan that tells this instance from its neighbours.
func (c *child) status() uint32 { return planExit | uint32(1+c.slot%100) }

// end carries out a plan; the first plan counts.
func (c *child) end(plan uint32) {
	if !c.me.plan.CompareAndSwap(planNone, plan) {
		select {} // the one who was first is at it
	}
	if plan&planExit != 0 {
		os.Exit(int(plan & 0xff))
	}
	sig := unix.Signal(plan & 0xff)
	signal.Reset(sig)
	_ = unix.Kill(os.Getpid(), sig)
	select {}
}

// write writes about size bytes of whole records to a stream: into the ledger first, then into the pipe.
func (c *child) write(which, size int) {
	c.block = c.block[:0]
	for len(c.block) < size || len(c.block) == 0 {
		c.block = c.outs[which].append(c.block, uint64(c.slot), c.nums[which])
		c.nums[which]++
	}
	c.push(which, c.block, len(c.block))
}

// push writes b in pieces.
func (c *child) push(which int, b []byte, piece int) {
	s := &c.me.out[which]
	s.begun.Add(int64(len(b)))
	if which == 0 {
		c.book.head().total.Add(int64(len(b)))
	}
	for at := 0; at < len(b); {
		n, err := unix.Write(1+which, b[at:min(len(b), at+piece)])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(1 + which), Events: unix.POLLOUT}}, -1)
		case err != nil:
			c.me.over.Store(1)
			c.end(planExit | endAfterLoss)
		default:
			at += n
		}
	}
	s.done.Add(int64(len(b)))
}

// pace waits until n bytes since t are due.
func (c *child) pace(t time.Time, n int64) {
	if d := time.Until(t.Add(time.Duration(float64(n) / float64(c.rate) * float64(time.Second)))); d > 0 {
		time.Sleep(d)
	}
}

// talk writes for ever, at the rate, in about fifty writes a second or more; an eighth of it goes to
// standard error.
func (c *child) talk() {
	size := int(min(8192, max(64, c.rate/50)))
	begin, n := time.Now(), int64(0)
	for i := 0; ; i++ {
		which := 0
		if i%8 == 7 {
			which = 1
		}
		c.write(which, size)
		n += int64(len(c.block))
		c.pace(begin, n)
	}
}

// steady writes to standard output only, at the rate.
func (c *child) steady() {
	size := int(min(16384, max(64, c.rate/200)))
	begin, n := time.Now(), int64(0)
	for {
		c.write(0, size)
		n += int64(len(c.block))
		c.pace(begin, n)
	}
}

// flood writes as fast as the pipe takes it, as long as the harness keeps up with reading.
func (c *child) flood() {
	h := c.book.head()
	for {
		for allowed := h.allowed.Load(); allowed != 0 && h.total.Load() > allowed; allowed = h.allowed.Load() {
			time.Sleep(2 * time.Millisecond)
		}
		c.write(0, 65536)
	}
}

// churn lives 50 to 500 ms, says a little, and ends: mostly by an exit, sometimes by a signal.
func (c *child) churn() {
	c.write(0, 100)
	time.Sleep(time.Duration(50+c.rng.IntN(450)) * time.Millisecond)
	c.write(c.rng.IntN(2), c.rng.IntN(3000))
	switch c.slot % 16 {
	case 3:
		c.end(planSignal | uint32(unix.SIGKILL))
	case 7:
		c.end(planSignal | uint32(unix.SIGHUP))
	case 11:
		c.end(planSignal | uint32(unix.SIGINT))
	case 15:
		c.end(planExit)
	}
	c.end(c.status())
}

// quiet does nothing.
func (c *child) quiet() { idle() }

func idle() {
	for {
		time.Sleep(time.Hour)
	}
}

// served is for the programs that clients start and stop: a word at the begin, then silence.
func (c *child) served() {
	c.write(0, 200)
	idle()
}

// life is one kind of child. Deaf ones take no notice of TERM: only KILL ends them.
type life struct {
	run  func(*child)
	deaf bool
}

// killed plans the end by KILL, for those that nothing else can end.
func (c *child) killed() { c.me.plan.CompareAndSwap(planNone, planSignal|uint32(unix.SIGKILL)) }

func lives() map[string]life {
	out := map[string]life{
		"talk": {run: (*child).talk}, "steady": {run: (*child).steady}, "flood": {run: (*child).flood},
		"churn": {run: (*child).churn}, "quiet": {run: (*child).quiet}, "served": {run: (*child).served},
	}
	for _, z := range zoo() {
		out[z.kind] = z.life
	}
	return out
}

// grandMain is chaos-child grand MARK SECONDS: a descendant that its parent left behind.
func grandMain(args []string) int {
	if len(args) != 2 {
		return 2
	}
	secs, err := strconv.Atoi(args[1])
	if err != nil {
		return childFail(err)
	}
	runtime.GOMAXPROCS(1)
	time.Sleep(time.Duration(secs) * time.Second)
	return 0
}
