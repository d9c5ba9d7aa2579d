package chalmers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// Word is one of the four words for what a program does. Source: spec/chalmers 7.1.
type Word string

// The words.
const (
	Running Word = "RUNNING"
	Error   Word = "ERROR"
	Off     Word = "OFF"
	Stopped Word = "STOPPED"
)

// Facts are what the words are made of.
type Facts struct {
	Active bool // it is watched, also between two launches
	Failed bool // it ended in a way that is no success
	Off    bool // it does not start at boot
}

// Word is the first word that fits.
func (f Facts) Word() Word {
	switch {
	case f.Active:
		return Running
	case f.Failed:
		return Error
	case f.Off:
		return Off
	}
	return Stopped
}

// Row is a program in the list.
type Row struct {
	Name    string
	Word    Word
	PID     int           // of the program; 0 = none at this moment
	Up      time.Duration // since the last launch
	Reason  string        // of the last change, when it does not run
	Down    time.Duration // since it ended
	Stopped bool          // it has ended once: Down counts
}

// NoPrograms is the whole list of an empty store.
const NoPrograms = "No programs added"

// List is what `list` prints: by word, then name. Source: spec/chalmers CH-41.
func List(rows []Row) string {
	if len(rows) == 0 {
		return NoPrograms + "\n"
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		if c := strings.Compare(string(a.Word), string(b.Word)); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	var b strings.Builder
	for _, r := range rows {
		if r.Word == Running {
			pid := "None"
			if r.PID != 0 {
				pid = fmt.Sprint(r.PID)
			}
			fmt.Fprintf(&b, "%-25s %-15spid %-6s, uptime %s\n", cutTo(r.Name, 24), r.Word, pid, Duration(r.Up))
			continue
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-25s %-15s%s", cutTo(r.Name, 35), r.Word, r.Reason), " ") + "\n")
		if r.Stopped {
			fmt.Fprintf(&b, "%41sdowntime %s\n", "", Duration(r.Down))
		}
	}
	return b.String()
}

// cutTo shortens to a number of characters.
func cutTo(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// Duration is whole seconds as [D day[s], ]H:MM:SS; negative times are none.
func Duration(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	days, s := s/86400, s%86400
	clock := fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	switch days {
	case 0:
		return clock
	case 1:
		return "1 day, " + clock
	}
	return fmt.Sprintf("%d days, %s", days, clock)
}

// Shown is what `show` prints of a program.
type Shown struct {
	DefinitionFile, StateFile string     // empty: not shown
	State                     tree.Value // a map
	Options                   tree.Value // a map, merged or as stored
}

// optionGroups are the headings of show and the keys under them, in order; what is in none comes last.
func optionGroups() []struct {
	title string
	keys  []string
} {
	return []struct {
		title string
		keys  []string
	}{
		{"Primary Options", []string{"name", "command", "cwd", "env"}},
		{"Output Options", []string{"log_dir", "stdout", "stderr", "redirect_stderr", "daemon_log"}},
		{"Process Control Options", []string{"startsecs", "startretries", "exitcodes", "stopsignal", "stopwaitsecs"}},
	}
}

// String is the whole text. Source: spec/chalmers CH-42.
func (s Shown) String() string {
	var b strings.Builder
	for _, f := range [...]struct{ label, path string }{{"Definition file", s.DefinitionFile}, {"State file", s.StateFile}} {
		if f.path != "" {
			fmt.Fprintf(&b, "%-16s %s\n", f.label+":", f.path)
		}
	}
	section(&b, "State", s.State.Fields)
	rest := slices.Clone(s.Options.Fields)
	for _, g := range optionGroups() {
		var fields []tree.Field
		for _, key := range g.keys {
			i := slices.IndexFunc(rest, func(f tree.Field) bool { return f.Key == key })
			if i >= 0 {
				fields, rest = append(fields, rest[i]), slices.Delete(rest, i, i+1)
			}
		}
		section(&b, g.title, fields)
	}
	section(&b, "Other Options", rest)
	return b.String()
}

// The layout of show.
const (
	keyWidth   = 12
	valueWidth = 66
	nextIndent = 14
)

// section writes one heading with its values.
func section(b *strings.Builder, title string, fields []tree.Field) {
	if len(fields) == 0 {
		return
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(title + "\n")
	for _, f := range fields {
		for i, line := range wrap(Literal(f.Value)) {
			if i == 0 {
				fmt.Fprintf(b, "%*s: %s\n", keyWidth, f.Key, line)
				continue
			}
			fmt.Fprintf(b, "%*s%s\n", nextIndent, "", line)
		}
	}
}

// wrap breaks a literal after commas; what has none stays in one piece.
func wrap(text string) []string {
	var lines []string
	for len([]rune(text)) > valueWidth {
		head := cutTo(text, valueWidth)
		i := strings.LastIndex(head, ", ")
		if i < 0 {
			i = strings.Index(text, ", ")
		}
		if i < 0 {
			break
		}
		lines, text = append(lines, text[:i+1]), text[i+2:]
	}
	return append(lines, text)
}

// Literal is a value in the syntax of the tool's language.
func Literal(v tree.Value) string {
	switch v.Kind {
	case tree.String:
		return pytext.Repr(v.Text)
	case tree.List:
		items := make([]string, len(v.Items))
		for i, item := range v.Items {
			items[i] = Literal(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case tree.Map:
		items := make([]string, len(v.Fields))
		for i, f := range v.Fields {
			items[i] = pytext.Repr(f.Key) + ": " + Literal(f.Value)
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return Text(v)
}

// Assignment is one KEY=VALUE of `set`.
type Assignment struct {
	Path  []string // the key, taken apart at its dots; never empty
	Value tree.Value
}

// ErrName refuses a new name for a program.
var ErrName = errors.New("the name of a program cannot be set")

// ParseAssignment reads KEY=VALUE: the value is YAML, or else text. Source: spec/chalmers CH-44.
func ParseAssignment(item string) (Assignment, error) {
	key, text, ok := strings.Cut(item, "=")
	switch {
	case !ok:
		return Assignment{}, fmt.Errorf("%q is not KEY=VALUE", item)
	case key == "name":
		return Assignment{}, ErrName
	}
	a := Assignment{Path: strings.Split(key, ".")}
	if slices.Contains(a.Path, "") {
		return Assignment{}, fmt.Errorf("%q is not a key", key)
	}
	v, err := tree.YAML([]byte(text), tree.V11)
	if err != nil {
		v = tree.Value{Kind: tree.String, Text: text}
	}
	a.Value = v
	return a, nil
}

// Key is the path with its dots.
func (a Assignment) Key() string { return strings.Join(a.Path, ".") }

// String is how set reports it.
func (a Assignment) String() string { return a.Key() + " = " + Literal(a.Value) }

// Apply sets the value in a definition; maps on the way are made. An error leaves the definition as it was: a
// value that is no map cannot have parts.
func (a Assignment) Apply(definition *tree.Value) error {
	definition.Fields = slices.Clone(definition.Fields) // others may hold the old ones
	if len(a.Path) > 1 {
		under := tree.Value{Kind: tree.Map}
		old, ok := definition.Find(a.Path[0])
		switch {
		case ok && old.Kind == tree.Map:
			under = old
		case ok && old.Kind != tree.Null:
			return fmt.Errorf("%s is %s and has no parts", a.Path[0], old.Kind)
		}
		if err := (Assignment{Path: a.Path[1:], Value: a.Value}).Apply(&under); err != nil {
			return err
		}
		definition.Put(tree.Field{Key: a.Path[0], Value: under})
		return nil
	}
	definition.Put(tree.Field{Key: a.Path[0], Value: a.Value})
	return nil
}
