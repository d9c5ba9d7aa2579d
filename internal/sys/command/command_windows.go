package command

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
)

// usual are the endings of programs where the environment names none.
const usual = ".COM;.EXE;.BAT;.CMD"

// Split splits a command line into its words, by the rules of the shell except that a backslash is nothing but itself: it
// stands in every path. Errors: shellwords.ErrQuote.
func Split(line string) ([]string, error) { return shellwords.SplitPlain(line) }

// Forms are the files that a path may stand for: itself, and with the endings of programs. extensions is PATHEXT, empty
// for the usual ones.
func Forms(path, extensions string) []string {
	out := []string{path}
	for _, ext := range endings(extensions) {
		out = append(out, path+ext)
	}
	return out
}

// IsProgram reports whether the name of a file says that it can be executed.
func IsProgram(path string, _ fs.FileInfo, extensions string) bool {
	return slices.Contains(endings(extensions), strings.ToLower(filepath.Ext(path)))
}

func endings(extensions string) []string {
	var out []string
	for _, ext := range strings.Split(strings.ToLower(cmp.Or(extensions, usual)), ";") {
		if strings.HasPrefix(ext, ".") {
			out = append(out, ext)
		}
	}
	return out
}

// EnvName is the name of a variable in the form in which equal ones are the same.
func EnvName(name string) string { return strings.ToUpper(name) }
