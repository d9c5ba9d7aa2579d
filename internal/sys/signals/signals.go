// Package signals turns the signals that a daemon receives into what they ask for.
package signals

import (
	"os"
	"os/signal"
	"slices"
)

// Kind is what a signal asks for. Source: one-model C6, the row "supervisord"; spec/supervisor 2.8.
type Kind uint8

// The kinds.
const (
	End     Kind = iota // ordered shutdown
	Restart             // ordered restart of everything
	Reopen              // reopen the logs
	Child               // a child has ended
	Upgrade             // another image of the daemon takes over, programs run on
	Failed              // a write has failed: its error says so, and the daemon is not to die of it
)

// Signal is one received signal.
type Signal struct {
	Kind Kind
	Name string // SIGTERM
}

// Receiver collects signals until it is closed. They are delivered in the order of their arrival; of one
// that waits already no second one is kept, so that a flood of one kind (ended children) displaces no other.
// Source: spec/supervisor 2.3.
type Receiver struct {
	raw  chan os.Signal
	out  chan Signal
	done chan struct{}
	over chan struct{}
}

// Receive begins to collect.
func Receive() *Receiver {
	r := &Receiver{
		raw: make(chan os.Signal, 16), out: make(chan Signal), done: make(chan struct{}), over: make(chan struct{}),
	}
	var wanted []os.Signal
	for s := range table {
		wanted = append(wanted, s)
	}
	signal.Notify(r.raw, wanted...)
	go r.translate()
	return r
}

func (r *Receiver) translate() {
	defer close(r.over)
	var waiting []Signal
	for {
		var out chan<- Signal // nobody while nothing waits
		var next Signal
		if len(waiting) > 0 {
			out, next = r.out, waiting[0]
		}
		select {
		case s := <-r.raw:
			if known := table[s]; known.Kind != Failed && !slices.Contains(waiting, known) {
				waiting = append(waiting, known)
			}
		case out <- next:
			waiting = waiting[1:]
		case <-r.done:
			return
		}
	}
}

// Deliver takes a signal that another process has received for this one.
func (r *Receiver) Deliver(s os.Signal) {
	select {
	case r.raw <- s:
	case <-r.done:
	}
}

// C delivers the signals.
func (r *Receiver) C() <-chan Signal { return r.out }

// Close restores the default behaviour of the signals.
func (r *Receiver) Close() {
	signal.Stop(r.raw)
	close(r.done)
	<-r.over
}
