// Package imports reads what other tools were told to run (Procfiles, pm2, systemd units, compose files,
// supervisord.conf, usrsvc.cfg, the store of chalmers) and says it again as program definitions of our own dialect, with a
// report of what was kept, changed and dropped.
//
// Reading runs nothing, opens no network connection, follows no reference to a place outside the source, and
// bounds what it reads. A definition that cannot be carried over is a problem of its own and does not stop the
// others. Where a default of the other tool differs from ours, the value is written.
// Source: interfaces 2.9, one-model 2 and 5, spec/reliability S32.
package imports

import (
	"fmt"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/ini"
)

// Program is one program as it will be defined here.
type Program struct {
	Name    string   // safe as the name of a program and of a file
	Keys    []Key    // options of the dialect in the order in which they are written; never autostart
	Env     []EnvVar // variables, in the order of the source
	On      bool     // is started with the instance: autostart
	Kept    []string // settings of the source that mean the same here, by the source's words
	Dropped []string // settings of the source that are not carried over, each with the reason
	Changed []Change // values that differ from those in the source, or that stand for its silent defaults
	Live    *Live    // nil unless it runs under the other tool
}

// Key is one option.
//
// The value of an ordinary key is what the option shall mean, with no escaping at all: INI doubles percent signs
// and refuses nothing. The value of "command" is a command line in shell words (CommandLine makes one), because
// that is what the option means. With Template the value is the option's text, references such as
// %(process_num)d included, and only lines are indented when it is written.
type Key struct {
	Name, Value string
	Template    bool
}

// EnvVar is one variable. Value is exactly what the program shall see; with Template it is so after references
// such as %(process_num)d have been expanded, and a percent sign of its own is written twice.
type EnvVar struct {
	Name, Value string
	Template    bool
}

// Change is one value that is not what it was.
type Change struct {
	Key      string // in the words of our dialect, or of the source where there is no option for it
	Old, New string
	Why      string // empty where the values speak for themselves
}

// Live is a process that runs the program under the other tool at this moment, as that tool says. Whoever takes
// it over checks the start time first: the process may have ended since and its number been given away.
type Live struct {
	PID            int
	Start          time.Time // zero when the source does not say
	Stdout, Stderr string    // files that it writes to; empty = unknown
	// Monitor is the process of the other tool that would start it again and has to end first; 0 = there is none of its own.
	Monitor int
	// Match and Command say what it must look like, one of them: a pattern (RE2) for its joined command line, or the command
	// line itself, element by element. Both empty = its start time says enough.
	Match, Command string
}

// Report is what one source says.
type Report struct {
	Source   string // one of the words of Kinds
	Path     string
	Programs []Program
	Problems []Problem
	// Daemon is the process of the other tool that keeps all of them running and would start them again; 0 = there is none.
	Daemon int
}

// Problem is something that could not be read or carried over.
type Problem struct {
	File string
	Line int // from 1; 0 = the whole file
	Text string
}

// String is file:line: text.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Get finds the value of a key.
func (p *Program) Get(name string) (string, bool) {
	for _, k := range p.Keys {
		if k.Name == name {
			return k.Value, true
		}
	}
	return "", false
}

// INI is the text of a file that defines the program: one section, escaped so that it is read back to the values.
// Values that no text can stand for were taken out by Read.
func (p *Program) INI() []byte {
	var b strings.Builder
	b.WriteString("[program:" + p.Name + "]\n")
	auto := Key{Name: "autostart", Value: fmt.Sprint(p.On)}
	for i, k := range p.Keys {
		option(&b, k.Name, k.raw())
		if i == 0 {
			option(&b, auto.Name, auto.raw())
		}
	}
	if len(p.Keys) == 0 {
		option(&b, auto.Name, auto.raw())
	}
	if len(p.Env) > 0 {
		option(&b, "environment", environment(p.Env))
	}
	return []byte(b.String())
}

// option writes one option; further lines are indented, so that they are read as its continuation.
func option(b *strings.Builder, name, raw string) {
	b.WriteString(name + " =")
	for i, line := range strings.Split(raw, "\n") {
		switch {
		case line == "":
		case i == 0:
			b.WriteByte(' ')
		default:
			b.WriteString("    ")
		}
		b.WriteString(line + "\n")
	}
}

// raw is the text of an option as the INI reader gives it back.
func (k Key) raw() string {
	switch {
	case k.Template:
		return k.Value
	case k.Name == "stdout_logfile", k.Name == "stderr_logfile":
		// These two are read as if they were expanded twice, as they once were.
		return strings.ReplaceAll(k.Value, "%", "%%%%")
	}
	return strings.ReplaceAll(k.Value, "%", "%%")
}

// raw is the pair as it stands in environment=.
func (v EnvVar) raw() string {
	value := v.Value
	if v.Template {
		return quote(v.Name, pairBare) + "=" + `"` + inDouble(value) + `"`
	}
	return strings.ReplaceAll(quote(v.Name, pairBare)+"="+quote(value, pairBare), "%", "%%")
}

// environment is the text of environment=, one variable a line.
func environment(vars []EnvVar) string {
	lines := make([]string, len(vars))
	for i, v := range vars {
		lines[i] = "\n" + v.raw()
	}
	return strings.Join(lines, ",")
}

// survives reports whether a text is what the INI reader gives back after it has been written. It is not for
// carriage returns, blanks at the ends and what looks like a comment.
func survives(raw string) bool {
	var b strings.Builder
	b.WriteString("[s]\n")
	option(&b, "k", raw)
	doc := ini.New()
	if doc.Parse("", b.String()) != nil || len(doc.Sections()) != 1 || len(doc.Sections()[0].Own()) != 1 {
		return false
	}
	v, ok := doc.Sections()[0].Get("k")
	return ok && v.Text == raw
}

// here is replaced wherever it stands, even where the percent sign is doubled.
const here = "%(here)s"

// writable says why a key cannot be written; nil when it can.
func (k Key) writable() error {
	raw := k.raw()
	switch {
	case !k.Template && strings.Contains(raw, here):
		return fmt.Errorf("%s cannot hold the text %s", k.Name, here)
	case strings.Contains(raw, "\x00") || !survives(raw):
		return fmt.Errorf("%s has a value that a configuration file cannot hold: %q", k.Name, k.Value)
	}
	return nil
}

// writable says why a variable cannot be written; nil when it can.
func (v EnvVar) writable() error {
	switch {
	case v.Name == "" || strings.ContainsAny(v.Name, "=\x00"):
		return fmt.Errorf("%q cannot be the name of a variable", v.Name)
	case strings.Contains(v.Value, "\x00") || !survives(v.raw()):
		return fmt.Errorf("the variable %s has a value that a configuration file cannot hold", v.Name)
	}
	return nil
}
