package probe

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
	"github.com/upkeep-project/upkeep/internal/sys/usage"
)

// Command is a command that is to end with 0.
type Command struct {
	Path string
	Argv []string
	Dir  string
	Env  []string
	Cred *spawn.Cred // whose rights it has; nil = ours
	// Begin starts it by calling start, and says what is to be called when it has ended: who reaps children of unknown
	// origin is to know of this one. nil = nobody does.
	Begin func(start func() (pid int, err error)) (over func(), err error)
}

const (
	// lingering is how long after the end of a command its output is waited for, of which others may have a copy.
	lingering = 200 * time.Millisecond
	// maxTail is how much of its output is kept, the last.
	maxTail = 4096
	// kill is the signal that cannot be refused.
	kill = 9
)

// Run runs a command and judges its end. When its time is over it is killed with everything that descends from it.
func Run(ctx context.Context, c Command) (Result, error) {
	if c.Cred != nil && c.Cred.Refused != "" {
		return Result{}, errors.New(c.Cred.Refused)
	}
	var out tail
	cmd := exec.CommandContext(ctx, c.Path)
	cmd.Args, cmd.Dir, cmd.Env = c.Argv, c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = attributes(c.Cred)
	cmd.WaitDelay = lingering
	cmd.Cancel = func() error {
		killAll(cmd.Process.Pid)
		return cmd.Process.Kill()
	}
	start := func() (int, error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		return cmd.Process.Pid, nil
	}
	over := func() {}
	var err error
	if c.Begin != nil {
		over, err = c.Begin(start)
	} else {
		_, err = start()
	}
	if err != nil {
		return Result{}, err
	}
	defer over()
	err = cmd.Wait()
	said := ""
	if line := out.last(); line != "" {
		said = ": " + line
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Result{Text: "it did not end in time" + said}, nil
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return Result{true, "ended with 0" + said}, nil
	case errors.As(err, &exit):
		return Result{Text: exit.String() + said}, nil
	}
	return Result{}, err
}

// killAll kills what a process has started, before it is killed itself: afterwards nobody could tell whose it was.
func killAll(root int) {
	if t, err := usage.Look(); err == nil {
		for _, pid := range t.Tree(root) {
			st, err := procstat.Read(pid)
			if pid == root || err != nil {
				continue
			}
			_ = procfd.SignalIf(pid, kill, func() bool { // else it has ended by itself
				now, err := procstat.Read(pid)
				return err == nil && now.StartTicks == st.StartTicks
			})
		}
	}
	killGroup(root)
}

// tail keeps the end of what is written.
type tail struct{ b []byte }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > maxTail {
		p = p[len(p)-maxTail:]
	}
	if over := len(t.b) + len(p) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[min(over, len(t.b)):]...)
	}
	t.b = append(t.b, p...)
	return n, nil
}

// last is the last line that says something.
func (t *tail) last() string {
	b := bytes.TrimSpace(t.b)
	return oneLine(string(b[bytes.LastIndexByte(b, '\n')+1:]))
}
