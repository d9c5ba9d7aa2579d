package usrsvc

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/configobj"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

const (
	maxSeconds  = 1_000_000_000 // bounds spans of time: thirty years
	maxExpanded = 16 << 20      // of all %(name)s together
)

// value is a value whose %(name)s have been replaced.
type value struct {
	configobj.Value
	key  string
	text string
	// unnamed: it has the name of a program in it, and there is none: what it comes to is not known.
	unnamed bool
}

// find finds the layer that says a key; nil when none does.
func (b *builder) find(key string) (*configobj.Value, *configobj.Section) {
	for _, y := range b.layers {
		if v, ok := y.section.Get(key); ok {
			return &v, y.section
		}
	}
	return nil, nil
}

// text is a value as it is to be read; nil when nobody says it, or when it cannot be expanded, which is a mistake.
func (b *builder) text(key string) *value {
	v, s := b.find(key)
	if v == nil {
		return nil
	}
	return b.expand(s, key, *v)
}

// expand replaces %(name)s where the value stands, and warns of what the original would have made of it.
func (b *builder) expand(s *configobj.Section, key string, v configobj.Value) *value {
	b.unnamed = false
	text, err := s.Expand(v.Text, b.extra, func(e configobj.Entry) { b.l.used[place{e.File, e.Line}] = true })
	if b.l.expanded += len(text) - min(len(text), len(v.Text)); err == nil && b.l.expanded > maxExpanded {
		err = fmt.Errorf("%%(name)s make more than %d bytes of the configuration", maxExpanded)
	}
	if err != nil {
		b.fail(v.File, v.Line, key, err.Error())
		return nil
	}
	env := s.Name == envSection
	if v.List && key != "email_alerts" {
		b.warn(v.File, v.Line, key, "it has a comma, of which the original makes a list; it is taken as it stands. Quotes around all of it say so")
	}
	if v.Comment != "" && !v.Quoted && (v.Glued || env && v.Raw == "" || key == "command" || key == "proctitle_re") {
		b.warn(v.File, v.Line, key, "what follows # is a comment and no part of it: "+pytext.Repr(cut(v.Comment))+". Quotes around all of it keep it")
	}
	return &value{Value: v, key: key, text: text, unnamed: b.unnamed}
}

// cut bounds what a message shows of a value.
func cut(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// extra are the names that %(name)s knows beside keys: ENV_NAME, a variable of who asks, and program_name.
func (b *builder) extra(name string) (string, bool) {
	if name == "program_name" && b.own != nil {
		return b.own.name, true
	}
	if name == "program_name" && b.layers != nil { // settings alone are checked
		b.unnamed = true
		return "NAME", true
	}
	if variable, ok := strings.CutPrefix(name, "ENV_"); ok {
		text, ok := b.l.o.Vars[variable]
		return text, ok
	}
	return "", false
}

// wrong says that a value has not the form that it must have. What is not known is not judged.
func (b *builder) wrong(v *value, form string) {
	if v.unnamed {
		return
	}
	b.fail(v.File, v.Line, v.key, pytext.Repr(cut(v.text))+" is not "+form)
}

// absolute reads a path; empty after a mistake.
func (b *builder) absolute(v *value) string {
	if !filepath.IsAbs(v.text) || strings.ContainsAny(v.text, "\n\x00") {
		b.wrong(v, "an absolute path")
		return ""
	}
	return filepath.Clean(v.text)
}

// boolean reads true, false or a number.
func (b *builder) boolean(key string, byDefault bool) bool {
	v := b.text(key)
	if v == nil {
		return byDefault
	}
	switch strings.ToLower(v.text) {
	case "true":
		return true
	case "false":
		return false
	}
	if !digits(v.text) {
		b.wrong(v, "true, false, or a number of which 0 is false")
		return byDefault
	}
	return strings.Trim(v.text, "0") != ""
}

// digits reports whether a text is digits and nothing else.
func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// number reads digits. What is more than anybody needs is a mistake.
func (b *builder) number(key string, byDefault int64) int64 {
	v := b.text(key)
	if v == nil {
		return byDefault
	}
	return b.count(v, byDefault)
}

func (b *builder) count(v *value, byDefault int64) int64 {
	if !digits(v.text) {
		b.wrong(v, "a number, of digits alone")
		return byDefault
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n > maxSeconds {
		b.wrong(v, fmt.Sprintf("at most %d", maxSeconds))
		return byDefault
	}
	return n
}

// whole reads whole seconds.
func (b *builder) whole(key string, byDefault time.Duration) time.Duration {
	return time.Duration(b.number(key, int64(byDefault/time.Second))) * time.Second
}

// seconds reads seconds with a fraction: 2, 2.5 or .5. They are counted in thousandths of a second.
func (b *builder) seconds(key string, byDefault time.Duration) time.Duration {
	v := b.text(key)
	if v == nil {
		return byDefault
	}
	whole, fraction, dot := strings.Cut(v.text, ".")
	if dot && !digits(fraction) || whole != "" && !digits(whole) || whole == "" && !dot {
		b.wrong(v, "seconds, such as 2 or 2.5")
		return byDefault
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f > maxSeconds {
		b.wrong(v, fmt.Sprintf("at most %d seconds", maxSeconds))
		return byDefault
	}
	return time.Duration(f*1000+0.5) * time.Millisecond
}

// env merges the variables of all layers; those of a stronger one count. Source: spec/usrsvc US-13, US-16.
func (b *builder) env() []model.EnvVar {
	original, ours := ProgramKeys()
	options := append(append(original, ours...), MonitorKeys()...)
	var list []model.EnvVar
	seen := map[string]bool{}
	for _, y := range b.layers {
		s := y.section.Section(envSection)
		if s == nil {
			continue
		}
		for _, e := range s.Entries() {
			if slices.Contains(options, e.Key) {
				b.warn(e.File, e.Line, e.Key, "it stands in [[Env]] and is a variable there, but it is the name of a key: move it before [[Env]] if that is meant")
			}
			if e.Key == "" || strings.ContainsAny(e.Key, "=\x00") {
				b.fail(e.File, e.Line, e.Key, "this cannot be the name of a variable")
				continue
			}
			if seen[e.Key] {
				continue
			}
			seen[e.Key] = true
			if v := b.expand(s, e.Key, e.Value); v != nil {
				list = append(list, model.EnvVar{Name: e.Key, Value: v.text})
			}
		}
	}
	slices.SortFunc(list, func(a, b model.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// MonitorKeys are the keys of [[Monitor]]; check.NAME comes beside them, as often as one likes.
func MonitorKeys() []string {
	return []string{"monitor_after", "activityfile", "activityfile_limit", "rss_limit"}
}

// checkKey begins the keys of checks of our own.
const checkKey = "check."

// monitor finds a key of [[Monitor]] in all layers; nil when nobody says it.
func (b *builder) monitor(key string) *value {
	for _, s := range b.monitors() {
		if v, ok := s.Get(key); ok {
			return b.expand(s, key, v)
		}
	}
	return nil
}

// monitors are the sections of checks, the strongest first.
func (b *builder) monitors() (list []*configobj.Section) {
	for _, y := range b.layers {
		for _, name := range monitorSections {
			if s := y.section.Section(name); s != nil {
				list = append(list, s)
			}
		}
	}
	return list
}

// checks reads [[Monitor]]. Source: spec/usrsvc 3.2, 8.4.
func (b *builder) checks() (list []model.Check) {
	var names []string
	for _, s := range b.monitors() {
		for _, e := range s.Entries() {
			name, check := strings.CutPrefix(e.Key, checkKey)
			switch {
			case check && !slices.Contains(names, name):
				names = append(names, name)
			case !check && !slices.Contains(MonitorKeys(), e.Key):
				b.fail(e.File, e.Line, e.Key, unknown("such key", e.Key, MonitorKeys()))
			}
		}
	}
	after, said := 30*time.Second, false
	if v := b.monitor("monitor_after"); v != nil {
		after, said = time.Duration(b.count(v, 30))*time.Second, true
	}
	age := 120 * time.Second
	if v := b.monitor("activityfile_limit"); v != nil {
		if age = time.Duration(b.count(v, 120)) * time.Second; age == 0 {
			b.wrong(v, "a number of seconds from 1 on")
		}
	}
	if v := b.monitor("activityfile"); v != nil && v.text != "" {
		c := supervisord.DefaultCheck(model.CheckActivity)
		c.Name, c.Target, c.Age, c.After = "activityfile", b.absolute(v), age, after
		list = append(list, c)
	}
	if v := b.monitor("rss_limit"); v != nil {
		if limit := b.size(v); limit > 0 {
			c := supervisord.DefaultCheck(model.CheckMemory)
			c.Name, c.Limit, c.After = "rss_limit", limit, after
			list = append(list, c)
		}
	}
	for _, name := range names {
		v := b.monitor(checkKey + name)
		if v == nil {
			continue
		}
		c, err := supervisord.ParseCheck(name, v.text)
		if slices.ContainsFunc(list, func(o model.Check) bool { return o.Name == name }) {
			err = errors.New("there is a check of that name already")
		}
		if err != nil {
			b.fail(v.File, v.Line, v.key, err.Error())
			continue
		}
		if said && c.Stage == model.StageLive && !says(v.text, "after=") {
			c.After = after
		}
		list = append(list, c)
	}
	return list
}

// says reports whether one of the words of a check begins with a key.
func says(text, key string) bool {
	split, err := shellwords.Split(text)
	return err == nil && slices.ContainsFunc(split, func(w string) bool { return strings.HasPrefix(w, key) })
}

// size reads an amount of memory: digits are kB, as the original has it, and KB, MB and GB may be said.
func (b *builder) size(v *value) int64 {
	if digits(v.text) {
		return b.count(v, 0) << 10
	}
	n, err := units.ByteSize(v.text)
	if err != nil || n < 0 || v.text == "" {
		b.wrong(v, "a number of kB, or one with KB, MB or GB")
		return 0
	}
	return n
}
