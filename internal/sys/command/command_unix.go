//go:build unix

package command

import (
	"io/fs"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
)

// Split splits a command line into its words, by the rules of the shell. Errors: those of shellwords.
func Split(line string) ([]string, error) { return shellwords.Split(line) }

// Forms are the files that a path may stand for. extensions is not used here.
func Forms(path, _ string) []string { return []string{path} }

// IsProgram reports whether what a file is says that it can be executed.
func IsProgram(_ string, info fs.FileInfo, _ string) bool { return info.Mode()&0o111 != 0 }

// EnvName is the name of a variable in the form in which equal ones are the same.
func EnvName(name string) string { return name }
