package definitions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
)

// Judge says whether a definition can work on this machine.
type Judge struct {
	In managed.Surroundings
	// Environ are the variables that programs inherit, as NAME=value: those of the daemon, not of who asks.
	Environ []string
}

// Check finds what is wrong with the text of a definition: all that managed.Check finds, else what would keep its programs
// from being started: a command that is not found by the rules of a start, a directory that is not there. Of a working
// definition it returns what it defines.
func (j Judge) Check(path, text string) ([]*model.Group, []managed.Problem) {
	groups, problems := managed.Check(path, text, j.In)
	for _, g := range groups {
		for _, p := range g.Programs {
			for _, problem := range j.startable(p) {
				problem.File, problem.Line = path, lineOf(text, p, problem.Key)
				if !slices.Contains(problems, problem) {
					problems = append(problems, problem)
				}
			}
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return groups, nil
}

// Problems is Check for a Store.
func (j Judge) Problems(path, text string) []managed.Problem {
	_, problems := j.Check(path, text)
	return problems
}

// lineOf is where a program's section says an option, else where the section begins.
func lineOf(text string, p *model.Program, key string) int {
	options, err := managed.Values(text, p.Kind.String()+":"+p.Section)
	if err != nil {
		return p.Origin.Line
	}
	for _, o := range options {
		if o.Key == key {
			return o.Line
		}
	}
	return p.Origin.Line
}

// startable finds what would keep a program from being started.
func (j Judge) startable(p *model.Program) []managed.Problem {
	dir, given := j.In.Environ.Cwd, p.Command.Dir
	if given != "" {
		dir = given
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(j.In.Environ.Cwd, dir)
		}
		st, err := os.Stat(dir)
		switch {
		case err != nil && strings.HasPrefix(given, "~"):
			return []managed.Problem{{Key: "directory", Message: "directory: ~ is not expanded here: " + given, Suggestion: homeOf(j.In.Environ.Vars["HOME"], given)}}
		case err != nil:
			return []managed.Problem{{Key: "directory", Message: "directory: " + reason(err) + ": " + given}}
		case !st.IsDir():
			return []managed.Problem{{Key: "directory", Message: "directory: " + given + " is a file"}}
		}
	}
	at := *p
	at.Command.Dir = dir // in full: the instance's directory need not be that of this process
	err := launch.Check(&at, j.Environ)
	if err == nil {
		return nil
	}
	problem := managed.Problem{Key: "command", Message: err.Error()}
	var refused *launch.CommandError
	if argv, splits := shellwords.Split(p.Command.Line); errors.As(err, &refused) && refused.Missing && splits == nil && len(argv) > 0 {
		problem.Suggestion = closeCommand(argv[0], dir, launch.SearchPath(p, j.Environ))
		if !strings.Contains(argv[0], "/") {
			problem.Message = fmt.Sprintf("there is no %q in the PATH that this program would get (%s)", argv[0], launch.SearchPath(p, j.Environ))
		}
	}
	return []managed.Problem{problem}
}

// homeOf is a path that begins with ~/ in full; empty for ~name.
func homeOf(home, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return ""
}

func reason(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// maxCandidates bounds how many names are compared with a mistyped one.
const maxCandidates = 20000

// closeCommand finds the command that may have been meant: one of that name in the usual places of a project, a path that
// counts from the program's directory, else the closest name there or in PATH. Empty when there is none.
func closeCommand(word, dir, path string) string {
	local := []string{".venv/bin", "venv/bin", "env/bin", "node_modules/.bin", "vendor/bin", "bin", "."}
	base := filepath.Base(word)
	found := map[string]string{} // by name, how to write it
	var names []string
	look := func(folder string, write func(name string) string) {
		entries, _ := os.ReadDir(folder) // none: no candidates
		for _, e := range entries {
			if len(names) >= maxCandidates {
				return
			}
			if _, known := found[e.Name()]; known || !runs(filepath.Join(folder, e.Name())) {
				continue
			}
			found[e.Name()] = write(e.Name())
			names = append(names, e.Name())
		}
	}
	for _, sub := range local {
		look(filepath.Join(dir, sub), func(name string) string {
			if sub == "." {
				return "./" + name
			}
			return sub + "/" + name
		})
	}
	for _, folder := range filepath.SplitList(path) {
		if filepath.IsAbs(folder) {
			look(folder, func(name string) string { return name })
		}
	}
	if written, ok := found[base]; ok {
		return written
	}
	for _, name := range words.Close(base, names, 1) {
		return found[name]
	}
	return ""
}

// runs reports whether a path is a file that somebody may execute.
func runs(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}
