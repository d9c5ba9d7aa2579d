package pytext

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// KeyError reports a name in a template for which there is no value.
type KeyError struct{ Key string }

// Error is the quoted name.
func (e *KeyError) Error() string { return Repr(e.Key) }

// maxField bounds width and precision, so that a few characters of text cannot ask for gigabytes.
const maxField = 1 << 16

// Format fills a %-template whose arguments are looked up by name: %(name)s, %(name)03d, %% and so on,
// with all conversions, flags, width and precision. A value is a string or an int. Errors: *KeyError for an
// unknown name, else the reason why the template is malformed. Where the original would insert a dump of
// all values (a %s without a name) this is malformed. Source: spec/supervisor 1.4, 10.2 F25.
func Format(template string, lookup func(name string) (value any, ok bool)) (string, error) {
	f := formatter{template: template, lookup: lookup}
	for {
		i := strings.IndexByte(f.template[f.pos:], '%')
		if i < 0 {
			f.out.WriteString(f.template[f.pos:])
			return f.out.String(), nil
		}
		f.out.WriteString(f.template[f.pos : f.pos+i])
		f.pos += i + 1
		if err := f.field(); err != nil {
			return "", err
		}
	}
}

type formatter struct {
	template string
	pos      int
	out      strings.Builder
	lookup   func(string) (any, bool)
}

var (
	errIncomplete = errors.New("incomplete format")
	errStar       = errors.New("* wants int")
)

// spec is one conversion.
type spec struct {
	named                        bool
	value                        any
	left, plus, blank, alt, zero bool
	width, precision             int // precision -1: none
	verb                         rune
}

// next takes one character.
func (f *formatter) next() (rune, error) {
	if f.pos >= len(f.template) {
		return 0, errIncomplete
	}
	r, n := utf8.DecodeRuneInString(f.template[f.pos:])
	f.pos += n
	return r, nil
}

// field reads and writes one conversion; the position is behind its percent sign.
func (f *formatter) field() error {
	s := spec{precision: -1}
	r, err := f.next()
	if err != nil {
		return err
	}
	if r == '%' {
		f.out.WriteByte('%')
		return nil
	}
	if r == '(' {
		if r, err = f.key(&s); err != nil {
			return err
		}
	}
	for strings.ContainsRune("-+ #0", r) {
		switch r {
		case '-':
			s.left = true
		case '+':
			s.plus = true
		case ' ':
			s.blank = true
		case '#':
			s.alt = true
		case '0':
			s.zero = true
		}
		if r, err = f.next(); err != nil {
			return err
		}
	}
	if s.width, r, err = f.number(&s, r, "width too big"); err != nil {
		return err
	}
	if r == '.' {
		if r, err = f.next(); err != nil {
			return err
		}
		if s.precision, r, err = f.number(&s, r, "precision too big"); err != nil {
			return err
		}
	}
	if r == 'h' || r == 'l' || r == 'L' {
		if r, err = f.next(); err != nil {
			return err
		}
	}
	s.verb = r
	return f.convert(&s)
}

// key reads (name) and looks the value up; parentheses nest. It returns the character that follows.
func (f *formatter) key(s *spec) (rune, error) {
	start, depth := f.pos, 1
	for ; depth > 0; f.pos++ {
		if f.pos >= len(f.template) {
			return 0, errors.New("incomplete format key")
		}
		switch f.template[f.pos] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	name := f.template[start : f.pos-1]
	value, ok := f.lookup(name)
	if !ok {
		return 0, &KeyError{Key: name}
	}
	s.named, s.value = true, value
	return f.next()
}

// number reads a width or precision. Those taken from an argument (*) cannot work with named arguments.
func (f *formatter) number(s *spec, r rune, tooBig string) (int, rune, error) {
	if r == '*' {
		if _, ok := s.value.(int); ok {
			return 0, 0, errors.New("not enough arguments for format string")
		}
		return 0, 0, errStar
	}
	n := 0
	for r >= '0' && r <= '9' {
		if n = n*10 + int(r-'0'); n > maxField {
			return 0, 0, errors.New(tooBig)
		}
		var err error
		if r, err = f.next(); err != nil {
			return 0, 0, err
		}
	}
	return n, r, nil
}

// convert writes one value.
func (f *formatter) convert(s *spec) error {
	kind := "dict"
	n, isInt := s.value.(int)
	text, isText := s.value.(string)
	switch {
	case isInt:
		kind, text = "int", strconv.Itoa(n)
	case isText:
		kind = "str"
	}
	switch s.verb {
	case 's', 'r', 'a':
		if !s.named {
			return fmt.Errorf("%%%c format: a name in parentheses is required", s.verb)
		}
		if isText && s.verb == 'r' {
			text = Repr(text)
		}
		if isText && s.verb == 'a' {
			text = ASCII(text)
		}
		f.pad(s, "", cut(text, s.precision), false)
	case 'c':
		switch {
		case isInt && (n < 0 || n > utf8.MaxRune):
			return errors.New("%c arg not in range(0x110000)")
		case isInt:
			text = string(rune(n))
		case !isText || utf8.RuneCountInString(text) != 1:
			return errors.New("%c requires int or char")
		}
		f.pad(s, "", text, false)
	case 'd', 'i', 'u':
		if !isInt {
			return fmt.Errorf("%%%c format: a real number is required, not %s", s.verb, kind)
		}
		f.integer(s, n)
	case 'x', 'X', 'o':
		if !isInt {
			return fmt.Errorf("%%%c format: an integer is required, not %s", s.verb, kind)
		}
		f.integer(s, n)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if !isInt {
			return errors.New("must be real number, not " + kind)
		}
		f.float(s, n)
	default:
		return f.unsupported(s.verb)
	}
	return nil
}

func (f *formatter) unsupported(verb rune) error {
	shown := verb
	if verb < ' '-1 || verb > '~' {
		shown = '?'
	}
	index := utf8.RuneCountInString(f.template[:f.pos]) - 1
	return fmt.Errorf("unsupported format character '%c' (0x%x) at index %d", shown, verb, index)
}

// cut keeps the first n characters; all for a negative n.
func cut(s string, n int) string {
	if n < 0 {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func (f *formatter) integer(s *spec, n int) {
	base, prefix := 10, ""
	switch s.verb {
	case 'x', 'X':
		base, prefix = 16, "0"+string(s.verb)
	case 'o':
		base, prefix = 8, "0o"
	}
	magnitude := uint64(n)
	if n < 0 {
		magnitude = -magnitude
	}
	digits := strconv.FormatUint(magnitude, base)
	if s.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if missing := s.precision - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if !s.alt || base == 10 {
		prefix = ""
	}
	f.pad(s, s.sign(n < 0)+prefix, digits, s.zero)
}

func (f *formatter) float(s *spec, n int) {
	verb := string(s.verb)
	if verb == "F" {
		verb = "f"
	}
	if s.alt {
		verb = "#." + strconv.Itoa(s.floatPrecision()) + verb
	} else {
		verb = "." + strconv.Itoa(s.floatPrecision()) + verb
	}
	f.pad(s, s.sign(n < 0), fmt.Sprintf("%"+verb, math.Abs(float64(n))), s.zero)
}

// floatPrecision is the number of digits of a floating conversion.
func (s *spec) floatPrecision() int {
	if s.precision < 0 {
		return 6
	}
	return s.precision
}

func (s *spec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case s.plus:
		return "+"
	case s.blank:
		return " "
	}
	return ""
}

// pad writes prefix and body, filled to the width: blanks outside, or zeros between the two.
func (f *formatter) pad(s *spec, prefix, body string, zero bool) {
	missing := max(0, s.width-utf8.RuneCountInString(prefix)-utf8.RuneCountInString(body))
	switch {
	case s.left:
		f.out.WriteString(prefix + body + strings.Repeat(" ", missing))
	case zero:
		f.out.WriteString(prefix + strings.Repeat("0", missing) + body)
	default:
		f.out.WriteString(strings.Repeat(" ", missing) + prefix + body)
	}
}
