package supervisord

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Value is what one option of a program comes to, and where that is written.
type Value struct {
	Key string
	// Text is the value with its expansions filled in; without one, the default's. Hidden: it holds an environment
	// variable's value, and Text has only names, as NAME,OTHER.
	Text   string
	Hidden bool
	// File and Line are where it stands; Line 0 = nowhere, it is the default. Section is the header of the section of
	// defaults that says it; empty when the program's own does.
	File    string
	Line    int
	Section string
}

// Source says it in words: default, FILE:LINE, or defaults:NAME FILE:LINE.
func (v *Value) Source() string {
	if v.Line == 0 {
		return "default"
	}
	at := v.File + ":" + strconv.Itoa(v.Line)
	if v.Section != "" {
		return v.Section + " " + at
	}
	return at
}

// watch is the program whose values are wanted, and what was found.
type watch struct {
	id     model.ID
	reveal bool
	values []Value
}

// Effective is every option of one program of a supervisord.conf with its source, in the order of the reference. With
// reveal, values of environment variables are in it. nil when there is no such program. Errors are those of LoadFrom.
func Effective(loc Location, env Environ, id model.ID, reveal bool) ([]Value, error) {
	r := newReader(&env, loc)
	r.watch = &watch{id: id, reveal: reveal}
	if _, err := r.load(&Args{}); err != nil {
		return nil, err
	}
	return r.watch.values, nil
}

// EffectiveNative is every option of one program of a native instance; see Effective. The program is known by its name and
// by the file that defines it. Errors are those of LoadNative, and that its file cannot be read.
func EffectiveNative(n Native, env Environ, p *model.Program, reveal bool) ([]Value, error) {
	r, c, err := readNative(&n, &env, &watch{id: p.ID, reveal: reveal})
	if err != nil || filepath.Dir(p.Origin.File) != filepath.Clean(n.Programs) {
		return r.watch.values, err
	}
	text, err := env.readRegular(p.Origin.File)
	if err != nil {
		return nil, err
	}
	return r.shared(c.Settings.Environment).Effective(p.Origin.File, text, env, p.ID, reveal), nil
}

// Effective is every option of one program of a file of programs; see the function Effective. Problems of the file do not
// hinder it, as long as the program itself has none.
func (s Shared) Effective(path string, text []byte, env Environ, id model.ID, reveal bool) []Value {
	r := newReader(&env, Location{Given: path, Path: path})
	r.watch = &watch{id: id, reveal: reveal}
	r.programFile(path, text, s)
	return r.watch.values
}

// effective lists the options of a section as they are for the process whose scope the options have.
func (r *reader) effective(o *options) []Value {
	kind := r.table.Find(o.sect.Name)
	if kind == nil { // made from a section of another kind
		return nil
	}
	var list []Value
	for i := range kind.All {
		k := &kind.All[i]
		if family := keys.Family(k.Name); family != "" {
			for _, e := range o.sect.All() {
				if keys.Family(e.Key) == family {
					list = append(list, r.valueOf(o, e.Key, k))
				}
			}
			continue
		}
		list = append(list, r.valueOf(o, k.Name, k))
	}
	return list
}

func (r *reader) valueOf(o *options, key string, k *keys.Key) Value {
	at, from := o.sect.Find(key)
	v := Value{Key: key, Text: k.Default, File: at.File, Line: at.Line}
	if from != nil {
		v.Text = at.Text
	}
	if filled, err := r.expand(v.Text, key, o.sc); err == nil {
		v.Text = filled
	}
	if from != nil && from != o.sect {
		v.Section = from.Name
	}
	if !r.watch.reveal && from != nil && (k.Type == keys.Variables || keys.IsVariable(key)) {
		v.Hidden, v.Text = true, variableNames(key, v.Text)
	}
	return v
}

// variableNames are the names in an option of variables.
func variableNames(key, text string) string {
	if keys.IsVariable(key) {
		return strings.TrimPrefix(key, keys.EnvPrefix)
	}
	pairs, _, _ := shellwords.Pairs(text)
	var names []string
	for _, p := range pairs {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, ",")
}
