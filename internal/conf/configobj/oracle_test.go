package configobj

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// answer is what the original says of a text.
type answer struct {
	Tree, Expanded *node
	Error          string
	Line           int
}

// node is a section of the original.
type node struct{ Entries [][2]any }

// ask has the original read texts.
func ask(t *testing.T, texts []string) []answer {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import configobj").CombinedOutput(); err != nil {
		t.Skipf("%s has no configobj: %v %s", python, err, bytes.TrimSpace(out))
	}
	in, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/oracle.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(texts) {
		t.Fatal(err, len(answers))
	}
	return answers
}

// flat is a tree as lines, PATH = VALUE.
func flat(n *node, path string) (out []string) {
	for _, e := range n.Entries {
		name := fmt.Sprintf("%s/%q", path, e[0])
		switch v := e[1].(type) {
		case map[string]any:
			out = append(out, name)
			var sub node
			raw, _ := json.Marshal(v)
			_ = json.Unmarshal(raw, &sub) // it was JSON before
			out = append(out, flat(&sub, name)...)
		default:
			out = append(out, fmt.Sprintf("%s = %q", name, v))
		}
	}
	return out
}

// ours is the same of what we have read; with expand %(name)s is replaced.
func ours(s *Section, path string, expand bool) (out []string) {
	one := func(text string) any {
		if !expand {
			return text
		}
		text, err := s.Expand(text, nil, nil)
		if err != nil {
			return nil
		}
		return text
	}
	for _, e := range s.Entries() {
		var v any
		if e.List {
			list := []any{}
			for _, item := range e.Items {
				if text := one(item); text != nil {
					list = append(list, text)
				}
			}
			v = list
			if len(list) < len(e.Items) {
				v = nil
			}
		} else {
			v = one(e.Text)
		}
		out = append(out, fmt.Sprintf("%s/%q = %q", path, e.Key, v))
	}
	for _, sub := range s.Sections() {
		name := fmt.Sprintf("%s/%q", path, sub.Name)
		out = append(append(out, name), ours(sub, name, expand)...)
	}
	return out
}

// generator makes texts of the dialect, well-formed ones and others.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) word() string {
	return g.pick("a", "b", "c", "Env", "DEFAULT", "x y", "é", "1", "command", "%(a)s", "%(b)s", "%(c)s", "%(a", "%d", "$HOME", "a]", "[", "\\n", "'", "\"", "=", "100%")
}

func (g generator) blank() string { return g.pick("", "", " ", "  ", "\t") }

func (g generator) item() string {
	text := g.word()
	for g.IntN(3) == 0 {
		text += g.blank() + g.word()
	}
	switch g.IntN(6) {
	case 0:
		return `"` + strings.ReplaceAll(text, `"`, "") + g.pick("", "#", ",") + `"`
	case 1:
		return "'" + strings.ReplaceAll(text, "'", "") + g.pick("", "#", ",") + "'"
	}
	return text
}

func (g generator) value() string {
	switch g.IntN(12) {
	case 0:
		return ""
	case 1, 2, 3:
		list := g.item()
		for g.IntN(2) == 0 {
			list += g.blank() + "," + g.blank() + g.item()
		}
		return list + g.pick("", ",", " , ")
	case 4:
		q := g.pick(`"""`, `'''`)
		return q + g.item() + g.pick("", "\n"+g.item()+"\n", "\n\n", "\n[x]\n# y\n", `"`, "'") + g.pick(q, q, q, "")
	case 5:
		return g.pick(",", ", ,", "a,,b")
	}
	return g.item()
}

// wild is a line that is often wrong.
func (g generator) wild() string {
	switch g.IntN(10) {
	case 0, 1:
		return g.blank() + g.pick("[", "[[", "[[", "[[[", "[ [") + g.blank() + g.pick(g.word(), g.word(), `"x"`, "'y z'") + g.blank() + g.pick("]", "]]", "]]", "]]]", "] ]") +
			g.pick("", "", " # c", "#", " x")
	case 2:
		return g.pick("", "  ", "# [x]", "  # a = b", "nothing", "a : b", "[x", "]", "= b", "\"a = b", "'q' = 1", `"q" = 2`, `"a" b = c`)
	}
	return g.blank() + g.pick("a", "b", "c", "d", "e", "f", "g h", "Env") + g.blank() + "=" + g.blank() + g.value() + g.pick("", "", "", " # x", "# y", "  ")
}

// text makes a text: every fourth is wild, the others have names of their own and headers that fit.
func (g generator) text() string {
	lines := make([]string, 1+g.IntN(8))
	wild, depth := g.IntN(4) == 0, 0
	for i := range lines {
		switch {
		case wild:
			lines[i] = g.wild()
		case g.IntN(4) == 0:
			depth = 1 + g.IntN(depth+1)
			lines[i] = g.blank() + strings.Repeat("["+g.blank(), depth) + g.pick("DEFAULT", `"x y"`, "a] b", "'q'", "z") + strings.Repeat(g.blank()+"]", depth) + g.pick("", " # c", "#")
		default:
			name := g.pick("a", "b", "c", "d")
			lines[i] = g.blank() + g.pick(name, name, fmt.Sprintf("k%d", i), `"a=b"`) + g.blank() + "=" + g.blank() +
				g.pick(g.value(), "x", "%(a)s", "%(b)s, %(c)s", "%(d)s %(", "y z", "'q, r'") + g.pick("", " # x", "# y", "  ")
		}
	}
	return strings.Join(lines, "\n")
}

// odd reports whether a text has a line on which we are stricter, on purpose: quotes elsewhere than around a whole item or
// a whole key, or nothing but blanks before the =.
func odd(errors []*Error) bool {
	re := regexp.MustCompile(`follows the closing quote|a quote begins it|KEY = VALUE: ['"]\\?['"=]`)
	return slices.ContainsFunc(errors, func(e *Error) bool { return re.MatchString(e.Text) })
}

// tricky reports whether a comment after a value with quotes has quotes too: the original may then find the end of the value
// in the comment, 'a' # b', c. Here the value ends where its quotes do.
func tricky(s *Section) bool {
	for _, e := range s.Entries() {
		if strings.ContainsAny(e.Comment, `"'`) && strings.ContainsAny(e.Raw, `"'`) {
			return true
		}
	}
	return slices.ContainsFunc(s.Sections(), tricky)
}

// TestAsTheOriginal compares what we read with what the original reads, for texts made at random.
func TestAsTheOriginal(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 2000
	}
	g := generator{rand.New(rand.NewPCG(6, 2))}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = g.text()
	}
	compare(t, texts)
}

// mutated is a text with a few changes, or none.
func (g generator) mutated(text string) string {
	r := []rune(text)
	for n := g.IntN(3); n > 0 && len(r) > 0; n-- {
		at := g.IntN(len(r))
		if g.IntN(2) == 0 {
			r = slices.Delete(r, at, min(len(r), at+1+g.IntN(10)))
			continue
		}
		r = slices.Insert(r, at, []rune(g.pick("\r", "\n", "\r\n", "\ufeff", "\u00a0", "'", `"`, "'''", `"""`, "#", ",", "[", "]", "=", "%(command)s", "%(", ")s", "%", " ", "\t", "[[", "]]"))...)
	}
	return string(r)
}

// TestMutatedAsTheOriginal does it for files as people write them, with a few changes.
func TestMutatedAsTheOriginal(t *testing.T) {
	n := 5000
	if testing.Short() {
		n = 500
	}
	var files []string
	for _, pattern := range []string{"../usrsvc/testdata/*.txtar", "../../../examples/usrsvc/usrsvc.cfg", "../../../examples/usrsvc/usrsvc.d/*.cfg"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(ar.Files) == 0 {
				files = append(files, string(ar.Comment))
			}
			for _, f := range ar.Files {
				if f.Name != "want" {
					files = append(files, string(f.Data))
				}
			}
		}
	}
	g := generator{rand.New(rand.NewPCG(6, 3))}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = g.mutated(files[g.IntN(len(files))])
	}
	compare(t, texts)
}

func compare(t *testing.T, texts []string) {
	t.Helper()
	good, bad := 0, 0
	for i, a := range ask(t, texts) {
		root, errors := Parse("f", texts[i])
		switch {
		case a.Error != "" && len(errors) > 0:
			bad++
			if errors[0].Line > a.Line && !odd(errors) {
				t.Errorf("%q: the first mistake is in line %d (%s), the original says %d: %s", texts[i], errors[0].Line, errors[0].Text, a.Line, a.Error)
			}
		case a.Error != "":
			t.Errorf("%q is read, the original says: %s", texts[i], a.Error)
		case len(errors) > 0:
			if !odd(errors) {
				t.Errorf("%q: %v, the original reads it", texts[i], errors[0])
			}
		case tricky(root):
		default:
			good++
			if d := cmp.Diff(flat(a.Tree, ""), ours(root, "", false)); d != "" {
				t.Errorf("%q: %s", texts[i], d)
			}
			if d := cmp.Diff(flat(a.Expanded, ""), ours(root, "", true)); d != "" {
				t.Errorf("%q, expanded: %s", texts[i], d)
			}
		}
		if t.Failed() {
			return
		}
	}
	if len(texts) > 1000 && (good < len(texts)/4 || bad < len(texts)/10) {
		t.Errorf("%d texts with and %d without mistakes show little", bad, good)
	}
	t.Logf("%d read alike, %d refused alike, of %d", good, bad, len(texts))
}
