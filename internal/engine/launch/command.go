package launch

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/access"
	"github.com/upkeep-project/upkeep/internal/sys/command"
)

// defaultPath is searched when neither the program nor the daemon has a PATH.
const defaultPath = "/bin:/usr/bin:/usr/local/bin"

func repr(s string) string { return pytext.Repr(s) }

// resolve finds the program's executable: the words of its command and the file to run.
//
// A word that is a path is taken as it is; others are looked up in the PATH of the program's environment, else
// the daemon's. The first entry that can be run wins; when none can, the first that exists says why. What
// is relative is relative to the program's directory (F33).
func (h *Host) resolve(p *model.Program) (argv []string, path string, err error) {
	argv, err = split(p.Command.Line)
	if err != nil {
		return nil, "", err
	}
	word := argv[0]
	where := []string{word}
	if !command.IsPath(word) {
		where = strings.Split(h.env.path(p), string(filepath.ListSeparator))
		for k, dir := range where {
			where[k] = filepath.Join(dir, word) // an empty entry is the directory itself
		}
	}
	first := &CommandError{Text: "can't find command " + repr(word), Missing: true}
	extensions := h.env.value(p, "PATHEXT")
	for _, named := range where {
		for _, shown := range command.Forms(named, extensions) {
			path = place(p, shown)
			refused := executable(path, shown, extensions)
			if refused == nil {
				return argv, path, nil
			}
			if first.Missing && !refused.Missing {
				first = refused
			}
		}
	}
	return nil, "", first
}

// executable says why path cannot be run, nil when it can; shown is how people know it.
func executable(path, shown, extensions string) *CommandError {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return &CommandError{Text: "can't find command " + repr(shown), Missing: true}
	case info.IsDir():
		return &CommandError{Text: "command at " + repr(shown) + " is a directory"}
	case !command.IsProgram(path, info, extensions):
		return &CommandError{Text: "command at " + repr(shown) + " is not executable"}
	case !access.Executable(path):
		return &CommandError{Text: "no permission to run command " + repr(shown)}
	}
	return nil
}

// Check says why a program's command cannot be started, as *CommandError; nil when it can.
func (h *Host) Check(p *model.Program) error {
	_, _, err := h.resolve(p)
	return err
}

// Check says why a program's command could not be started by a daemon whose environment is given, as *CommandError; nil when
// it could.
func Check(p *model.Program, environ []string) error {
	h := &Host{env: newEnvironment(environ, "")}
	return h.Check(p)
}

// SearchPath is the PATH in which a daemon whose environment is given looks for a program's command.
func SearchPath(p *model.Program, environ []string) string {
	return newEnvironment(environ, "").path(p)
}

// place is where a path is that counts from the program's directory, else from the daemon's: absolute, so
// that it stays valid when the child has changed its directory.
func place(p *model.Program, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.Command.Dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
