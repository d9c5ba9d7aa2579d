package native

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/mattn/go-runewidth"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
)

// form is the form of the output that is wanted.
func (c *command) form() (name, text string, err error) {
	f := c.output
	if c.json {
		f = "json"
	}
	if f == "" && c.quiet {
		f = "name"
	}
	if t, ok := strings.CutPrefix(f, "template="); ok {
		return "template", t, nil
	}
	switch f {
	case "", "table":
		return "table", "", nil
	case "wide", "json", "ndjson", "name":
		return f, "", nil
	}
	return "", "", usageError{fmt.Errorf("there is no output %q: table, wide, json, ndjson, name, template=TEXT", f)}
}

func (c *command) jsonWanted() bool { return c.json || c.output == "json" || c.output == "ndjson" }

func (c *command) printJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	if c.output != "ndjson" {
		e.SetIndent("", "  ")
	}
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // who has closed the output does not want it
}

// printAll prints items in the form wanted; table shows them to people. name is the name of one.
func printAll[T any](c *command, items []T, name func(*T) string, table func(wide bool) error) error {
	f, text, err := c.form()
	if err != nil {
		return err
	}
	switch f {
	case "json":
		if items == nil {
			items = []T{}
		}
		c.printJSON(c.out, items)
	case "name":
		w := bufio.NewWriter(c.out)
		defer w.Flush()
		for i := range items {
			fmt.Fprintln(w, name(&items[i]))
		}
	case "ndjson", "template":
		print, err := c.printer(f, text)
		for i := 0; err == nil && i < len(items); i++ {
			err = print(&items[i])
		}
		return err
	default:
		return table(f == "wide")
	}
	return nil
}

// printer prints one item after the other: as lines of JSON, or by a template.
func (c *command) printer(form, text string) (func(item any) error, error) {
	if form == "ndjson" {
		e := json.NewEncoder(c.out)
		e.SetEscapeHTML(false)
		return func(item any) error { _ = e.Encode(item); return nil }, nil // who has closed the output does not want it
	}
	t, err := template.New("output").Parse(text)
	if err != nil {
		return nil, usageError{err}
	}
	return func(item any) error {
		if err := t.Execute(c.out, item); err != nil {
			return usageError{err}
		}
		fmt.Fprintln(c.out)
		return nil
	}, nil
}

// The colours, of the terminal's own palette.
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// coloured reports whether a stream may have colours.
func (c *command) coloured(tty bool) bool {
	if c.noColor || c.environ("NO_COLOR") != "" {
		return false
	}
	if v := c.environ("CLICOLOR_FORCE"); v != "" && v != "0" {
		return true
	}
	if v := c.environ("FORCE_COLOR"); v != "" && v != "0" {
		return true
	}
	return tty && c.environ("TERM") != "dumb"
}

// paint colours a text for standard output.
func (c *command) paint(colour, text string) string { return paint(c.coloured(c.outTTY), colour, text) }

func paint(on bool, colour, text string) string {
	if !on || colour == plain || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// unicodeWanted reports whether the locale can show more than ASCII.
func (c *command) unicodeWanted() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := c.environ(name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}

// glyph is the sign and the colour of a state.
func (c *command) glyph(state string) (sign, colour string) {
	for _, g := range [...]struct{ state, uni, ascii, colour string }{
		{"RUNNING", "●", "*", green},
		{"STARTING", "↻", "~", yellow},
		{"BACKOFF", "↻", "~", yellow},
		{"STOPPING", "↻", "~", yellow},
		{"FATAL", "✕", "x", red},
		{"EXITED", "○", "o", plain},
		{"STOPPED", "–", "-", dim},
		{"UNKNOWN", "?", "?", red},
	} {
		if g.state != state {
			continue
		}
		if c.unicodeWanted() {
			return g.uni, g.colour
		}
		return g.ascii, g.colour
	}
	return "", plain
}

// good and bad begin a line about a success and a failure.
func (c *command) good() string {
	if c.unicodeWanted() {
		return c.paint(green, "✓")
	}
	return c.paint(green, "*")
}

func (c *command) bad() string {
	if c.unicodeWanted() {
		return c.paint(red, "✕")
	}
	return c.paint(red, "x")
}

// cell is one field of a table.
type cell struct{ text, colour string }

// column is a column of a table.
type column struct {
	title string
	right bool
	// drop is the order in which columns go when there is no room: the lowest first; 0 = never.
	drop int
	// least is how much of it has to be seen, when it is the last one: the rest is cut off; 0 = all.
	least int
}

// textWidth is how many columns of a terminal a text takes. The library makes a table of all characters there are when it
// sees one that is not of Latin, which takes as long as the rest of a status: so it is not asked about our own signs.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		if (r < ' ' || r > '~') && (!strings.ContainsRune("●↻✕○–…✓", r) || runewidth.DefaultCondition.EastAsianWidth) {
			return runewidth.StringWidth(s)
		}
		n++
	}
	return n
}

// ellipsis stands for what was cut off.
func (c *command) ellipsis() string {
	if c.unicodeWanted() {
		return "…"
	}
	return "..."
}

// table prints rows in aligned columns, without those for which there is no room.
func (c *command) table(columns []column, rows [][]cell) {
	width := make([]int, len(columns))
	for i, col := range columns {
		width[i] = textWidth(col.title)
		for _, r := range rows {
			width[i] = max(width[i], textWidth(r[i].text))
		}
	}
	shown := make([]bool, len(columns))
	for i := range columns {
		shown[i] = len(rows) == 0
		for _, r := range rows {
			shown[i] = shown[i] || r[i].text != ""
		}
	}
	total := func() int {
		n := 0
		for i := range columns {
			if shown[i] {
				w := width[i]
				if i == len(columns)-1 && columns[i].least > 0 {
					w = min(w, columns[i].least)
				}
				n += w + 2
			}
		}
		return n - 2
	}
	for drop := 1; c.width > 0 && total() > c.width && drop <= len(columns); drop++ {
		for i, col := range columns {
			if col.drop == drop {
				shown[i] = false
			}
		}
	}
	last := len(columns) - 1
	for last > 0 && !shown[last] {
		last--
	}
	b := bufio.NewWriter(c.out)
	defer b.Flush()
	coloured := c.coloured(c.outTTY)
	line := func(cells []cell, colour string) {
		used, pad := 0, 0
		for i, col := range columns {
			if !shown[i] {
				continue
			}
			text := cells[i].text
			if room := c.width - used - pad; c.width > 0 && i == last && textWidth(text) > room && room > 8 {
				text = runewidth.Truncate(text, room, c.ellipsis())
			}
			n := textWidth(text)
			if col.right {
				pad += width[i] - n
			}
			if text != "" {
				b.WriteString(strings.Repeat(" ", pad))
				b.WriteString(paint(coloured, cmp.Or(cells[i].colour, colour), text))
				used, pad = used+pad+n, 0
			} else {
				pad += n
			}
			pad += 2
			if !col.right {
				pad += width[i] - n
			}
		}
		b.WriteByte('\n')
	}
	titles := make([]cell, len(columns))
	for i, col := range columns {
		titles[i].text = col.title
	}
	line(titles, dim)
	for _, r := range rows {
		line(r, plain)
	}
}

// explain shows what is known of a failure: the headline, facts, what was seen, what was looked at, what to do.
func (c *command) explain(w io.Writer, headline string, facts []string, evidence []upkeep.Evidence, checked []string, hints []upkeep.Hint) {
	say := func(indent, text string) { fmt.Fprintln(w, indent+termtext.String(text, termtext.Plain)) }
	fmt.Fprintln(w)
	if headline != "" {
		say("  ", headline)
	}
	for _, f := range facts {
		say("  ", f)
	}
	for _, e := range evidence {
		switch e.Kind {
		case "fact":
			for _, l := range e.Lines {
				say("  ", l)
			}
		case "check":
			for _, l := range e.Lines {
				say("  ", l)
			}
		default:
			say("  ", "last "+e.Kind+" "+map[bool]string{true: "line", false: "lines"}[len(e.Lines) == 1])
			for _, l := range e.Lines {
				say("    ", l)
			}
		}
	}
	if len(checked) > 0 {
		fmt.Fprintln(w)
	}
	for i, t := range checked {
		if i == 0 {
			t = "upkeep looked: " + t
		}
		say("  ", t)
	}
	for _, h := range hints {
		if h.Text != "" {
			say("  ", h.Text)
		}
		if h.Command != "" {
			say("      ", h.Command)
		}
	}
}

// spaces fills up to a column.
func spaces(n int) string { return strings.Repeat(" ", max(0, n)) }
