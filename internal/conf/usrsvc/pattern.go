package usrsvc

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
)

const maxPattern = 4096 // bytes

// Pattern makes a regular expression of Python one of ours (RE2), which is searched for in the joined command line just so.
// What RE2 has no means for, because it always takes linear time, is an error that names the construct.
// Source: spec/usrsvc 3.2, US-44.
func Pattern(python string) (string, error) {
	if len(python) > maxPattern {
		return "", fmt.Errorf("a pattern has at most %d bytes", maxPattern)
	}
	t := translator{rest: python}
	for t.rest != "" {
		if err := t.next(); err != nil {
			return "", err
		}
	}
	re := t.out.String()
	if _, err := regexp.Compile(re); err != nil {
		return "", errors.New("it is no regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// translator walks over a pattern.
type translator struct {
	rest   string
	out    strings.Builder
	repeat bool // the last thing was * + ? or {}
}

// take copies n bytes.
func (t *translator) take(n int) {
	t.out.WriteString(t.rest[:n])
	t.rest = t.rest[n:]
	t.repeat = false
}

// next reads one construct.
func (t *translator) next() error {
	switch c := t.rest[0]; {
	case c == '\\':
		return t.escape(false)
	case c == '[':
		return t.class()
	case c == '(':
		return t.group()
	case c == '*' || c == '?':
		t.take(1)
		t.repeat = true
	case c == '+':
		if t.repeat {
			return errors.New("possessive repetition (+ after * + ? or {}) cannot be done in linear time: leave the second + out")
		}
		t.take(1)
		t.repeat = true
	case c == '{':
		t.braces()
	default:
		t.take(1)
	}
	return nil
}

// braces reads {n,m}; {,m} means {0,m}.
func (t *translator) braces() {
	end := strings.IndexByte(t.rest, '}')
	if end < 0 {
		t.take(1)
		return
	}
	from, to, comma := strings.Cut(t.rest[1:end], ",")
	switch {
	case comma && from == "" && (to == "" || digits(to)):
		t.out.WriteString("{0," + to + "}")
		t.rest = t.rest[end+1:]
		t.repeat = true
	case digits(from) && (!comma || to == "" || digits(to)):
		t.take(end + 1)
		t.repeat = true
	default:
		t.take(1)
	}
}

// escape reads a backslash and what it means.
func (t *translator) escape(class bool) error {
	if len(t.rest) < 2 {
		return errors.New("a backslash is at its end")
	}
	switch c := t.rest[1]; {
	case class:
		t.take(2)
	case c >= '1' && c <= '9':
		return fmt.Errorf(`a reference to an earlier group (\%c) cannot be done in linear time`, c)
	case (c|' ' >= 'a' && c|' ' <= 'z') && !strings.ContainsRune("AbBdDsSwWZafnrtvx", rune(c)):
		return fmt.Errorf(`\%c is not known here`, c)
	case c == 'Z':
		t.out.WriteString(`\z`)
		t.rest = t.rest[2:]
		t.repeat = false
	default:
		t.take(2)
	}
	return nil
}

// class reads […], in which nothing but a backslash and the closing bracket means anything.
func (t *translator) class() error {
	t.take(1)
	if strings.HasPrefix(t.rest, "^") {
		t.take(1)
	}
	for first := true; t.rest != "" && (first || t.rest[0] != ']'); first = false {
		switch {
		case t.rest[0] == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case t.rest[0] == '[': // Python has no [:names:]
			t.out.WriteByte('\\')
			t.take(1)
		case t.rest[0] == ']': // the first one is a character
			t.out.WriteByte('\\')
			t.take(1)
		default:
			t.take(1)
		}
	}
	if t.rest == "" {
		return errors.New("a [ has no ]")
	}
	t.take(1)
	return nil
}

// group reads ( and what follows it.
func (t *translator) group() error {
	for _, g := range [...]struct{ begins, what string }{
		{"(?=", "looking ahead"},
		{"(?!", "looking ahead"},
		{"(?<=", "looking behind"},
		{"(?<!", "looking behind"},
		{"(?P=", "a reference to an earlier group"},
		{"(?(", "a condition on an earlier group"},
		{"(?>", "an atomic group"},
	} {
		if strings.HasPrefix(t.rest, g.begins) {
			return fmt.Errorf("%s (%s…)) cannot be done in linear time", g.what, g.begins)
		}
	}
	if strings.HasPrefix(t.rest, "(?#") {
		end := strings.IndexByte(t.rest, ')')
		if end < 0 {
			return errors.New("a comment (?#…) has no )")
		}
		t.rest = t.rest[end+1:]
		return nil
	}
	if flags, ok := strings.CutPrefix(t.rest, "(?"); ok && !strings.HasPrefix(flags, "P<") && !strings.HasPrefix(flags, ":") {
		end := strings.IndexAny(flags, ":)")
		if end < 0 {
			return errors.New("a group (?…) has no )")
		}
		for _, f := range flags[:end] {
			if !strings.ContainsRune("imsu-", f) {
				return fmt.Errorf("the flag %c of (?%s) is not known here", f, flags[:end])
			}
		}
		kept := strings.ReplaceAll(flags[:end], "u", "") // text is Unicode anyway
		if kept == "" && flags[end] == ')' {
			t.rest = t.rest[2+end+1:]
			return nil
		}
		t.out.WriteString("(?" + kept)
		t.rest = flags[end:]
		t.take(1)
		return nil
	}
	t.take(1)
	if strings.HasPrefix(t.rest, "?") { // of (?P< and (?:
		t.take(1)
	}
	return nil
}

// shellPattern is how a program of useshell is known when nothing is said: as the shell that runs the text, or as the last
// command of the text when the shell has become that. Empty = as the shell alone. Source: spec/usrsvc US-41.
func shellPattern(text string) string {
	last := text
	if at := strings.LastIndex(text, "&&"); at >= 0 {
		last = text[at+2:]
	}
	split, err := shellwords.Split(last)
	if err == nil && len(split) > 1 && split[0] == "exec" {
		split = split[1:]
	}
	if err != nil || len(split) == 0 || strings.ContainsAny(last, "<>|;&$()`*?[]{}~#!\n") || strings.Contains(split[0], "=") {
		return ""
	}
	return "^(?:" + regexp.QuoteMeta("/bin/sh -c "+text) + "|" + regexp.QuoteMeta(strings.Join(split, " ")) + ")$"
}
