package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/access"
)

// defaultPath is searched when neither the program nor the daemon has a PATH.
const defaultPath = "/bin:/usr/bin:/usr/local/bin"

func repr(s string) string { return pytext.Repr(s) }

// resolve finds the program's executable: the words of its command and the file to run.
//
// A word with a slash is taken as it is, relative to the program's directory (F33); others are looked up
// in the PATH of the program's environment, else the daemon's. The first entry that can be run wins; when
// none can, the first that exists says why.
func (h *Host) resolve(p *model.Program) (argv []string, path string, err error) {
	argv, err = split(p.Command.Line)
	if err != nil {
		return nil, "", err
	}
	word := argv[0]
	if strings.Contains(word, "/") {
		path = word
		if !filepath.IsAbs(word) && p.Command.Dir != "" {
			path = filepath.Join(p.Command.Dir, word)
		}
		return argv, absolute(path), executable(path, word)
	}
	var first error
	for _, dir := range filepath.SplitList(h.env.path(p)) {
		if dir == "" {
			dir = "."
		}
		path = absolute(filepath.Join(dir, word))
		err := executable(path, path)
		if err == nil {
			return argv, path, nil
		}
		var c *CommandError
		if first == nil && errors.As(err, &c) && !c.Missing {
			first = err
		}
	}
	if first == nil {
		first = &CommandError{Text: "can't find command " + repr(word), Missing: true}
	}
	return nil, "", first
}

// executable says why path cannot be run; shown is how people know it.
func executable(path, shown string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return &CommandError{Text: "can't find command " + repr(shown), Missing: true}
	case info.IsDir():
		return &CommandError{Text: "command at " + repr(shown) + " is a directory"}
	case !isExecutable(info):
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

// absolute keeps a path valid after the child has changed its directory.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
