// Package find looks for processes that somebody else has started: what identifies them, whether one fits a command, and
// what a pid file says. It signals nobody and changes nothing.
//
// What it returns was true at one moment: whoever acts on it holds the process first (package procfd) and compares the
// start time then. Where the system tells nothing of other processes, the answer is ErrUnsupported.
//
// Source: spec/usrsvc US-41 to US-44, spec/reliability R11, S17.
package find

import (
	"context"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// ErrUnsupported says that this system does not tell of other processes.
var ErrUnsupported = procstat.ErrUnsupported

// Process is a process as it was when it was looked at.
type Process struct {
	procstat.Stat
	UID, EUID int      // who started it, and as whom it acts; -1 = that is not told
	Ignored   uint64   // signals that it ignores: bit n-1 for signal n
	Args      []string // its command line as it shows it; empty = it shows none
}

// Ignores reports whether it ignores a signal.
func (p *Process) Ignores(sig int) bool { return sig > 0 && sig <= 64 && p.Ignored>>(sig-1)&1 != 0 }

// Of reports whether it belongs to a user altogether.
func (p *Process) Of(uid int) bool { return p.UID == uid && p.EUID == uid }

// MaxLine is the longest command line that is looked at, in bytes; a longer one fits nothing.
const MaxLine = 64 << 10

// Line is the command line in one piece, its elements joined by spaces; empty when there is none or it is too long.
func (p *Process) Line() string {
	n := len(p.Args)
	for _, a := range p.Args {
		n += len(a)
	}
	if n > MaxLine {
		return ""
	}
	return strings.Join(p.Args, " ")
}

// Crowd is all processes at one moment.
type Crowd struct {
	all []Process // by pid
}

// Everybody looks at all living processes once; those of the kernel are left out. Who ends meanwhile may be missing. It is
// given up with ctx.
func Everybody(ctx context.Context) (*Crowd, error) {
	all, err := everybody(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return &Crowd{all}, nil
}

// Read looks at one process; syscall.ESRCH when there is none, or none that lives.
func Read(pid int) (Process, error) { return read(pid) }

// All are the processes, by pid.
func (c *Crowd) All() []Process { return c.all }

// Get finds one; nil when there is none.
func (c *Crowd) Get(pid int) *Process {
	at, ok := slices.BinarySearchFunc(c.all, pid, func(p Process, pid int) int { return p.PID - pid })
	if !ok {
		return nil
	}
	return &c.all[at]
}

// Below reports whether f holds of a process or of one of those above it, as far up as the chain of parents is known.
func (c *Crowd) Below(p *Process, f func(*Process) bool) bool {
	for range c.all { // the numbers may make a circle when one was given anew
		if f(p) {
			return true
		}
		up := c.Get(p.PPID)
		if up == nil || up == p {
			return false
		}
		p = up
	}
	return false
}

// Parent is the process above another one; nil when it is not known.
func (c *Crowd) Parent(p *Process) *Process {
	if up := c.Get(p.PPID); up != p {
		return up
	}
	return nil
}

// Eldest are those of which f holds, without those that have one above them of which it holds too: the workers of a
// master are no candidates beside it. The oldest comes first.
func (c *Crowd) Eldest(f func(*Process) bool) []*Process {
	fits := map[int]bool{}
	for i := range c.all {
		if f(&c.all[i]) {
			fits[c.all[i].PID] = true
		}
	}
	var out []*Process
	for i := range c.all {
		p := &c.all[i]
		if !fits[p.PID] {
			continue
		}
		up := c.Parent(p)
		if up == nil || !c.Below(up, func(q *Process) bool { return fits[q.PID] }) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, Older)
	return out
}

// Older orders by age, the oldest first.
func Older(a, b *Process) int {
	switch {
	case a.StartTicks < b.StartTicks:
		return -1
	case a.StartTicks > b.StartTicks:
		return 1
	}
	return a.PID - b.PID
}
