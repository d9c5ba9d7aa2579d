package managed

import (
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// draft is a text as lines, and where in it an option and its section are.
type draft struct {
	lines   []ini.Line
	section string
	option  int // the line that opens the option, the last one of several; -1 = it is not there
	end     int // behind the last line of its value
	last    int // behind the last line of the last option of the section, or of its header; -1 = it is not there
	newline string
}

func scan(text, section, key string) *draft {
	d := &draft{lines: ini.Scan(text, keys.Fold), section: section, option: -1, last: -1, newline: "\n"}
	if len(d.lines) > 0 && strings.HasSuffix(d.lines[0].Raw, "\r\n") {
		d.newline = "\r\n"
	}
	for i, l := range d.lines {
		if l.Section != section {
			continue
		}
		switch l.Kind {
		case ini.KindHeader, ini.KindOption, ini.KindContinued, ini.KindBad:
			d.last = i + 1
		}
		switch {
		case l.Kind == ini.KindOption && l.Key == key:
			d.option, d.end = i, i+1
		case l.Kind == ini.KindContinued && l.Key == key:
			d.end = i + 1
		}
	}
	return d
}

func join(lines []ini.Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Raw)
	}
	return b.String()
}

// ended is a text whose last line has an end.
func (d *draft) ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\r") {
		return text
	}
	return text + d.newline
}

// comments are the comments between the lines of the option's value.
func (d *draft) comments() string {
	var b strings.Builder
	for _, l := range d.lines[d.option+1 : d.end] {
		if l.Kind == ini.KindComment {
			b.WriteString(l.Raw)
		}
	}
	return b.String()
}

// replace is the text with another value of the option. The way in which the key is written stays, and so do comments.
func (d *draft) replace(value string) string {
	l := d.lines[d.option]
	begin := l.Value
	for begin < l.Content && (l.Raw[begin] == ' ' || l.Raw[begin] == '\t') {
		begin++
	}
	comment := strings.TrimRight(l.Raw[l.Content:], "\r\n")
	empty := pytext.Strip(l.Raw[l.Value:l.Content]) == ""
	if comment != "" && empty {
		begin = l.Value // nothing but a comment: the blanks belong to it
	}
	head, key := l.Raw[:begin], d.render(indentOf(l.Raw), value)
	if empty && begin == l.Value && key[0] != "" && strings.HasSuffix(l.Raw[:l.Value-1], " ") {
		head += " "
	}
	if comment != "" {
		content := l.Raw[begin:l.Content]
		gap := content[len(strings.TrimRight(content, " \t")):]
		if gap == "" {
			gap = " "
		}
		key[0] += gap + comment
	}
	text := head + strings.Join(key, d.newline) + d.newline
	return join(d.lines[:d.option]) + text + d.comments() + join(d.lines[d.end:])
}

// add is the text with a new option, and its line.
func (d *draft) add(key, value string) (string, int) {
	if d.last < 0 {
		text := d.ended(join(d.lines))
		if text != "" {
			text += d.newline
		}
		line := len(ini.Scan(text, keys.Fold)) + 2
		return text + "[" + d.section + "]" + d.newline + key + " = " + strings.Join(d.render("", value), d.newline) + d.newline, line
	}
	indent, equals := d.style(key)
	rendered := d.render(indent, value)
	if rendered[0] == "" {
		equals = strings.TrimRight(equals, " ")
	}
	before := d.ended(join(d.lines[:d.last]))
	return before + indent + key + equals + strings.Join(rendered, d.newline) + d.newline + join(d.lines[d.last:]), d.last + 1
}

// style is how the options of the section are written: what stands before the key, and between the new key and its value.
func (d *draft) style(key string) (indent, equals string) {
	equals = " = "
	column, same, options := 0, true, 0
	for _, l := range d.lines[:d.last] {
		if l.Section != d.section || l.Kind != ini.KindOption {
			if l.Section == d.section && l.Kind == ini.KindHeader {
				indent = indentOf(l.Raw)
			}
			continue
		}
		left := l.Raw[:l.Value-1]
		value := l.Raw[l.Value:l.Content]
		indent = indentOf(l.Raw)
		blank := left[len(strings.TrimRight(left, " \t")):]
		after := value[:len(value)-len(strings.TrimLeft(value, " \t"))]
		blank = min(blank, " ")
		if after == "" && pytext.Strip(value) == "" && strings.HasSuffix(blank, " ") {
			after = " " // as replace would write a value there
		}
		equals = blank + l.Raw[l.Value-1:l.Value] + min(after, " ")
		if options++; options > 1 && utf8.RuneCountInString(left) != column {
			same = false
		}
		column = utf8.RuneCountInString(left)
	}
	if width := utf8.RuneCountInString(indent + key); options > 1 && same && strings.HasPrefix(equals, " ") && width < column {
		equals = strings.Repeat(" ", column-width) + equals[1:]
	}
	return indent, equals
}

func indentOf(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

// render are the lines that a value is written on, the first without what stands before it. Each later one is indented
// deeper than the key, unless it is empty.
func (d *draft) render(indent, value string) []string {
	lines := strings.Split(value, "\n")
	for i, l := range lines {
		l = protect(l)
		if l == "" && i > 0 && i == len(lines)-1 {
			l = guard // an empty line at the end would not be seen
		}
		if i > 0 && l != "" {
			l = indent + "    " + l
		}
		lines[i] = l
	}
	return lines
}

// protect keeps the reader from cutting blanks at the ends of a line and what looks like a comment.
func protect(line string) string {
	var b strings.Builder
	before := ' '
	for _, r := range line {
		if (r == ';' || r == '#') && pytext.IsSpace(before) {
			b.WriteString(guard)
		}
		b.WriteRune(r)
		before = r
	}
	out := b.String()
	if first, _ := utf8.DecodeRuneInString(out); out != "" && pytext.IsSpace(first) {
		out = guard + out
	}
	if out != "" && pytext.IsSpace(before) {
		out += guard
	}
	return out
}
