package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// marker is in every file of ours. A person who takes a file over deletes the line.
const marker = `Made by "upkeep boot enable", removed by "upkeep boot disable". Delete this line to keep the file.`

// Plan is what will be done, in this order.
type Plan struct {
	Backend string
	Steps   []Step
	// Notes are what a person should know before agreeing.
	Notes []string
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Then is both plans, one after the other.
func (p Plan) Then(next Plan) Plan {
	return Plan{p.Backend, slices.Concat(p.Steps, next.Steps), slices.Concat(p.Notes, next.Notes)}
}

// Step is one thing to do. It is a File, a Remove, a Run, a Line, an Await, a Service or a Value.
type Step interface {
	// Says is the step for a person: what kind it is ("write", "remove", "run", …) and on what. An empty kind is
	// a step that changes nothing.
	Says() (kind, what string)
	// do does it and returns how to take it back; a nil function is nothing to take back.
	do(ctx context.Context, h *Host) (undo func(context.Context) error, err error)
}

// undoLimit is how long taking back may need; it has to work after the time of the plan itself is over.
const undoLimit = time.Minute

// StepError says which step failed, and what could not be taken back afterwards.
type StepError struct {
	Kind, What string
	Err        error
	// Left are the steps that could not be taken back; nil = everything is as it was.
	Left error
}

func (e *StepError) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.Kind, e.What, e.Err)
	var c *CommandError
	if errors.As(e.Err, &c) {
		text = e.Err.Error() // it names the command
	}
	if e.Left != nil {
		text += fmt.Sprintf(" (and not everything could be taken back: %v)", e.Left)
	}
	return text
}

// Unwrap is why the step failed.
func (e *StepError) Unwrap() error { return e.Err }

// Apply does what is planned. When a step fails, those before it are taken back, last first, and *StepError
// says so.
func (h *Host) Apply(ctx context.Context, p Plan) error {
	var undo []func(context.Context) error
	for _, s := range p.Steps {
		back, err := s.do(ctx, h)
		if back != nil {
			undo = append(undo, back)
		}
		if err == nil {
			continue
		}
		kind, what := s.Says()
		e := &StepError{Kind: kind, What: what, Err: err}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		var left []error
		for _, back := range slices.Backward(undo) {
			left = append(left, back(ctx))
		}
		e.Left = errors.Join(left...)
		return e
	}
	return nil
}

// File is a whole file of ours.
type File struct {
	Path    string // as on the host, without Host.Root
	Mode    fs.FileMode
	Content string
}

// Says implements Step.
func (f File) Says() (string, string) { return "write", f.Path }

func (f File) do(_ context.Context, h *Host) (func(context.Context) error, error) {
	path := h.path(f.Path)
	old, err := h.ours(f.Path)
	if err != nil {
		return nil, err
	}
	made, err := mkdirs(filepath.Dir(path))
	back := func(context.Context) error {
		err := os.Remove(path)
		if notThere(err) {
			err = nil
		}
		if old != nil {
			err = replace(path, old.Content, old.Mode)
		}
		for _, dir := range slices.Backward(made) {
			_ = os.Remove(dir) // somebody may use it by now
		}
		return err
	}
	if err == nil {
		err = replace(path, f.Content, f.Mode)
	}
	return back, err
}

// Remove removes a file of ours. One that is gone is no mistake.
type Remove struct{ Path string }

// Says implements Step.
func (r Remove) Says() (string, string) { return "remove", r.Path }

func (r Remove) do(_ context.Context, h *Host) (func(context.Context) error, error) {
	old, err := h.ours(r.Path)
	if err != nil || old == nil {
		return nil, err
	}
	path := h.path(r.Path)
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return func(context.Context) error { return replace(path, old.Content, old.Mode) }, statefile.SyncDir(filepath.Dir(path))
}

// ours reads a file of ours; nil = there is nothing. *ForeignError: it is somebody else's.
func (h *Host) ours(path string) (*File, error) {
	st, err := os.Lstat(h.path(path))
	switch {
	case notThere(err):
		return nil, nil
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, &ForeignError{path, "it is no regular file"}
	}
	text, err := readBounded(h.path(path))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, marker) {
			return &File{path, st.Mode().Perm(), text}, nil
		}
	}
	return nil, &ForeignError{path, "it does not have the line that says so"}
}

// mkdirs makes a directory with those above it and returns which it made, the uppermost first.
func mkdirs(dir string) (made []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	slices.Reverse(made)
	return made, os.MkdirAll(dir, 0o755)
}

// replace writes a file in one step.
func replace(path, content string, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".upkeep-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return statefile.SyncDir(dir)
}

// Run runs a command.
type Run struct {
	Argv []string
	Undo []string // takes it back; nil = nothing to take back
	Why  string   // in a few words, for a person
	Hint string   // what to do when it fails
	Env  []string
	// Limit is how long it may take; 0 = half a minute.
	Limit time.Duration
	// MayFail: the entry is complete without it.
	MayFail bool
}

// Says implements Step.
func (r Run) Says() (string, string) {
	text := strings.Join(quoteAll(r.Argv), " ")
	if r.Why != "" {
		text += "   (" + r.Why + ")"
	}
	return "run", text
}

// HintError is an error with advice.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap is what happened.
func (e *HintError) Unwrap() error { return e.Err }

func (r Run) do(ctx context.Context, h *Host) (func(context.Context) error, error) {
	_, err := h.Exec(ctx, Command{Argv: r.Argv, Env: r.Env, Limit: r.Limit})
	if r.MayFail {
		err = nil
	}
	if err != nil && r.Hint != "" {
		err = &HintError{err, r.Hint}
	}
	if r.Undo == nil {
		return nil, err
	}
	// A command that failed may have done a part of it.
	return func(ctx context.Context) error {
		_, back := h.Exec(ctx, Command{Argv: r.Undo, Env: r.Env, Limit: r.Limit})
		if err != nil {
			return nil // there was perhaps nothing to take back
		}
		return back
	}, err
}

// Await waits until a command answers with one of some words, whatever its exit status.
type Await struct {
	Argv, Env []string
	Words     []string
}

// Says implements Step.
func (Await) Says() (string, string) { return "", "" }

// awaitLimit is how long something may take to come up, awaitLook how often it is looked at.
const (
	awaitLimit = 20 * time.Second
	awaitLook  = 100 * time.Millisecond
)

func (a Await) do(ctx context.Context, h *Host) (func(context.Context) error, error) {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	tick := time.NewTicker(awaitLook)
	defer tick.Stop()
	for {
		out, err := h.Exec(ctx, Command{Argv: a.Argv, Env: a.Env})
		if slices.Contains(a.Words, strings.TrimSpace(out)) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}
