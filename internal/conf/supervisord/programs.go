package supervisord

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// maxProcs bounds numprocs, so that a slip of the finger cannot eat the memory of the machine.
const maxProcs = 1_000_000

// programs makes the processes of a program-like section as members of a group, sorted by name. Errors
// name the section and its file. Source: spec/supervisor 1.7.
func (r *reader) programs(sect *ini.Section, group string, kind model.Kind, global map[string]string) ([]*model.Program, error) {
	o := r.options(sect, scope{})
	list := r.programList(o, group, kind, global)
	if o.err != nil {
		o.err = errors.New(o.err.Error() + " in section " + pytext.Repr(sect.Name) + " (file: " + pytext.Repr(sect.File) + ")")
		return nil, o.failure()
	}
	slices.SortStableFunc(list, func(a, b *model.Program) int { return cmp.Compare(a.ID.Name, b.ID.Name) })
	return list, nil
}

// template is what all processes of a section have in common.
type template struct {
	program     model.Program
	name        string // unexpanded
	environment string // unexpanded
	numprocs    int
	first       int
}

func (r *reader) programList(o *options, group string, kind model.Kind, global map[string]string) []*model.Program {
	_, name, _ := strings.Cut(o.sect.Name, ":")
	name, err := units.Name(name)
	o.fail("", err)
	o.sc = scope{"here": r.here, "program_name": name, "host_node_name": r.env.Hostname, "group_name": group}
	before := len(r.problems)
	t := r.template(o)
	t.program.Section, t.program.Kind, t.program.Origin = name, kind, origin(o.sect)
	r.consistent(o, &t.program, kind)
	if kind == model.KindEventListener && t.program.IO.NoStdin && !t.program.IO.Direct {
		o.fail("stdin", errors.New("stdin=none: events come to a listener through its standard input"))
	}
	var list []*model.Program
	for i := 0; i < t.numprocs && o.err == nil && (i == 0 || len(r.problems) == before); i++ {
		list = append(list, r.process(o, &t, group, t.first+i, global))
	}
	return list
}

// template reads the options that are evaluated once for a section.
func (r *reader) template(o *options) template {
	var t template
	p := &t.program
	p.Priority = o.number("priority", 999)
	p.Start.Auto = o.boolean("autostart", true)
	p.Exit.Restart = value(o, "autorestart", model.RestartUnexpected, autoRestart)
	p.Start.Secs = seconds(o.integer("startsecs", 1))
	p.Start.Retries = value(o, "startretries", 3, retries)
	stop, err := units.Signal("TERM")
	o.fail("stopsignal", err)
	p.Stop.Signal = value(o, "stopsignal", stop, units.Signal)
	p.Reload = value(o, "reload_signal", 0, units.Signal)
	p.Stop.Wait = seconds(o.integer("stopwaitsecs", 10))
	stopGroup := o.boolean("stopasgroup", false)
	killGroup := o.boolean("killasgroup", stopGroup)
	p.Exit.Codes = value(o, "exitcodes", []int{0}, units.ExitCodes)
	p.IO.MergeStderr = o.boolean("redirect_stderr", false)
	t.numprocs = o.number("numprocs", 1)
	t.first = o.number("numprocs_start", 0)
	t.environment, _ = o.raw("environment", "")
	for _, s := range [...]struct {
		name   string
		stream *model.Stream
	}{{"stdout", &p.IO.Stdout}, {"stderr", &p.IO.Stderr}} {
		s.stream.CaptureBytes = o.size(s.name+"_capture_maxbytes", 0)
		s.stream.Events = o.boolean(s.name+"_events_enabled", false)
	}
	if url, _ := o.text("serverurl"); strings.ToUpper(pytext.Strip(url)) != "AUTO" {
		p.ServerURL = url
	}
	p.Command.UID, p.Command.Umask = -1, -1
	if name, ok := o.text("user"); ok {
		u, err := r.env.user(name)
		o.fail("user", err)
		p.Command.UID, p.Command.User = u.UID, name
	}
	p.Command.Umask = o.mode("umask", -1)
	p.Command.Clear = !o.boolean("inherit_env", true)
	p.Command.IgnoreSIGPIPE = value(o, "child_sigpipe", false, func(v string) (bool, error) {
		return choice("child_sigpipe", v, "ignore", "default")
	})
	p.IO.BlockWhenFull = value(o, "log_full", false, func(v string) (bool, error) {
		return choice("log_full", v, "block", "drop")
	})
	p.IO.NoStdin = value(o, "stdin", false, func(v string) (bool, error) {
		return choice("stdin", v, "none", "pipe")
	})
	raw, _ := o.raw("process_name", "%(program_name)s")
	t.name, err = units.Name(raw)
	o.fail("process_name", err)
	least := value(o, "stop_reach", model.ReachProcess, stopReach)
	p.Stop.Reach, p.Stop.KillReach = max(reach(stopGroup), least), max(reach(killGroup), least)
	r.managing(o, p)
	o.fail("numprocs", t.check())
	if stopGroup && !killGroup {
		//lint:ignore ST1005 the dialect's words
		o.fail("killasgroup", errors.New("Cannot set stopasgroup=true and killasgroup=false"))
	}
	if t.numprocs < 1 && o.err == nil {
		r.warn("For [" + o.sect.Name + "], numprocs=" + strconv.Itoa(t.numprocs) + " makes no processes")
	}
	return t
}

// check judges the number of processes.
func (t *template) check() error {
	switch {
	case t.numprocs > 1 && !strings.Contains(t.name, "%(process_num)"):
		return errors.New("%(process_num) must be present within process_name when numprocs > 1")
	case t.numprocs > maxProcs:
		return errors.New("numprocs " + strconv.Itoa(t.numprocs) + " is above the limit of " + strconv.Itoa(maxProcs))
	}
	return nil
}

// stopReach reads how far a stop goes at least, whatever stopasgroup and killasgroup say. Source: one-model C9.
func stopReach(v string) (model.Reach, error) {
	switch v {
	case "process":
		return model.ReachProcess, nil
	case "group":
		return model.ReachGroup, nil
	case "tree":
		return model.ReachTree, nil
	}
	return 0, fmt.Errorf("invalid 'stop_reach' value %s", pytext.Repr(v))
}

func reach(group bool) model.Reach {
	if group {
		return model.ReachGroup
	}
	return model.ReachProcess
}

// process makes one process: it reads the options that may differ from process to process. The scope is
// shared by the processes of a section, so that variables of an earlier one stay visible.
func (r *reader) process(o *options, t *template, group string, num int, global map[string]string) *model.Program {
	p := t.program
	o.sc["process_num"], o.sc["numprocs"] = num, t.numprocs
	for name := range r.vars {
		delete(o.sc, name) // the surrounding environment comes first again
	}
	r.surroundings(o, &p.Command, t.environment, global)
	if o.err != nil {
		return nil
	}
	r.stream(o, "stdout", &p.IO.Stdout)
	r.stream(o, "stderr", &p.IO.Stderr)
	if p.IO.MergeStderr {
		if p.IO.Stderr.Log == model.LogFile {
			r.warn("For [" + o.sect.Name + "], redirect_stderr=true but stderr_logfile has also been set to a filename, the filename has been ignored")
		}
		p.IO.Stderr.Log, p.IO.Stderr.Path = model.LogNone, ""
	}
	if p.IO.Direct {
		p.IO.Stdout.MaxBytes, p.IO.Stdout.Backups, p.IO.Stderr.MaxBytes, p.IO.Stderr.Backups = 0, 0, 0, 0
	}
	r.attach(o, t, &p.Attach)
	p.Checks = r.checks(o)
	line, ok := o.text("command")
	if !ok {
		o.fail("command", errors.New("program section "+o.sect.Name+" does not specify a command"))
	}
	p.Command.Line = line
	name, err := r.expand(t.name, "process_name", o.sc)
	o.fail("process_name", err)
	p.ID = model.ID{Group: group, Name: name}
	if r.watch != nil && p.ID == r.watch.id {
		r.watch.values = r.effective(o)
	}
	p.Exit.Codes, p.Depends = slices.Clone(p.Exit.Codes), slices.Clone(p.Depends)
	p.Notify, p.Email = slices.Clone(p.Notify), slices.Clone(p.Email)
	return &p
}

// stream reads where one output channel goes.
func (r *reader) stream(o *options, name string, s *model.Stream) {
	key := name + "_logfile"
	log := logFile{kind: model.LogAuto}
	if raw, ok := o.raw(key, ""); ok && o.err == nil {
		// The original expanded these names twice, so files in use have percent signs written four times.
		text, err := r.expand(strings.ReplaceAll(raw, "%%%%", "%%"), o.sect.Name+"."+key, o.sc)
		o.fail(key, err)
		if o.err == nil {
			log, err = r.env.logFileName(text)
			o.fail(key, err)
		}
	}
	s.Log, s.Path = log.kind, log.path
	s.Backups = o.number(key+"_backups", 10)
	s.MaxBytes = o.size(key+"_maxbytes", 50<<20)
	s.Syslog = o.boolean(name+"_syslog", false)
	if o.err != nil {
		return
	}
	if log.syslog {
		s.Syslog = true
		r.warn("For [" + o.sect.Name + "], " + key + "=syslog but this is deprecated and will be removed.  Use " +
			name + "_syslog=true to enable syslog instead.")
	}
	if log.kind == model.LogAuto && s.MaxBytes == 0 {
		r.warn("For [" + o.sect.Name + "], AUTO logging used for " + key +
			" without rollover, set maxbytes > 0 to avoid filling up filesystem unintentionally")
	}
}
