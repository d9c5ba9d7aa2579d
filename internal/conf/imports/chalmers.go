package imports

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
)

// readChalmers reads a store; the path is its data folder. Source: spec/chalmers 14, one-model 5.
func readChalmers(r *reader) error {
	dirs := chalmers.Locate(r.w.GOOS, r.w.Home, r.w.Vars)
	if dirs.Data != r.path {
		dirs = chalmers.Dirs{Data: r.path, Logs: dirs.Logs}
		if filepath.Base(r.path) == "data" { // of a CHALMERS_ROOT
			dirs.Logs = filepath.Join(filepath.Dir(r.path), "logs")
		}
	}
	store, err := chalmers.ReadStore(dirs)
	if err != nil {
		return bare(err)
	}
	for _, p := range store.Problems {
		r.problem(p.File, p.Line, "%s", p.Text)
	}
	r.chalmers(store.Programs)
	return nil
}

// Chalmers carries over programs that have been read already.
func Chalmers(programs []chalmers.Program, w *World) *Report {
	r := &reader{w: w, report: &Report{Source: "chalmers"}, taken: map[string]int{}}
	r.chalmers(programs)
	return r.report
}

// chalmers carries over what can be used.
func (r *reader) chalmers(programs []chalmers.Program) {
	for i := range programs {
		c := &programs[i]
		for _, list := range [...][]chalmers.Problem{c.Problems, c.Notes} {
			for _, p := range list {
				r.problem(p.File, p.Line, "%s", p.Text)
			}
		}
		if len(c.Problems) == 0 {
			r.fromChalmers(c)
		}
	}
}

// fromChalmers carries one program over.
func (r *reader) fromChalmers(c *chalmers.Program) {
	o := &c.Options
	p := r.program(c.Name, c.File, 0)
	words := o.Command
	if o.OneText {
		if split, err := shellwords.Split(words[0]); err == nil && len(split) > 1 {
			p.change("command", words[0], CommandLine(split), "one text was taken for the name of a program there")
			words = split
		}
	}
	p.set("command", CommandLine(words))
	p.keep("command")
	p.On = !c.State.Off
	p.keep("on/off")
	if o.Dir == "" {
		p.assume("directory", "/", "the folder of programs without cwd")
	} else {
		p.set("directory", r.abs("/", o.Dir))
		p.keep("cwd")
	}
	for _, v := range o.Env {
		p.env(EnvVar{Name: v.Name, Value: v.Value})
	}
	if len(o.Env) > 0 {
		p.keep("env")
	}
	p.chalmersStart(o)
	p.chalmersStop(o)
	p.chalmersOutput(o)
	if o.User != "" {
		p.user("user", o.User)
	}
	if o.Umask >= 0 {
		p.set("umask", fmt.Sprintf("%03o", o.Umask))
		p.keep("umask")
	}
	if _, ok := o.Merged.Find("bufsize"); ok {
		p.drop("bufsize", "it had no effect")
	}
	for _, key := range o.Unknown {
		p.drop(key, "it had no meaning")
	}
	p.change("environment", "all of whoever ran start", "the instance's", "variables of a login session are not inherited")
	if alive, why := chalmers.Verify(c.State, r.started); alive {
		p.Live = &Live{PID: c.State.Child, Start: c.State.Start, Stdout: o.Stdout, Stderr: o.Stderr, Monitor: c.State.Monitor}
	} else if c.State.Child != 0 {
		p.change("running process", strconv.Itoa(c.State.Child), "none", why)
	}
	p.done()
}

// chalmersStart sets what concerns starts and ends.
func (p *pending) chalmersStart(o *chalmers.Options) {
	p.set("autorestart", "unexpected")
	p.setSeconds("startsecs", "startsecs", o.StartSecs)
	launches := o.StartRetries
	switch retries := max(0, launches-1); {
	case launches < 1:
		p.set("startretries", "0")
		p.change("startretries", strconv.FormatInt(launches, 10), "0", "with none it was never launched there; here it is, once")
	default:
		p.set("startretries", strconv.FormatInt(retries, 10))
		p.change("startretries", strconv.FormatInt(launches, 10), strconv.FormatInt(retries, 10),
			"there the number of launches, here that of further ones")
	}
	var codes []string
	for _, c := range o.ExitCodes {
		switch {
		case c >= 0 && c <= 255:
			codes = append(codes, strconv.FormatInt(c, 10))
		case c < 0 && c > -65:
			p.drop("exitcodes "+strconv.FormatInt(c, 10), "an end by "+units.SignalName(int(-c))+" cannot be expected: "+later)
		default:
			p.drop("exitcodes "+strconv.FormatInt(c, 10), "no program ends with it")
		}
	}
	p.set("exitcodes", strings.Join(codes, ","))
	p.keep("exitcodes")
	p.drop("success before startsecs", "an expected exit code counts as success only after startsecs: "+later)
	p.change("delay between attempts", "none", "1 s, 2 s, …", "attempts never follow each other without a pause")
}

// chalmersStop sets what concerns stops.
func (p *pending) chalmersStop(o *chalmers.Options) {
	p.set("stopsignal", o.StopSignal)
	p.keep("stopsignal")
	p.setSeconds("stopwaitsecs", "stopwaitsecs", o.StopWaitSecs)
	p.assume("stop_reach", "tree", "whatever the program started is ended with it")
}

// chalmersOutput sets where output goes.
func (p *pending) chalmersOutput(o *chalmers.Options) {
	p.set("redirect_stderr", strconv.FormatBool(o.MergeStderr))
	p.keep("redirect_stderr")
	for _, s := range [...]struct{ key, source, path string }{{"stdout_logfile", "stdout", o.Stdout}, {"stderr_logfile", "stderr", o.Stderr}} {
		switch {
		case s.path != "":
			p.log(s.key, s.source, p.r.abs("/", s.path))
		case s.source == "stdout" || !o.MergeStderr:
			p.set(s.key, "NONE")
			p.keep(s.source)
		}
	}
	p.change("log rotation", "none", "at 50 MB, 10 files kept", "logs do not grow without limit")
	p.drop("daemon_log", "what happens to a program is in the instance's own log")
}

// started answers when a process began; there are none where nobody can tell.
func (r *reader) started(pid int) (at time.Time, alive bool) {
	if r.w.Started == nil {
		return time.Time{}, false
	}
	return r.w.Started(pid)
}
