package configobj

import (
	"errors"
	"fmt"
	"strings"
)

// The bounds of an expansion.
const (
	maxNesting = 10
	maxLength  = 64 << 10
)

// Extra answers for names that no section has; false when it has none either.
type Extra func(name string) (string, bool)

// Expand replaces %(name)s in a text that stands in the section: by the value of the section, of its section DEFAULT, or of
// the sections around it in the same way. What that value names is looked for from the same section on, so that a template
// further out may name what each section has of its own. Other per cent signs are left as they are.
// used, when it is not nil, is told of every value that was taken. Errors: a name that nobody has, a circle, a value that
// is a list, too much text. Source: spec/usrsvc US-12.
func (s *Section) Expand(text string, extra Extra, used func(Entry)) (string, error) {
	e := expansion{from: s, extra: extra, used: used}
	return e.expand(text)
}

// expansion is one call of Expand.
type expansion struct {
	from  *Section
	extra Extra
	used  func(Entry)
	path  []*Entry // what is being expanded
	work  int      // bytes made so far, everywhere
}

func (e *expansion) expand(text string) (string, error) {
	const open, shut = "%(", ")s"
	var b strings.Builder
	for {
		at := strings.Index(text, open)
		end := -1
		if at >= 0 {
			end = strings.IndexByte(text[at:], ')')
		}
		if end < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		end += at
		if !strings.HasPrefix(text[end:], shut) {
			b.WriteString(text[:end])
			text = text[end:]
			continue
		}
		b.WriteString(text[:at])
		value, err := e.name(text[at+len(open) : end])
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		if e.work += len(value) + 1; e.work > maxLength {
			return "", fmt.Errorf("%%(name)s makes more than %d characters of it", maxLength)
		}
		text = text[end+len(shut):]
	}
}

// name is what a name stands for.
func (e *expansion) name(name string) (string, error) {
	for in := e.from; in != nil; in = in.Parent {
		for _, from := range [...]*Section{in, in.Section("DEFAULT")} {
			if from == nil {
				continue
			}
			if entry := from.entry(name); entry != nil {
				return e.value(entry)
			}
		}
	}
	if e.extra != nil {
		if value, ok := e.extra(name); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("%%(%s)s: nothing of that name is in this section or around it", name)
}

// entry finds an entry itself; nil when there is none.
func (s *Section) entry(key string) *Entry {
	if i, ok := s.keys[key]; ok {
		return &s.entries[i]
	}
	return nil
}

// value is the value of an entry.
func (e *expansion) value(entry *Entry) (string, error) {
	for _, open := range e.path {
		if open == entry {
			return "", fmt.Errorf("%%(%s)s stands for itself in a circle", entry.Key)
		}
	}
	if len(e.path) >= maxNesting {
		return "", errors.New("%(name)s is nested too deep")
	}
	if e.used != nil {
		e.used(*entry)
	}
	if entry.List {
		return "", fmt.Errorf("%%(%s)s: its value has a comma and is a list, line %d", entry.Key, entry.Line)
	}
	e.path = append(e.path, entry)
	text, err := e.expand(entry.Text)
	e.path = e.path[:len(e.path)-1]
	return text, err
}
