// Package command is what a command line means on this system: its words, the files that its first one may stand for, and
// which of them are programs.
package command

import (
	"path/filepath"
	"strings"
)

// IsPath reports whether the first word of a command says where its file is, rather than what it is called.
func IsPath(word string) bool {
	return strings.ContainsRune(word, '/') || strings.ContainsRune(word, filepath.Separator) || filepath.VolumeName(word) != ""
}
