package supervisord

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// glob lists the files that match a shell pattern, sorted: * ? and [...] with ! for "not"; a leading dot
// must be written out; ** means the same as *. Source: spec/supervisor 1.5.
func glob(pattern string) []string {
	root := ""
	rest := pattern
	for strings.HasPrefix(rest, "/") {
		root, rest = root+"/", rest[1:]
	}
	found := []string{root}
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		var next []string
		for _, dir := range found {
			next = append(next, globPart(dir, part, last)...)
		}
		found = next
	}
	slices.Sort(found)
	return found
}

// globPart matches one component in a directory, which ends in a slash or is empty.
func globPart(dir, part string, last bool) []string {
	end := "/"
	if last {
		end = ""
	}
	if !strings.ContainsAny(part, "*?[") {
		name := dir + part + end
		if _, err := os.Lstat(name); name != "" && err != nil {
			return nil
		}
		return []string{name}
	}
	in := dir
	if in == "" {
		in = "."
	}
	entries, err := os.ReadDir(in)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(part, ".") || !matches(part, name) {
			continue
		}
		if name = dir + name; !last {
			if st, err := os.Stat(name); err != nil || !st.IsDir() {
				continue
			}
		}
		names = append(names, name+end)
	}
	return names
}

// matches compares a name with a pattern without slashes.
func matches(pattern, name string) bool {
	p, n := 0, 0
	backP, backN := -1, 0 // where to resume after the last star
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			backP, backN = p+1, n
			p++
			continue
		}
		c, size := utf8.DecodeRuneInString(name[n:])
		if width, ok := matchOne(pattern[p:], c, name[n:n+size]); ok {
			p, n = p+width, n+size
			continue
		}
		if backP < 0 {
			return false
		}
		_, size = utf8.DecodeRuneInString(name[backN:])
		backN += size
		p, n = backP, backN
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne compares one character with the beginning of a pattern and tells how much of it was used.
func matchOne(pattern string, c rune, raw string) (int, bool) {
	switch {
	case pattern == "":
		return 0, false
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		if set, width, ok := bracket(pattern); ok {
			return width, inSet(set, c)
		}
	}
	return len(raw), strings.HasPrefix(pattern, raw)
}

// bracket takes [...] off a pattern; false when it is not closed and stands for itself. A bracket directly
// after the opening one (or the !) belongs to the set.
func bracket(pattern string) (set string, width int, ok bool) {
	i := 1
	if i < len(pattern) && pattern[i] == '!' {
		i++
	}
	if i < len(pattern) && pattern[i] == ']' {
		i++
	}
	n := strings.IndexByte(pattern[min(i, len(pattern)):], ']')
	if n < 0 {
		return "", 0, false
	}
	return pattern[1 : i+n], i + n + 1, true
}

// inSet reports whether a character is in the set between the brackets.
func inSet(set string, c rune) bool {
	set, not := strings.CutPrefix(set, "!")
	chars := []rune(set)
	for i := 0; i < len(chars); i++ {
		if i+2 < len(chars) && chars[i+1] == '-' {
			if chars[i] <= c && c <= chars[i+2] {
				return !not
			}
			i += 2
			continue
		}
		if chars[i] == c {
			return !not
		}
	}
	return not
}

// splitBlanks splits at any blanks.
func splitBlanks(s string) []string { return strings.FieldsFunc(s, pytext.IsSpace) }

// reason is the system's part of a file error.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
