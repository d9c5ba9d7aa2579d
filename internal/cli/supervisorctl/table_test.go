package supervisorctl

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][2]string{
		"":                {"", ""},
		"   ":             {"", ""},
		"status":          {"status", ""},
		"  status   a b ": {"status", "a b"},
		"status:x":        {"status", ":x"},
		"stat-us":         {"stat", "-us"},
		"?":               {"help", ""},
		"? tail":          {"help", "tail"},
		"?tail":           {"help", "tail"},
		"!x":              {"", "!x"},
		"tail\t-f\tx":     {"tail", "-f\tx"},
		"_a1 b":           {"_a1", "b"},
		"é":               {"", "é"},
	} {
		if name, arg := split(line); [2]string{name, arg} != want {
			t.Errorf("%q: %q, %q, want %q", line, name, arg, want)
		}
	}
}

func TestSpec(t *testing.T) {
	for s, want := range map[string]spec{
		"a":     {group: "a", process: "a"},
		"g:a":   {group: "g", process: "a"},
		"g:*":   {group: "g", whole: true},
		"g:":    {group: "g", whole: true},
		"g:a:b": {group: "g", process: "a:b"},
		":a":    {process: "a"},
		":":     {whole: true},
		"*":     {group: "*", process: "*"},
	} {
		if got := parseSpec(s); got != want {
			t.Errorf("%q: %+v, want %+v", s, got, want)
		}
	}
	for _, c := range [][3]string{{"a", "a", "a"}, {"g", "a", "g:a"}, {"", "a", ":a"}} {
		if got := display(c[0], c[1]); got != c[2] {
			t.Errorf("%q, want %q", got, c[2])
		}
	}
}

func TestColumns(t *testing.T) {
	for _, c := range []struct {
		words string
		width int
		want  string
	}{
		{"a", 10, "a\n"},
		{"a b c", 10, "a  b  c\n"},
		{"aa bb cc dd", 6, "aa  cc\nbb  dd\n"},
		{"aa b cc d e", 8, "aa  d\nb   e\ncc\n"},
		{"long words only", 3, "long \nwords\nonly \n"},
	} {
		if got := columns(strings.Fields(c.words), c.width); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.words, c.width, got, c.want)
		}
	}
}

// Every entry is complete, and nothing about it contradicts the rest.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range commands() {
		switch {
		case seen[c.name]:
			t.Errorf("%s: twice", c.name)
		case c.run == nil:
			t.Errorf("%s: nothing to run", c.name)
		case c.help == "" && c.name != "EOF":
			t.Errorf("%s: no help", c.name)
		case c.local && c.check:
			t.Errorf("%s: local, but checks for a server", c.name)
		case c.minWords > 0 && (c.needs == "" || c.usageStatus == 0):
			t.Errorf("%s: says nothing about missing words", c.name)
		case c.minWords > 0 && c.noArgs:
			t.Errorf("%s: both too few and too many words", c.name)
		}
		seen[c.name] = true
	}
}

func TestCompletion(t *testing.T) {
	infos := []supervisor.ProcessInfo{
		{Group: "cat", Name: "cat"},
		{Group: "evil\x1b", Name: "evil\x1b"},
		{Group: "grp", Name: "a"},
		{Group: "grp", Name: "b"},
		{Group: "web-1", Name: "web-1"},
	}
	all := strings.Fields("add apply avail clear exit fg help maintail open pid plan quickrestart quickstart quickstop quit reload remove reread restart serialrestart shutdown signal start status stop tail update version")
	for _, c := range []struct {
		line, head string
		want       string
	}{
		{"", "", strings.Join(all, " ")},
		{"st", "", "start status stop"},
		{"x", "", ""},
		{"help ", "help ", strings.Join(all, " ")},
		{"help ve", "help ", "version"},
		{"stop ", "stop ", "cat grp:* grp:a grp:b web-1"},
		{"stop c", "stop ", "cat"},
		{"stop gr", "stop ", "grp:* grp:a grp:b"},
		{"stop grp:", "stop ", "grp:* grp:a grp:b"},
		{"stop grp:b", "stop ", "grp:b"},
		{"stop cat:", "stop ", "cat:* cat:cat"},
		{"stop web-", "stop ", "web-1"},
		{"start cat gr", "start cat ", "grp:* grp:a grp:b"},
		{"tail -f ca", "tail -f ", "cat"},
		{"signal hup ca", "signal hup ", "cat"},
		{"update ", "update ", "cat grp web-1"},
		{"apply g", "apply ", "grp"},
		{"remove g", "remove ", "grp"},
		{"add w", "add ", "web-1"},
		{"avail ", "avail ", ""},
		{"version x", "version ", ""},
		{"nope ", "nope ", ""},
	} {
		w := &words{session: &session{opts: &options{}}, infos: infos, asked: true}
		head, got, tail := w.complete(c.line+"|rest", len(c.line))
		want := strings.Fields(c.want)
		for i := range want {
			want[i] += " " // a candidate ends its word
		}
		if head != c.head || tail != "|rest" || !slices.Equal(got, want) {
			t.Errorf("%q: head %q, tail %q\n%s", c.line, head, tail, cmp.Diff(want, got))
		}
	}
}

// The programs are asked for once per prompt, and an answer that does not come is an empty one.
func TestCompletionAsksOnce(t *testing.T) {
	f, url := newFake(t, map[string][]any{"getAllProcessInfo": {[]any{running("x")}, fault(6, "SHUTDOWN_STATE")}})
	s := &session{opts: &options{}, in: newLines(nil)}
	s.connect(url)
	defer s.close()
	w := &words{session: s}
	for range 3 {
		if _, got, _ := w.complete("stop ", 5); !slices.Equal(got, []string{"x "}) {
			t.Errorf("got %q", got)
		}
	}
	w.forget()
	for range 2 {
		if _, got, _ := w.complete("stop ", 5); got != nil {
			t.Errorf("got %q", got)
		}
	}
	if calls := f.taken(); len(calls) != 2 {
		t.Errorf("calls %q", calls)
	}
}
