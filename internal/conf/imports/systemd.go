package imports

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

// readSystemd reads one unit or all services of a folder. Links in a folder are not followed: they stand for units
// that are enabled or masked elsewhere.
func readSystemd(r *reader) error {
	st, err := os.Stat(r.path)
	if err != nil {
		return bare(err)
	}
	if !st.IsDir() {
		text, err := r.file(r.path)
		if err != nil {
			return err
		}
		r.unit(r.path, string(text))
		return nil
	}
	r.dir = r.path
	entries, err := os.ReadDir(r.path)
	if err != nil {
		return bare(err)
	}
	for _, e := range entries[:min(len(entries), maxFiles)] {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".service") {
			continue
		}
		path := filepath.Join(r.path, e.Name())
		if text, err := r.file(path); err != nil {
			r.problem(path, 0, "%v", err)
		} else {
			r.unit(path, string(text))
		}
	}
	return nil
}

// unit is one service while it is carried over.
type unit struct {
	*pending
	values map[string][]directive // of the sections Service and Unit, by name; Install has its section before
	name   string                 // web@1
	vars   map[string]string
}

// unit carries one service over, with the pieces in NAME.service.d beside it.
func (r *reader) unit(path, text string) {
	name, _ := strings.CutSuffix(filepath.Base(path), ".service")
	u := &unit{name: name, values: map[string][]directive{}, vars: map[string]string{}}
	if prefix, instance, ok := strings.Cut(name, "@"); ok && instance == "" {
		r.problem(path, 0, "%s@ is a template; import a file that has the name of an instance", prefix)
		return
	}
	u.pending = r.program(name, path, 0)
	u.add(path, text)
	pieces, err := os.ReadDir(path + ".d")
	if err == nil {
		for _, e := range pieces[:min(len(pieces), maxFiles)] {
			piece := filepath.Join(path+".d", e.Name())
			if !strings.HasSuffix(e.Name(), ".conf") || !e.Type().IsRegular() {
				continue
			}
			if text, err := r.file(piece); err != nil {
				r.problem(piece, 0, "%v", err)
			} else {
				u.add(piece, string(text))
			}
		}
	}
	u.enabled(filepath.Dir(path))
	if !u.kind() {
		return
	}
	u.environment()
	if !u.command() {
		return
	}
	u.place()
	u.restart()
	u.stop()
	u.output()
	u.rest()
	u.done()
}

// add takes the directives of one file in. An empty value forgets the earlier ones.
func (u *unit) add(path, text string) {
	list, bad := parseUnit(text)
	for _, b := range bad {
		u.r.problem(path, b.line, "%s", b.text)
	}
	for _, d := range list {
		key := d.name
		if d.section == "Install" {
			key = "Install." + key
		}
		if d.value == "" {
			u.values[key] = nil
			continue
		}
		u.values[key] = append(u.values[key], d)
	}
}

// last is the value of a directive that is there once; the last one counts.
func (u *unit) last(name string) string {
	list := u.values[name]
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].value
}

// fill replaces specifiers; an unknown one is a problem.
func (u *unit) fill(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	prefix, instance, _ := strings.Cut(u.name, "@")
	table := map[byte]string{'%': "%", 'n': u.name + ".service", 'N': u.name, 'p': prefix, 'i': instance, 'I': instance, 'h': u.r.w.Home}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i++; i == len(text) {
			b.WriteByte('%')
			break
		}
		value, ok := table[text[i]]
		if !ok {
			u.r.problem(u.file, 0, "%s: %%%c cannot be filled in and stays", u.Name, text[i])
			value = text[i-1 : i+1]
		}
		b.WriteString(value)
	}
	return b.String()
}

// enabled decides whether the service starts at boot: by the links beside it, or where there are none by what the
// unit asks for.
func (u *unit) enabled(dir string) {
	wanted := len(u.values["Install.WantedBy"])+len(u.values["Install.RequiredBy"]) > 0
	links, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.wants", "*"))
	if err != nil || len(links) == 0 {
		u.On = wanted
	} else {
		u.On = slices.ContainsFunc(links, func(l string) bool { return filepath.Base(l) == u.name+".service" })
	}
	u.keep("WantedBy")
}

// escapeGlob makes a pattern that matches one path.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// kind looks at the type of the service; false when it cannot be kept running.
func (u *unit) kind() bool {
	switch t := u.last("Type"); t {
	case "", "simple", "exec", "idle":
	case "notify", "notify-reload", "dbus":
		u.change("Type", t, "startsecs=1", "a program counts as started when it has run for a second")
	case "oneshot":
		u.set("startsecs", "0")
		u.change("Type", t, "startsecs=0", "it may end at once")
	default:
		u.r.problem(u.file, 0, "%s is not imported: Type=%s, it puts itself in the background", u.Name, t)
		return false
	}
	return true
}

// environment reads the variables. Files of variables belong to other folders and are not followed.
func (u *unit) environment() {
	for _, d := range u.values["Environment"] {
		words, err := unitWords(u.fill(d.value))
		if err != nil {
			u.r.problem(u.file, d.line, "%s: Environment: %v", u.Name, err)
		}
		for _, w := range words {
			name, value, ok := strings.Cut(w, "=")
			if !ok {
				u.r.problem(u.file, d.line, "%s: Environment: %q is not NAME=value", u.Name, w)
				continue
			}
			u.vars[name] = value
			u.env(EnvVar{Name: name, Value: value})
		}
		u.keep("Environment")
	}
	for _, d := range u.values["EnvironmentFile"] {
		path := strings.TrimPrefix(u.fill(d.value), "-")
		if !u.r.inside(path) {
			u.drop("EnvironmentFile="+path, "it lies outside of the unit's folder and is not read")
			continue
		}
		if strings.HasPrefix(d.value, "-") && !exists(path) {
			continue
		}
		vars := u.r.envFile(path)
		for _, v := range vars {
			u.vars[v.Name] = v.Value
			u.env(v)
		}
		u.change("EnvironmentFile", path, "environment", strconv.Itoa(len(vars))+" variables were read now; later changes of the file are not seen")
	}
}

// command reads ExecStart; false when there is nothing to execute.
func (u *unit) command() bool {
	list := u.values["ExecStart"]
	if len(list) != 1 {
		u.r.problem(u.file, 0, "%s is not imported: it has %d commands", u.Name, len(list))
		return false
	}
	line := list[0].value
	bare := strings.TrimLeft(line, "@-:+!|")
	prefix := line[:len(line)-len(bare)]
	words, err := unitWords(u.fill(bare))
	if err != nil || len(words) == 0 {
		u.r.problem(u.file, list[0].line, "%s is not imported: ExecStart: %v", u.Name, err)
		return false
	}
	if strings.Contains(prefix, "@") && len(words) > 1 {
		u.drop("ExecStart=@", "the name "+words[1]+" for the program itself: "+later)
		words = slices.Delete(words, 1, 2)
	}
	if strings.ContainsAny(prefix, "+!") {
		u.drop("ExecStart="+prefix, "privileges are those of the user")
	}
	if strings.Contains(prefix, "-") {
		u.drop("ExecStart=-", "every end counts as success there: "+later)
	}
	if !strings.Contains(prefix, ":") {
		words = u.expand(words)
	}
	if slices.Contains(words, ";") {
		u.r.problem(u.file, list[0].line, "%s is not imported: ExecStart has several commands", u.Name)
		return false
	}
	u.set("command", CommandLine(words))
	u.keep("ExecStart")
	return true
}

// expand fills variables into the words of a command: ${NAME} inside of words, $NAME as a word of its own is split.
func (u *unit) expand(words []string) []string {
	pattern := regexp.MustCompile(`\$\$|\$\{[A-Za-z_][A-Za-z0-9_]*\}`)
	out := words[:1:1]
	for _, w := range words[1:] {
		name, alone := strings.CutPrefix(w, "$")
		value, set := u.vars[name]
		if alone && name != "" && !strings.ContainsAny(name, "${}") {
			if !set {
				u.drop("$"+name, "the variable is not set in the unit; nothing stands in its place")
			}
			out = append(out, strings.Fields(value)...)
			continue
		}
		out = append(out, pattern.ReplaceAllStringFunc(w, func(match string) string {
			if match == "$$" {
				return "$"
			}
			value, ok := u.vars[match[2:len(match)-1]]
			if !ok {
				u.drop(match, "the variable is not set in the unit; nothing stands in its place")
			}
			return value
		}))
	}
	return out
}

// place sets where and as whom it runs.
func (u *unit) place() {
	dir := strings.TrimPrefix(u.fill(u.last("WorkingDirectory")), "-")
	switch {
	case dir == "":
		u.assume("directory", "/", "the folder of services without WorkingDirectory")
	default:
		u.set("directory", u.r.abs("/", dir))
		u.keep("WorkingDirectory")
	}
	if name := u.fill(u.last("User")); name != "" {
		u.user("User", name)
	}
	if mask := u.last("UMask"); mask != "" {
		if n, err := units.Octal(mask); err == nil && n >= 0 && n <= 0o777 {
			u.set("umask", fmt.Sprintf("%03o", n))
			u.keep("UMask")
		}
	}
}

// restart translates when it is started again.
func (u *unit) restart() {
	policy, codes := u.last("Restart"), []string{"0"}
	for _, d := range u.values["SuccessExitStatus"] {
		for word := range strings.FieldsSeq(d.value) {
			if _, err := units.ExitCodes(word); err == nil {
				codes = append(codes, word)
			} else {
				u.drop("SuccessExitStatus="+word, later)
			}
		}
	}
	switch policy {
	case "", "no":
		u.assume("autorestart", "false", "services without Restart stay down")
		return
	case "always":
		u.set("autorestart", "true")
	case "on-failure":
		u.set("autorestart", "unexpected")
		u.set("exitcodes", strings.Join(codes, ","))
	case "on-success":
		u.set("autorestart", "true")
		u.change("Restart", policy, "autorestart=true", "an end with a failure starts it again as well")
	default:
		u.set("autorestart", "unexpected")
		u.set("exitcodes", strings.Join(codes, ","))
		u.change("Restart", policy, "autorestart=unexpected", "other exit codes than those expected start it again as well")
	}
	u.keep("Restart")
	if s := u.last("RestartSec"); s != "" {
		u.change("RestartSec", s, "1 s, 2 s, …", "the pause grows with each attempt that fails early")
	}
	burst := int64(5)
	if n, err := strconv.ParseInt(u.last("StartLimitBurst"), 10, 32); err == nil && n > 0 {
		burst = n
	}
	u.set("startretries", strconv.FormatInt(burst-1, 10))
	u.change("startretries", strconv.FormatInt(burst, 10)+" starts", strconv.FormatInt(burst-1, 10), "only ends within startsecs count, whatever the interval")
}

// stop translates how it is stopped.
func (u *unit) stop() {
	if name := u.last("KillSignal"); name != "" {
		if n, err := units.Signal(name); err == nil && n > 0 {
			u.set("stopsignal", strings.TrimPrefix(units.SignalName(n), "SIG"))
			u.keep("KillSignal")
		} else {
			u.r.problem(u.file, 0, "%s: KillSignal: %q is not a signal", u.Name, name)
		}
	}
	wait := u.last("TimeoutStopSec")
	if wait == "" {
		wait = u.last("TimeoutSec")
	}
	switch n, ok := unitTime(wait); {
	case wait == "":
		u.assume("stopwaitsecs", "90", "the usual time of services")
	case wait == "infinity" || wait == "0":
		u.set("stopwaitsecs", seconds(1e9))
		u.change("TimeoutStopSec", wait, seconds(1e9), "practically for ever")
	case !ok:
		u.r.problem(u.file, 0, "%s: TimeoutStopSec: %q is not a time", u.Name, wait)
	default:
		u.setSeconds("stopwaitsecs", "TimeoutStopSec", n)
	}
	switch mode := u.last("KillMode"); mode {
	case "", "control-group":
		u.assume("stop_reach", "tree", "signals reach everything in the control group")
	case "mixed":
		u.set("killasgroup", "true")
		u.change("KillMode", mode, "killasgroup=true", "the first signal reaches the program only, the last its process group")
	case "process":
		u.keep("KillMode")
	default:
		u.drop("KillMode="+mode, later)
	}
}

// output translates where output goes.
func (u *unit) output() {
	merged := false
	for _, s := range [...]struct{ key, source string }{{"stdout_logfile", "StandardOutput"}, {"stderr_logfile", "StandardError"}} {
		value := u.fill(u.last(s.source))
		how, path, _ := strings.Cut(value, ":")
		switch {
		case value == "inherit" || value == "" && s.source == "StandardError" || s.source == "StandardError" && value == u.last("StandardOutput"):
			merged = s.source == "StandardError"
		case how == "file" || how == "append" || how == "truncate":
			u.log(s.key, s.source, path)
		case value == "null":
			u.set(s.key, "NONE")
			u.keep(s.source)
		default:
			u.change(s.source, value, "AUTO", "output goes to a file of the instance")
		}
	}
	if merged {
		u.assume("redirect_stderr", "true", "StandardError follows StandardOutput")
	}
}

// rest reports everything that was not looked at.
func (u *unit) rest() {
	used := strings.Fields(`Type ExecStart Environment EnvironmentFile WorkingDirectory User UMask Restart RestartSec StartLimitBurst
		SuccessExitStatus KillSignal TimeoutStopSec TimeoutSec KillMode StandardOutput StandardError Description Documentation SyslogIdentifier
		Install.WantedBy Install.RequiredBy SendSIGKILL RemainAfterExit StartLimitIntervalSec StartLimitInterval TimeoutStartSec`)
	var names []string
	for name, list := range u.values {
		if len(list) > 0 && !slices.Contains(used, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		why := later
		for _, prefix := range [...]string{"Protect", "Private", "Restrict", "ReadOnly", "ReadWrite", "Inaccessible", "SystemCall", "Capability", "NoNewPrivileges", "Lock", "MemoryDenyWriteExecute"} {
			if strings.HasPrefix(name, prefix) {
				why = "the program is not shut in here"
			}
		}
		u.drop(name, why)
	}
}
