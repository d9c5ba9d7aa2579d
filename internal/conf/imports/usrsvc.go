package imports

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/usrsvc"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// usrsvcFile is the name of the main file.
const usrsvcFile = "usrsvc.cfg"

// readUsrsvc reads usrsvc.cfg and its folder. Source: spec/usrsvc 13, one-model 2 and 5.
func readUsrsvc(r *reader) error {
	c, err := usrsvc.Load(r.path, usrsvc.Options{Vars: r.w.Vars, Home: r.w.Home, UID: r.w.UID})
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), r.path+": "))
	}
	for _, p := range c.Problems {
		text := p.Text
		if p.Key != "" {
			text = p.Key + ": " + text
		}
		if p.Program != "" {
			text = "[Program:" + p.Program + "] " + text
		}
		r.problem(p.File, p.Line, "%s", text)
	}
	for _, w := range c.Warnings {
		if w.Program == "" && w.Key == "config_dir" { // nothing else would say where the programs are
			r.problem(w.File, w.Line, "%s: %s", w.Key, w.Text)
		}
	}
	if pid := r.pidFile(c.Main.PIDFile); pid > 1 {
		if _, alive := r.started(pid); alive {
			r.report.Daemon = pid
		}
	}
	for _, name := range c.Names {
		if m, _ := c.Find(name); m != nil {
			r.fromUsrsvc(c, m)
		}
	}
	return nil
}

// fromUsrsvc carries one program over.
func (r *reader) fromUsrsvc(c *usrsvc.Config, m *model.Program) {
	p := r.program(m.ID.Name, m.Origin.File, m.Origin.Line)
	split, err := shellwords.Split(m.Command.Line)
	if err != nil {
		r.problem(p.file, p.line, "%s: command: %v", m.ID.Name, err)
		return
	}
	said := func(key string) bool { return slices.Contains(c.Said[m.ID.Name], key) }
	keep := func(keys ...string) {
		for _, key := range keys {
			if said(key) {
				p.keep(key)
			}
		}
	}
	p.set("command", CommandLine(split))
	keep("command", "useshell", "autostart", "autorestart")
	p.On = m.Start.Auto
	if m.Disabled {
		p.set("enabled", "false")
	}
	keep("enabled")
	if m.Command.Dir != "" {
		p.set("directory", m.Command.Dir)
		keep("directory")
	} else {
		p.assume("directory", r.w.Home, "it ran in the folder of whoever started it")
	}
	p.usrsvcEnv(m)
	keep("inherit_env")
	p.usrsvcStart(m, said)
	p.usrsvcStop(m, said)
	p.usrsvcOutput(m, said)
	p.usrsvcAttach(m, keep)
	for _, check := range m.Checks {
		p.set("check."+check.Name, strings.TrimPrefix(check.String(), check.Name+"="))
	}
	keep("monitor_after", "activityfile", "activityfile_limit", "rss_limit", "umask")
	for _, key := range c.Said[m.ID.Name] {
		if strings.HasPrefix(key, "check.") {
			p.keep(key)
		}
	}
	if m.Command.Umask >= 0 {
		p.set("umask", fmt.Sprintf("%03o", m.Command.Umask))
	}
	if len(m.Email) > 0 {
		p.set("email_alerts", strings.Join(m.Email, ","))
		keep("email_alerts")
	}
	if said("defaults") {
		p.change("defaults", "settings that several programs share", "what they say", "written into each")
	}
	for _, w := range c.Warnings {
		if w.Program == m.ID.Name || w.Program == "" && said(w.Key) {
			at := fmt.Sprintf("line %d", w.Line)
			if w.File != m.Origin.File {
				at = fmt.Sprintf("%s:%d", w.File, w.Line)
			}
			p.change(cmp.Or(w.Key, "definition"), "", at, w.Text)
		}
	}
	p.done()
}

// usrsvcEnv sets the environment.
func (p *pending) usrsvcEnv(m *model.Program) {
	for _, v := range m.Command.Env {
		p.env(EnvVar{Name: v.Name, Value: v.Value})
	}
	if len(m.Command.Env) > 0 {
		p.keep("Env")
	}
	if m.Command.Clear {
		p.set("inherit_env", "false")
		return
	}
	p.change("environment", "all of whoever started it", "the instance's", "variables of a login session are not inherited")
}

// usrsvcStart sets what concerns starts and ends.
func (p *pending) usrsvcStart(m *model.Program, said func(string) bool) {
	p.set("autorestart", m.Exit.Restart.String())
	p.setSeconds("startsecs", "success_seconds", m.Start.Secs.Seconds())
	switch {
	case m.Start.Retries == model.Endless:
		p.set("startretries", "unlimited")
		if said("maxrestarts") {
			p.change("maxrestarts", "0", "startretries=unlimited", "")
		}
	default:
		p.set("startretries", strconv.Itoa(m.Start.Retries))
		p.change("startretries", strconv.Itoa(m.Start.Retries+1), strconv.Itoa(m.Start.Retries), "there the number of launches, here that of further ones")
	}
	p.set("restart_delay", strconv.FormatFloat(m.Start.Delay.Seconds(), 'f', -1, 64))
	p.change("restart_delay", "from one attempt to the next", "from an end to the next start", "never less than 2 s; failed attempts have a growing pause")
}

// usrsvcStop sets what concerns stops.
func (p *pending) usrsvcStop(m *model.Program, said func(string) bool) {
	p.set("stopsignal", strings.TrimPrefix(units.SignalName(m.Stop.Signal), "SIG"))
	if said("stopsignal") {
		p.keep("stopsignal")
	}
	p.setSeconds("stopwaitsecs", "term_to_kill_seconds", m.Stop.Wait.Seconds())
	p.assume("stop_reach", "tree", "whatever the program started is ended with it")
	p.change("stop", "undone by usrsvcd", "lasts until it is started again", "")
}

// usrsvcOutput sets where output goes.
func (p *pending) usrsvcOutput(m *model.Program, said func(string) bool) {
	p.set("redirect_stderr", strconv.FormatBool(m.IO.MergeStderr))
	p.log("stdout_logfile", "stdout", m.IO.Stdout.Path)
	if !m.IO.MergeStderr {
		p.log("stderr_logfile", "stderr", m.IO.Stderr.Path)
	} else if said("stderr") {
		p.keep("stderr")
	}
	p.change("log rotation", "none", "at 50 MB, 10 files kept", "logs do not grow without limit")
}

// usrsvcAttach sets how it is known, and finds the process that runs now.
func (p *pending) usrsvcAttach(m *model.Program, keep func(...string)) {
	a := &m.Attach
	p.set("pidfile", a.PIDFile)
	if a.Track != model.TrackChild {
		p.set("track", a.Track.String())
	}
	if a.Scan {
		p.set("scan", "true")
	}
	if a.Match != "" {
		p.set("match", a.Match)
	}
	keep("pidfile", "autopid", "scan_for_process", "proctitle_re")
	pid := p.r.pidFile(a.PIDFile)
	if pid < 2 {
		return
	}
	began, alive := p.r.started(pid)
	if !alive {
		p.change("running process", strconv.Itoa(pid), "none", "the process that its pid file names is gone")
		return
	}
	p.Live = &Live{PID: pid, Start: began.Truncate(time.Second), Stdout: m.IO.Stdout.Path, Stderr: m.IO.Stderr.Path, Match: a.Match}
	if a.Match == "" {
		p.Live.Command = m.Command.Line
	}
}

// usrsvcHome is where the main file is looked for.
func usrsvcHome(w *World) string { return filepath.Join(w.Home, usrsvcFile) }
