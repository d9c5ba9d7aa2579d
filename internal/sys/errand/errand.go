// Package errand runs a short command of the daemon's own, as for a message or a check: with input, a limit of time, and a
// bound on what is kept of its output. When the time is over it is ended with everything that it has started: its process
// group, and what descends from it.
package errand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Errand is a command and what it gets.
type Errand struct {
	Path  string   // the file that is executed; empty = Argv[0]
	Argv  []string // [0] is a path, or looked up in the daemon's PATH
	Env   []string // NAME=VALUE; nil = the daemon's
	Dir   string   // empty = the daemon's
	Input []byte
	Limit time.Duration // how long it may take; 0 = as long as the context allows
	Last  bool          // keep the end of the output instead of its beginning

	Cred *spawn.Cred // whose rights it has; nil = ours
	// Begin starts it by calling start, and says what is to be called when it has ended: who reaps children of unknown
	// origin is to know of this one. nil = nobody does.
	Begin func(start func() (pid int, err error)) (over func(), err error)
}

// ErrLate says that a command was ended since its time was over.
var ErrLate = errors.New("took too long and was ended")

const (
	// maxOutput is how much of the output is kept, in bytes.
	maxOutput = 4 << 10
	// pipesDelay is how long output is waited for after the command has ended: what it has left may hold the pipe open.
	pipesDelay = time.Second
)

// Run waits for the command to end and returns the beginning or the end of its output, both channels together. The error is ErrLate, or
// tells that it could not be started or how it ended, an *exec.ExitError then.
func (e *Errand) Run(ctx context.Context) (output string, err error) {
	if len(e.Argv) == 0 {
		return "", errors.New("no command")
	}
	if e.Cred != nil && e.Cred.Refused != "" {
		return "", errors.New(e.Cred.Refused)
	}
	if e.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.Limit)
		defer cancel()
	}
	cmd := exec.Command(e.Argv[0], e.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = e.Env, e.Dir, pipesDelay
	if e.Path != "" {
		cmd.Path, cmd.Err = e.Path, nil
	}
	cmd.Stdin = bytes.NewReader(e.Input)
	out := &kept{last: e.Last}
	cmd.Stdout, cmd.Stderr = out, out
	isolate(cmd, e.Cred)
	err = e.run(ctx, cmd)
	switch {
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("%s %w", e.Argv[0], ErrLate)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended well, and left something that holds its output
		err = nil
	}
	return string(out.text), err
}

// run starts the command and waits for its end. When ctx ends first, it is killed with everything that it has started.
func (e *Errand) run(ctx context.Context, cmd *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var held procfd.Handle
	start := func() (pid int, err error) {
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		// Its number stays with it until it is waited for, and the handle with it ever after.
		if held, err = procfd.Hold(cmd.Process.Pid); err != nil {
			_ = cmd.Process.Kill()
			return 0, errors.Join(err, cmd.Wait())
		}
		return cmd.Process.Pid, nil
	}
	begin := e.Begin
	if begin == nil {
		begin = func(start func() (int, error)) (func(), error) {
			_, err := start()
			return func() {}, err
		}
	}
	over, err := begin(start)
	if err != nil {
		return err
	}
	defer over()
	defer held.Close()
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = held.Signal(kill, model.ReachTree)
	})
	err = cmd.Wait()
	if !stop() {
		<-killed
	}
	return err
}

// kill is the signal that cannot be refused.
const kill = 9

// kept keeps the beginning or the end of what is written to it.
type kept struct {
	text []byte
	last bool
}

// Write never fails.
func (k *kept) Write(p []byte) (int, error) {
	n := len(p)
	if !k.last {
		k.text = append(k.text, p[:min(n, maxOutput-len(k.text))]...)
		return n, nil
	}
	if n > maxOutput {
		p = p[n-maxOutput:]
	}
	if over := len(k.text) + len(p) - maxOutput; over > 0 {
		k.text = append(k.text[:0], k.text[over:]...)
	}
	k.text = append(k.text, p...)
	return n, nil
}
