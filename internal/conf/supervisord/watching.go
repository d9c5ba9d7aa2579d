package supervisord

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// What holds when nothing is said.
const defaultStartTimeout = 90 * time.Second

// span is an option that is a length of time.
func (o *options) span(key string, def time.Duration) time.Duration {
	return value(o, key, def, units.Duration)
}

// retries reads how often a start is tried again.
func retries(v string) (int, error) {
	if strings.ToLower(pytext.Strip(v)) == "unlimited" {
		return model.Endless, nil
	}
	n, err := units.Int(v)
	return max(model.Endless+1, clampInt(n)), err
}

// managing reads the options of a section that say when its programs may run, how they are found, and who is told.
func (r *reader) managing(o *options, p *model.Program) {
	p.Disabled = !o.boolean("enabled", true)
	p.Start.Delay = o.span("restart_delay", 0)
	p.Start.Timeout = o.span("start_timeout", defaultStartTimeout)
	p.Depends = value(o, "depends_on", nil, dependencies)
	p.Attach.Track = value(o, "track", model.TrackChild, func(v string) (model.Track, error) {
		t, err := oneOf(v, model.TrackChild, model.TrackPIDFile, model.TrackFork)
		if err != nil {
			return 0, fmt.Errorf("invalid 'track' value %s", pytext.Repr(v))
		}
		return t, nil
	})
	p.Attach.Scan = o.boolean("scan", false)
	p.IO.Direct = value(o, "log_mode", false, func(v string) (bool, error) { return choice("log_mode", v, "direct", "pipe") })
	p.Notify = value(o, "notify", nil, notified)
	p.Email = value(o, "email_alerts", nil, Addresses)
}

// trimmed are the items of a list that have something in them.
func trimmed(v string) []string {
	return slices.DeleteFunc(units.List(v), func(s string) bool { return s == "" })
}

// notified reads the notifiers of a program.
func notified(v string) ([]string, error) {
	list := trimmed(v)
	if len(list) > 1 && slices.Contains(list, "none") {
		return nil, refuse("notify=" + v + ": none stands alone")
	}
	return list, nil
}

// Addresses reads addresses of mail, separated by commas. An error names the one that is none.
func Addresses(v string) ([]string, error) {
	list := trimmed(v)
	for _, a := range list {
		if err := mailAddress(a); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// mailAddress judges an address of mail, of another machine or this one.
func mailAddress(a string) error {
	name, host, remote := strings.Cut(a, "@")
	bad := func(s string) bool {
		return s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f || strings.ContainsRune(`@,;:<>()[]"\`, c) })
	}
	if bad(name) || remote && bad(host) || strings.HasPrefix(a, "-") { // a program that sends mail must not take it for an option
		return refuse(pytext.Repr(a) + " is no address of mail")
	}
	return nil
}

// dependencies reads depends_on: NAME[:CONDITION], separated by commas.
func dependencies(v string) ([]model.Dependency, error) {
	var list []model.Dependency
	for _, item := range trimmed(v) {
		d := model.Dependency{On: item}
		if i := strings.LastIndexByte(item, ':'); i >= 0 {
			if c, err := oneOf(item[i+1:], model.DependReady, model.DependStarted, model.DependCompleted); err == nil {
				d = model.Dependency{On: item[:i], Condition: c}
			}
		}
		if d.On == "" {
			return nil, refuse("depends_on: " + pytext.Repr(item) + " has no name")
		}
		if !slices.Contains(list, d) {
			list = append(list, d)
		}
	}
	return list, nil
}

// consistent judges options of a section that have to do with each other.
func (r *reader) consistent(o *options, p *model.Program, kind model.Kind) {
	said := func(key string) bool { _, ok := o.raw(key, ""); return ok }
	attaches := p.Attach.Track != model.TrackChild || p.Attach.Scan
	switch {
	case kind != model.KindProgram && attaches:
		key := "scan"
		if p.Attach.Track != model.TrackChild {
			key = "track"
		}
		o.fail(key, refuse(fmt.Sprintf("%s: processes of [%s:x] sections talk to the daemon over what they are given at their start; they cannot be found", key, kind)))
	case p.Attach.Track == model.TrackPIDFile && !said("pidfile"):
		o.fail("track", refuse("track=pidfile needs a pidfile"))
	case said("match") && !p.Attach.Scan && !said("pidfile"):
		r.warn("For [" + o.sect.Name + "], match has no effect without scan=true or pidfile")
	}
	if p.IO.Direct {
		o.direct(p, kind)
	}
}

// direct judges the options of a program that writes its log files itself.
func (o *options) direct(p *model.Program, kind model.Kind) {
	if kind == model.KindEventListener {
		o.fail("log_mode", refuse("log_mode=direct: what a listener writes is for the daemon"))
	}
	forbid := func(key string, bad bool) {
		if bad {
			o.fail(key, refuse(key+": log_mode=direct leaves nothing of the output to the daemon"))
		}
	}
	for _, s := range [...]struct {
		name   string
		stream *model.Stream
	}{{"stdout", &p.IO.Stdout}, {"stderr", &p.IO.Stderr}} {
		forbid(s.name+"_capture_maxbytes", s.stream.CaptureBytes != 0)
		forbid(s.name+"_events_enabled", s.stream.Events)
		forbid(s.name+"_syslog", o.boolean(s.name+"_syslog", false))
		forbid(s.name+"_logfile_maxbytes", o.size(s.name+"_logfile_maxbytes", 0) != 0)
	}
	forbid("log_full", p.IO.BlockWhenFull)
	if v, ok := o.raw("stdin", ""); ok && !p.IO.NoStdin {
		o.fail("stdin", refuse("stdin="+v+": with log_mode=direct there is none"))
	}
	p.IO.NoStdin = true
}

// attach reads what may differ from process to process in how one is found.
func (r *reader) attach(o *options, t *template, a *model.AttachSpec) {
	a.PIDFile = value(o, "pidfile", "", func(v string) (string, error) {
		path := r.env.expandUser(v)
		if !isAbs(path) {
			return "", refuse("pidfile " + v + " is not an absolute path")
		}
		return cleanPath(path), nil
	})
	if raw, ok := o.raw("pidfile", ""); ok && t.numprocs > 1 && !strings.Contains(raw, "%(process_num)") {
		o.fail("pidfile", refuse("%(process_num) must be present within pidfile when numprocs > 1"))
	}
	a.Match = value(o, "match", "", matching)
}

// matching judges the pattern of a command line.
func matching(v string) (string, error) {
	if _, err := pattern(v); err != nil {
		return "", refuse("match: " + err.Error())
	}
	if regexp.MustCompile(v).MatchString("") {
		return "", refuse("match: " + v + " is in every command line")
	}
	return v, nil
}

// shorthands are the options that make a check each, and the check that they make.
var shorthands = [...]struct {
	key  string
	kind model.CheckKind
}{
	{"ready", model.CheckNotify},
	{"health_http", model.CheckHTTP},
	{"health_tcp", model.CheckTCP},
	{"health_command", model.CheckCommand},
	{"memory_restart", model.CheckMemory},
	{"activity_file", model.CheckActivity},
}

// checks reads the checks of one process, in the order of their names.
func (r *reader) checks(o *options) []model.Check {
	var list []model.Check
	after, given := defaultAfter, false
	if _, given = o.raw("monitor_after", ""); given {
		after = o.span("monitor_after", defaultAfter)
	}
	from := map[string]string{} // by the name of the check, the option that makes it
	for _, e := range o.sect.All() {
		if keys.Family(e.Key) != keys.CheckPrefix {
			continue
		}
		name := strings.TrimPrefix(e.Key, keys.CheckPrefix)
		from[name] = e.Key
		text, ok := o.text(e.Key)
		if !ok {
			continue
		}
		read, err := parseCheck(name, text)
		if err != nil {
			o.fail(e.Key, prefixed(e.Key, err))
			continue
		}
		if c := &read.check; given && c.Stage == model.StageLive && !read.said["after"] {
			c.After = after
		}
		list = append(list, read.check)
	}
	for _, s := range shorthands {
		c, ok := o.shorthand(s.key, s.kind)
		if !ok {
			continue
		}
		if other := from[c.Name]; other != "" {
			o.fail(s.key, refuse(s.key+" and "+other+" make the same check, "+c.Name))
			continue
		}
		if c.Stage == model.StageLive {
			c.After = after
		}
		list = append(list, c)
	}
	r.idleShorthands(o)
	slices.SortFunc(list, func(a, b model.Check) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// prefixed is a mistake in an option's value, with its name.
func prefixed(key string, err error) error {
	text, suggestion := inWords(err)
	return &plainError{key + ": " + text, suggestion}
}

// inWords takes a mistake apart: what it says, and the word that may have been meant.
func inWords(err error) (text, suggestion string) {
	var own *plainError
	if errors.As(err, &own) {
		return strings.TrimSuffix(err.Error(), own.Error()) + own.text, own.suggestion
	}
	return err.Error(), ""
}

// shorthand is the check that one option makes; false when it makes none.
func (o *options) shorthand(key string, kind model.CheckKind) (model.Check, bool) {
	text, ok := o.text(key)
	if !ok {
		return model.Check{}, false
	}
	c := DefaultCheck(kind)
	c.Name = kind.String()
	r := checkReader{check: c, plain: []string{text}}
	var err error
	switch kind {
	case model.CheckNotify:
		notifies, err := choice(key, text, "notify", "running")
		if err != nil {
			o.fail(key, &valueError{err, text})
		}
		return c, notifies
	case model.CheckMemory:
		r.check.Limit, err = limit(kind, text)
	case model.CheckActivity:
		r.check.Age = o.age()
		err = r.meant()
	default:
		o.pace(&r.check)
		err = r.target()
	}
	if err != nil {
		o.fail(key, prefixed(key, err))
	}
	return r.check, true
}

// age reads activity_limit.
func (o *options) age() time.Duration {
	d := o.span("activity_limit", defaultAge)
	if d < time.Millisecond {
		o.fail("activity_limit", refuse("activity_limit must be more than 0"))
	}
	return d
}

// pace reads what the health_ options say of when a check looks.
func (o *options) pace(c *model.Check) {
	c.Every = o.span("health_interval", c.Every)
	c.Timeout = o.span("health_timeout", c.Timeout)
	c.Failures = o.number("health_failures", c.Failures)
	if c.Every < minEvery || c.Every > maxSpan {
		o.fail("health_interval", refuse(fmt.Sprintf("health_interval can be %v to %s", minEvery, words.Limit(maxSpan))))
	}
	if c.Timeout < time.Millisecond || c.Timeout > maxTimeout {
		o.fail("health_timeout", refuse(fmt.Sprintf("health_timeout can be %v to %s", time.Millisecond, words.Limit(maxTimeout))))
	}
	if c.Failures < 1 || c.Failures > maxThreshold {
		o.fail("health_failures", refuse(fmt.Sprintf("health_failures can be 1 to %d", maxThreshold)))
	}
}

// idleShorthands warns of options that say something about a check that is not there; what they say is judged all the same.
func (r *reader) idleShorthands(o *options) {
	sect, idle := o.sect, false
	said := func(list ...string) bool {
		return slices.ContainsFunc(list, func(key string) bool { _, ok := sect.Get(key); return ok })
	}
	for _, key := range [...]string{"health_interval", "health_timeout", "health_failures"} {
		if said(key) && !said("health_http", "health_tcp", "health_command") {
			r.warn("For [" + sect.Name + "], " + key + " has no effect without " + words.Either([]string{"health_http", "health_tcp", "health_command"}))
			idle = true
		}
	}
	if idle {
		c := DefaultCheck(model.CheckHTTP)
		o.pace(&c)
	}
	if said("activity_limit") && !said("activity_file") {
		o.age()
		r.warn("For [" + sect.Name + "], activity_limit has no effect without activity_file")
	}
}
