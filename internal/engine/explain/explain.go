// Package explain says why a program is in the state it is in, and what to do about it: the verdict behind `upkeep why`
// and behind an add or start that failed.
//
// It knows what everybody knows (the state, how the last runs ended, the last lines of output) and a table of rules.
// A rule recognises something in these facts and then verifies it on the machine: that nothing listens on the port,
// that the file is not executable, that the module is not installed. What its check has not confirmed is not said.
// So a hint is never a guess, and where nothing is certain the facts alone are shown.
//
// It runs inside the daemon, for programs of other users too: it executes nothing, waits for nobody, reads little,
// with the eyes of the program's user (sys/peek), and ends after Patience at the latest. Values of environment
// variables never appear in what it says.
package explain

import (
	"context"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
)

// Patience is how long an explanation takes at the most.
const Patience = time.Second

// Ender is who ended a run.
type Ender uint8

// Those who end runs.
const (
	// Nobody: no order of ours. The program ended by itself, or somebody outside sent a signal.
	Nobody Ender = iota
	// Stop: a stop was asked for, and the program ended at the stop signal.
	Stop
	// Kill: a stop was asked for, and KILL followed since the program had not ended in time.
	Kill
	// SignalOrder: somebody sent a signal through us (upkeep signal).
	SignalOrder
	// MemoryLimit: we ended it for using more memory than it may.
	MemoryLimit
	// Check: we ended it since a health check failed.
	Check
)

// Run is one instance of the program, from its start to its end.
type Run struct {
	Start, End time.Time
	PID        int
	Exit       model.Exit
	By         Ender
	Who        string // for Stop, Kill and SignalOrder: who asked, "" = not known
	// OOMKills counts the processes of the run that the kernel killed for memory, as its control group told; 0 also when
	// there was none. MemoryPeak and MemoryLimit are bytes, 0 = not known.
	OOMKills                int
	MemoryPeak, MemoryLimit int64
}

// Lasted is how long the run took.
func (r Run) Lasted() time.Duration { return max(r.End.Sub(r.Start), 0) }

// Neighbour is another program of the same instance, for ports and processes that turn out to be its.
type Neighbour struct {
	ID    model.ID
	State model.State
	PID   int // 0 = none
	// Disabled: it may not be started.
	Disabled bool
}

// Facts are what the daemon knows of one program. All but Status and Now may be empty: then less can be said.
type Facts struct {
	Now    time.Time
	Status model.Status // with the definition
	// Adding is set while the definition is not stored yet: hints then say `add` again instead of `set`.
	Adding bool

	Runs           []Run  // those that ended, newest last
	Stdout, Stderr []byte // the last few KiB of output, raw
	Left           []int  // processes that the last run has left and that are certainly its descendants

	// Environ is what the program gets, NAME=VALUE. PathOfPrograms is the PATH in which its command is looked up,
	// PathFrom where that comes from, "upkeep, not from your shell" for example.
	Environ                  []string
	PathOfPrograms, PathFrom string
	FilesLimit               uint64 // descriptors that the program may have; 0 = not known
	Cgroup                   string // directory of the last run's control group, where it still is
	StdinEnds                bool   // its standard input has no more to give: the null device, or it was closed

	NextTry time.Time // BACKOFF: when it is started again
	// StopSent is when the stop signal was sent, KillDue when KILL follows (STOPPING).
	StopSent, KillDue time.Time
	StoppedBy         string // STOPPED: who asked; "" = nobody did, or not known
	Off               bool   // it is not started at boot
	Adopted           bool   // the running process was not started by us
	Restarts          int    // of the running program since it was last started by somebody
	Listening         []procnet.Addr
	Neighbours        []Neighbour
}

// Verdict is the explanation. Texts are for people, one line each, without control characters.
type Verdict struct {
	// Headline continues a sentence that begins with the program's name or state: "gave up after 4 tries in 11s".
	Headline string
	// Cause is a stable word for programs, a Cause constant. It names the deepest verified cause.
	Cause Cause
	// Failed tells a state that needs somebody from one that is as it should be.
	Failed   bool
	Facts    []string   // what is known: how the runs ended, when
	Evidence []Evidence // what was seen: output, files
	Checked  []string   // what was looked at on the machine, and found
	Hints    []Hint     // what to do, the best first; each confirmed by a check
}

// Evidence is a few lines of one kind.
type Evidence struct {
	Kind  string // "stderr", "stdout", or "check"
	Lines []string
}

// Hint is one thing to do.
type Hint struct {
	Text    string // why, or when
	Command string // to be typed; "" = there is none
}

// grace is how long after Patience is waited for checks to notice it, before one is taken for stuck in a system call.
const grace = Patience / 4

// tooLong is said when the checks were not made.
const tooLong = "the machine did not answer in time: what was recognised could not be checked"

// Explain says why. It never fails: where a check cannot be made the rule is silent. A look that never comes back, as at
// a file on a dead network file system, is left behind; it keeps one of the few places of System.Enter until it ends.
func Explain(ctx context.Context, f Facts, sys System) Verdict {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if leave, ok := sys.Enter(); ok {
		done := make(chan Verdict, 1)
		go func() {
			defer leave()
			done <- explain(ctx, f, sys)
		}()
		late := time.NewTimer(Patience + grace)
		defer late.Stop()
		select {
		case v := <-done:
			return v
		case <-late.C:
		}
	}
	cancel() // no rule is asked
	v := explain(ctx, f, sys)
	v.Checked = append(v.Checked, tooLong)
	return v
}

// explain takes the time that ctx allows.
func explain(ctx context.Context, f Facts, sys System) Verdict {
	q := newInquiry(f, sys)
	q.state()
	if q.v.Failed || q.troubled() {
		q.rules(ctx)
	}
	q.conclude()
	return q.v
}
