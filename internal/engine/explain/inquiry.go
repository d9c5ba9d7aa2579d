package explain

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
)

// Bounds of what is looked at and shown.
const (
	maxOutput   = 16 << 10 // bytes of each stream
	maxLines    = 60       // of each stream
	maxText     = 300      // bytes of a line that is shown or matched
	maxEvidence = 4        // lines of output that are shown
)

// line is one line of output, safe to be shown.
type line struct{ stream, text string }

// inquiry is one explanation while it is made.
type inquiry struct {
	f     Facts
	sys   System
	v     Verdict
	st    *model.Status
	p     *model.Program
	name  string          // as people type it
	argv  []string        // nil: the command cannot be split
	dir   string          // the program's, absolute
	who   peek.Who        // as whom it runs
	user  string          // that user's name, for people
	vars  map[string]bool // the names in its environment, and whether they have a value
	last  *Run            // nil = none is known
	lines []line          // stdout, then stderr, oldest first
	key   int             // the line that says why; -1 = none
}

func newInquiry(f Facts, sys System) *inquiry {
	q := &inquiry{f: f, sys: sys, st: &f.Status, p: f.Status.Program, key: -1, vars: map[string]bool{}}
	if q.p == nil {
		q.p = &model.Program{ID: f.Status.ID, Command: model.Command{UID: -1}}
	}
	q.name = f.Status.ID.String()
	q.argv, _ = shellwords.Split(q.p.Command.Line) // nil on an error, which a rule explains
	q.dir = q.p.Command.Dir
	if !filepath.IsAbs(q.dir) {
		q.dir = filepath.Join(sys.Directory(), q.dir)
	}
	q.who = sys.Self()
	if q.p.Command.UID >= 0 {
		q.who = peek.Who{UID: q.p.Command.UID}
	}
	if u, groups, err := sys.User(q.who.UID); err == nil {
		q.user = u.Name
		if q.p.Command.UID >= 0 {
			q.who.Groups = groups
		}
	}
	for _, kv := range f.Environ {
		name, value, _ := strings.Cut(kv, "=")
		q.vars[name] = value != ""
	}
	if n := len(f.Runs); n > 0 {
		q.last = &f.Runs[n-1]
	}
	q.lines = append(splitLines("stdout", f.Stdout), splitLines("stderr", f.Stderr)...)
	return q
}

// splitLines are the last lines of a stream that are not blank.
func splitLines(stream string, b []byte) []line {
	b = b[max(0, len(b)-maxOutput):]
	var out []line
	for l := range strings.SplitSeq(string(b), "\n") {
		if l = strings.TrimRight(clean(l), " "); strings.TrimSpace(l) != "" {
			out = append(out, line{stream, l})
		}
	}
	return out[max(0, len(out)-maxLines):]
}

// match is what a matcher has recognised: the groups of a pattern, and the line if it was one.
type match struct {
	groups []string // the first is all of it
	line   int      // -1 = no line of output
}

// Bounds of what one pattern recognises: so many lines, and those that are so close to the newest are of one message.
const (
	maxMatches = 6
	message    = 15
)

// find looks for a pattern in the output. The lines of the newest message come first, in their order, since its first
// line tells most; then those before it, the newest first.
func (q *inquiry) find(pattern string) []match {
	re := regexp.MustCompile(pattern)
	var found []match
	newest := 0
	for i, l := range slices.Backward(q.lines) {
		g := re.FindStringSubmatch(l.text)
		if g == nil {
			continue
		}
		if len(found) == 0 || found[newest].line-i < message && l.stream == q.lines[found[0].line].stream {
			found = slices.Insert(found, 0, match{g, i})
			newest = len(found) - 1
		} else {
			found = append(found, match{g, i})
		}
		if len(found) == maxMatches {
			break
		}
	}
	return found
}

// fact, checked and hint add to the verdict.
func (q *inquiry) fact(text string)    { q.v.Facts = append(q.v.Facts, clean(text)) }
func (q *inquiry) checked(text string) { q.v.Checked = append(q.v.Checked, clean(text)) }
func (q *inquiry) hint(text, cmd string) {
	q.v.Hints = append(q.v.Hints, Hint{clean(text), clean(cmd)})
}

// userText is how the program's user is called: "user sam", or by number.
func (q *inquiry) userText() string { return q.userName(q.who.UID) }

func (q *inquiry) userName(uid int) string {
	if uid == q.who.UID && q.user != "" {
		return "user " + q.user
	}
	if u, _, err := q.sys.User(uid); err == nil {
		return "user " + u.Name
	}
	if uid < 0 {
		return "an unknown user"
	}
	return "user " + strconv.Itoa(uid)
}

// path makes a path that a program names absolute: it counts from the program's directory.
func (q *inquiry) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(q.dir, p)
}

// there reports whether something exists that the program's user can see, and may be used with a right.
func (q *inquiry) there(path string, right peek.Right) bool {
	_, err := q.sys.Walk(q.who, path, right)
	return err == nil
}

// brief is a path as it is best typed in the program's directory.
func (q *inquiry) brief(path string) string {
	if rest, ok := strings.CutPrefix(path, q.dir+string(filepath.Separator)); ok {
		return rest
	}
	return path
}

// instead is the command that changes the program's command line, or adds it anew while it is not stored.
func (q *inquiry) instead(argv []string) string {
	var quoted []string
	for _, a := range argv {
		quoted = append(quoted, words.Quote(a))
	}
	text := strings.Join(quoted, " ")
	if q.f.Adding {
		return "upkeep add " + words.Quote(q.name) + " -- " + text
	}
	return q.set("command=" + text)
}

// set is the command that changes settings, each KEY=VALUE, and starts the program when it is down.
func (q *inquiry) set(settings ...string) string {
	text := "upkeep set " + words.Quote(q.name)
	for _, s := range settings {
		text += " " + words.Quote(s)
	}
	return text + q.andStart()
}

// andStart goes on with a start when the program is down; one that is tried again needs none.
func (q *inquiry) andStart() string {
	if q.st.State.Down() && !q.f.Adding {
		return " && upkeep start " + words.Quote(q.name)
	}
	return ""
}

// rules asks the table: the first rule whose check confirms what it has recognised gives the cause.
func (q *inquiry) rules(ctx context.Context) {
	for _, r := range table() {
		if ctx.Err() != nil {
			return
		}
		for _, m := range r.when(q) {
			before := q.v
			if r.check(q, ctx, m) {
				q.v.Cause = r.cause
				if m.line >= 0 {
					q.key = m.line
				}
				return
			}
			q.v = before
		}
	}
}

// conclude adds what every verdict of a failure has: the lines of output that tell most.
func (q *inquiry) conclude() {
	if !q.v.Failed && !q.troubled() {
		return
	}
	if q.key < 0 {
		if m := q.find(`^(panic:|fatal error:|(\w+\.)*\w*(Error|Exception)\b|.*\b(Error|ERROR|FATAL|CRITICAL|error):)`); len(m) > 0 {
			q.key = newest(m)
		}
	}
	from := max(0, len(q.lines)-maxEvidence)
	if q.key >= 0 {
		from = q.key
	}
	if from >= len(q.lines) {
		return
	}
	stream := q.lines[from].stream
	e := Evidence{Kind: stream}
	for _, l := range q.lines[from:min(len(q.lines), from+maxEvidence)] {
		if l.stream == stream && !slices.Contains(e.Lines, l.text) { // a message that is repeated is shown once
			e.Lines = append(e.Lines, l.text)
		}
	}
	// Without a line that says why, those of the stream that ended last are the best: stderr, unless it is empty.
	if q.key < 0 && stream == "stdout" && q.lines[len(q.lines)-1].stream == "stderr" {
		e = Evidence{Kind: "stderr"}
		for _, l := range q.lines[from:] {
			if l.stream == "stderr" {
				e.Lines = append(e.Lines, l.text)
			}
		}
	}
	q.v.Evidence = append([]Evidence{e}, q.v.Evidence...)
}

// newest is the last of the lines that were recognised.
func newest(found []match) int {
	at := -1
	for _, m := range found {
		at = max(at, m.line)
	}
	return at
}
