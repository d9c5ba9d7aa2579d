package configobj

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// strip takes the blanks at both ends away.
func strip(s string) string { return pytext.Strip(s) }

// skip takes the blanks at the beginning away.
func skip(s string) string { return strings.TrimLeftFunc(s, pytext.IsSpace) }

// unfit says why a text cannot be in a value; empty = it can.
func unfit(text string) string {
	switch {
	case !utf8.ValidString(text):
		return "is not UTF-8: save the file as UTF-8"
	case strings.Contains(text, "\x00"):
		return "has a NUL character in it"
	}
	return ""
}

// quoted shows a text of a file in a message, cut where it is long.
func quoted(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return pytext.Repr(s)
}

// head is the header of a section.
type head struct {
	name           string
	depth, closing int
}

// brackets counts the opening brackets at the beginning of a line, which may have blanks between them.
func brackets(text string) (n int) {
	for text = skip(text); strings.HasPrefix(text, "["); text = skip(text[1:]) {
		n++
	}
	return n
}

// header reads the header of a section: brackets, a name with or without quotes, brackets, and perhaps a comment. The name
// ends as early as it can.
func header(text string) (head, bool) {
	var starts []string // what follows the first, second … bracket
	for rest := text; strings.HasPrefix(rest, "["); {
		rest = skip(rest[1:])
		starts = append(starts, rest)
	}
	// The last bracket may be the beginning of the name, when nothing else gives a header; more than that never helps.
	for depth := len(starts); depth > max(0, len(starts)-2); depth-- {
		if rest := starts[depth-1]; rest != "" {
			if name, closing, ok := sectionName(rest); ok {
				return head{name, depth, closing}, true
			}
		}
	}
	return head{}, false
}

// sectionName reads a name and the brackets after it.
func sectionName(text string) (name string, closing int, ok bool) {
	if q := text[0]; q == '"' || q == '\'' {
		blanks := len(text[1:]) - len(skip(text[1:])) // a name is more than these
		for from := 1; ; {
			n := strings.IndexByte(text[from:], q)
			if n < 0 {
				return "", 0, false
			}
			end := from + n
			if closing, ok := ends(text[end+1:]); ok && end > 1+blanks {
				return text[1:end], closing, true
			}
			from = end + 1
		}
	}
	_, first := utf8.DecodeRuneInString(text)
	for at := first; at < len(text); {
		run := strings.IndexFunc(text[at:], func(r rune) bool { return r == ']' || pytext.IsSpace(r) })
		if run < 0 {
			return "", 0, false
		}
		at += run
		if closing, ok := ends(text[at:]); ok {
			return text[:at], closing, true
		}
		next := strings.IndexFunc(text[at:], func(r rune) bool { return r != ']' && !pytext.IsSpace(r) })
		if next < 0 {
			return "", 0, false
		}
		at += next
	}
	return "", 0, false
}

// ends reports whether a text is closing brackets, with blanks between them, and nothing else but a comment.
func ends(text string) (closing int, ok bool) {
	for text = skip(text); strings.HasPrefix(text, "]"); text = skip(text[1:]) {
		closing++
	}
	return closing, closing > 0 && (text == "" || text[0] == '#')
}

// keyword reads KEY = of a line; rest is what follows, without the blanks before it.
func keyword(line string) (key, rest string, ok bool) {
	text := skip(line)
	if text == "" {
		return "", "", false
	}
	if q := text[0]; q == '"' || q == '\'' {
		for from := 1; ; {
			n := strings.IndexByte(text[from:], q)
			if n < 0 {
				return "", "", false
			}
			end := from + n
			if after := skip(text[end+1:]); strings.HasPrefix(after, "=") {
				return text[1:end], skip(after[1:]), true
			}
			from = end + 1
		}
	}
	key, rest, ok = strings.Cut(text, "=")
	if !ok || key == "" {
		return "", "", false
	}
	return pytext.StripRight(key), skip(rest), true
}

// read reads a value of one line, which has no blanks around it. It returns why it cannot be one; empty = it is.
func (v *Value) read(text string) string {
	rest := text
	comma := false
	for {
		rest = skip(rest)
		item := ""
		switch {
		case rest == "" || rest[0] == '#':
			if !comma {
				v.Items = append(v.Items, "")
			}
			return v.finish(text, rest)
		case rest[0] == ',':
			after := skip(rest[1:])
			if comma || len(v.Items) > 0 || after != "" && after[0] != '#' {
				return "nothing stands before a comma"
			}
			v.List = true
			return v.finish(text, after)
		case rest[0] == '"' || rest[0] == '\'':
			end := strings.IndexByte(rest[1:], rest[0])
			if end < 0 {
				return fmt.Sprintf("a quote begins it, and none ends it: %s", quoted(rest))
			}
			item, rest = rest[1:1+end], skip(rest[end+2:])
			if rest != "" && rest[0] != ',' && rest[0] != '#' {
				return fmt.Sprintf("something follows the closing quote: %s; put quotes of the other kind around all of it", quoted(rest))
			}
		default:
			end := strings.IndexAny(rest, ",#")
			if end < 0 {
				end = len(rest)
			}
			item, rest = pytext.StripRight(rest[:end]), rest[end:]
		}
		v.Items = append(v.Items, item)
		if comma = strings.HasPrefix(rest, ","); !comma {
			return v.finish(text, rest)
		}
		v.List = true
		rest = rest[1:]
	}
}

// finish completes a value whose comment is what is left of its text.
func (v *Value) finish(text, comment string) string {
	before := text[:len(text)-len(comment)]
	v.Raw, v.Comment = pytext.StripRight(before), comment
	v.Glued = comment != "" && before != "" && v.Raw == before
	if v.List {
		v.Text = v.Raw
		return ""
	}
	v.Text, v.Items = v.Items[0], nil
	v.Quoted = v.Raw != "" && (v.Raw[0] == '"' || v.Raw[0] == '\'')
	return ""
}
