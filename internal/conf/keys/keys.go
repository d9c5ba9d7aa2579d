// Package keys is the table of everything that a configuration may say: each section, each key, what it takes, what it
// means without being said, and what it is for. What reads configurations, explains them, completes them and suggests a
// key for a mistyped one looks here; docs/reference/configuration.md is held against it.
package keys

import (
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Type is the kind of a value, as docs/reference/configuration.md calls them.
type Type uint8

// The types.
const (
	Text      Type = iota // anything
	Bool                  // yes or no
	Number                // decimal
	Seconds               // decimal
	Duration              // seconds with fractions, or with units
	Size                  // bytes, KB, MB, GB
	Mode                  // octal
	Level                 // of a log
	User                  // a name, or the number of an existing user
	Owner                 // USER or USER:GROUP
	Signal                // a name or number
	Path                  // of a file
	Absolute              // a path that begins at the top
	Directory             // a folder
	Variables             // NAME="value",…
	Words                 // as in a shell: a command
	List                  // separated by commas
	Patterns              // separated by blanks
	URL                   // an address
	Choice                // one of Key.Values
)

// Allowed says in a few words what a value of the type may be.
func (t Type) Allowed() string {
	return [...]string{
		Text: "text", Bool: "yes or no (true, yes, on, 1; false, no, off, 0)", Number: "a whole number", Seconds: "a whole number of seconds",
		Duration: "a length of time: seconds, or numbers with ms, s, m, h or d",
		Size:     "a size: bytes, or a number with KB, MB or GB", Mode: "an octal mode such as 0700 or 022",
		Level: "a level: critical, error, warn, info, debug, trace or blather", User: "a user of this machine, by name or number",
		Owner: "USER or USER:GROUP of this machine", Signal: "the name or number of a signal", Path: "a path whose folder exists", Absolute: "an absolute path",
		Directory: "a folder", Variables: `NAME="value",OTHER="value"`, Words: "a command and its arguments, in the quotes of a shell",
		List: "names, separated by commas", Patterns: "patterns of file names, separated by blanks", URL: "an address", Choice: "one of a few words",
	}[t]
}

// Key is one option of a section.
type Key struct {
	Name     string // env.NAME and check.NAME stand for all keys that begin so
	Type     Type
	Default  string // as it would be written; empty = none, or one that cannot be written
	Required bool
	Values   []string // the words of a Choice; with another type, words that are accepted too
	Ours     bool     // Supervisor passes over it
	Text     string   // what it is for: one paragraph
	as       string   // the key that has its effect, when it has no value of its own in the model
}

// Words are words that the key accepts, for completion and suggestions; a value need not be one of them.
func (k *Key) Words() []string {
	switch k.Type {
	case Bool:
		return append([]string{"true", "false", "yes", "no", "on", "off"}, k.Values...)
	case Level:
		return append([]string{"critical", "error", "warn", "info", "debug", "trace", "blather"}, k.Values...)
	case Signal:
		return append(units.SignalNames(), k.Values...)
	}
	return k.Values
}

// Allowed says what the key accepts.
func (k *Key) Allowed() string {
	switch {
	case k.Type == Choice:
		return words.Either(k.Values)
	case len(k.Values) > 0:
		return k.Type.Allowed() + ", or " + words.Either(k.Values)
	}
	return k.Type.Allowed()
}

// Effect says when a changed value counts for what runs.
type Effect uint8

// The effects.
const (
	EffectRead    Effect = iota // it decides how the rest is read
	EffectLive                  // at once
	EffectRestart               // when the program is started again
	EffectDaemon                // when the daemon is started again
)

// String says it in words.
func (e Effect) String() string {
	return [...]string{
		"when the configuration is read", "at once", "at the program's next start", "at the daemon's next start",
	}[e]
}

// Naming says whether the header of a section has a name behind a colon.
type Naming uint8

// The ways to name a section.
const (
	Unnamed Naming = iota
	Named
	Either
)

// Section is one kind of section.
type Section struct {
	Kind   string // what stands before the colon
	Naming Naming
	Text   string // what it is for, in a sentence
	Ours   bool   // Supervisor passes over it
	Open   bool   // keys of others may stand in it as well
	Keys   []Key  // its own
	All    []Key  // with those that it has from other kinds
	daemon bool   // changes count when the daemon is started again
}

// Header is how people write it: [program:x], [supervisord].
func (s *Section) Header() string {
	if s.Naming == Named {
		return "[" + s.Kind + ":x]"
	}
	return "[" + s.Kind + "]"
}

// Runs reports whether sections of this kind say what is to run.
func (s *Section) Runs() bool { return s.Kind == "group" || s.Process() }

// Process reports whether sections of this kind make processes.
func (s *Section) Process() bool {
	return slices.Contains([]string{"program", "fcgi-program", "eventlistener"}, s.Kind)
}

// Names are the names of all keys.
func (s *Section) Names() []string {
	var names []string
	for i := range s.All {
		names = append(names, s.All[i].Name)
	}
	return names
}

// Key finds a key as it is written in a file, folded; nil when the section has none of that name.
func (s *Section) Key(name string) *Key {
	if prefix := Family(name); prefix != "" {
		name = prefix + "NAME" // it stands for all of them in the table
	}
	for i := range s.All {
		if s.All[i].Name == name {
			return &s.All[i]
		}
	}
	return nil
}

// Close lists the keys that a mistyped one may have meant, the closest first.
func (s *Section) Close(name string) []string { return words.Close(name, s.Names(), 3) }

// Effect says when a change of one of the section's keys counts.
func (s *Section) Effect(k *Key) Effect {
	if s.daemon {
		return EffectDaemon
	}
	name := k.Name
	if k.as != "" {
		name = k.as
	}
	effect := EffectRead
	for _, f := range model.Fields() {
		if f.Key != name || f.Group != (s.Kind == "group") && f.Key == "priority" {
			continue
		}
		switch f.Effect {
		case model.EffectLive:
			effect = max(effect, EffectLive)
		case model.EffectRestart:
			effect = max(effect, EffectRestart)
		}
	}
	return effect
}

// The prefixes of the open families of keys: what stands behind one is a name that is chosen freely.
const (
	EnvPrefix   = "env."   // one environment variable each
	CheckPrefix = "check." // one check each
)

// Family is the prefix of the open family that a key is of: env.NAME, check.NAME; empty = it is of none.
func Family(key string) string {
	for _, prefix := range [...]string{EnvPrefix, CheckPrefix} {
		if len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix) {
			return prefix
		}
	}
	return ""
}

// IsVariable reports whether a key holds an environment variable: env.NAME.
func IsVariable(key string) bool { return Family(key) == EnvPrefix }

// Fold makes keys that mean the same equal: case does not count, except in the names that are chosen freely.
func Fold(key string) string {
	if prefix := Family(key); prefix != "" {
		return prefix + key[len(prefix):]
	}
	return strings.ToLower(key)
}

// Table is every kind of section. It is made once for a reading, and not changed.
type Table []Section

// Find finds the kind of section that a header names, without brackets: program:web. nil when there is none.
func (t Table) Find(header string) *Section {
	kind, _, named := strings.Cut(header, ":")
	s := t.Kind(kind)
	if s == nil || (s.Naming == Named && !named) || (s.Naming == Unnamed && named) {
		return nil
	}
	return s
}

// Kind is the section of a kind; nil when there is none.
func (t Table) Kind(kind string) *Section {
	for i := range t {
		if t[i].Kind == kind {
			return &t[i]
		}
	}
	return nil
}

// checksField is what changes of a program's checks are called, which come of several keys.
const checksField = "checks"

// Use is a key in one kind of section.
type Use struct {
	Section *Section
	Key     *Key
}

// Explain lists the kinds of sections that have a key of their own of that name, and what it means there. KIND.KEY asks
// for one of them: unix_http_server.file. What changes of a program are called without being a key, as checks, is explained
// by the keys that it comes from. nil when nothing is called so.
func (t Table) Explain(name string) []Use {
	kind, rest, dotted := strings.Cut(name, ".")
	var uses []Use
	for i := range t {
		s := &t[i]
		for j := range s.Keys {
			k := &s.Keys[j]
			if k.matches(name) || dotted && s.Kind == kind && k.matches(rest) {
				uses = append(uses, Use{s, k})
			}
		}
	}
	if uses == nil && name == checksField {
		for i := range t {
			for j := range t[i].Keys {
				if k := &t[i].Keys[j]; k.as == name {
					uses = append(uses, Use{&t[i], k})
				}
			}
		}
	}
	return uses
}

func (k *Key) matches(name string) bool {
	prefix := Family(name)
	return strings.EqualFold(k.Name, name) || prefix != "" && prefix == Family(k.Name)
}

// Names are the names of all keys, sorted, each once.
func (t Table) Names() []string {
	var names []string
	for i := range t {
		for j := range t[i].Keys {
			names = append(names, t[i].Keys[j].Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
