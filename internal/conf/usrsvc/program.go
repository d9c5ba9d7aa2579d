package usrsvc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/configobj"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// What holds when nothing is said. Source: spec/usrsvc 3.2, 8.3; one-model 2.
const (
	defaultSuccess = 2 * time.Second
	defaultKill    = 8 * time.Second
	// leastDelay is how often the original looked: nothing came back sooner.
	leastDelay   = 2 * time.Second
	startTimeout = 90 * time.Second
	priority     = 999
)

// The names of one key: that which the original took, and that of its documents. Source: spec/usrsvc US-16.
const (
	restarts      = "maxrestarts"
	otherRestarts = "max_restarts"
)

// ProgramKeys are the keys of [Program:NAME] and [DefaultSettings:NAME]: those of the original, then ours.
func ProgramKeys() (original, ours []string) {
	return strings.Fields(`command useshell pidfile stdout stderr enabled autostart autorestart maxrestarts restart_delay success_seconds
		term_to_kill_seconds autopid scan_for_process proctitle_re inherit_env email_alerts defaults`),
		strings.Fields("directory umask stopsignal stop_reach")
}

// chain is a layer of settings and those that it names in turn, the first one strongest, the general one last.
func (l *loader) chain(y *layer, fail func(at configobj.Value, text string)) []*layer {
	var list []*layer
	names := []string{}
	for y != nil {
		if slices.Contains(list, y) {
			v, _ := list[len(list)-1].section.Get("defaults")
			fail(v, "the settings name each other in a circle: "+strings.Join(append(names, y.name), " → "))
			return list
		}
		list, names = append(list, y), append(names, y.name)
		v, ok := y.section.Get("defaults")
		if !ok || v.Text == "" || y.name == "" {
			break
		}
		next := l.settings[v.Text]
		if next == nil {
			fail(v, l.noSettings(v.Text))
		}
		y = next
	}
	if general := l.settings[""]; general != nil && !slices.Contains(list, general) {
		list = append(list, general)
	}
	return list
}

// noSettings says that there are no settings of a name.
func (l *loader) noSettings(name string) string {
	text := "there is no [" + settingsSection + ":" + name + "]"
	var known []string
	for _, y := range sorted(l.settings) {
		if y.name != "" {
			known = append(known, y.name)
		}
	}
	if like := words.Close(name, known, 1); len(like) > 0 {
		text += "; is " + like[0] + " meant?"
	}
	return text
}

// builder makes one program.
type builder struct {
	l        *loader
	own      *layer // nil = settings alone are checked
	layers   []*layer
	problems []Problem
	said     []string
	lines    map[int]bool // of its own section; nil = not looked for yet
	unnamed  bool         // the value that is being expanded has the name of a program in it, which settings alone have not
}

// name is that of the program; empty = there is none.
func (b *builder) name() string {
	if b.own == nil {
		return ""
	}
	return b.own.name
}

func (b *builder) origin() model.Origin {
	s := b.own.section
	return model.Origin{File: s.File, Line: s.Line, Dialect: Dialect}
}

// fail records a mistake of the program.
func (b *builder) fail(file string, line int, key, text string) {
	p := Problem{File: file, Line: line, Program: b.name(), Key: key, Text: text}
	b.problems = append(b.problems, p)
	if !b.inside(file, line) {
		p.Program = "" // it stands in what several have in common
	}
	b.l.problem(p)
}

// inside reports whether a line is one of the program's own.
func (b *builder) inside(file string, line int) bool {
	if b.own == nil || b.own.section.File != file {
		return false
	}
	if b.lines == nil {
		b.lines = map[int]bool{}
		var mark func(s *configobj.Section)
		mark = func(s *configobj.Section) {
			b.lines[s.Line] = true
			for _, e := range s.Entries() {
				b.lines[e.Line] = true
			}
			for _, sub := range s.Sections() {
				mark(sub)
			}
		}
		mark(b.own.section)
	}
	return b.lines[line]
}

func (b *builder) warn(file string, line int, key, text string) {
	p := Problem{File: file, Line: line, Program: b.name(), Key: key, Text: text}
	if !b.inside(file, line) {
		p.Program = ""
	}
	b.l.warn(p)
}

// settings checks what several programs have in common, without the keys that only a program must have.
func (b *builder) settings() {
	b.l.chain(b.layers[0], func(at configobj.Value, text string) { b.fail(at.File, at.Line, "defaults", text) })
	b.sections()
	b.build()
}

// program makes the program; nil after a mistake.
func (b *builder) program() *model.Program {
	s := b.own.section
	b.problems = append(b.problems, b.own.problems...)
	b.layers = []*layer{b.own}
	b.layers = append(b.layers, b.l.chain(b.base(), func(at configobj.Value, text string) { b.fail(at.File, at.Line, "defaults", text) })...)
	for _, y := range b.layers[1:] {
		for _, p := range y.problems {
			p.Program = b.own.name
			b.problems = append(b.problems, p)
		}
	}
	b.sections()
	p := b.build()
	p.ID, p.Section, p.Origin = model.ID{Group: b.own.name, Name: b.own.name}, b.own.name, b.origin()
	for _, key := range [...]string{"command", "pidfile", "stdout"} {
		if v, _ := b.find(key); v == nil && len(b.own.problems) == 0 {
			b.fail(s.File, s.Line, key, "every program needs it")
		}
	}
	if len(b.problems) > 0 {
		return nil
	}
	for _, y := range b.layers {
		for _, e := range y.section.Entries() {
			b.said = append(b.said, e.Key)
		}
	}
	for _, s := range b.monitors() {
		for _, e := range s.Entries() {
			b.said = append(b.said, e.Key)
		}
	}
	slices.Sort(b.said)
	b.said = slices.Compact(b.said)
	return p
}

// base is the layer of settings that the program begins with; nil = there is none.
func (b *builder) base() *layer {
	v, ok := b.own.section.Get("defaults")
	if !ok || v.Text == "" {
		return b.l.settings[""]
	}
	y := b.l.settings[v.Text]
	if y == nil {
		b.fail(v.File, v.Line, "defaults", b.l.noSettings(v.Text))
	}
	return y
}

// sections checks the names of keys and of the sections inside.
func (b *builder) sections() {
	original, ours := ProgramKeys()
	known := append(original, ours...)
	for _, y := range b.layers {
		for _, e := range y.section.Entries() {
			switch {
			case e.Key == "defaults" && y.name == "":
				b.fail(e.File, e.Line, e.Key, y.title()+" counts for all programs, and names no others")
			case slices.Contains(known, e.Key):
			case e.Key == otherRestarts:
				if v, ok := y.section.Get(restarts); ok {
					b.fail(e.File, e.Line, e.Key, fmt.Sprintf("it is the same key as %s, which stands in line %d", restarts, v.Line))
					continue
				}
				b.warn(e.File, e.Line, e.Key, "the original refuses it; it is taken for "+restarts)
			case e.Key == envSection || slices.Contains(monitorSections[:], e.Key):
				b.fail(e.File, e.Line, e.Key, "it is a section of its own: [["+e.Key+"]]")
			default:
				b.fail(e.File, e.Line, e.Key, unknown("such key", e.Key, known))
			}
		}
		var monitor *configobj.Section
		for _, sub := range y.section.Sections() {
			switch {
			case sub.Name == envSection, sub.Name == defaultName:
			case slices.Contains(monitorSections[:], sub.Name):
				if monitor != nil {
					b.fail(sub.File, sub.Line, "", fmt.Sprintf("[[%s]] and [[%s]] are the same section; the other one is in line %d", sub.Name, monitor.Name, monitor.Line))
				}
				monitor = sub
			default:
				b.fail(sub.File, sub.Line, "", unknown("section as [["+sub.Name+"]] in a program", sub.Name, append(monitorSections[:], envSection)))
			}
			for _, deeper := range sub.Sections() {
				if deeper.Name != defaultName && sub.Name != defaultName {
					b.fail(deeper.File, deeper.Line, "", "[["+sub.Name+"]] has no sections inside of it")
				}
			}
		}
	}
}

// unknown says that a name is not known, and which one may be meant.
func unknown(what, name string, known []string) string {
	text := "there is no " + what
	if like := words.Close(name, known, 1); len(like) > 0 {
		text += "; is " + like[0] + " meant?"
	}
	return text
}

// build makes a program of what is said.
func (b *builder) build() *model.Program {
	p := &model.Program{Kind: model.KindProgram, Priority: priority}
	p.Command.UID, p.Command.Umask = -1, -1
	shell := b.boolean("useshell", false)
	p.Disabled = !b.boolean("enabled", true)
	p.Command.Clear = !b.boolean("inherit_env", true)
	p.Command.Env = b.env()
	if v := b.text("directory"); v != nil {
		p.Command.Dir = b.folder(v)
	}
	if v := b.text("umask"); v != nil {
		mode, err := units.Octal(v.text)
		if err != nil || mode < 0 || mode > 0o777 {
			b.wrong(v, "an octal number from 000 to 777")
		}
		p.Command.Umask = int(mode)
	}
	b.start(p)
	b.stop(p, shell)
	b.output(p)
	b.command(p, shell)
	b.attach(p)
	p.Checks = b.checks()
	if v := b.text("email_alerts"); v != nil {
		p.Email = b.addresses(v)
	}
	return p
}

// start reads when and how it is started. Source: spec/usrsvc 8.3, US-65 to US-69, US-98.
func (b *builder) start(p *model.Program) {
	p.Start.Auto = b.boolean("autostart", true)
	p.Start.Secs = b.seconds("success_seconds", defaultSuccess)
	p.Start.Timeout = startTimeout
	p.Start.Delay = max(leastDelay, b.whole("restart_delay", 0))
	launches := b.number(b.restartsKey(), 0)
	p.Start.Retries = model.Endless
	if launches > 0 {
		p.Start.Retries = int(launches) - 1
	}
	p.Exit = model.ExitPolicy{Restart: model.RestartAlways, Codes: []int{0}}
	if !b.boolean("autorestart", true) {
		// Started once, also when that start fails.
		p.Exit.Restart, p.Start.Retries = model.RestartNever, 0
	}
}

// restartsKey is the name by which the strongest layer that does says how often a program may be started.
func (b *builder) restartsKey() string {
	for _, y := range b.layers {
		if _, ok := y.section.Get(otherRestarts); ok {
			return otherRestarts
		}
		if _, ok := y.section.Get(restarts); ok {
			break
		}
	}
	return restarts
}

// stop reads how it is ended. A shell and what it runs are one program, of which the original ended what the shell runs.
func (b *builder) stop(p *model.Program, shell bool) {
	signal, v := "TERM", b.text("stopsignal")
	if v != nil {
		signal = v.text
	}
	var err error
	if p.Stop.Signal, err = units.Signal(signal); err != nil {
		b.wrong(v, "the name or number of a signal")
	}
	p.Stop.Wait = b.seconds("term_to_kill_seconds", defaultKill)
	if shell {
		p.Stop.Reach, p.Stop.KillReach = model.ReachTree, model.ReachTree
	}
	if v := b.text("stop_reach"); v != nil {
		reach, ok := map[string]model.Reach{"process": model.ReachProcess, "group": model.ReachGroup, "tree": model.ReachTree}[v.text]
		if !ok {
			b.wrong(v, "process, group or tree")
		}
		p.Stop.Reach, p.Stop.KillReach = reach, reach
	}
}

// output reads where output goes: straight into files, which are never rotated. Source: spec/usrsvc US-86.
func (b *builder) output(p *model.Program) {
	p.IO.Direct, p.IO.NoStdin, p.IO.MergeStderr = true, true, true
	if v := b.text("stdout"); v != nil {
		p.IO.Stdout = model.Stream{Log: model.LogFile, Path: b.log(v)}
	}
	if v := b.text("stderr"); v != nil && v.text != "stdout" {
		path := b.log(v)
		if path != p.IO.Stdout.Path {
			p.IO.MergeStderr = false
			p.IO.Stderr = model.Stream{Log: model.LogFile, Path: path}
		}
	}
}

// log reads the path of a log, whose folder has to be there.
func (b *builder) log(v *value) string {
	path := b.absolute(v)
	if path == "" {
		return ""
	}
	if st, err := os.Stat(filepath.Dir(path)); !v.unnamed && (err != nil || !st.IsDir()) {
		b.fail(v.File, v.Line, v.key, "the folder of "+path+" does not exist")
	}
	return path
}

// folder reads the path of a folder that is there.
func (b *builder) folder(v *value) string {
	path := b.absolute(v)
	if st, err := os.Stat(path); path != "" && !v.unnamed && (err != nil || !st.IsDir()) {
		b.fail(v.File, v.Line, v.key, path+" is no folder")
	}
	return path
}

// command reads what is run. Source: spec/usrsvc 3.2.
func (b *builder) command(p *model.Program, shell bool) {
	v := b.text("command")
	if v == nil {
		return
	}
	line := strings.TrimSpace(v.text)
	if strings.HasSuffix(line, "&") && !strings.HasSuffix(line, "&&") {
		line = strings.TrimSpace(strings.TrimSuffix(line, "&"))
		b.warn(v.File, v.Line, v.key, "the & at its end is left out: programs are in the background anyway")
	}
	split, err := shellwords.Split(line)
	switch {
	case line == "" || err == nil && len(split) == 0:
		b.fail(v.File, v.Line, v.key, "it is empty")
	case err != nil:
		b.fail(v.File, v.Line, v.key, fmt.Sprintf("it cannot be split into words: %v", err))
	case strings.HasSuffix(line, "&&"):
		b.fail(v.File, v.Line, v.key, "nothing follows the && at its end")
	case shell:
		p.Command.Line = ShellLine(line)
	default:
		p.Command.Line = line
	}
}

// ShellLine is the command line that has a shell run a text, as useshell does.
func ShellLine(text string) string { return "/bin/sh -c " + words.Quote(text) }

// attach reads how a process that runs already is known.
func (b *builder) attach(p *model.Program) {
	if v := b.text("pidfile"); v != nil {
		p.Attach.PIDFile = b.absolute(v)
	}
	if !b.boolean("autopid", true) {
		p.Attach.Track = model.TrackPIDFile
	}
	p.Attach.Scan = b.boolean("scan_for_process", true)
	if v := b.text("proctitle_re"); v != nil && v.text != "" {
		re, err := Pattern(v.text)
		if err != nil {
			b.fail(v.File, v.Line, v.key, err.Error())
		}
		p.Attach.Match = re
		return
	}
	if text, ok := strings.CutPrefix(p.Command.Line, ShellLine("")[:len("/bin/sh -c ")]); ok {
		if split, err := shellwords.Split(text); err == nil && len(split) == 1 {
			p.Attach.Match = shellPattern(split[0])
		}
	}
}

// addresses reads who is told by mail; each address may have quotes of its own.
func (b *builder) addresses(v *value) []string {
	if strings.Trim(v.text, " ,") == "" {
		return nil
	}
	text := v.text
	if v.List {
		text = strings.NewReplacer(`"`, "", "'", "").Replace(text)
	}
	list, err := supervisord.Addresses(text)
	if err != nil {
		b.fail(v.File, v.Line, v.key, err.Error())
	}
	return list
}
