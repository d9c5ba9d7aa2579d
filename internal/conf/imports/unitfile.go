package imports

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// directive is one Name=value of a unit file.
type directive struct {
	section, name, value string
	line                 int // from 1
}

// badLine is a line that means nothing.
type badLine struct {
	line int
	text string
}

// parseUnit reads the syntax of unit files: sections, Name=value, # and ; comments, lines that go on after a
// backslash.
func parseUnit(text string) (list []directive, bad []badLine) {
	section, number := "", 0
	var open strings.Builder // a value that goes on
	start := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		if trimmed != "" && (trimmed[0] == '#' || trimmed[0] == ';') {
			continue // also between the lines of a value
		}
		if open.Len() == 0 {
			start = number
		}
		if rest, more := strings.CutSuffix(strings.TrimRight(line, " \t"), `\`); more {
			open.WriteString(rest + " ")
			continue
		}
		trimmed = strings.TrimSpace(open.String() + line)
		open.Reset()
		switch name, value, ok := strings.Cut(trimmed, "="); {
		case trimmed == "":
		case trimmed[0] == '[' && strings.HasSuffix(trimmed, "]"):
			section = trimmed[1 : len(trimmed)-1]
		case !ok:
			bad = append(bad, badLine{start, "neither a section nor Name=value"})
		default:
			list = append(list, directive{section, strings.TrimSpace(name), strings.TrimSpace(value), start})
		}
	}
	if open.Len() > 0 {
		bad = append(bad, badLine{start, "the last line goes on"})
	}
	return list, bad
}

// unitWords splits a value into words: quotes of both kinds around whole words or parts, and C escapes.
func unitWords(text string) ([]string, error) {
	var words []string
	var b strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if in {
				words = append(words, b.String())
				b.Reset()
			}
			in = false
		case c == '\\':
			n, err := unescape(&b, text[i+1:])
			if err != nil {
				return nil, err
			}
			i, in = i+n, true
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote does not end")
	}
	if in {
		words = append(words, b.String())
	}
	return words, nil
}

// unescape writes what follows a backslash and says how long it was.
func unescape(b *strings.Builder, s string) (int, error) {
	if s == "" {
		return 0, errors.New("nothing after a backslash")
	}
	if i := strings.IndexByte(`abfnrtvs\"'`, s[0]); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v \\\"'"[i])
		return 1, nil
	}
	lengths := map[byte][3]int{'x': {1, 2, 16}, 'u': {1, 4, 16}, 'U': {1, 8, 16}}
	shape, ok := lengths[s[0]]
	if s[0] >= '0' && s[0] <= '7' {
		shape, ok = [3]int{0, 3, 8}, true
	}
	end := shape[0] + shape[1]
	if !ok || len(s) < end {
		return 0, fmt.Errorf("\\%c is not an escape", s[0])
	}
	n, err := strconv.ParseUint(s[shape[0]:end], shape[2], 32)
	switch {
	case err != nil || n == 0:
		return 0, fmt.Errorf("\\%s is not an escape", s[:end])
	case s[0] == 'u' || s[0] == 'U':
		if n > utf8.MaxRune {
			return 0, fmt.Errorf("\\%s is not an escape", s[:end])
		}
		b.WriteRune(rune(n))
	case n > 255:
		return 0, fmt.Errorf("\\%s is not an escape", s[:end])
	default:
		b.WriteByte(byte(n))
	}
	return end, nil
}

// unitTime reads a time span: a number of seconds, or numbers with units one after the other. infinity is false.
func unitTime(text string) (seconds float64, ok bool) {
	units := map[string]float64{
		"": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "usec": 1e-6,
		"m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
		"d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
	}
	rest := strings.TrimSpace(text)
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i < 0 {
			i = len(rest)
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		if err != nil {
			return 0, false
		}
		rest = strings.TrimLeft(rest[i:], " ")
		j := strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
		if j < 0 {
			j = len(rest)
		}
		factor, known := units[rest[:j]]
		if !known {
			return 0, false
		}
		seconds += n * factor
		rest = strings.TrimLeft(rest[j:], " ")
	}
	return seconds, strings.TrimSpace(text) != ""
}
