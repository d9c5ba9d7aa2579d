package supervisord

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// scope is the names that a value may refer to, beside the environment: texts and ints.
type scope map[string]any

// reader is the state of one reading.
type reader struct {
	env      *Environ
	loc      Location
	here     string
	doc      *ini.Document
	vars     map[string]string // ENV_X
	files    []string
	messages []Message
	said     map[string]bool // warnings so far
	table    keys.Table
	// collect makes a reading go on after a mistake: all of them become problems, at most one for each option.
	collect  bool
	problems []*Error
	watch    *watch // nil: no program's values are wanted
	// broken are included files that are left out, and why; missing are the names of what stands in them, and in other files
	// that cannot be used. later: what programs say about each other is judged when all of them are known.
	broken  map[string]*Error
	missing map[string]bool
	later   bool
	// named are the sections of defaults that something names; nil = nobody wants to know.
	named map[string]bool
}

func newReader(env *Environ, loc Location) *reader {
	r := &reader{
		env: env, loc: loc, here: dirName(loc.Path), doc: ini.New(),
		vars: map[string]string{}, said: map[string]bool{}, table: keys.Sections(),
		missing: map[string]bool{}, named: map[string]bool{},
	}
	r.doc.FoldKeys(keys.Fold)
	for name, value := range env.Vars {
		r.vars["ENV_"+name] = value
	}
	return r
}

// parseMain reads the main file.
func (r *reader) parseMain() error {
	if !exists(r.loc.Path) {
		return &Error{Text: "could not find config file " + r.loc.Given, File: r.loc.Given}
	}
	read := r.env.read
	if r.later { // others may be a way to hand it over: /dev/stdin
		read = r.env.readRegular
	}
	text, err := read(r.loc.Path)
	if errors.As(err, new(*UnsettledError)) {
		return &Error{Text: err.Error(), File: r.loc.Given}
	}
	if err != nil {
		e := &Error{Text: "could not read config file " + r.loc.Given, File: r.loc.Given}
		if r.later { // the original gives no reason
			e.Text += ": " + reason(err)
		}
		return e
	}
	r.files = append(r.files, r.loc.Given)
	return r.parse(r.loc.Given, text)
}

// parse adds a file's text to the document.
func (r *reader) parse(name string, text []byte) error {
	err := r.doc.Parse(name, string(text))
	var header *ini.HeaderError
	var syntax *ini.SyntaxError
	switch {
	case errors.As(err, &header):
		return &Error{Text: err.Error(), File: name, Line: header.Line}
	case errors.As(err, &syntax):
		return &Error{Text: err.Error(), File: name, Line: syntax.Lines[0].Line}
	}
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// say records a message.
func (r *reader) say(level units.Level, text string) {
	r.messages = append(r.messages, Message{Level: level, Text: text})
}

// warn records a warning once, however many processes of a section give cause for it.
func (r *reader) warn(text string) {
	if !r.said[text] {
		r.said[text] = true
		r.say(units.LevelWarn, text)
	}
}

// sorted are the messages in the order in which they are logged.
func (r *reader) sorted() []Message {
	slices.SortStableFunc(r.messages, func(a, b Message) int { return cmp.Compare(b.Level, a.Level) })
	return r.messages
}

// place is how messages name a line of a file.
func place(file string, line int) string {
	return "file: " + pytext.Repr(file) + ", line " + strconv.Itoa(line)
}

func origin(s *ini.Section) model.Origin {
	return model.Origin{File: s.File, Line: s.Line, Dialect: Dialect}
}

// expand fills in a %-template. Errors: *templateError. Source: spec/supervisor 1.4.
func (r *reader) expand(text, label string, sc scope) (string, error) {
	if !strings.Contains(text, "%") {
		return text, nil
	}
	out, err := pytext.Format(text, func(name string) (any, bool) {
		if v, ok := sc[name]; ok {
			return v, true
		}
		v, ok := r.vars[name]
		return v, ok
	})
	if err == nil {
		return out, nil
	}
	e := &templateError{text: text, label: label, err: err}
	if errors.As(err, &e.unknown) {
		e.names = slices.Collect(maps.Keys(r.vars))
		for name := range sc {
			if _, ok := r.vars[name]; !ok {
				e.names = append(e.names, name)
			}
		}
		slices.Sort(e.names)
	}
	return "", e
}

// templateError is a %-template that cannot be filled in.
type templateError struct {
	text, label string
	err         error
	unknown     *pytext.KeyError // nil: it is malformed
	names       []string         // that there are
}

func (e *templateError) Error() string {
	begin := "Format string " + pytext.Repr(e.text) + " for " + pytext.Repr(e.label)
	if e.unknown == nil {
		return begin + " is badly formatted: " + e.err.Error()
	}
	return begin + " contains names (" + e.unknown.Error() + ") which cannot be expanded. Available names: " + strings.Join(e.names, ", ")
}

// valueError is a value that its parser refuses; the text is the parser's.
type valueError struct {
	error
	value string
}

func (e *valueError) Unwrap() error { return e.error }

// options reads the options of one section one after the other. The first error sticks; everything
// after it gives zero values, so that a caller looks at err once, at the end.
type options struct {
	r    *reader
	sect *ini.Section
	sc   scope
	err  error
	key  string // of the option that failed
}

func (r *reader) options(s *ini.Section, sc scope) *options {
	return &options{r: r, sect: s, sc: sc}
}

// fail records the first error; a reading that collects keeps it as a problem and goes on.
func (o *options) fail(key string, err error) {
	switch {
	case err == nil || o.err != nil:
	case o.r.collect:
		e := o.refusal(key, err)
		e.Text, e.Suggestion = o.r.plain(o.sect, key, err)
		o.r.problem(e)
	default:
		o.err, o.key = err, key
	}
}

// failure is the sticky error with its place; nil when there is none.
func (o *options) failure() error {
	if o.err == nil {
		return nil
	}
	return o.refusal(o.key, o.err)
}

// refusal is an error with the place of the option, or of the section when the option is not there.
func (o *options) refusal(key string, err error) *Error {
	at, _ := o.sect.Get(key)
	e := &Error{Text: err.Error(), File: at.File, Line: at.Line, Section: o.sect.Name, Key: key}
	if e.Line == 0 {
		e.File, e.Line = o.sect.File, o.sect.Line
	}
	return e
}

// raw is an option as written.
func (o *options) raw(key, def string) (string, bool) {
	v, ok := o.sect.Get(key)
	if !ok {
		return def, false
	}
	return v.Text, true
}

// text is an option expanded; false when it is not in the section.
func (o *options) text(key string) (string, bool) {
	v, ok := o.sect.Get(key)
	if !ok || o.err != nil {
		return "", false
	}
	out, err := o.r.expand(v.Text, o.sect.Name+"."+key, o.sc)
	if err != nil {
		var template *templateError
		if errors.As(err, &template) && strings.HasPrefix(o.sect.Name, notifyPrefix) { // the addresses of webhooks are secrets
			template.text = "..."
		}
		o.fail(key, err)
		return "", false
	}
	return out, true
}

// word is an option expanded, or the default.
func (o *options) word(key, def string) string {
	if v, ok := o.text(key); ok {
		return v
	}
	return def
}

// value reads an option with one of the parsers, or gives the default.
func value[T any](o *options, key string, def T, parse func(string) (T, error)) T {
	text, ok := o.text(key)
	if !ok {
		return def
	}
	v, err := parse(text)
	if err != nil {
		if !errors.As(err, new(*plainError)) {
			err = &valueError{err, text}
		}
		o.fail(key, err)
		return def
	}
	return v
}

func (o *options) integer(key string, def int64) int64 { return value(o, key, def, units.Int) }
func (o *options) number(key string, def int) int      { return clampInt(o.integer(key, int64(def))) }
func (o *options) boolean(key string, def bool) bool   { return value(o, key, def, units.Bool) }
func (o *options) size(key string, def int64) int64    { return value(o, key, def, units.ByteSize) }

// mode is an octal option; -1 when it is missing and has no default.
func (o *options) mode(key string, def int) int {
	n := value(o, key, int64(def), units.Octal)
	if n == int64(def) {
		return def
	}
	return int(n & 0o777)
}

// environment reads a key/value list; what it silently ignores is reported.
func (o *options) environment(text string) map[string]string {
	pairs, stray, err := shellwords.Pairs(text)
	if err != nil {
		o.fail("environment", err)
		return nil
	}
	env := make(map[string]string, len(pairs))
	for _, p := range pairs {
		env[p.Name] = p.Value
	}
	at, _ := o.sect.Get("environment")
	for _, s := range stray {
		what := "has " + pytext.Repr(s.Text) + " where a comma belongs"
		if s.Comment {
			what = "has a comment, " + pytext.Repr(s.Text)
		}
		o.r.warn("For [" + o.sect.Name + "], environment " + what + " (" + place(at.File, at.Line) +
			"); it has been ignored, put values with special characters in quotes")
	}
	return env
}

// envList is a set of variables sorted by name; later maps win.
func envList(sets ...map[string]string) []model.EnvVar {
	all := map[string]string{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	if len(all) == 0 {
		return nil
	}
	list := make([]model.EnvVar, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, model.EnvVar{Name: name, Value: all[name]})
	}
	return list
}
