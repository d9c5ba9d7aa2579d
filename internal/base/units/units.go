// Package units has one strict parser for each kind of value that a configuration or command line
// holds. The error texts are complete and are those the supervisord dialect has always shown.
// Source: spec/supervisor 1.6.
package units

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// Int reads a decimal integer: optional sign, digits with single underscores between them, blanks around.
// Numbers beyond 64 bits, which the dialect allows, come back as the nearest int64.
func Int(s string) (int64, error) {
	n, ok := integer(s, 10)
	if !ok {
		return 0, errors.New("invalid literal for int() with base 10: " + pytext.Repr(s))
	}
	return n, nil
}

// Octal reads an octal integer, with or without 0o, sign accepted.
func Octal(s string) (int64, error) {
	n, ok := integer(s, 8)
	if !ok {
		return 0, errors.New(s + " can not be converted to an octal type")
	}
	return n, nil
}

// integer reads base 8 or 10 and saturates at the bounds of int64.
func integer(s string, base int64) (int64, bool) {
	s = pytext.Strip(s)
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if base == 8 && len(s) > 2 && s[0] == '0' && (s[1] == 'o' || s[1] == 'O') {
		s = strings.TrimPrefix(s[2:], "_") // one underscore may follow the prefix
	}
	n := int64(0) // kept negative: the range reaches one further there
	underscore := true
	for _, r := range s {
		if r == '_' {
			if underscore {
				return 0, false
			}
			underscore = true
			continue
		}
		d := digit(r)
		if d < 0 || d >= base {
			return 0, false
		}
		underscore = false
		if n < (math.MinInt64+d)/base {
			n = math.MinInt64
			continue
		}
		n = n*base - d
	}
	switch {
	case underscore: // nothing, or one at the end
		return 0, false
	case negative:
		return n, true
	case n == math.MinInt64:
		return math.MaxInt64, true
	}
	return -n, true
}

// digit is the value of a decimal digit of any script, else -1.
func digit(r rune) int64 {
	if r >= '0' && r <= '9' {
		return int64(r - '0')
	}
	if r < 0x80 || !unicode.Is(unicode.Nd, r) {
		return -1
	}
	// Decimal digits stand in runs of ten that begin with zero.
	for _, rg := range unicode.Nd.R16 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return int64(r-rune(rg.Lo)) % 10
		}
	}
	for _, rg := range unicode.Nd.R32 {
		if r >= rune(rg.Lo) && r <= rune(rg.Hi) {
			return int64(r-rune(rg.Lo)) % 10
		}
	}
	return -1
}

// Bool reads yes, true, on, 1 and no, false, off, 0 in any case; nothing else.
func Bool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1":
		return true, nil
	case "no", "false", "off", "0":
		return false, nil
	}
	return false, errors.New("not a valid boolean value: " + pytext.Repr(s))
}

// ByteSize reads an integer with an optional KB, MB or GB in any case, a blank allowed before it; the
// units are powers of 1024. The result is in bytes, may be negative, and saturates.
func ByteSize(s string) (int64, error) {
	s = strings.ToLower(s)
	factor := int64(1)
	for i, unit := range [...]string{"kb", "mb", "gb"} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			s, factor = number, 1<<(10*(i+1))
			break
		}
	}
	n, err := Int(s)
	switch {
	case err != nil:
		return 0, err
	case n > math.MaxInt64/factor:
		return math.MaxInt64, nil
	case n < math.MinInt64/factor:
		return math.MinInt64, nil
	}
	return n * factor, nil
}

// ExitCodes reads a comma list of integers 0 to 255; the empty text is the empty list.
func ExitCodes(s string) ([]int, error) {
	if s == "" {
		return nil, nil
	}
	var codes []int
	for item := range strings.SplitSeq(s, ",") {
		n, err := Int(item)
		if err != nil || n < 0 || n > 255 {
			return nil, errors.New("not a valid list of exit codes: " + pytext.Repr(s))
		}
		codes = append(codes, int(n))
	}
	return codes, nil
}

// List splits at commas and trims the items. The empty text is the empty list; a trailing comma makes an
// empty item.
func List(s string) []string {
	if s == "" {
		return nil
	}
	items := strings.Split(s, ",")
	for i, item := range items {
		items[i] = pytext.Strip(item)
	}
	return items
}

// Name checks and trims the name of a program, process or group: no space, colon or slash inside.
func Name(s string) (string, error) {
	name := pytext.Strip(s)
	for _, c := range [...]string{" ", ":", "/"} {
		if strings.Contains(name, c) {
			//lint:ignore ST1005 the dialect's words
			return "", fmt.Errorf("Invalid name: %s because of character: %s", pytext.Repr(s), pytext.Repr(c))
		}
	}
	return name, nil
}

// Port reads a TCP port, 1 to 65535.
func Port(s string) (int, error) {
	n, err := Int(s)
	switch {
	case err != nil:
		return 0, err
	case n < 1:
		return 0, errors.New(strconv.FormatInt(n, 10) + " is below lower bound (1)")
	case n > 65535:
		return 0, errors.New(strconv.FormatInt(n, 10) + " is above upper bound (65535)")
	}
	return int(n), nil
}

// InetAddress reads port, :port, *:port, host:port or [address]:port. The host is lower-cased, without
// brackets, and empty for every address of the machine.
func InetAddress(s string) (host string, port int, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		if port, err = Port(s); err != nil {
			return "", 0, errors.New("not a valid port number: " + pytext.Repr(s) + " ")
		}
		return "", port, nil
	}
	if s[i+1:] == "" {
		return "", 0, errors.New("no port number specified in ''")
	}
	if port, err = Port(s[i+1:]); err != nil {
		return "", 0, err
	}
	host = strings.ToLower(s[:i])
	if host == "*" {
		host = ""
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return host, port, nil
}

// URL checks that a text has a scheme and a host or path, as http://host:1 and unix:///path do.
func URL(s string) error {
	bad := errors.New("value " + pytext.Repr(s) + " is not a URL")
	rest := pytext.Strip(s)
	i := strings.IndexByte(rest, ':')
	if i <= 0 {
		return bad
	}
	for j, c := range []byte(rest[:i]) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (j == 0 || !strings.ContainsRune("+-.0123456789", rune(c))) {
			return bad
		}
	}
	rest = strings.TrimPrefix(rest[i+1:], "//")
	if rest == "" || rest[0] == '?' || rest[0] == '#' {
		return bad
	}
	return nil
}

// Duration reads a length of time: seconds, fractions allowed, or numbers with ms, s, m, h and d, the greatest first:
// 90, 1.5, 500ms, 1h30m, 2d. It is never negative. What time.Duration prints is read as the same.
func Duration(s string) (time.Duration, error) {
	text := pytext.Strip(s)
	if text != "" && strings.Trim(text, "0123456789.") == "" {
		text += "s"
	}
	var days time.Duration
	if number, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, notDuration(s)
		}
		if days, text = time.Duration(n)*24*time.Hour, rest; text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.ContainsAny(text, "+-") || d > math.MaxInt64-days {
		return 0, notDuration(s)
	}
	return days + d, nil
}

func notDuration(s string) error { return errors.New("not a length of time: " + pytext.Repr(s)) }
