package imports

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/dotenv"
	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// World is what reading needs to know of the machine and of who asks. Files are read where they are.
type World struct {
	Vars map[string]string // environment variables
	Home string            // absolute
	Cwd  string            // absolute; relative paths are taken from it
	GOOS string            // in the words of runtime.GOOS
	UID  int               // whose instance the programs are for; only root's may change users
	CPUs int               // what "one for each processor" means
	Root string            // stands before the places of the system that Scan looks at; empty outside of tests
	// Started answers for a pid when its process began; false when there is none that lives. nil: nothing runs.
	Started func(pid int) (time.Time, bool)
}

// Kind is one sort of source.
type Kind struct {
	Name  string // the word for people and for Read
	About string // what the path is
	read  func(*reader) error
}

// Kinds are all sorts of sources.
func Kinds() []Kind {
	return []Kind{
		{"supervisor", "supervisord.conf", readSupervisor},
		{"pm2", "an ecosystem file in JSON or YAML, dump.pm2, or the output of pm2 jlist", readPM2},
		{"procfile", "a Procfile", readProcfile},
		{"compose", "a compose file", readCompose},
		{"systemd", "a unit file or a folder of them", readSystemd},
		{"chalmers", "the data folder of chalmers", readChalmers},
		{"usrsvc", "usrsvc.cfg, with the files of its config_dir", readUsrsvc},
	}
}

// ErrKind says that there is no such sort of source.
var ErrKind = errors.New("not a known kind of source")

// Read reads one source. An error means that nothing could be read; what concerns single programs is among the
// report's problems. Nothing outside of the source is followed, and nothing is run. Source: spec/reliability S32.
func Read(kind, path string, w *World) (*Report, error) {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == kind })
	if i < 0 {
		return nil, fmt.Errorf("%q: %w", kind, ErrKind)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(w.Cwd, path)
	}
	path = filepath.Clean(path)
	r := &reader{w: w, report: &Report{Source: kind, Path: path}, path: path, dir: filepath.Dir(path), taken: map[string]int{}}
	if err := Kinds()[i].read(r); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, path, err)
	}
	return r.report, nil
}

// The bounds of a source.
const (
	maxFile     = 1 << 20
	maxPrograms = 10_000
	maxFiles    = 4096
	maxCopies   = 1000 // of one program
)

// reader is the state of one reading.
type reader struct {
	w      *World
	report *Report
	path   string         // absolute
	dir    string         // of path
	taken  map[string]int // names of programs: the number that the last one alike has got, 1 = none has
}

// problem records what could not be read or carried over.
func (r *reader) problem(file string, line int, format string, args ...any) {
	r.report.Problems = append(r.report.Problems, Problem{File: file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// file reads a regular file of bounded size.
func (r *reader) file(path string) ([]byte, error) {
	switch st, err := os.Stat(path); {
	case err != nil:
		return nil, bare(err)
	case !st.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return text, err
}

// bare is an error without the path that whoever prints it knows.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// tree reads a file of the source as JSON or YAML, by its name.
func (r *reader) tree(path string, json bool) (tree.Value, error) {
	text, err := r.file(path)
	if err != nil {
		return tree.Value{}, err
	}
	if json {
		return tree.JSON(text)
	}
	return tree.YAML(text, tree.V12)
}

// inside reports whether a path, with links followed, lies in the source's folder.
func (r *reader) inside(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = filepath.Clean(path)
	}
	top, err := filepath.EvalSymlinks(r.dir)
	if err != nil {
		top = r.dir
	}
	rel, err := filepath.Rel(top, real)
	return err == nil && filepath.IsLocal(rel)
}

// abs makes a path of the source absolute: ~ is the home, the rest is taken from dir.
func (r *reader) abs(dir, path string) string {
	switch {
	case path == "~":
		return r.w.Home
	case strings.HasPrefix(path, "~/"):
		return filepath.Join(r.w.Home, path[2:])
	case filepath.IsAbs(path):
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// pending is a program while it is put together.
type pending struct {
	Program
	r     *reader
	file  string // where it is defined
	line  int
	envAt map[string]int // places of variables in Env
}

// program begins a program. The name is made safe and one of its own.
func (r *reader) program(name, file string, line int) *pending {
	p := &pending{r: r, file: file, line: line, envAt: map[string]int{}, Program: Program{On: true}}
	safe := safeName(name)
	p.Name = safe
	for i := max(2, r.taken[safe]); r.taken[p.Name] > 0; i++ {
		suffix := "-" + strconv.Itoa(i)
		p.Name = safe[:min(len(safe), maxName-len(suffix))] + suffix
		r.taken[safe] = i // the next one need not try what was tried
	}
	if p.Name != name {
		why := "names have letters, digits, _ . and - only"
		if safe == name {
			why = "the name is taken"
		}
		p.change("name", name, p.Name, why)
	}
	return p
}

// maxName is the length of a name, in bytes.
const maxName = 64

// safeName makes a name that is safe in selectors, file names and section headers.
func safeName(name string) string {
	safe := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-", c) {
			return c
		}
		return '-'
	}, name)
	safe = strings.TrimLeft(safe, ".-")
	safe = safe[:min(len(safe), maxName)]
	switch safe {
	case "":
		return "program"
	case "all": // selects everything
		return "all-1"
	}
	return safe
}

func (p *pending) keep(words ...string) {
	for _, w := range words {
		if !slices.Contains(p.Kept, w) {
			p.Kept = append(p.Kept, w)
		}
	}
}

// set gives an option its value; a later value replaces an earlier one.
func (p *pending) set(key, value string) { p.put(Key{Name: key, Value: value}) }

func (p *pending) put(k Key) {
	if i := slices.IndexFunc(p.Keys, func(o Key) bool { return o.Name == k.Name }); i >= 0 {
		p.Keys[i] = k
		return
	}
	p.Keys = append(p.Keys, k)
}

func (p *pending) change(key, before, after, why string) {
	p.Changed = append(p.Changed, Change{Key: key, Old: before, New: after, Why: why})
}

// assume writes a default of the other tool that differs from ours.
func (p *pending) assume(key, value, why string) {
	p.set(key, value)
	p.change(key, "", value, why)
}

func (p *pending) drop(what, why string) { p.Dropped = append(p.Dropped, what+": "+why) }

// later is why a setting is dropped that this dialect has no option for.
const later = "not supported by this version"

// env sets a variable; a later value replaces an earlier one in its place.
func (p *pending) env(v EnvVar) {
	if i, ok := p.envAt[v.Name]; ok {
		p.Env[i] = v
		return
	}
	p.envAt[v.Name] = len(p.Env)
	p.Env = append(p.Env, v)
}

// user has the program run as somebody else, where that is possible.
func (p *pending) user(key, name string) {
	switch n, err := units.Int(name); {
	case p.r.w.UID != 0:
		p.drop(key+"="+name, "only root's instance can change the user")
	case name == "", err == nil && (n < 0 || n > math.MaxUint32):
		p.drop(key+"="+name, "no user is called that")
	default:
		p.keep(key)
		p.set("user", name)
	}
}

// log sends a stream to a file. The dialect refuses files in folders that do not exist.
func (p *pending) log(key, source, path string) {
	if !folderOf(path) {
		p.change(key, path, "AUTO", "the folder does not exist")
		return
	}
	p.keep(source)
	p.set(key, path)
}

// folderOf reports whether a file could be made with that name, as far as folders go.
func folderOf(path string) bool {
	st, err := os.Stat(filepath.Dir(path))
	return err == nil && st.IsDir()
}

// copies has the program run several times at once.
func (p *pending) copies(n int64) {
	if n < 2 {
		return
	}
	p.set("numprocs", strconv.FormatInt(n, 10))
	p.put(Key{Name: "process_name", Value: "%(program_name)s_%(process_num)02d", Template: true})
}

// seconds is a number of seconds as the dialect has them: whole ones, rounded up.
func seconds(s float64) string {
	if math.IsNaN(s) {
		s = 0
	}
	return strconv.FormatInt(int64(math.Ceil(max(0, min(s, 1e9)))), 10)
}

// setSeconds sets an option of the dialect, which knows whole seconds only.
func (p *pending) setSeconds(key, source string, s float64) {
	p.set(key, seconds(s))
	if text := strconv.FormatFloat(s, 'f', -1, 64); text != seconds(s) {
		p.change(key, text, seconds(s), "whole seconds from 0 on")
		return
	}
	p.keep(source)
}

// order is that of the options in a definition. It is also the list of all options that importers may write.
func order() []string {
	return strings.Fields(`command process_name numprocs numprocs_start priority directory user umask autorestart startsecs startretries
		exitcodes stopsignal stopwaitsecs stop_reach stopasgroup killasgroup child_sigpipe redirect_stderr
		stdout_logfile stdout_logfile_maxbytes stdout_logfile_backups stdout_capture_maxbytes stdout_events_enabled stdout_syslog
		stderr_logfile stderr_logfile_maxbytes stderr_logfile_backups stderr_capture_maxbytes stderr_events_enabled stderr_syslog
		log_full serverurl enabled restart_delay inherit_env pidfile track match scan check. email_alerts environment`)
}

// place is where an option stands in the order; checks stand together.
func place(words []string, name string) int {
	if strings.HasPrefix(name, "check.") {
		name = "check."
	}
	if i := slices.Index(words, name); i >= 0 {
		return i
	}
	return len(words) // what is seldom said stands at the end
}

// done takes out what cannot be written and adds the program to the report.
func (p *pending) done() {
	r := p.r
	if len(r.report.Programs) >= maxPrograms {
		r.problem(p.file, p.line, "more than %d programs; %s is left out", maxPrograms, p.Name)
		return
	}
	keys := p.Keys
	p.Keys = nil
	command := false
	for _, k := range keys {
		if err := k.writable(); err != nil {
			p.drop(k.Name, err.Error())
			r.problem(p.file, p.line, "%s: %v", p.Name, err)
			continue
		}
		p.Keys = append(p.Keys, k)
		command = command || k.Name == "command" && strings.TrimSpace(k.Value) != ""
	}
	if !command {
		r.problem(p.file, p.line, "%s is not imported: it has no command", p.Name)
		return
	}
	words := order()
	slices.SortStableFunc(p.Keys, func(a, b Key) int {
		return cmp.Compare(place(words, a.Name), place(words, b.Name))
	})
	vars := p.Env
	p.Env = nil
	for _, v := range vars {
		if err := v.writable(); err != nil {
			p.drop("variable "+v.Name, err.Error())
			r.problem(p.file, p.line, "%s: %v", p.Name, err)
			continue
		}
		p.Env = append(p.Env, v)
	}
	r.taken[p.Name] = 1
	r.report.Programs = append(r.report.Programs, p.Program)
}

// envFile reads a file of variables that belongs to the source.
func (r *reader) envFile(path string) []EnvVar {
	text, err := r.file(path)
	if err != nil {
		r.problem(path, 0, "%v", err)
		return nil
	}
	list, bad := dotenv.Parse(string(text))
	for _, b := range bad {
		r.problem(path, b.Line, "%s", b.Reason)
	}
	vars := make([]EnvVar, len(list))
	for i, v := range list {
		vars[i] = EnvVar{Name: v.Name, Value: v.Value}
	}
	return vars
}
