package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// The exit statuses. Source: interfaces 2.3.
const (
	statusFailed      = 1   // it was done, and what was asked for was not reached
	statusUsage       = 2   // the command line
	statusNotRunning  = 3   // status: some program is not running
	statusUnknown     = 4   // status: nobody answers; else: not permitted
	statusNoProgram   = 5   // no such program
	statusInvalid     = 6   // the configuration
	statusAbsent      = 7   // no daemon runs
	statusTimeout     = 124 // it goes on
	statusInterrupted = 130
)

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e statusError) Error() string { return e.err.Error() }
func (e statusError) Unwrap() error { return e.err }

// statuses are those of the codes of problems; others are statusFailed.
var statuses = map[string]int{
	"bad_request": statusUsage, "bad_signal": statusUsage, "not_found": statusNoProgram, "invalid_config": statusInvalid,
	"not_managed": statusInvalid, "precondition_failed": statusFailed, "forbidden": statusUnknown, "unauthenticated": statusUnknown,
	"unavailable": statusAbsent,
}

// fail tells why the command has failed, and returns the exit status.
func (c *command) fail(err error) int {
	var own statusError
	var usage usageError
	var absent *upkeep.AbsentError
	var problem *upkeep.Problem
	switch {
	case errors.Is(err, errQuiet):
	case errors.As(err, &absent):
		return c.absent(absent)
	case errors.As(err, &problem):
		c.problem(problem)
		status, ok := statuses[problem.Code]
		if !ok {
			status = statusFailed
		}
		return status
	case errors.As(err, &usage):
		c.sayUsage(usage)
		return statusUsage
	default:
		fmt.Fprintln(c.err, err)
	}
	if errors.As(err, &own) {
		return own.status
	}
	if errors.Is(err, fs.ErrPermission) {
		return statusUnknown
	}
	return statusFailed
}

// errQuiet is an error that has been told already.
var errQuiet = errors.New("")

// sayUsage tells a mistake in the command line, and where help is.
func (c *command) sayUsage(e usageError) {
	text := e.Error()
	if name, ok := strings.CutPrefix(text, "unknown command "); ok {
		word, _, _ := strings.Cut(strings.TrimPrefix(name, `"`), `"`)
		text = fmt.Sprintf("there is no command %q.", word)
		if s := c.root().SuggestionsFor(word); len(s) > 0 {
			text += " Close: " + strings.Join(s, ", ") + "."
		}
		text += "   All of them: upkeep help"
	}
	fmt.Fprintln(c.err, text)
}

// absent tells that no daemon answers: who was looked for, where, and the one command that helps.
func (c *command) absent(e *upkeep.AbsentError) int {
	switch {
	case errors.Is(e, fs.ErrPermission):
		fmt.Fprintf(c.err, "%s may not use the daemon at %s: it belongs to another user\n", c.me(), e.Socket)
		return statusUnknown
	case c.config != "":
		fmt.Fprintf(c.err, "no daemon runs %s (looked at %s)\n", c.config, e.Socket)
	case c.system || c.socket != "":
		fmt.Fprintf(c.err, "no upkeep daemon is running (looked at %s)\n", e.Socket)
	default:
		fmt.Fprintf(c.err, "no upkeep daemon is running for %s (looked at %s)\n", c.me(), e.Socket)
	}
	if n := c.defined(); n > 0 {
		fmt.Fprintf(c.err, "  %s defined. Start the daemon:  upkeep daemon start\n", plural(n, "program is", "programs are"))
	}
	if c.verbose {
		fmt.Fprintf(c.err, "  %v\n", e.Err)
	}
	if errors.Is(e, syscall.ECONNREFUSED) || errors.Is(e, fs.ErrNotExist) {
		return statusAbsent
	}
	return statusFailed
}

// defined is how many definitions the instance has.
func (c *command) defined() int {
	i, err := c.instance()
	if err != nil || i.Config != "" || c.socket != "" {
		return 0
	}
	entries, err := os.ReadDir(i.Programs)
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			n++
		}
	}
	return n
}

// problem shows a problem as a dialogue: what happened, what was seen, what was looked at, what to do. Source: interfaces 2.5.
func (c *command) problem(p *upkeep.Problem) {
	if c.jsonWanted() {
		c.printJSON(c.err, p)
		return
	}
	title := p.Title
	switch {
	case len(p.Errors) > 0:
		for _, m := range p.Errors {
			c.mistake(m)
		}
		title = plural(len(p.Errors), "problem", "problems") + "."
	case p.Detail != "" && len(p.Evidence) == 0 && len(p.Hints) == 0:
		title += ": " + p.Detail
	}
	if h := p.Hints; len(h) == 1 && len(p.Evidence)+len(p.Checked) == 0 && p.Detail == "" && h[0].Command != "" {
		fmt.Fprintf(c.err, "%s   %s %s\n", title, h[0].Text, h[0].Command)
		return
	}
	fmt.Fprintln(c.err, title)
	if len(p.Evidence)+len(p.Checked)+len(p.Hints) > 0 {
		c.explain(c.err, p.Detail, nil, p.Evidence, p.Checked, p.Hints)
	}
}

// headline is the title of a problem and what its detail adds: nothing where the detail continues the title.
func headline(p *upkeep.Problem) (title, detail string) {
	if whole := p.Process + " " + p.Detail; strings.HasPrefix(whole, p.Title) {
		return whole, ""
	}
	return p.Title, p.Detail
}

// mistake shows a mistake in a configuration.
func (c *command) mistake(m upkeep.Mistake) {
	text := m.Message
	if m.File != "" {
		text = fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Message)
	}
	if m.Suggestion != "" && !strings.Contains(text, m.Suggestion) {
		text += " (did you mean " + m.Suggestion + "?)"
	}
	fmt.Fprintln(c.err, text)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
