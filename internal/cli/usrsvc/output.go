package usrsvc

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// clock is the layout of C's ctime, which stands before every message. Source: spec/usrsvc US-28.
const clock = time.ANSIC

// voice is how a command speaks. Its methods are safe for concurrent use.
type voice struct {
	out, err io.Writer
	now      func() time.Time
	debug    bool
	json     bool // objects instead of messages on the standard output

	mu sync.Mutex
}

// say prints a message, with what is known of a process behind an empty line.
func (v *voice) say(d *Details, format string, args ...any) {
	if v.json {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line(v.out, fmt.Sprintf(format, args...))
	if d != nil {
		fmt.Fprintf(v.out, "\n%s\n\n", encode(d))
	}
}

// complain prints a problem.
func (v *voice) complain(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line(v.err, fmt.Sprintf(format, args...))
}

// trace prints what only --debug shows.
func (v *voice) trace(format string, args ...any) {
	if v.debug {
		v.complain("DEBUG: "+format, args...)
	}
}

// tell prints an object, when objects are wanted.
func (v *voice) tell(object any) {
	if !v.json {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, "%s\n", encode(object))
}

// line prints the time and a text, whose further lines stand by themselves.
func (v *voice) line(w io.Writer, text string) {
	fmt.Fprintf(w, "[%s] - %s\n", v.now().Format(clock), strings.TrimRight(text, "\n"))
}

func encode(object any) []byte {
	text, err := json.Marshal(object)
	if err != nil { // impossible: strings and numbers always can be
		return []byte("null")
	}
	return text
}

// Details are what is told of a process. Source: spec/usrsvc US-29.
type Details struct {
	PID        int      `json:"pid"`
	Cmdline    string   `json:"cmdline"` // the executable and the arguments, joined by spaces
	Executable string   `json:"executable"`
	Args       []string `json:"args"`
	Running    bool     `json:"running"`
}

// detailsOf looks at a process. One that has ended meanwhile, or may not be looked at, has its pid alone.
func detailsOf(pid int) *Details {
	d := &Details{PID: pid, Args: []string{}, Running: !procstat.Gone(pid)}
	if words, err := procstat.Cmdline(pid); err == nil && len(words) > 0 {
		d.Executable, d.Args, d.Cmdline = words[0], append(d.Args, words[1:]...), strings.Join(words, " ")
	}
	return d
}

// Outcome is what came of an action for one program: a line of --json.
type Outcome struct {
	Program string   `json:"program"`
	Action  string   `json:"action"`
	Code    int      `json:"code"`
	Name    string   `json:"name"` // of the code
	Word    string   `json:"outcome,omitempty"`
	Text    string   `json:"message,omitempty"`
	Process *Details `json:"process"` // null: none runs
}
