package model

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

// Effect says what a changed value asks of what runs already. The values are ordered: the effect of
// several changes is the greatest one.
type Effect uint8

// The effects.
const (
	EffectNone    Effect = iota // nothing that runs is different for it
	EffectLive                  // counts from now on, for running programs too
	EffectRestart               // counts when the process is started again
)

// String is the effect in one word: none, live, restart.
func (e Effect) String() string { return [...]string{"none", "live", "restart"}[e] }

// FieldChange is one value that differs between two definitions.
type FieldChange struct {
	Program ID     // zero for values of the group
	Field   string // the configuration key, or one of the Field… names
	// Old and New are for people to read, in the words of the configuration. They never hold the value
	// of an environment variable.
	Old, New string
	Effect   Effect
}

// Names of differences that no single configuration key causes.
const (
	FieldMember  = "process_name" // a program came (Old is empty) or went (New is empty)
	FieldOrder   = "programs"     // the same programs stand in another order
	FieldType    = "type"         // the kind of section
	FieldSection = "section"      // the section of that kind which declares it
	FieldOrigin  = "origin"       // file and line
)

// Differs reports whether the changes make two groups unequal in the sense of a reread. Values without
// an effect do not: where a definition stands, and how a user is spelled. The order of the programs does,
// although it has no effect on what runs.
// Source: spec/supervisor 1.10.
func Differs(changes []FieldChange) bool {
	return slices.ContainsFunc(changes, func(c FieldChange) bool {
		return c.Effect != EffectNone || c.Field == FieldOrder
	})
}

// EffectOf is the greatest effect of the changes.
func EffectOf(changes []FieldChange) Effect {
	most := EffectNone
	for _, c := range changes {
		most = max(most, c.Effect)
	}
	return most
}

// Diff lists what differs between two definitions of the same program, in a fixed order; nil when nothing
// does. IDs are not compared.
//
// Source: spec/supervisor 1.10, with F30 (log targets are compared as configured, all values of a socket count).
func Diff(old, next *Program) []FieldChange {
	var out []FieldChange
	for i := range programFields {
		f := &programFields[i]
		if before, after, differs := f.compare(old, next); differs {
			c := FieldChange{Program: next.ID, Field: f.key, Old: before, New: after, Effect: f.effect}
			if f.key == "user" && old.Command.UID == next.Command.UID {
				c.Effect = EffectNone // another spelling of the same account
			}
			out = append(out, c)
		}
	}
	return out
}

// DiffGroup lists what differs between two definitions of the group of one name: its own values, then
// its programs in the order of next, then those that went; nil when nothing differs. Names are not compared.
//
// Source: spec/supervisor 1.10, with F42 (events are a set).
func DiffGroup(old, next *Group) []FieldChange {
	var out []FieldChange
	add := func(key string, effect Effect, before, after string) {
		out = append(out, FieldChange{Field: key, Old: before, New: after, Effect: effect})
	}
	if old.Priority != next.Priority {
		add("priority", EffectLive, strconv.Itoa(old.Priority), strconv.Itoa(next.Priority))
	}
	if old.Kind != next.Kind {
		add(FieldType, EffectRestart, old.Kind.String(), next.Kind.String())
	}
	diffPool(old.Pool, next.Pool, add)
	if old.Origin != next.Origin {
		add(FieldOrigin, EffectNone, showOrigin(old.Origin), showOrigin(next.Origin))
	}
	return append(out, diffMembers(old.Programs, next.Programs)...)
}

// diffMembers compares the programs of two groups, by ID.
func diffMembers(old, next []*Program) []FieldChange {
	var out []FieldChange
	before := make(map[ID]*Program, len(old))
	for _, p := range old {
		before[p.ID] = p
	}
	stayed := make(map[ID]bool, len(next))
	var newOrder []string
	for _, p := range next {
		was := before[p.ID]
		if was == nil {
			out = append(out, FieldChange{Program: p.ID, Field: FieldMember, New: p.ID.Name, Effect: EffectLive})
			continue
		}
		stayed[p.ID] = true
		newOrder = append(newOrder, p.ID.Name)
		out = append(out, Diff(was, p)...)
	}
	var oldOrder []string
	for _, p := range old {
		if stayed[p.ID] {
			oldOrder = append(oldOrder, p.ID.Name)
			continue
		}
		out = append(out, FieldChange{Program: p.ID, Field: FieldMember, Old: p.ID.Name, Effect: EffectRestart})
	}
	if !slices.Equal(oldOrder, newOrder) {
		out = append(out, FieldChange{
			Field: FieldOrder, Old: strings.Join(oldOrder, ","), New: strings.Join(newOrder, ","), Effect: EffectNone,
		})
	}
	return out
}

func diffPool(old, next *Pool, add func(key string, effect Effect, before, after string)) {
	if old == nil && next == nil {
		return
	}
	// A pool that comes or goes is a listener made of something else; its first key stands for all.
	if old == nil {
		add("events", EffectRestart, "", strings.Join(next.Events, ","))
		return
	}
	if next == nil {
		add("events", EffectRestart, strings.Join(old.Events, ","), "")
		return
	}
	if !slices.Equal(asSet(old.Events), asSet(next.Events)) {
		add("events", EffectLive, strings.Join(old.Events, ","), strings.Join(next.Events, ","))
	}
	if old.Buffer != next.Buffer {
		add("buffer_size", EffectLive, strconv.Itoa(old.Buffer), strconv.Itoa(next.Buffer))
	}
	if old.ResultHandler != next.ResultHandler {
		add("result_handler", EffectLive, old.ResultHandler, next.ResultHandler)
	}
	if old.LenBytes != next.LenBytes {
		add("event_len", EffectLive, showLen(old.LenBytes), showLen(next.LenBytes))
	}
	if old.Timeout != next.Timeout {
		add("event_timeout", EffectLive, showSeconds(old.Timeout), showSeconds(next.Timeout))
	}
}

// programField compares one value of two programs.
type programField struct {
	key     string
	effect  Effect // the greatest that a change of it can have
	compare func(old, next *Program) (before, after string, differs bool)
}

// programFields is every value of a program, with what its change asks for. It is a constant.
var programFields = [...]programField{
	field(FieldType, EffectRestart, func(p *Program) Kind { return p.Kind }, Kind.String),
	field("command", EffectRestart, func(p *Program) string { return p.Command.Line }, asIs),
	field("directory", EffectRestart, func(p *Program) string { return p.Command.Dir }, asIs),
	{"environment", EffectRestart, compareEnv},
	field("umask", EffectRestart, func(p *Program) int { return p.Command.Umask }, showUmask),
	{"user", EffectRestart, compareUser},
	field("inherit_env", EffectRestart, func(p *Program) bool { return !p.Command.Clear }, strconv.FormatBool),
	field("child_sigpipe", EffectRestart, func(p *Program) bool { return p.Command.IgnoreSIGPIPE }, showSigpipe),
	field("priority", EffectLive, func(p *Program) int { return p.Priority }, strconv.Itoa),
	field("autostart", EffectLive, func(p *Program) bool { return p.Start.Auto }, strconv.FormatBool),
	field("startsecs", EffectLive, func(p *Program) time.Duration { return p.Start.Secs }, showSeconds),
	field("startretries", EffectLive, func(p *Program) int { return p.Start.Retries }, showRetries),
	field("restart_delay", EffectLive, func(p *Program) time.Duration { return p.Start.Delay }, showSeconds),
	field("start_timeout", EffectLive, func(p *Program) time.Duration { return p.Start.Timeout }, showSeconds),
	field("enabled", EffectLive, func(p *Program) bool { return !p.Disabled }, strconv.FormatBool),
	list("depends_on", func(p *Program) []Dependency { return p.Depends }, Dependency.String),
	field("autorestart", EffectLive, func(p *Program) Restart { return p.Exit.Restart }, Restart.String),
	{"exitcodes", EffectLive, compareCodes},
	field("stopsignal", EffectLive, func(p *Program) int { return p.Stop.Signal }, showSignal),
	field("stopwaitsecs", EffectLive, func(p *Program) time.Duration { return p.Stop.Wait }, showSeconds),
	field("stopasgroup", EffectLive, func(p *Program) Reach { return p.Stop.Reach }, showReach),
	field("killasgroup", EffectLive, func(p *Program) Reach { return p.Stop.KillReach }, showReach),
	field("reload_signal", EffectLive, func(p *Program) int { return p.Reload }, showReload),
	field("pidfile", EffectLive, func(p *Program) string { return p.Attach.PIDFile }, asIs),
	field("track", EffectLive, func(p *Program) Track { return p.Attach.Track }, Track.String),
	field("match", EffectLive, func(p *Program) string { return p.Attach.Match }, asIs),
	field("scan", EffectLive, func(p *Program) bool { return p.Attach.Scan }, strconv.FormatBool),
	list("checks", func(p *Program) []Check { return p.Checks }, Check.String),
	list("notify", func(p *Program) []string { return p.Notify }, asIs),
	list("email_alerts", func(p *Program) []string { return p.Email }, asIs),
	field("log_mode", EffectRestart, func(p *Program) bool { return p.IO.Direct }, showDirect),
	field("log_full", EffectRestart, func(p *Program) bool { return p.IO.BlockWhenFull }, showFull),
	field("stdin", EffectRestart, func(p *Program) bool { return p.IO.NoStdin }, showStdin),
	field("redirect_stderr", EffectRestart, func(p *Program) bool { return p.IO.MergeStderr }, strconv.FormatBool),
	field("stdout_logfile", EffectRestart, func(p *Program) target { return targetOf(&p.IO.Stdout) }, target.String),
	field("stdout_logfile_maxbytes", EffectLive, func(p *Program) int64 { return p.IO.Stdout.MaxBytes }, showInt64),
	field("stdout_logfile_backups", EffectLive, func(p *Program) int { return p.IO.Stdout.Backups }, strconv.Itoa),
	field("stdout_capture_maxbytes", EffectRestart, func(p *Program) int64 { return p.IO.Stdout.CaptureBytes }, showInt64),
	field("stdout_events_enabled", EffectLive, func(p *Program) bool { return p.IO.Stdout.Events }, strconv.FormatBool),
	field("stdout_syslog", EffectRestart, func(p *Program) bool { return p.IO.Stdout.Syslog }, strconv.FormatBool),
	field("stderr_logfile", EffectRestart, func(p *Program) target { return targetOf(&p.IO.Stderr) }, target.String),
	field("stderr_logfile_maxbytes", EffectLive, func(p *Program) int64 { return p.IO.Stderr.MaxBytes }, showInt64),
	field("stderr_logfile_backups", EffectLive, func(p *Program) int { return p.IO.Stderr.Backups }, strconv.Itoa),
	field("stderr_capture_maxbytes", EffectRestart, func(p *Program) int64 { return p.IO.Stderr.CaptureBytes }, showInt64),
	field("stderr_events_enabled", EffectLive, func(p *Program) bool { return p.IO.Stderr.Events }, strconv.FormatBool),
	field("stderr_syslog", EffectRestart, func(p *Program) bool { return p.IO.Stderr.Syslog }, strconv.FormatBool),
	field("serverurl", EffectRestart, func(p *Program) string { return p.ServerURL }, showURL),
	// Whatever changes about a socket, who holds it has to be made anew.
	field("socket", EffectRestart, socketURL, asIs),
	socketField("socket_owner", func(s *SocketSpec) string { return showOwner(s.Owner) }),
	socketField("socket_mode", func(s *SocketSpec) string { return showMode(s.Mode) }),
	socketField("socket_backlog", func(s *SocketSpec) string { return strconv.Itoa(s.Backlog) }),
	field(FieldSection, EffectNone, func(p *Program) string { return p.Section }, asIs),
	field(FieldOrigin, EffectNone, func(p *Program) Origin { return p.Origin }, showOrigin),
}

// field compares a value that Go can compare.
func field[T comparable](key string, effect Effect, get func(*Program) T, show func(T) string) programField {
	return programField{key, effect, func(old, next *Program) (string, string, bool) {
		a, b := get(old), get(next)
		if a == b {
			return "", "", false
		}
		return show(a), show(b), true
	}}
}

// list compares lists whose order counts. A change of one is in force at once.
func list[T comparable](key string, get func(*Program) []T, show func(T) string) programField {
	return programField{key, EffectLive, func(old, next *Program) (string, string, bool) {
		a, b := get(old), get(next)
		if slices.Equal(a, b) {
			return "", "", false
		}
		return showList(a, show), showList(b, show), true
	}}
}

func showList[T any](all []T, show func(T) string) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = show(v)
	}
	return strings.Join(words, ", ")
}

func socketURL(p *Program) string {
	if p.Socket == nil {
		return ""
	}
	return p.Socket.URL
}

// socketField compares a value of sockets; one that comes or goes is told by its address alone.
func socketField(key string, show func(*SocketSpec) string) programField {
	return programField{key, EffectRestart, func(old, next *Program) (string, string, bool) {
		if old.Socket == nil || next.Socket == nil {
			return "", "", false
		}
		before, after := show(old.Socket), show(next.Socket)
		return before, after, before != after
	}}
}

// compareUser: the account is its number, but another spelling of the same one is told as well.
func compareUser(old, next *Program) (before, after string, differs bool) {
	a, b := &old.Command, &next.Command
	if a.UID == b.UID && a.User == b.User {
		return "", "", false
	}
	return showUser(a), showUser(b), true
}

func compareCodes(old, next *Program) (before, after string, differs bool) {
	if slices.Equal(old.Exit.Codes, next.Exit.Codes) {
		return "", "", false
	}
	return showCodes(old.Exit.Codes), showCodes(next.Exit.Codes), true
}

// compareEnv shows names alone, as values may be secrets: -NAME went, +NAME came, ~NAME has another value.
func compareEnv(old, next *Program) (before, after string, differs bool) {
	a, b := envOf(old), envOf(next)
	var was, is []string
	for name, value := range a {
		other, kept := b[name]
		switch {
		case !kept:
			was = append(was, "-"+name)
		case other != value:
			was = append(was, "~"+name)
			is = append(is, "~"+name)
		}
	}
	for name := range b {
		if _, known := a[name]; !known {
			is = append(is, "+"+name)
		}
	}
	if len(was)+len(is) == 0 {
		return "", "", false
	}
	byName := func(x, y string) int { return strings.Compare(x[1:], y[1:]) }
	slices.SortFunc(was, byName)
	slices.SortFunc(is, byName)
	return strings.Join(was, ","), strings.Join(is, ","), true
}

// envOf is the environment as the child sees it: of two entries of one name the later one counts.
func envOf(p *Program) map[string]string {
	m := make(map[string]string, len(p.Command.Env))
	for _, v := range p.Command.Env {
		m[v.Name] = v.Value
	}
	return m
}

// target is where a stream's log goes, as configured.
type target struct {
	kind LogKind
	path string
}

func targetOf(s *Stream) target { return target{s.Log, s.Path} }

func (t target) String() string {
	switch t.kind {
	case LogNone:
		return "NONE"
	case LogAuto:
		return "AUTO"
	}
	return t.path
}

func asSet(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

func asIs(s string) string { return s }

func showInt64(n int64) string { return strconv.FormatInt(n, 10) }

func showMode(m uint32) string { return "0" + strconv.FormatUint(uint64(m), 8) }

func showSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

func showUmask(m int) string {
	if m < 0 {
		return ""
	}
	return showMode(uint32(m))
}

func showUser(c *Command) string {
	if c.User == "" && c.UID >= 0 {
		return strconv.Itoa(c.UID)
	}
	return c.User
}

func showStdin(none bool) string {
	if none {
		return "none"
	}
	return "pipe"
}

func showDirect(direct bool) string {
	if direct {
		return "direct"
	}
	return "pipe"
}

func showRetries(n int) string {
	if n == Endless {
		return "unlimited"
	}
	return strconv.Itoa(n)
}

func showFull(block bool) string {
	if block {
		return "block"
	}
	return "drop"
}

func showSigpipe(ignore bool) string {
	if ignore {
		return "ignore"
	}
	return "default"
}

func showLen(bytes bool) string {
	if bytes {
		return "bytes"
	}
	return "characters"
}

func showURL(s string) string {
	if s == "" {
		return "AUTO"
	}
	return s
}

func showCodes(codes []int) string {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = strconv.Itoa(c)
	}
	return strings.Join(words, ",")
}

func showReach(r Reach) string {
	switch r {
	case ReachProcess:
		return "false"
	case ReachGroup:
		return "true"
	}
	return "tree"
}

func showReload(n int) string {
	if n == 0 {
		return ""
	}
	return showSignal(n)
}

func showSignal(n int) string { return strings.TrimPrefix(units.SignalName(n), "SIG") }

func showOwner(o *Owner) string {
	if o == nil {
		return ""
	}
	return strconv.Itoa(o.UID) + ":" + strconv.Itoa(o.GID)
}

func showOrigin(o Origin) string {
	if o.Line == 0 {
		return o.File
	}
	return o.File + ":" + strconv.Itoa(o.Line)
}
