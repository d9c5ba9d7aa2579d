package managed

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Suffix ends the name of a file that holds a definition.
const Suffix = ".conf"

// maxName bounds the name of a program that has a file of its own, in bytes.
const maxName = 64

// CheckName says why a name cannot be that of a managed program: it becomes the name of a file and a word in commands.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a program needs a name")
	case len(name) > maxName:
		return fmt.Errorf("the name %.20q... is longer than %d bytes", name, maxName)
	case name[0] == '.' || name[0] == '-':
		return fmt.Errorf("the name %q begins with %q", name, name[:1])
	case strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }):
		return fmt.Errorf("the name %q may have letters, digits, _ . and - in it, nothing else", name)
	case name == "all":
		return fmt.Errorf("%q stands for all programs", name)
	}
	return nil
}

// plain reports whether a character may be in a name.
func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r)
}

// NameOf is the name of a program that is given none: that of its command, as far as it can be one; "" when nothing is left.
func NameOf(command string) string {
	base := filepath.Base(command)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	name := strings.Map(func(r rune) rune {
		if plain(r) {
			return r
		}
		return '-'
	}, base)
	return strings.Trim(name, ".-")
}

// Problem is one mistake in a definition. A value that may be a secret is in none of its texts.
type Problem struct {
	File    string
	Line    int    // from 1; 0 = the whole file
	Key     string // the option; empty = none
	Message string
	// Suggestion is the word that may have been meant instead of the wrong one; empty = none is close.
	Suggestion string
}

// String says all of it in one line: FILE:LINE: message (did you mean x?).
func (p Problem) String() string {
	text := p.File + ": "
	if p.Line > 0 {
		text = fmt.Sprintf("%s:%d: ", p.File, p.Line)
	}
	text += p.Message
	if p.Suggestion != "" {
		text += " (did you mean " + p.Suggestion + "?)"
	}
	return text
}

// Surroundings are what a definition is judged in: the machine as the instance sees it, and what the instance's own file
// says for all programs.
type Surroundings struct {
	Environ supervisord.Environ
	Shared  supervisord.Shared
}

// Check finds everything that is wrong with the text of a definition, in the order of its lines, and returns what it defines
// when nothing is. The file, which is not read, is named in problems and names the program: NAME.conf holds the section
// [program:NAME], or an [eventlistener:NAME] or [fcgi-program:NAME], and besides it nothing but groups and defaults.
func Check(file, text string, in Surroundings) ([]*model.Group, []Problem) {
	groups, _, mistakes := in.Shared.ReadProgramFile(file, []byte(text), in.Environ)
	var problems []Problem
	for _, e := range mistakes {
		problems = append(problems, Problem{File: e.File, Line: e.Line, Key: e.Key, Message: e.Text, Suggestion: e.Suggestion})
	}
	name, managed := strings.CutSuffix(filepath.Base(file), Suffix)
	if err := CheckName(name); err != nil || !managed {
		if err == nil {
			err = fmt.Errorf("the name of the file does not end with %s", Suffix)
		}
		problems = append(problems, Problem{File: file, Message: err.Error()})
	}
	problems = append(problems, structure(file, text, name)...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, problems
	}
	return groups, nil
}

// structure finds what is wrong with the sections of a file as a whole, and options that are there twice.
func structure(file, text, name string) []Problem {
	var problems []Problem
	table := keys.Sections()
	programs := map[string]bool{}
	first := map[string]int{}
	for i, l := range ini.Scan(text, keys.Fold) {
		switch l.Kind {
		case ini.KindOption:
			at, twice := first[l.Section+"\x00"+l.Key]
			if twice {
				problems = append(problems, Problem{
					File: file, Line: i + 1, Key: l.Key, Message: fmt.Sprintf("%s is in line %d already", l.Key, at),
				})
			}
			first[l.Section+"\x00"+l.Key] = i + 1
		case ini.KindHeader:
			kind := table.Find(l.Section)
			if kind == nil || !kind.Process() || programs[l.Section] {
				continue
			}
			programs[l.Section] = true
			if _, own, _ := strings.Cut(l.Section, ":"); own != name {
				problems = append(problems, Problem{
					File: file, Line: i + 1, Message: "[" + l.Section + "] does not belong in this file, which is that of " + name + " alone",
				})
			}
		}
	}
	if len(programs) == 0 {
		problems = append(problems, Problem{File: file, Message: "there is no section [" + Section(name) + "]"})
	}
	if len(programs) > 1 && len(problems) == 0 {
		problems = append(problems, Problem{File: file, Message: "there is more than one kind of section for " + name})
	}
	return problems
}
