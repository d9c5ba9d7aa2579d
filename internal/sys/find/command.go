package find

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Command is a command as it would be started, to be compared with what runs.
type Command struct {
	Argv   []string // its elements
	Path   string   // the executable that is found for it; empty = none is
	Dir    string   // the directory in which it would run; empty = that is not said
	script *shebang // of Path; nil = it is none
}

// NewCommand prepares a comparison; the executable is looked at once.
func NewCommand(argv []string, path, dir string) Command {
	c := Command{Argv: argv, Path: path, Dir: dir}
	if path != "" {
		c.script = shebangOf(path)
	}
	return c
}

// Fits reports whether a process is what the command would start: the same executable, and the same arguments, element by
// element; of a script also behind the interpreter that its first line names. Relative arguments that are files in the
// command's directory are the same files to it. So a pager or an editor on a script is never taken for the script.
// Source: spec/usrsvc US-41, US-43, US-44.
func (c *Command) Fits(p *Process) bool {
	if len(c.Argv) == 0 || len(p.Args) == 0 {
		return false
	}
	rest := p.Args[1:]
	switch {
	case c.script == nil:
		if !c.named(p.Args[0]) || !c.executes(p) {
			return false
		}
	default:
		before, ok := c.script.before(p.Args)
		if !ok || !c.isScript(p, before) {
			return false
		}
		rest = p.Args[len(p.Args)-len(c.Argv)+1:]
	}
	return slices.Equal(rest, c.Argv[1:]) && c.sameFiles(p)
}

// Titled reports whether a process executes the command's file under a title of its own, as servers do that say what they
// are about: "nginx: master process". Alone it proves little, since the arguments cannot be compared.
func (c *Command) Titled(p *Process) bool {
	var words []string
	for k, a := range p.Args {
		if k == 0 {
			words = strings.Fields(a)
		} else if a != "" { // what is left of the room is empty
			return false
		}
	}
	if c.Path == "" || c.script != nil || len(words) < 2 || Exe(p.PID) == "" || !c.executes(p) {
		return false
	}
	return strings.TrimSuffix(filepath.Base(words[0]), ":") == filepath.Base(c.Path)
}

// named reports whether argument 0 of a process can be the command's.
func (c *Command) named(arg string) bool {
	return arg == c.Argv[0] || arg == c.Path || filepath.Base(arg) == filepath.Base(c.Argv[0])
}

// executes reports whether a process executes the command's file; true where that may not be seen, or there is none.
func (c *Command) executes(p *Process) bool {
	exe := Exe(p.PID)
	if exe == "" || c.Path == "" {
		return true
	}
	real, err := filepath.EvalSymlinks(c.Path)
	return err != nil || exe == real
}

// isScript reports whether the arguments before those of the command are an interpreter and this script.
func (c *Command) isScript(p *Process, before []string) bool {
	if len(p.Args) != len(before)+len(c.Argv) {
		return false
	}
	name := p.Args[len(before)]
	return name == c.Argv[0] && strings.HasPrefix(name, "/") || name == c.Path || SameFile(p.PID, name, c.Path)
}

// sameFiles reports whether relative arguments that are files for the command are the same ones for the process. One that
// has gone to the root directory, as daemons do, cannot be asked.
func (c *Command) sameFiles(p *Process) bool {
	if c.Dir == "" {
		return true
	}
	asked := Dir(p.PID)
	if asked == "" || asked == "/" {
		return true
	}
	for _, a := range c.Argv[1:] {
		if a == "" || a[0] == '-' || filepath.IsAbs(a) {
			continue
		}
		here := filepath.Join(c.Dir, a)
		if _, err := os.Stat(here); err == nil && !SameFile(p.PID, a, here) {
			return false
		}
	}
	return true
}

// shebang is the first line of a script.
type shebang struct {
	names []string // base names that the interpreter may have
	args  []string // what stands between it and the script
}

// maxShebang is how much of a file the kernel looks at.
const maxShebang = 256

// shebangOf reads the first line of a file; nil when it is no script or cannot be read.
func shebangOf(path string) *shebang {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	b := make([]byte, maxShebang)
	n, _ := f.Read(b)
	return parseShebang(b[:n])
}

// parseShebang reads "#!INTERPRETER [ARGUMENT]". Behind env stands what really runs.
func parseShebang(b []byte) *shebang {
	b, ok := bytes.CutPrefix(b, []byte("#!"))
	if !ok {
		return nil
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	path := strings.Trim(string(line), " \t")
	if path == "" || strings.ContainsRune(path, 0) {
		return nil
	}
	at := strings.IndexAny(path, " \t")
	if at < 0 {
		return &shebang{names: []string{filepath.Base(path)}}
	}
	path, arg := path[:at], strings.TrimLeft(path[at:], " \t")
	s := &shebang{names: []string{filepath.Base(path)}, args: []string{arg}} // the kernel passes it in one piece, as it is
	if filepath.Base(path) == "env" {
		words := strings.Fields(arg)
		if len(words) > 0 && words[0] == "-S" {
			words = words[1:]
		}
		if len(words) == 0 {
			return s
		}
		s.names, s.args = []string{filepath.Base(words[0])}, words[1:]
	}
	return s
}

// before are the arguments of a process that its interpreter has added: itself, and what the first line says.
func (s *shebang) before(args []string) ([]string, bool) {
	n := 1 + len(s.args)
	if len(args) <= n || !slices.Contains(s.names, filepath.Base(args[0])) || !slices.Equal(args[1:n], s.args) {
		return nil, false
	}
	return args[:n], true
}

// Pattern is a regular expression that is looked for in command lines. It takes time in proportion to the line.
type Pattern struct{ re *regexp.Regexp }

// maxPattern is how many steps a pattern may have, and so what each byte of a command line may cost: repetitions make thousands
// of them out of a few characters, and everybody's lines are looked at.
const maxPattern = 4000

// NewPattern compiles one (RE2). An empty one is an error, since it would fit everybody, and so is one of too many steps.
func NewPattern(text string) (Pattern, error) {
	if text == "" {
		return Pattern{}, errEmpty
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return Pattern{}, err
	}
	if steps, err := syntax.Compile(parsed.Simplify()); err != nil || len(steps.Inst) > maxPattern {
		return Pattern{}, errLong
	}
	re, err := regexp.Compile(text)
	return Pattern{re}, err
}

// Fits reports whether it is found in the command line of a process. Source: spec/usrsvc US-42.
func (p Pattern) Fits(q *Process) bool {
	line := q.Line()
	return line != "" && p.re.MatchString(line)
}

// What NewPattern refuses besides what is no pattern.
var (
	errEmpty = errors.New("an empty pattern fits every process")
	errLong  = errors.New("the pattern repeats too much: looking for it would take minutes")
)
