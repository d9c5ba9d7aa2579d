package ini

// Kind is what a physical line is to the dialect.
type Kind uint8

// The kinds of lines.
const (
	KindBlank     Kind = iota // nothing, also inside a value, where it is an empty line of it
	KindComment               // a comment alone
	KindHeader                // opens a section
	KindOption                // opens an option
	KindContinued             // goes on with the value of the option before
	KindBad                   // none of these
)

// Line is one physical line of a text.
type Line struct {
	Raw     string // with its end
	Kind    Kind
	Section string // that it opens or is in; empty before the first
	Key     string // of options and what goes on with them; folded
	Content int    // Raw[:Content] is what stands before a comment at the end of the line, or before the end of the line
	Value   int    // of options: where in Raw the text behind = begins, blanks included
}

// Scan tells of every line of a text what it is. The lines one after the other are the text.
func Scan(text string, fold func(string) string) []Line {
	p := &parser{doc: New()}
	p.doc.FoldKeys(fold)
	var lines []Line
	for number := 1; text != ""; number++ {
		line, rest := cutLine(text)
		l := Line{Raw: text[:len(text)-len(rest)]}
		if err := p.line(number, line); err != nil {
			p.opened = KindBad
		}
		content, _ := cutComment(line)
		l.Kind, l.Content = p.opened, min(len(content), len(trimEnd(l.Raw)))
		if p.sect != nil {
			l.Section = p.sect.Name
		}
		if l.Kind == KindOption || l.Kind == KindContinued {
			l.Key = p.key
		}
		if l.Kind == KindOption {
			l.Value = delimiter(l.Raw) + 1
		}
		lines = append(lines, l)
		text = rest
	}
	return lines
}

// trimEnd takes the end of a line away.
func trimEnd(line string) string {
	for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n = len(line) {
		line = line[:n-1]
	}
	return line
}
