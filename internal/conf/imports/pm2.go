package imports

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// errScript refuses configuration that is a program.
var errScript = errors.New("this file is a program and is not run; save the output of \"pm2 jlist\" in a file ending in .json and import that")

// readPM2 reads what pm2 was told to run: an ecosystem file, its dump, or its list of processes.
func readPM2(r *reader) error {
	ext := filepath.Ext(r.path)
	switch ext {
	case ".js", ".cjs", ".mjs", ".ts":
		return errScript
	}
	v, err := r.tree(r.path, ext != ".yaml" && ext != ".yml")
	if err != nil {
		return err
	}
	apps := v.Items
	if v.Kind == tree.Map {
		if apps = v.Get("apps").Items; v.Get("apps").Kind != tree.List {
			apps = []tree.Value{v}
		}
	}
	if v.Kind < tree.List {
		return errors.New("there are no apps in it")
	}
	copies := copiesOf(apps)
	read := map[string]bool{}
	for _, app := range apps {
		if app.Kind != tree.Map {
			r.problem(r.path, app.Line, "%s where an app belongs", app.Kind)
			continue
		}
		a := &pm2App{r: r, v: app, used: map[string]bool{}, dump: app.Get("pm_exec_path").Scalar()}
		if inner := app.Get("pm2_env"); inner.Kind == tree.Map {
			a.v, a.pid, a.dump = inner, app.Get("pid").Int, true
		}
		name := a.text("name")
		if a.dump && name != "" {
			if read[name] {
				continue
			}
			read[name], a.copies = true, copies[name]
		}
		a.add(name)
	}
	return nil
}

// copiesOf is how many entries of a dump have each name: copies of one app are entries of their own there.
func copiesOf(apps []tree.Value) map[string]int64 {
	copies := map[string]int64{}
	for _, app := range apps {
		name, inner := app.Get("name").Text, app.Get("pm2_env").Get("name").Text
		if copies[name]++; inner != name {
			copies[inner]++
		}
	}
	return copies
}

// pm2App is one app.
type pm2App struct {
	r      *reader
	v      tree.Value
	p      *pending
	dump   bool            // it is what pm2 wrote itself, all defaults and its environment included
	pid    int64           // 0 = unknown
	copies int64           // entries of a dump
	used   map[string]bool // keys that were looked at
}

// get is the first of some options that is set.
func (a *pm2App) get(keys ...string) tree.Value {
	for _, key := range keys {
		a.used[key] = true
	}
	for _, key := range keys {
		if v, ok := a.v.Find(key); ok && v.Kind != tree.Null {
			return v
		}
	}
	return tree.Value{}
}

func (a *pm2App) text(keys ...string) string { return a.get(keys...).Text }

// words are the words of an option that is a list or one text.
func (a *pm2App) words(keys ...string) []string {
	v := a.get(keys...)
	if v.Kind != tree.List {
		words, err := shellwords.Split(v.Text)
		if err != nil {
			return strings.Fields(v.Text)
		}
		return words
	}
	var words []string
	for _, i := range v.Items {
		if i.Scalar() {
			words = append(words, i.Text)
		}
	}
	return words
}

// interpreters are the programs for scripts, by the ending of their names.
func interpreter(script string) string {
	table := map[string]string{
		".js": "node", ".cjs": "node", ".mjs": "node", ".ts": "bun", ".tsx": "bun", ".sh": "bash", ".py": "python3", ".rb": "ruby",
		".php": "php", ".pl": "perl", ".coffee": "coffee", ".ls": "lsc", ".ps1": "powershell.exe",
	}
	return table[filepath.Ext(script)]
}

// add carries the app over.
func (a *pm2App) add(name string) {
	r := a.r
	script := a.text("pm_exec_path", "script")
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(script), filepath.Ext(script))
	}
	p := r.program(name, r.path, a.v.Line)
	a.p = p
	dir := r.dir
	if cwd := a.text("pm_cwd", "cwd"); cwd != "" {
		dir = r.abs(r.dir, cwd)
		p.keep("cwd")
	}
	p.set("directory", dir)
	if script != "" {
		a.command(dir, script)
	}
	a.environment()
	a.instances()
	a.policy()
	a.output(dir)
	a.live()
	a.rest()
	if s := a.text("status"); a.dump && s != "" && s != "online" && s != "launching" {
		p.On = false
		p.change("autostart", s, "false", "it did not run when the list was written")
	}
	p.done()
}

// command puts interpreter, its options, script and arguments together.
func (a *pm2App) command(dir, script string) {
	p := a.p
	args := a.words("args")
	with := a.text("exec_interpreter", "interpreter")
	full := a.r.abs(dir, script)
	_, err := os.Stat(full)
	exists := err == nil
	if strings.Contains(script, " ") && !exists && with == "" {
		p.set("command", CommandLine([]string{"/bin/bash", "-c", strings.Join(append([]string{script}, args...), " ")}))
		p.change("script", script, "bash -c", "a script with blanks is a shell command there")
		return
	}
	if with == "" {
		if with = interpreter(script); with != "" {
			p.change("interpreter", "", with, "by the ending of the script's name")
		}
	} else {
		p.keep("interpreter")
	}
	if exists || filepath.Ext(script) != "" || strings.Contains(script, "/") {
		script = full
	}
	var words []string
	if with != "" && with != "none" {
		words = append(append(words, with), a.words("interpreter_args", "node_args")...)
	}
	p.set("command", CommandLine(append(append(words, script), args...)))
	p.keep("script", "args")
}

// session reports whether a variable belongs to the login or to pm2, not to the app.
func session(name string) bool {
	for _, prefix := range [...]string{"PM2_", "pm_", "axm_", "SSH_", "XDG_", "DBUS_", "LC_", "npm_", "SUDO_", "GPG_", "VSCODE_", "NVM_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(strings.Fields(`PATH PWD OLDPWD SHLVL _ HOME USER LOGNAME SHELL TERM LANG LANGUAGE MAIL HOSTNAME LS_COLORS DISPLAY
		COLORTERM LESSOPEN LESSCLOSE EDITOR VISUAL PAGER HISTSIZE HISTCONTROL INVOCATION_ID JOURNAL_STREAM NODE_APP_INSTANCE
		unique_id vizion_running windowsHide exit_code status name instances km_link version node_version username pmx automation
		instance_var merge_logs autorestart watch autostart treekill vizion filter_env namespace`), name)
}

// environment sets the variables. A dump holds those of the whole login session, which are left out.
func (a *pm2App) environment() {
	left := 0
	for _, f := range a.get("env").Fields {
		switch {
		case !f.Value.Scalar():
			if f.Value.Kind >= tree.List {
				a.p.drop("env "+f.Key, f.Value.Kind.String()+" is no value for a variable")
			}
		case a.dump && session(f.Key):
			left++
		default:
			a.p.env(EnvVar{Name: f.Key, Value: f.Value.Text})
		}
	}
	if left > 0 {
		a.p.drop(fmt.Sprintf("%d variables", left), "of the login session and of pm2 itself")
	}
	if len(a.p.Env) > 0 {
		a.p.keep("env")
	}
	for _, f := range a.v.Fields {
		if rest, ok := strings.CutPrefix(f.Key, "env_"); ok && f.Value.Kind == tree.Map {
			a.used[f.Key] = true
			a.p.drop(f.Key, "variables of the environment "+rest+" are not chosen by import")
		}
	}
}

// instances sets how many copies run.
func (a *pm2App) instances() {
	v := a.get("instances")
	n := v.Int
	cpus := int64(max(1, a.r.w.CPUs))
	switch {
	case a.dump:
		n = a.copies
	case v.Text == "max" || v.Kind == tree.Int && n == 0:
		n = cpus
		a.p.change("instances", v.Text, strconv.FormatInt(n, 10), "the processors of this machine today")
	case v.Kind == tree.Int && n < 0:
		n = max(1, cpus+n)
		a.p.change("instances", v.Text, strconv.FormatInt(n, 10), "the processors of this machine today")
	case n > 1:
		a.p.keep("instances")
	}
	if n > maxCopies {
		a.r.problem(a.r.path, v.Line, "%s: %d instances", a.p.Name, n)
		n = 1
	}
	a.p.copies(n)
	if n > 1 {
		name := a.text("instance_var")
		if name == "" {
			name = "NODE_APP_INSTANCE"
		}
		a.p.env(EnvVar{Name: name, Value: "%(process_num)d", Template: true})
	}
	if mode := a.text("exec_mode"); strings.HasPrefix(mode, "cluster") {
		why := "there is no cluster here"
		if n > 1 {
			why += "; copies that listen need ports of their own, see the variable for the number of the instance"
		}
		a.p.change("exec_mode", mode, "fork", why)
	}
}

// policy sets when the program is started again and how it is stopped.
func (a *pm2App) policy() {
	p := a.p
	restart := "true"
	if v := a.get("autorestart"); v.Text == "false" {
		restart = "false"
		p.keep("autorestart")
	}
	if codes := a.get("stop_exit_codes"); codes.Scalar() || len(codes.Items) > 0 {
		var list []string
		for _, c := range append(codes.Items, codes) {
			if _, err := units.ExitCodes(c.Text); err == nil && c.Text != "" {
				list = append(list, c.Text)
			}
		}
		restart = "unexpected"
		p.set("exitcodes", strings.Join(list, ","))
		p.keep("stop_exit_codes")
	}
	p.set("autorestart", restart)
	if ms, ok := pm2Time(a.text("min_uptime")); ok {
		p.setSeconds("startsecs", "min_uptime", ms/1000)
	}
	retries := int64(16)
	if v := a.get("max_restarts"); v.Kind == tree.Int {
		retries = v.Int
	}
	further := strconv.FormatInt(max(1, min(retries, 1e6))-1, 10)
	p.set("startretries", further)
	p.change("startretries", strconv.FormatInt(retries, 10), further,
		"there the number of short runs, here that of further attempts")
	p.assume("stopsignal", "INT", "pm2 stops with it")
	if ms, ok := pm2Time(a.text("kill_timeout")); ok {
		p.setSeconds("stopwaitsecs", "kill_timeout", ms/1000)
	} else {
		p.assume("stopwaitsecs", "2", "pm2 waits 1.6 s")
	}
	if v := a.get("treekill"); v.Text != "false" {
		p.assume("stop_reach", "tree", "pm2 ends whatever the program has started")
	}
	if u := a.text("uid", "user"); u != "" {
		p.user("uid", u)
	}
}

// pm2Time reads milliseconds, or a number with a unit: 1500, 3s, 2m, 1h.
func pm2Time(text string) (ms float64, ok bool) {
	factor := 1.0
	for suffix, f := range map[string]float64{"s": 1000, "m": 60_000, "h": 3_600_000} {
		if rest, cut := strings.CutSuffix(text, suffix); cut && !strings.HasSuffix(text, "ms") {
			text, factor = rest, f
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "ms"), 64)
	return n * factor, err == nil && n >= 0
}

// output sets where output goes.
func (a *pm2App) output(dir string) {
	p := a.p
	out, errs := a.text("pm_out_log_path", "out_file", "output", "out"), a.text("pm_err_log_path", "error_file", "error", "err")
	if all := a.text("pm_log_path", "log_file", "log"); all != "" && !a.dump {
		p.drop("log_file", "a third file for both streams: "+later)
	}
	_, many := p.Get("numprocs")
	for _, s := range [...]struct{ key, source, path string }{{"stdout_logfile", "out_file", out}, {"stderr_logfile", "error_file", errs}} {
		switch {
		case s.path == "":
		case s.path == "/dev/null" || s.path == "NULL":
			p.set(s.key, "NONE")
			p.keep(s.source)
		case s.source == "error_file" && errs == out:
			p.set("redirect_stderr", "true")
			p.keep(s.source)
		case many:
			p.change(s.key, s.path, "AUTO", "copies of a program do not share a file")
		default:
			p.log(s.key, s.source, a.r.abs(dir, s.path))
		}
	}
	p.change("log rotation", "none", "at 50 MB, 10 files kept", "logs do not grow without limit")
}

// live finds the running process of a single copy.
func (a *pm2App) live() {
	pid := a.pid
	path := a.text("pm_pid_path")
	if pid == 0 && a.dump && path != "" && a.r.w.Started != nil && strings.HasPrefix(filepath.Clean(path), filepath.Join(a.r.dir, "pids")) {
		if text, err := a.r.file(path); err == nil {
			pid, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
		}
	}
	began := a.get("pm_uptime")
	if pid < 2 || a.copies > 1 || began.Float <= 0 {
		return
	}
	start := time.UnixMilli(began.Int)
	at, ok := a.r.started(int(pid))
	if ok && at.Sub(start).Abs() < 5*time.Second {
		a.p.Live = &Live{PID: int(pid), Start: start, Stdout: a.text("pm_out_log_path"), Stderr: a.text("pm_err_log_path")}
	}
}

// rest reports what was not looked at.
func (a *pm2App) rest() {
	known := strings.Fields(`watch ignore_watch watch_delay watch_options max_memory_restart cron_restart cron wait_ready listen_timeout
		shutdown_with_message exp_backoff_restart_delay restart_delay increment_var time log_date_format merge_logs combine_logs
		namespace gid post_update pre_setup source_map_support disable_source_map_support vizion force log_type pid_file pid filter_env
		append_env_to_name deep_monitoring disable_trace trace autostart stop_exit_codes`)
	for _, f := range a.v.Fields {
		switch set := f.Value.Kind != tree.Null && f.Value.Text != "false" && f.Value.Text != ""; {
		case a.used[f.Key]:
		case f.Key == "autostart":
			a.p.On = set
			a.p.keep(f.Key)
		case !slices.Contains(known, f.Key):
			if !a.dump { // which has the whole state of pm2 beside the options
				a.p.drop(f.Key, "unknown")
			}
		case set || f.Value.Kind >= tree.List:
			a.p.drop(f.Key, later)
		}
	}
}
