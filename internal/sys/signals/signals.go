// Package signals turns the signals that a daemon receives into what they ask for.
package signals

import (
	"os"
	"os/signal"
)

// Kind is what a signal asks for. Source: one-model C6, the row "supervisord"; spec/supervisor 2.8.
type Kind uint8

// The kinds.
const (
	End     Kind = iota // ordered shutdown
	Restart             // ordered restart of everything
	Reopen              // reopen the logs
	Child               // a child has ended
)

// Signal is one received signal.
type Signal struct {
	Kind Kind
	Name string // SIGTERM
}

// Receiver collects signals until it is closed. Those that come faster than they are taken are merged,
// as the kernel does.
type Receiver struct {
	raw  chan os.Signal
	out  chan Signal
	done chan struct{}
	over chan struct{}
}

// Receive begins to collect. With children, ended children are reported too.
func Receive(children bool) *Receiver {
	r := &Receiver{
		raw: make(chan os.Signal, 16), out: make(chan Signal, 16), done: make(chan struct{}), over: make(chan struct{}),
	}
	var wanted []os.Signal
	for s, known := range table {
		if known.Kind != Child || children {
			wanted = append(wanted, s)
		}
	}
	signal.Notify(r.raw, wanted...)
	go r.translate()
	return r
}

func (r *Receiver) translate() {
	defer close(r.over)
	for {
		select {
		case s := <-r.raw:
			select {
			case r.out <- table[s]:
			case <-r.done:
				return
			}
		case <-r.done:
			return
		}
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
