package supervisord

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// What holds for a check that does not say it. Source: spec/usrsvc 3.2, US-75, US-77.
const (
	defaultEvery    = 10 * time.Second
	defaultOften    = 5 * time.Second // of what costs little to look at
	defaultTimeout  = 3 * time.Second
	defaultFailures = 3 // of what goes over a network, or may be busy for a moment
	defaultAfter    = 30 * time.Second
	defaultAge      = 120 * time.Second
	defaultBeat     = 60 * time.Second
	defaultStatus   = "200-399"
	// stagedEvery is how often a start is looked at: people and dependents wait for it.
	stagedEvery = time.Second
)

// The bounds of what can be said about a check.
const (
	minEvery     = 100 * time.Millisecond
	maxTimeout   = 10 * time.Minute
	maxSpan      = 100 * 365 * 24 * time.Hour
	maxThreshold = 1_000_000
	maxPattern   = 4096 // bytes
)

// DefaultCheck is a check of a kind about which nothing else is said: what is missing in it (target, limit, pattern) has no
// default.
func DefaultCheck(kind model.CheckKind) model.Check {
	c := model.Check{Kind: kind, Every: defaultEvery, Timeout: defaultTimeout, Failures: 1, Passes: 1, After: defaultAfter}
	switch kind {
	case model.CheckActivity:
		c.Every, c.Age = defaultOften, defaultAge
	case model.CheckMemory, model.CheckCPU, model.CheckFiles:
		c.Every = defaultOften
	case model.CheckHTTP:
		c.Failures, c.Status = defaultFailures, defaultStatus
	case model.CheckTCP, model.CheckUnix, model.CheckCommand:
		c.Failures = defaultFailures
	case model.CheckHeartbeat:
		c.Age = defaultBeat
	case model.CheckNotify:
		c.Stage, c.Every, c.After = model.StageStartup, stagedEvery, 0
	}
	return c
}

// ParseCheck reads the value of check.NAME: KIND [TARGET] [key=value ...], in the quotes of a shell. What is not said has its
// default. What Check.String writes is read as the same check. An error says what is wrong with which word.
func ParseCheck(name, text string) (model.Check, error) {
	r, err := parseCheck(name, text)
	if err != nil {
		return model.Check{}, err
	}
	return r.check, nil
}

// parseCheck is ParseCheck, and knows what was said.
func parseCheck(name, text string) (*checkReader, error) {
	if !checkName(name) {
		return nil, fmt.Errorf("the name of a check has letters, digits, _ . and - in it, at most 64, not %s", pytext.Repr(name))
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, errors.New("a check is text")
	}
	list, err := shellwords.Split(text)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("what is to be checked? " + words.Either(checkKinds()))
	}
	kind, err := parseCheckKind(list[0])
	if err != nil {
		return nil, err
	}
	r := checkReader{check: DefaultCheck(kind), said: map[string]bool{}}
	r.check.Name = name
	if err := r.words(list[1:]); err != nil {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return &r, nil
}

// checkName reports whether a check can have a name.
func checkName(name string) bool {
	ok := name != "" && len(name) <= 64
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c))
	}
	return ok
}

// checkKinds are the words for all kinds.
func checkKinds() []string {
	list := make([]string, model.NumCheckKinds)
	for k := range list {
		list[k] = model.CheckKind(k).String()
	}
	return list
}

func parseCheckKind(word string) (model.CheckKind, error) {
	if k := slices.Index(checkKinds(), word); k >= 0 {
		return model.CheckKind(k), nil
	}
	return 0, &plainError{"there are no checks of the kind " + pytext.Repr(word) + ", but " + words.Either(checkKinds()), closest(word, checkKinds())}
}

// plainError is a mistake in words of its own, and the word that may have been meant; empty = none is known.
type plainError struct{ text, suggestion string }

// refuse is a mistake in words of its own.
func refuse(text string) error { return &plainError{text: text} }

func (e *plainError) Error() string {
	if e.suggestion == "" {
		return e.text
	}
	return e.text + ", did you mean " + pytext.Repr(e.suggestion) + "?"
}

// checkReader is the state while one check is read.
type checkReader struct {
	check model.Check
	said  map[string]bool
	plain []string // the words that are no options
	file  string   // of a log
}

// words reads all that stands behind the kind.
func (r *checkReader) words(list []string) error {
	for _, w := range list {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz") != "" {
			r.plain = append(r.plain, w)
			continue
		}
		known := r.options()
		if !slices.Contains(known, key) {
			return &plainError{
				r.check.Kind.String() + " has no " + key + "=, but " + words.Either(known) + "; a target that has = in it is written target='" + w + "'",
				closest(key, known),
			}
		}
		if r.said[key] {
			return errors.New(key + "= is there twice")
		}
		r.said[key] = true
		if err := r.option(key, value); err != nil {
			return err
		}
	}
	return r.target()
}

// options are the keys that a check of the kind can have.
func (r *checkReader) options() []string {
	list := []string{"stage", "every", "timeout", "failures", "passes", "after", "then"}
	switch r.check.Kind {
	case model.CheckActivity:
		return append(list, "target", "age", "missing", "deep")
	case model.CheckMemory:
		return append(list, "max", "of", "measure")
	case model.CheckCPU, model.CheckFiles:
		return append(list, "max", "of")
	case model.CheckHTTP:
		return append(list, "target", "status", "body")
	case model.CheckLog:
		return append(list, "target", "of", "file")
	case model.CheckHeartbeat:
		return append(list, "age")
	case model.CheckNotify:
		return list
	}
	return append(list, "target")
}

// option reads one key=value.
func (r *checkReader) option(key, value string) (err error) {
	c := &r.check
	switch key {
	case "target":
		r.plain = append(r.plain, value)
	case "stage":
		c.Stage, err = oneOf(value, model.StageLive, model.StageReady, model.StageStartup)
	case "then":
		c.Action, err = oneOf(value, model.CheckRestart, model.CheckAlert, model.CheckEvent)
	case "every":
		c.Every, err = span(value, minEvery, maxSpan)
	case "timeout":
		c.Timeout, err = span(value, time.Millisecond, maxTimeout)
	case "after":
		c.After, err = span(value, 0, maxSpan)
	case "age":
		c.Age, err = span(value, time.Millisecond, maxSpan)
	case "failures":
		c.Failures, err = threshold(value)
	case "passes":
		c.Passes, err = threshold(value)
	case "max":
		c.Limit, err = limit(c.Kind, value)
	case "of":
		err = r.of(value)
	case "file":
		r.file, err = value, absolute(value)
	case "measure":
		c.PSS, err = first(value, "pss", "rss")
	case "missing":
		c.MissingOK, err = first(value, "ok", "fail")
	case "deep":
		c.Deep, err = units.Bool(value)
	case "status":
		c.Status, err = statusCodes(value)
	case "body":
		c.Pattern, err = pattern(value)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return nil
}

// of reads whose figures or lines are meant.
func (r *checkReader) of(value string) (err error) {
	if r.check.Kind == model.CheckLog {
		r.check.Stderr, err = first(value, "stderr", "stdout")
		return err
	}
	r.check.Tree, err = first(value, "tree", "process")
	return err
}

// target reads what stands without a key.
func (r *checkReader) target() error {
	c := &r.check
	if slices.Contains(r.options(), "target") {
		what := map[model.CheckKind]string{
			model.CheckActivity: "which file or folder", model.CheckTCP: "where, HOST:PORT", model.CheckUnix: "which socket",
			model.CheckHTTP: "which address", model.CheckCommand: "which command", model.CheckLog: "which pattern",
		}[c.Kind]
		switch {
		case len(r.plain) == 0 || len(r.plain) == 1 && pytext.Strip(r.plain[0]) == "":
			return errors.New(c.Kind.String() + " " + what + "?")
		case len(r.plain) > 1 && c.Kind == model.CheckCommand:
			for i, w := range r.plain {
				r.plain[i] = words.Quote(w)
			}
			r.plain = []string{strings.Join(r.plain, " ")}
		}
	}
	if slices.Contains(r.options(), "target") == (len(r.plain) == 1) && len(r.plain) < 2 {
		return r.meant()
	}
	return fmt.Errorf("%s: %s does not belong here", c.Kind, pytext.Repr(r.plain[len(r.plain)-1]))
}

// meant judges the target.
func (r *checkReader) meant() (err error) {
	c := &r.check
	if len(r.plain) == 0 {
		return nil
	}
	c.Target = r.plain[0]
	switch c.Kind {
	case model.CheckActivity, model.CheckUnix:
		err = absolute(c.Target)
	case model.CheckTCP:
		c.Target, err = tcpTarget(c.Target)
	case model.CheckHTTP:
		err = httpTarget(c.Target)
	case model.CheckCommand:
		var argv []string
		if argv, err = shellwords.Split(c.Target); err == nil && (len(argv) == 0 || argv[0] == "") {
			err = errors.New("there is no command in it")
		}
	case model.CheckLog:
		c.Pattern, err = pattern(c.Target)
		c.Target = r.file
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Kind, err)
	}
	return nil
}

func absolute(path string) error {
	if !isAbs(path) {
		return errors.New(path + " is not an absolute path")
	}
	return nil
}

// finish fills in what depends on the stage, and judges the whole.
func (r *checkReader) finish() error {
	c := &r.check
	if slices.Contains(r.options(), "max") && c.Limit == 0 {
		return errors.New(c.Kind.String() + " needs max=")
	}
	switch {
	case r.said["file"] && r.said["of"]:
		return errors.New("log: of= is about what the program writes, file= about a file of yours; one of them")
	case c.Kind == model.CheckNotify && c.Stage == model.StageLive:
		return errors.New("notify: READY=1 comes once; it decides a start (stage=startup) or readiness (stage=ready)")
	case c.Kind == model.CheckHeartbeat && c.Stage != model.StageLive:
		return errors.New("heartbeat: what beats is running already; it has no other stage than live")
	}
	if c.Stage == model.StageLive {
		return nil
	}
	for _, key := range []string{"after", "then"} {
		if r.said[key] {
			return errors.New(key + "= belongs to checks of the stage live")
		}
	}
	c.After = 0
	if !r.said["every"] {
		c.Every = stagedEvery
	}
	return nil
}

// oneOf reads one of the words that values have.
func oneOf[T fmt.Stringer](word string, values ...T) (T, error) {
	var known []string
	for _, v := range values {
		if v.String() == word {
			return v, nil
		}
		known = append(known, v.String())
	}
	var none T
	return none, &plainError{"it can be " + words.Either(known), closest(word, known)}
}

// first reads one of two words and reports whether it is the first.
func first(word, yes, no string) (bool, error) {
	if word != yes && word != no {
		return false, &plainError{"it can be " + yes + " or " + no, closest(word, []string{yes, no})}
	}
	return word == yes, nil
}

// span reads a length of time within bounds.
func span(text string, least, most time.Duration) (time.Duration, error) {
	d, err := units.Duration(text)
	if err == nil && (d < least || d > most) {
		err = fmt.Errorf("it can be %v to %s", least, words.Limit(most))
	}
	return d, err
}

func threshold(text string) (int, error) {
	n, err := units.Int(text)
	if err == nil && (n < 1 || n > maxThreshold) {
		err = fmt.Errorf("it can be 1 to %d", maxThreshold)
	}
	return int(n), err
}

// limit reads max= of a kind.
func limit(kind model.CheckKind, text string) (n int64, err error) {
	is := "number"
	switch kind {
	case model.CheckMemory:
		n, err = units.ByteSize(text)
		is = "size: bytes, or a number with KB, MB or GB"
	case model.CheckCPU:
		n, err = units.Int(strings.TrimSuffix(text, "%"))
	default:
		n, err = units.Int(text)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("%s is not a %s", text, is)
	case n < 1:
		err = errors.New("it must be more than 0")
	}
	return n, err
}

// pattern judges a regular expression.
func pattern(text string) (string, error) {
	if len(text) > maxPattern {
		return "", fmt.Errorf("the pattern is longer than %d bytes", maxPattern)
	}
	if text == "" {
		return "", errors.New("an empty pattern is everywhere")
	}
	_, err := regexp.Compile(text)
	return text, err
}

// statusCodes reads accepted codes of HTTP: "200-399", "200,204".
func statusCodes(text string) (string, error) {
	code := func(s string) int {
		if len(s) != 3 || strings.Trim(s, "0123456789") != "" {
			return -1
		}
		n, _ := strconv.Atoi(s) // three digits
		return n
	}
	for item := range strings.SplitSeq(text, ",") {
		from, to, between := strings.Cut(item, "-")
		if !between {
			to = from
		}
		if a, b := code(from), code(to); a < 100 || b > 599 || a > b {
			return "", errors.New("it can be codes and ranges of them from 100 to 599, as in 200-299,304")
		}
	}
	return text, nil
}

// tcpTarget reads HOST:PORT; without a host it is this machine.
func tcpTarget(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || strings.ContainsRune("/@[]%", c) }) {
		return "", errors.New(text + " is not HOST:PORT")
	}
	n, err := units.Port(port)
	if err != nil || strconv.Itoa(n) != port {
		return "", errors.New(port + " is not a port")
	}
	if host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}

// httpTarget judges an address.
func httpTarget(text string) error {
	if _, _, ok := units.UnixURL(text); ok {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New(text + " does not begin with http://, https:// or http+unix:///")
	case u.Hostname() == "":
		return errors.New(text + " names no host")
	case u.User != nil:
		return errors.New("names and passwords have no place in an address: others see them")
	}
	if port := u.Port(); port != "" {
		if _, err := units.Port(port); err != nil {
			return errors.New(port + " is not a port")
		}
	}
	return nil
}
