package imports

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// readCompose reads the services of a compose file that say themselves what to execute.
func readCompose(r *reader) error {
	v, err := r.tree(r.path, strings.HasSuffix(r.path, ".json"))
	if err != nil {
		return err
	}
	vars := map[string]string{}
	for _, e := range r.ifThere(".env") {
		vars[e.Name] = e.Value
	}
	for name, value := range r.w.Vars {
		vars[name] = value
	}
	for _, f := range v.Fields {
		if f.Key == "include" {
			r.problem(r.path, f.Line, "%s: other files are not read; import them one by one", f.Key)
		}
	}
	for _, f := range v.Get("services").Fields {
		s := &service{r: r, v: f.Value, name: f.Key, line: f.Line, vars: vars}
		s.add()
	}
	return nil
}

// service is one service of a compose file.
type service struct {
	r    *reader
	v    tree.Value
	name string
	line int
	vars map[string]string
	p    *pending
	dir  string
}

// text is a scalar with variables filled in.
func (s *service) text(v tree.Value) string {
	out, err := interpolate(v.Text, s.vars)
	if err != nil {
		s.r.problem(s.r.path, v.Line, "%s: %v", s.name, err)
	}
	return out
}

// words are the words of a command, which is a list or one text.
func (s *service) words(key string) []string {
	v := s.v.Get(key)
	var words []string
	for _, i := range v.Items {
		words = append(words, s.text(i))
	}
	if v.Scalar() {
		split, err := shellwords.Split(s.text(v))
		if err != nil {
			s.r.problem(s.r.path, v.Line, "%s: %s: %v", s.name, key, err)
		}
		return split
	}
	return words
}

// add carries the service over.
func (s *service) add() {
	r := s.r
	words := append(s.words("entrypoint"), s.words("command")...)
	if len(words) == 0 {
		r.problem(r.path, s.line, "%s is not imported: what it executes is inside its image; give it a command", s.name)
		return
	}
	p := r.program(s.name, r.path, s.line)
	s.p = p
	p.set("command", CommandLine(words))
	p.keep("command")
	if s.v.Get("entrypoint").Kind == tree.Null {
		p.drop("entrypoint of the image", "it is not known here; the command is executed by itself")
	}
	s.dir = r.dir
	if v := s.v.Get("working_dir"); v.Scalar() {
		s.dir = r.abs(r.dir, s.text(v))
		p.keep("working_dir")
	} else {
		p.change("directory", "", r.dir, "the folder of the file instead of one in the image")
	}
	p.set("directory", s.dir)
	s.environment()
	s.restart()
	s.stop()
	if v := s.v.Get("user"); v.Scalar() {
		user, group, _ := strings.Cut(s.text(v), ":")
		p.user("user", user)
		if group != "" {
			p.drop("group "+group, later)
		}
	}
	n := s.v.Get("scale")
	if replicas := s.v.Get("deploy").Get("replicas"); replicas.Kind == tree.Int {
		n = replicas
	}
	switch {
	case n.Kind == tree.Int && n.Int <= maxCopies:
		p.copies(n.Int)
		p.keep("scale")
	case n.Kind != tree.Null:
		r.problem(r.path, n.Line, "%s: %q copies", s.name, n.Text)
	}
	if v := s.v.Get("profiles"); v.Kind == tree.List {
		p.On = false
		p.change("autostart", "profiles", "false", "it starts only when one of its profiles is chosen")
	}
	p.assume("redirect_stderr", "true", "both streams are one log there")
	p.assume("stop_reach", "tree", "a container ends with everything in it")
	s.rest()
	p.done()
}

// environment sets variables from env_file and environment, in that order.
func (s *service) environment() {
	files := s.v.Get("env_file")
	for _, f := range append([]tree.Value{files}, files.Items...) {
		path, required := f, true
		if f.Kind == tree.Map {
			path, required = f.Get("path"), f.Get("required").Text != "false"
		}
		if !path.Scalar() {
			continue
		}
		name := s.r.abs(s.r.dir, s.text(path))
		switch {
		case !s.r.inside(name):
			s.r.problem(s.r.path, f.Line, "%s: env_file %s lies outside of the folder and is not read", s.name, name)
		case required || exists(name):
			vars := s.r.envFile(name)
			for _, v := range vars {
				s.p.env(v)
			}
			s.p.change("env_file", path.Text, "environment", strconv.Itoa(len(vars))+" variables were read now; later changes of the file are not seen")
		}
	}
	env := s.v.Get("environment")
	for _, f := range env.Fields {
		s.variable(f.Key, f.Value, f.Value.Kind != tree.Null)
	}
	for _, i := range env.Items {
		name, value, ok := strings.Cut(i.Text, "=")
		i.Text = value
		s.variable(name, i, ok)
	}
	if env.Kind >= tree.List {
		s.p.keep("environment")
	}
}

// variable sets one variable; without a value it is that of the caller, which is not copied.
func (s *service) variable(name string, v tree.Value, set bool) {
	switch {
	case !set:
		s.p.drop("variable "+name, "it has no value in the file; it would be that of whoever starts it")
	case v.Kind < tree.List:
		s.p.env(EnvVar{Name: name, Value: s.text(v)})
	}
}

// restart translates the policy.
func (s *service) restart() {
	v := s.v.Get("restart")
	policy, attempts, limited := strings.Cut(s.text(v), ":")
	switch policy {
	case "always", "unless-stopped":
		s.p.set("autorestart", "true")
	case "on-failure":
		s.p.set("autorestart", "unexpected")
		if n, err := strconv.ParseInt(attempts, 10, 32); limited && err == nil && n >= 0 {
			s.p.set("startretries", strconv.FormatInt(n, 10))
		}
	default:
		if policy != "" && policy != "no" && policy != "false" {
			s.r.problem(s.r.path, v.Line, "%s: restart: %q is not known", s.name, policy)
		}
		s.p.assume("autorestart", "false", "without restart a service stays down")
		return
	}
	s.p.keep("restart")
}

// stop translates how it is stopped.
func (s *service) stop() {
	if v := s.v.Get("stop_signal"); v.Scalar() {
		text := s.text(v)
		if n, err := units.Signal(text); err == nil && n > 0 {
			s.p.set("stopsignal", strings.TrimPrefix(units.SignalName(n), "SIG"))
			s.p.keep("stop_signal")
		} else {
			s.r.problem(s.r.path, v.Line, "%s: stop_signal: %q is not a signal", s.name, text)
		}
	}
	if v := s.v.Get("stop_grace_period"); v.Scalar() {
		d, err := time.ParseDuration(s.text(v))
		if err != nil {
			s.r.problem(s.r.path, v.Line, "%s: stop_grace_period: %q is not a time", s.name, v.Text)
			return
		}
		s.p.setSeconds("stopwaitsecs", "stop_grace_period", d.Seconds())
	}
}

// rest reports everything else.
func (s *service) rest() {
	used := " command entrypoint working_dir environment env_file user restart stop_signal stop_grace_period profiles scale "
	container := " image build volumes networks network_mode ports expose container_name hostname "
	for _, f := range s.v.Fields {
		switch word := " " + f.Key + " "; {
		case strings.Contains(used, word):
		case strings.Contains(container, word):
			s.p.drop(f.Key, "it concerns the container, and there is none here")
		case f.Key == "deploy" && len(f.Value.Fields) == 1 && f.Value.Get("replicas").Kind == tree.Int:
		case strings.HasPrefix(f.Key, "x-"):
		default:
			s.p.drop(f.Key, later)
		}
	}
}

// reference is a variable in a text: $$, $NAME, ${NAME}, ${NAME:-default} and the like.
const reference = `\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^{}]*))?\}|)`

// interpolate fills variables in. An unset one without a default is empty and an error, which is for the report
// only.
func interpolate(text string, vars map[string]string) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	var failed error
	out := regexp.MustCompile(reference).ReplaceAllStringFunc(text, func(match string) string {
		m := regexp.MustCompile(reference).FindStringSubmatch(match)
		name, operator := m[2]+m[3], m[4]
		value, set := vars[name]
		if strings.HasPrefix(operator, ":") && value == "" {
			set = false
		}
		switch {
		case m[1] != "":
			return "$"
		case name == "":
			failed = fmt.Errorf("%q is not a reference to a variable", text)
			return match
		case strings.HasSuffix(operator, "+"):
			if set {
				return m[5]
			}
			return ""
		case set:
			return value
		case strings.HasSuffix(operator, "-"):
			return m[5]
		}
		failed = fmt.Errorf("the variable %s is not set", name)
		return ""
	})
	return out, failed
}

// exists reports whether there is something with that name.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
