// Package errand runs a short command of the daemon's own, as for a message or a check: with input, a limit of time, and a
// bound on what is kept of its output. When the time is over it is ended with everything that it has started and that is
// still in its process group.
package errand

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// Errand is a command and what it gets.
type Errand struct {
	Argv  []string // [0] is a path, or looked up in the daemon's PATH
	Env   []string // NAME=VALUE; nil = the daemon's
	Dir   string   // empty = the daemon's
	Input []byte
	Limit time.Duration // how long it may take; 0 = as long as the context allows
}

// ErrLate says that a command was ended since its time was over.
var ErrLate = errors.New("took too long and was ended")

const (
	// maxOutput is how much of the output is kept, in bytes.
	maxOutput = 4 << 10
	// pipesDelay is how long output is waited for after the command has ended: what it has left may hold the pipe open.
	pipesDelay = time.Second
)

// Run waits for the command to end and returns the beginning of its output, both channels together. The error is ErrLate, or
// tells that it could not be started or how it ended, an *exec.ExitError then.
func (e *Errand) Run(ctx context.Context) (output string, err error) {
	if len(e.Argv) == 0 {
		return "", errors.New("no command")
	}
	if e.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.Limit)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, e.Argv[0], e.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = e.Env, e.Dir, pipesDelay
	cmd.Stdin = bytes.NewReader(e.Input)
	out := &head{left: maxOutput}
	cmd.Stdout, cmd.Stderr = out, out
	isolate(cmd)
	err = cmd.Run()
	switch {
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("%s %w", e.Argv[0], ErrLate)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended well, and left something that holds its output
		err = nil
	}
	return out.text.String(), err
}

// head keeps the beginning of what is written to it.
type head struct {
	text bytes.Buffer
	left int
}

// Write never fails.
func (h *head) Write(p []byte) (int, error) {
	kept := p[:min(len(p), h.left)]
	h.left -= len(kept)
	h.text.Write(kept)
	return len(p), nil
}
