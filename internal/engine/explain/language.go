package explain

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
)

// roots are the directories in which a program's project may begin: its own, those of the files that it is given, and two
// above each.
func (q *inquiry) roots() []string {
	out := []string{q.dir}
	add := func(dir string) {
		for range 3 {
			if len(out) < 12 && !slices.Contains(out, dir) {
				out = append(out, dir)
			}
			dir = filepath.Dir(dir)
		}
	}
	for _, a := range q.argv {
		if strings.Contains(a, "/") || strings.Contains(a, ".") {
			if path := q.path(a); len(a) < 1024 && q.exists(path) {
				add(filepath.Dir(path))
			}
		}
	}
	add(q.dir)
	return out
}

// venvs finds the virtual environments of Python close by.
func (q *inquiry) venvs() []string {
	var out []string
	for _, root := range q.roots() {
		for _, name := range []string{".venv", "venv", "env"} {
			if dir := filepath.Join(root, name); q.exists(dir, "pyvenv.cfg") && q.runs(filepath.Join(dir, "bin/python")) {
				out = append(out, dir)
			}
		}
	}
	return out
}

// hasModule reports whether a virtual environment has a module.
func (q *inquiry) hasModule(venv, module string) bool {
	names, _ := q.sys.Names(q.who, filepath.Join(venv, "lib"), 64) // none: no
	for _, n := range names {
		dir := filepath.Join(venv, "lib", n, "site-packages", module)
		if strings.HasPrefix(n, "python") && (q.exists(dir) || q.exists(dir+".py")) {
			return true
		}
	}
	return false
}

func pythonModule(q *inquiry, _ context.Context, m match) bool {
	module, _, _ := strings.Cut(m.groups[1], ".")
	venvs := q.venvs()
	for _, venv := range venvs {
		if !q.hasModule(venv, module) || strings.HasPrefix(q.argv0(), venv+"/") {
			continue
		}
		q.checked("the Python environment " + venv + " has " + module + ", and the program does not use that environment")
		q.hint("Use:", q.instead(q.inVenv(venv)))
		return true
	}
	for _, root := range q.roots() {
		if q.exists(root, module+".py") || q.exists(root, module, "__init__.py") {
			q.checked("there is a module " + module + " in " + root + ", where Python does not look")
			q.hint("Tell Python:", q.set("env.PYTHONPATH="+root))
			return true
		}
	}
	if len(venvs) > 0 {
		q.checked("the Python environment " + venvs[0] + " has no module " + module + " either")
		if q.exists(filepath.Dir(venvs[0]), "requirements.txt") {
			q.hint("Install what the project asks for:",
				words.Quote(venvs[0]+"/bin/pip")+" install -r "+words.Quote(filepath.Join(filepath.Dir(venvs[0]), "requirements.txt"))+q.andStart())
		}
		return true
	}
	q.checked("there is no Python environment (.venv, venv, env) in " + q.dir + ", and the Python that runs it does not have " + module)
	return true
}

// inVenv is the command line with the interpreter, or the tool, of a virtual environment.
func (q *inquiry) inVenv(venv string) []string {
	argv := slices.Clone(q.argv)
	tool := filepath.Join(venv, "bin", filepath.Base(argv[0]))
	switch {
	case strings.HasPrefix(filepath.Base(argv[0]), "python"):
		argv[0] = q.brief(filepath.Join(venv, "bin/python"))
	case q.runs(tool):
		argv[0] = q.brief(tool)
	default:
		argv = append([]string{q.brief(filepath.Join(venv, "bin/python"))}, argv...)
	}
	return argv
}

// installers are the lock files of the tools that install modules of Node.js.
var installers = []struct{ file, command string }{
	{"pnpm-lock.yaml", "pnpm install"},
	{"yarn.lock", "yarn install"},
	{"package-lock.json", "npm ci"},
	{"package.json", "npm install"},
}

func nodeModule(q *inquiry, _ context.Context, m match) bool {
	module := m.groups[1]
	if strings.HasPrefix(module, ".") || filepath.IsAbs(module) {
		return false // a file: another rule
	}
	parts := strings.SplitN(module, "/", 3)
	name := parts[0]
	if strings.HasPrefix(name, "@") && len(parts) > 1 {
		name += "/" + parts[1]
	}
	for _, root := range q.roots() {
		if !q.exists(root, "package.json") {
			continue
		}
		switch {
		case q.exists(root, "node_modules", name):
			return false // it is there: another reason
		case q.exists(root, "node_modules"):
			q.checked(filepath.Join(root, "node_modules") + " has no " + name)
		default:
			q.checked(root + " has a package.json and no node_modules: nothing is installed")
		}
		for _, i := range installers {
			if q.exists(root, i.file) {
				q.hint("Install what the project asks for:", "cd "+words.Quote(root)+" && "+i.command+q.andStart())
				break
			}
		}
		return true
	}
	return false
}

// variablePattern is how programs say that a variable of the environment is not set. The name is in capitals.
const variablePattern = `KeyError: '([A-Z][A-Z0-9_]{2,})'` +
	`|\b([A-Z][A-Z0-9_]{2,})\b['"` + "`" + `]?:? (?:environment variable )?(?:is |was |must be |has to be )?(?:not set|unset|not defined|undefined|missing|required|set\b|unbound variable|parameter (?:not set|null)|not found)` +
	`|(?i:(?:environment|env) (?:variable|var)s?)[:\s]+['"` + "`" + `$]?([A-Z][A-Z0-9_]{2,})\b` +
	`|(?i:missing|required|undefined)\b[^A-Z]{0,40}['"` + "`" + `$]?\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b`

func variableMissing(q *inquiry, _ context.Context, m match) bool {
	if q.f.Environ == nil {
		return false
	}
	if m.groups[1] != "" { // a KeyError is one of the environment only when the traceback shows that
		if len(q.find(`os\.environ|<frozen os>|/os\.py"|getenv`)) == 0 {
			return false
		}
	}
	name := strings.Join(m.groups[1:], "")
	switch value, set := q.vars[name]; {
	case !set:
		q.checked("the variable " + name + " is not in the program's environment")
	case !value:
		q.checked("the variable " + name + " is empty in the program's environment")
	default:
		return false
	}
	known := make([]string, 0, len(q.vars))
	for n := range q.vars {
		known = append(known, n)
	}
	slices.Sort(known)
	if near := words.Close(name, known, 1); len(near) > 0 {
		q.fact("close by: " + near[0])
	}
	q.hint("Set it:", q.set("env."+name+"=VALUE"))
	return true
}

const terminalPattern = `(?i)\bnot a (?:tty|terminal|typewriter)\b|inappropriate ioctl for device|stdin is not a (?:tty|terminal)|the input device is not a TTY|error opening terminal|TERM environment variable not set|must be run (?:from|in) a terminal`

// needsTerminal needs no look: no program of ours has a terminal.
func needsTerminal(q *inquiry, _ context.Context, _ match) bool {
	if q.f.Adopted {
		return false
	}
	q.checked("it asks for a terminal, and programs that are kept running have none")
	q.hint("See whether it has an option to run without one.", "")
	return true
}

// interactive are programs that, without a file to work on, read commands until their input ends.
const interactive = `^(cat|tee|sh|bash|dash|zsh|ksh|fish|python[\d.]*|node|ruby|irb|perl|php|psql|mysql|sqlite3|redis-cli|bc|dc|sed|awk|grep|sort|wc|ssh|telnet|nc)$`

func stdinEnded(q *inquiry, _ context.Context, _ match) bool {
	if !q.f.StdinEnds || len(q.argv) == 0 || !regexp.MustCompile(interactive).MatchString(filepath.Base(q.argv[0])) {
		return false
	}
	for _, a := range q.argv[1:] {
		if a == "-c" || a == "-e" || (!strings.HasPrefix(a, "-") && q.there(q.path(a), peek.Here)) {
			return false
		}
	}
	q.checked(filepath.Base(q.argv[0]) + " reads its input until that ends, and here it has none: it ended at once")
	return true
}
