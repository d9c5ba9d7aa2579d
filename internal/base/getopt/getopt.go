// Package getopt reads classic Unix command lines: parsing ends at the first word that is not an
// option, short flags can be bundled, long names can be shortened to a unique prefix.
// The error texts are those of the original's command lines. Source: spec/supervisor 1.2, 6.1.
package getopt

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Option declares one option. Short (one character, or 0) and Long (without the dashes, or empty)
// are two names of the same thing.
type Option struct {
	Short rune
	Long  string
	Arg   bool // takes an argument
}

// Match is one option found. Spelling is its full name with dashes, as error texts show it: "-c",
// or "--configuration" even where the command line had a prefix of it.
type Match struct {
	Option   *Option // the entry of the declared list
	Spelling string
	Value    string // empty without Arg
}

// Parse splits argv (without the program name) into options, in order, and the words that follow them.
// A word "--" ends the options and is dropped; "-" is an ordinary word. A non-nil error is a complete
// message for the user.
func Parse(options []Option, argv []string) (found []Match, rest []string, err error) {
	for len(argv) > 0 {
		word := argv[0]
		if !strings.HasPrefix(word, "-") || word == "-" {
			break
		}
		argv = argv[1:]
		if word == "--" {
			break
		}
		if name, ok := strings.CutPrefix(word, "--"); ok {
			var m Match
			if m, argv, err = long(options, name, argv); err != nil {
				return nil, nil, err
			}
			found = append(found, m)
			continue
		}
		if found, argv, err = short(options, word[1:], argv, found); err != nil {
			return nil, nil, err
		}
	}
	return found, argv, nil
}

func long(options []Option, word string, argv []string) (Match, []string, error) {
	name, value, given := strings.Cut(word, "=")
	o, err := complete(options, name)
	if err != nil {
		return Match{}, nil, err
	}
	m := Match{Option: o, Spelling: "--" + o.Long, Value: value}
	switch {
	case o.Arg && !given:
		if len(argv) == 0 {
			return Match{}, nil, errors.New("option --" + o.Long + " requires argument")
		}
		m.Value, argv = argv[0], argv[1:]
	case !o.Arg && given:
		return Match{}, nil, errors.New("option --" + o.Long + " must not have an argument")
	}
	return m, argv, nil
}

// complete finds the option with this long name or unique prefix. A dash may stand for an underscore: the original's
// help and manual write --history-file for an option that is called --history_file.
func complete(options []Option, name string) (*Option, error) {
	plain := strings.NewReplacer("-", "_").Replace
	word := plain(name)
	var hit *Option
	several := false
	for i := range options {
		o := &options[i]
		long := plain(o.Long)
		if long == "" || !strings.HasPrefix(long, word) {
			continue
		}
		if long == word {
			return o, nil
		}
		several = several || hit != nil
		hit = o
	}
	switch {
	case hit == nil:
		return nil, errors.New("option --" + name + " not recognized")
	case several:
		return nil, errors.New("option --" + name + " not a unique prefix")
	}
	return hit, nil
}

// short reads the letters of one word; the first that takes an argument takes the rest of the word, or
// the next word.
func short(options []Option, letters string, argv []string, found []Match) ([]Match, []string, error) {
	for letters != "" {
		c, n := utf8.DecodeRuneInString(letters)
		letter := letters[:n]
		letters = letters[len(letter):]
		o := byLetter(options, c)
		if o == nil {
			return nil, nil, errors.New("option -" + letter + " not recognized")
		}
		m := Match{Option: o, Spelling: "-" + letter}
		if o.Arg {
			if letters == "" {
				if len(argv) == 0 {
					return nil, nil, errors.New("option -" + letter + " requires argument")
				}
				letters, argv = argv[0], argv[1:]
			}
			m.Value, letters = letters, ""
		}
		found = append(found, m)
	}
	return found, argv, nil
}

func byLetter(options []Option, c rune) *Option {
	for i := range options {
		if options[i].Short == c && c != 0 {
			return &options[i]
		}
	}
	return nil
}
