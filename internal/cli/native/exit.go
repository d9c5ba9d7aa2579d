package native

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	}
	status := statusFailed
	switch {
	case errors.As(err, &own):
		status = own.status
	case errors.Is(err, fs.ErrPermission):
		status = statusUnknown
	}
	if !errors.Is(err, errQuiet) {
		c.tell(status, err.Error())
	}
	return status
}

// codes are what a failure of the command itself is called in a problem, and its status there; others are "failed".
var codes = map[int]struct {
	code   string
	status int
}{
	statusUsage: {"bad_request", 400}, statusUnknown: {"forbidden", 403}, statusNoProgram: {"not_found", 404},
	statusInvalid: {"invalid_config", 422}, statusAbsent: {"unavailable", 503}, statusFailed: {"failed", 500},
}

// tell says what has failed, with further lines: to programs as a problem.
func (c *command) tell(status int, text string, more ...string) {
	if c.jsonWanted() {
		k, ok := codes[status]
		if !ok {
			k = codes[statusFailed]
		}
		c.printJSON(c.err, upkeep.Problem{Type: "about:blank", Title: text, Status: k.status, Code: k.code, Detail: strings.Join(more, "; ")})
		return
	}
	fmt.Fprintln(c.err, text)
	for _, l := range more {
		fmt.Fprintln(c.err, "  "+l)
	}
}

// retold has programs told what else speaks to people: why it has failed, or, by done, what is so then.
func (c *command) retold(run func(out, errs io.Writer) int, done func() error) error {
	var said bytes.Buffer
	if c.status = run(io.Discard, &said); c.status == 0 {
		return done()
	}
	text := strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(said.String()), c.bad()+" "), "\n  ", "\n")
	title, more, _ := strings.Cut(text, "\n")
	c.tell(c.status, title, strings.Split(more, "\n")...)
	return nil
}

// errQuiet is an error that has been told already.
var errQuiet = errors.New("")

// sayUsage tells a mistake in the command line, and where help is.
func (c *command) sayUsage(e usageError) {
	text := e.Error()
	if name, ok := strings.CutPrefix(text, "unknown command "); ok {
		word, _, _ := strings.Cut(strings.TrimPrefix(name, `"`), `"`)
		text = fmt.Sprintf("there is no command %q.", word)
		other := *c // a tree of commands sets what the flags have said back
		if s := other.root().SuggestionsFor(word); len(s) > 0 {
			text += " Close: " + strings.Join(s, ", ") + "."
		}
		text += "   All of them: upkeep help"
	}
	c.tell(statusUsage, text)
}

// absent tells that no daemon answers: who was looked for, where, the one command that helps, and what else is known.
func (c *command) absent(e *upkeep.AbsentError, more ...string) int {
	if errors.Is(e, fs.ErrPermission) {
		c.tell(statusUnknown, fmt.Sprintf("%s may not use the daemon at %s: it belongs to another user", c.me(), e.Socket))
		return statusUnknown
	}
	text := "no upkeep daemon is running for " + c.me()
	switch {
	case c.config != "":
		text = "no daemon runs " + c.config
	case c.system || c.socket != "":
		text = "no upkeep daemon is running"
	}
	if n := c.defined(); n > 0 {
		more = append([]string{plural(n, "program is", "programs are") + " defined. Start the daemon:  upkeep daemon start"}, more...)
	}
	if c.verbose {
		more = append(more, e.Err.Error())
	}
	c.tell(statusAbsent, fmt.Sprintf("%s (looked at %s)", text, e.Socket), more...)
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
	if p.Code == "not_running" && p.Detail == p.Process {
		return p.Process + " is " + p.Title, ""
	}
	if p.Code == "dependency_failed" {
		return p.Process + ": " + p.Title + ": " + p.Detail, ""
	}
	if whole := p.Process + " " + p.Detail; strings.HasPrefix(whole, p.Title) {
		return whole, ""
	}
	return p.Title, p.Detail
}

// mistake shows a mistake in a configuration.
func (c *command) mistake(m upkeep.Mistake) {
	text := m.Message
	switch {
	case m.File != "" && m.Line > 0:
		text = fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Message)
	case m.File != "":
		text = m.File + ": " + m.Message
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
