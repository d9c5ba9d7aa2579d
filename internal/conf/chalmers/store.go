// Package chalmers reads the store of the tool of that name: one YAML file for each program's definition, one for
// its state, templates beside them. It also has the words and layouts of that tool's command line, as pure functions.
// Source: spec/chalmers 2, 3, 5 and 7.
package chalmers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// Dirs are the places of one user's store.
type Dirs struct {
	Data string // programs, states, templates
	Logs string // default of log_dir
}

// Locate finds the store of a user. goos is in the words of runtime.GOOS, vars the environment; home is used where
// no variable says better. Source: spec/chalmers 2.
func Locate(goos, home string, vars map[string]string) Dirs {
	under := func(variable, otherwise string) string {
		if v := vars[variable]; v != "" {
			return filepath.Join(v, "chalmers")
		}
		return filepath.Join(home, otherwise, "chalmers")
	}
	if root := vars["CHALMERS_ROOT"]; root != "" {
		return Dirs{Data: filepath.Join(root, "data"), Logs: filepath.Join(root, "logs")}
	}
	switch goos {
	case "darwin":
		return Dirs{
			Data: filepath.Join(home, "Library", "Application Support", "chalmers"),
			Logs: filepath.Join(home, "Library", "Logs", "chalmers"),
		}
	case "windows":
		data := filepath.Join(vars["LOCALAPPDATA"], "srossross", "chalmers")
		return Dirs{Data: data, Logs: filepath.Join(data, "Logs")}
	}
	return Dirs{Data: under("XDG_CONFIG_HOME", ".config"), Logs: filepath.Join(under("XDG_CACHE_HOME", ".cache"), "log")}
}

// Problem is something in the store that could not be used.
type Problem struct {
	File string
	Line int // from 1; 0 = the whole file
	Text string
}

// Program is one definition with its state.
type Program struct {
	Name   string // by the file, with slashes where it lies in a folder
	File   string // of the definition
	Stored tree.Value
	// Options is what the definition means together with its templates and the defaults; useless when there are
	// Problems.
	Options  Options
	State    State
	Problems []Problem // the program cannot be used
	Notes    []Problem // values that are of no use; the program can do without
}

// Store is everything of one user.
type Store struct {
	Dirs     Dirs
	Programs []Program // by name
	Problems []Problem // of the folders
}

// The bounds of a store.
const (
	maxFiles = 10_000
	maxDepth = 4 // of folders inside programs/
	maxFile  = 256 << 10
)

// ReadStore reads all programs. Links to folders are not followed. An error is one of the folder as a whole; there
// is fs.ErrNotExist in it when there is no store.
func ReadStore(d Dirs) (*Store, error) {
	top := filepath.Join(d.Data, "programs")
	if _, err := os.ReadDir(top); err != nil {
		return nil, fmt.Errorf("store of chalmers: %w", err)
	}
	s := &Store{Dirs: d}
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(top, path)
		switch {
		case err != nil:
			s.Problems = append(s.Problems, Problem{File: path, Text: reason(err)})
			return nil
		case relErr != nil:
			return relErr
		case e.IsDir() && strings.Count(rel, string(filepath.Separator)) >= maxDepth:
			s.Problems = append(s.Problems, Problem{File: path, Text: fmt.Sprintf("folders deeper than %d are not read", maxDepth)})
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(rel, ".yaml"):
			return nil
		case len(s.Programs) == maxFiles:
			s.Problems = append(s.Problems, Problem{File: top, Text: fmt.Sprintf("more than %d programs; the others are not read", maxFiles)})
			return fs.SkipAll
		}
		s.Programs = append(s.Programs, ReadProgram(d, filepath.ToSlash(strings.TrimSuffix(rel, ".yaml"))))
		return nil
	})
	slices.SortFunc(s.Programs, func(a, b Program) int { return strings.Compare(a.Name, b.Name) })
	return s, err
}

// ReadProgram reads one program. It always gives one: what is wrong is in its problems.
func ReadProgram(d Dirs, name string) Program {
	p := Program{Name: name, File: filepath.Join(d.Data, "programs", filepath.FromSlash(name)+".yaml")}
	var problem *Problem
	if p.Stored, problem = readMap(p.File); problem != nil {
		p.Problems = append(p.Problems, *problem)
	} else {
		p.resolve(d)
	}
	state, problem := readMap(filepath.Join(d.Data, "state", filepath.FromSlash(name)+".yaml"))
	if problem != nil && problem.Text != missing {
		// It says only what runs now and whether it is off, and is written without care (CH-23).
		p.Notes = append(p.Notes, *problem)
	}
	p.State = stateOf(state)
	return p
}

// Define is a program of a definition that is not in the store; file names it in problems. Its templates are those of the store.
func Define(d Dirs, name, file string, stored tree.Value) Program {
	p := Program{Name: name, File: file, Stored: stored}
	p.resolve(d)
	p.State.Off = truth(stored.Get("paused"))
	return p
}

// missing is the text of a problem for a file that is not there.
const missing = "there is no such file"

// readMap reads a file that holds one mapping; an empty file is an empty one.
func readMap(path string) (tree.Value, *Problem) {
	text, err := readFile(path)
	if err != nil {
		return tree.Value{}, &Problem{File: path, Text: reason(err)}
	}
	v, err := tree.YAML(text, tree.V11)
	var bad *tree.Error
	switch {
	case errors.As(err, &bad):
		return tree.Value{}, &Problem{File: path, Line: bad.Line, Text: bad.Text}
	case err != nil:
		return tree.Value{}, &Problem{File: path, Text: err.Error()}
	case v.Kind != tree.Map && v.Kind != tree.Null:
		return tree.Value{}, &Problem{File: path, Line: v.Line, Text: v.Kind.String() + " where a mapping belongs"}
	}
	return v, nil
}

// readFile reads a regular file of bounded size.
func readFile(path string) ([]byte, error) {
	switch st, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return text, err
}

// reason is an error without the path, which the problem has already.
func reason(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}

// State is what the tool last wrote about a program. None of it survives being looked at: see Verify.
// Source: spec/chalmers 3.1.
type State struct {
	Off       bool // does not start at boot
	Monitor   int  // pid of the process that watches the program; 0 = none
	Child     int  // pid of the program; 0 = none
	Start     time.Time
	Stop      time.Time
	Exited    bool  // ExitStatus is known
	ExitCode  int64 // negative: the number of a signal
	Reason    string
	HasRecord bool // there is a state file with something in it
}

// stateOf reads a state file's mapping; what has no sense is left out.
func stateOf(v tree.Value) State {
	pid := func(key string) int {
		n := v.Get(key)
		if n.Kind != tree.Int || n.Int < 2 || n.Int > math.MaxInt32 {
			return 0
		}
		return int(n.Int)
	}
	exit := v.Get("exit_status")
	paused := v.Get("paused")
	s := State{
		Off:       paused.Bool || paused.Int != 0,
		Monitor:   pid("pid"),
		Child:     pid("child_pid"),
		Start:     seconds(v.Get("start_time")),
		Stop:      seconds(v.Get("stop_time")),
		Exited:    exit.Kind == tree.Int,
		ExitCode:  exit.Int,
		HasRecord: len(v.Fields) > 0,
	}
	if r := v.Get("reason"); r.Scalar() {
		s.Reason = r.Text
	}
	return s
}

// seconds is a time given in seconds since 1970; zero when it is none that could be.
func seconds(v tree.Value) time.Time {
	if v.Float <= 0 || v.Float > 1e11 || math.IsNaN(v.Float) {
		return time.Time{}
	}
	return time.UnixMicro(int64(v.Float * 1e6))
}

// startTolerance is how far the time in a state file may be from the kernel's: it is taken after the start, on a
// clock that may have been set since.
const startTolerance = 3 * time.Second

// Verify decides whether the process of a state is the program of that state and alive: a process with that pid
// exists and started when the state says. Without a start time on both sides nothing is believed (CH-25). started
// answers for a pid when its process began; false when there is none that lives. The text says why not, or what
// was found.
func Verify(s State, started func(pid int) (time.Time, bool)) (alive bool, why string) {
	switch {
	case s.Child == 0:
		return false, "the state names no process"
	case s.Start.IsZero():
		return false, fmt.Sprintf("the state does not say when process %d started", s.Child)
	}
	at, ok := started(s.Child)
	switch {
	case !ok:
		return false, fmt.Sprintf("process %d does not exist any more", s.Child)
	case at.IsZero():
		return false, fmt.Sprintf("the start time of process %d cannot be read", s.Child)
	case at.Sub(s.Start).Abs() > startTolerance:
		return false, fmt.Sprintf("process %d started at %s, the program at %s: the number has been given to another process",
			s.Child, at.UTC().Format(time.DateTime), s.Start.UTC().Format(time.DateTime))
	}
	return true, fmt.Sprintf("process %d runs since %s", s.Child, at.UTC().Format(time.DateTime))
}
