// Package report puts into words what people are told: a subject, a text of 72 columns, the JSON of a webhook, the form of
// chat services. It is pure: what there is to say is in a Report, and nothing else is looked at.
package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

// Report is one message: what has happened to one program, to several of a group, or to the daemon.
type Report struct {
	ID       string // of the message, the same in every attempt to deliver it
	Kind     string // the word of its trigger: fatal, recovered, …; test
	State    string // the word that the subject begins with: FATAL
	Host     string
	Notifier string
	Group    string // whose programs these are; empty = the daemon
	Time     time.Time
	Reminder bool   `json:",omitzero"` // it was told before, and lasts
	Command  string `json:",omitzero"` // says more, with the name of a program behind it; empty = none does
	Items    []Item
}

// Item is what there is to say of one program, or of a fault of the daemon.
type Item struct {
	Name     string    // as people type it; empty = the daemon
	Process  string    `json:",omitzero"` // its name in its group
	Since    time.Time // when it began
	Headline string    // for the subject: "exit 3 after 0.2s, gave up after 4 tries"
	Lead     string    // the first sentence, without its subject: "is down since …"
	Times    int       `json:",omitzero"` // how often, where that is more than once
	Facts    []Fact    `json:",omitzero"`
	Stream   string    `json:",omitzero"` // of Lines: stderr, stdout
	Lines    []string  `json:",omitzero"` // the last of its output
}

// Fact is one thing that is known, with its name.
type Fact struct{ Name, Text string }

const (
	// Columns is how wide a text is at the most.
	Columns = 72
	// SubjectColumns is how wide a subject is at the most.
	SubjectColumns = 70
	// Detailed is how many programs of one message are told of at length.
	Detailed = 5
	// factName is how wide the names of facts are, with the blanks behind them.
	factName = 10
	// longest is how much of one text is shown, in columns.
	longest = 600
)

// Subject is one line, the state first.
func (r *Report) Subject() string {
	text := "[" + line(r.Host) + "] "
	if r.Reminder {
		text += "STILL "
	}
	text += line(r.State)
	switch len(r.Items) {
	case 0:
	case 1:
		it := &r.Items[0]
		if it.Name != "" {
			text += " " + line(it.Name)
		}
		if it.Headline != "" {
			if it.Name != "" {
				text += ","
			}
			text += " " + line(it.Headline)
		}
	default:
		var names []string
		for i := range r.Items {
			names = append(names, line(r.Items[i].Name))
		}
		text += fmt.Sprintf(" %d programs", len(names))
		if r.Group != "" {
			text += " of " + line(r.Group)
		}
		text += ": " + strings.Join(names, ", ")
	}
	return cut(text, SubjectColumns)
}

// line is foreign text as one line that is safe to be shown.
func line(s string) string {
	return strings.Join(strings.Fields(termtext.String(s, termtext.Plain)), " ")
}

// cut shortens a text to a width.
func cut(s string, columns int) string {
	if runewidth.StringWidth(s) <= columns {
		return s
	}
	return runewidth.Truncate(s, columns, "...")
}

// Text is the message as people read it.
func (r *Report) Text() string {
	var b strings.Builder
	for i := range r.Items {
		if i == Detailed {
			b.WriteString(para("", fmt.Sprintf("And %s:", words.Count(len(r.Items)-i, "other", "others"))))
			for j := i; j < len(r.Items); j++ {
				b.WriteString(para("  ", line(r.Items[j].Name)+" "+line(r.Items[j].Lead)))
			}
			b.WriteString("\n")
			break
		}
		r.item(&b, &r.Items[i])
	}
	if r.ID != "" {
		b.WriteString("-- \n")
		b.WriteString(para("", "upkeep on "+line(r.Host)+", notifier "+line(r.Notifier)+", message "+line(r.ID)))
	}
	return b.String()
}

func (r *Report) item(b *strings.Builder, it *Item) {
	subject := "The daemon"
	if it.Name != "" {
		subject = line(it.Name)
	}
	b.WriteString(para("", subject+" on "+line(r.Host)+" "+line(it.Lead)))
	b.WriteString("\n")
	for _, f := range it.Facts {
		name := runewidth.FillRight(cut(line(f.Name), factName-1), factName)
		b.WriteString(hang("  "+name, strings.Repeat(" ", factName+2), line(f.Text)))
	}
	if len(it.Facts) > 0 {
		b.WriteString("\n")
	}
	if len(it.Lines) > 0 {
		b.WriteString(para("", fmt.Sprintf("last %s of %s", words.Count(len(it.Lines), "line", "lines"), line(it.Stream))))
		for _, l := range it.Lines {
			b.WriteString(hang("  ", "    ", strings.TrimRight(strings.ReplaceAll(termtext.String(l, termtext.Plain), "\t", "    "), " \n")))
		}
		b.WriteString("\n")
	}
	if it.Name != "" && r.Command != "" {
		b.WriteString(hang("  ", "    ", line(r.Command)+" "+words.Quote(line(it.Name))))
		b.WriteString("\n")
	}
}

func para(indent, text string) string { return hang(indent, indent, text) }

// hang breaks a text into lines of at most Columns: behind blanks where it can, else anywhere. The first begins with first,
// the others with rest.
func hang(first, rest, text string) string {
	var b strings.Builder
	if runewidth.StringWidth(text) > longest {
		text = runewidth.Truncate(text, longest, "...")
	}
	for _, part := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		for {
			room := Columns - runewidth.StringWidth(first)
			head, tail := split(part, room)
			b.WriteString(strings.TrimRight(first+head, " ") + "\n")
			first, part = rest, tail
			if part == "" {
				break
			}
		}
	}
	return b.String()
}

// split takes what fits into so many columns, at least one character.
func split(s string, columns int) (head, tail string) {
	width, blank := 0, -1
	for i, r := range s {
		w := runewidth.RuneWidth(r)
		if width+w > columns && i > 0 {
			if blank > 0 {
				return s[:blank], s[blank+1:]
			}
			return s[:i], s[i:]
		}
		if r == ' ' && strings.TrimSpace(s[:i]) != "" {
			blank = i
		}
		width += w
	}
	return s, ""
}
