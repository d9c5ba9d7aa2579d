package model

import (
	"sync/atomic"
	"time"
)

// RestartReason is why a program was started again.
type RestartReason uint8

// The reasons. Source: interfaces 4.6.
const (
	RestartExit       RestartReason = iota // its process had ended by itself
	RestartSignal                          // … by a signal
	RestartOOM                             // … by the kernel, for lack of memory
	RestartCheck                           // a check wanted it
	RestartSpawn                           // it could not be executed, or nobody knows how it ended
	RestartUser                            // somebody, or the daemon's own start, asked for it
	NumRestartReasons int           = iota
)

// String is the value of the label.
func (r RestartReason) String() string {
	return [NumRestartReasons]string{"exit", "signal", "oom", "check", "spawn", "user"}[r]
}

// ExitKind is how a process of a program ended.
type ExitKind uint8

// The kinds.
const (
	ExitExpected   ExitKind = iota // with one of its exitcodes
	ExitUnexpected                 // with another one, or too early
	ExitSignal                     // by a signal that we have not sent to stop it
	ExitOOM                        // by the kernel, for lack of memory
	ExitStopped                    // it was asked to
	ExitUnknown                    // nobody could tell
	NumExitKinds   int      = iota
)

// String is the value of the label.
func (k ExitKind) String() string {
	return [NumExitKinds]string{"expected", "unexpected", "signal", "oom", "stopped", "unknown"}[k]
}

// Counts are what has been counted of a program since the daemon has begun, or since it was added.
type Counts struct {
	Restarts      [NumRestartReasons]uint64
	Exits         [NumExitKinds]uint64
	StartFailures uint64
	// Written and Dropped are bytes of stdout and of stderr: taken from the program, and of those, not kept because its log
	// could not be written.
	Written, Dropped [2]uint64
}

// Flow counts bytes of one channel of a program, across its instances. It is safe for concurrent use.
type Flow struct{ Written, Dropped atomic.Uint64 }

// timeEnds are the upper ends of the classes of Times, ascending; what took longer than the last is in none.
var timeEnds = [10]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	500 * time.Millisecond, time.Second, 5 * time.Second, 10 * time.Second, time.Minute,
}

// Times counts how often something took how long.
type Times struct {
	In    [len(timeEnds)]uint64 // by class: longer than the class before, up to its end
	Count uint64
	Sum   time.Duration
}

// Add counts one.
func (t *Times) Add(d time.Duration) {
	t.Count++
	t.Sum += d
	for i, end := range timeEnds {
		if d <= end {
			t.In[i]++
			return
		}
	}
}

// Upto calls f for each class in ascending order, with its end and how many took no longer than that.
func (t *Times) Upto(f func(end time.Duration, count uint64)) {
	var below uint64
	for i, end := range timeEnds {
		below += t.In[i]
		f(end, below)
	}
}
