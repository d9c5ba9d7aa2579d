package manual

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

var update = flag.Bool("update", false, "write the page anew")

const (
	folder    = "docs/reference/"
	tablePage = folder + "manual-3.3.4.md"
)

// TestManual asks the code about every name of the manual, finds out where our documentation describes it, and compares
// the table of all that with the page.
func TestManual(t *testing.T) {
	c := theCode(t)
	pages := map[string]*pagetest.Page{}
	var b strings.Builder
	b.WriteString("# Every name in the manual of Supervisor 3.3.4\n\n" +
		"Sections, options, commands, methods, events and what belongs to them, in the manual's order. A test asks the code about each name (is the option\n" +
		"read, has it an effect, is the method served with these parameters, has the event this text), demands that our own reference describes it, and compares\n" +
		"this page with the outcome. What behaves otherwise than in Supervisor is listed under [differences](differences.md).\n" +
		"The fault `FATAL_STATE`, which the manual mentions too, does not exist in Supervisor either.\n")
	chapter, section := "", ""
	for _, n := range names(t) {
		if n.chapter != chapter {
			chapter = n.chapter
			fmt.Fprintf(&b, "\n## %s\n\n| name | there | described in |\n| --- | --- | --- |\n", chapter)
		}
		tick := "✓"
		if err := c.ask(n); err != nil {
			tick = "**missing**"
			t.Errorf("%s %s: %v", n.kind, n.text, err)
		}
		where, ok := describe(t, pages, n)
		if !ok {
			t.Errorf("%s %s is not described in %s", n.kind, n.text, where)
		}
		if n.remark != "" {
			tick += ", " + n.remark
		}
		text := "`" + n.text + "`"
		if n.kind == "section" {
			section = n.text
		} else if n.kind == "key" {
			text = "`" + section + "` " + text
		}
		if n.kind == "option" {
			command, list, _ := strings.Cut(n.text, " ")
			text = "`" + command + "` `" + strings.ReplaceAll(list, ", ", "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", strings.ReplaceAll(text, "|", `\|`), tick, where)
	}
	file := filepath.Join(pagetest.Root(t), filepath.FromSlash(tablePage))
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("%s is out of date (run the test with -update):\n%s", tablePage, diff)
	}
}

// describe is a link to the description of a name; false when it is not there.
func describe(t *testing.T, pages map[string]*pagetest.Page, n name) (link string, ok bool) {
	t.Helper()
	file, title, word := place(n)
	page := pages[file]
	if page == nil {
		page = pagetest.Read(t, folder+file)
		pages[file] = page
	}
	for i := range page.Sections {
		s := &page.Sections[i]
		if title != "" && s.Title != title {
			continue
		}
		plain := n.kind == "token" || n.kind == "listener"
		if n.kind == "section" || described(s, word) || plain && hasWord(s.Text, word) {
			return "[" + strings.TrimSuffix(file, ".md") + "](" + file + "#" + s.Anchor() + ")", true
		}
	}
	return file, false
}

// described reports whether a section has the word as a piece of code, or one that begins with it.
func described(s *pagetest.Section, word string) bool {
	return s.Mentions(word) || s.Find(word) != nil || slices.ContainsFunc(s.Rows, func(r pagetest.Row) bool {
		return slices.ContainsFunc(r.Names(0), func(form string) bool { return strings.HasPrefix(form, word+"(") })
	})
}

// hasWord reports whether a text has a word between characters that are not letters.
func hasWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r < 'A' || r > 'z' || r > 'Z' && r < 'a' }), word)
}

// place is the page, the section (empty: any) and the word under which a name is described.
func place(n name) (file, title, word string) {
	first := strings.Fields(n.text)[0]
	switch n.kind {
	case "section":
		return "configuration.md", n.text, n.text
	case "key":
		return "configuration.md", n.section, n.text
	case "expansion":
		return "configuration.md", "Expansions", n.text
	case "level":
		return "configuration.md", "Values", n.text
	case "option":
		_, list, _ := strings.Cut(n.text, " ")
		option, _, _ := strings.Cut(list, ",")
		return "commands.md", first, option
	case "action":
		return "commands.md", "Commands of supervisorctl", first
	case "signal":
		return "files-and-exit-statuses.md", "Signals to the daemon", strings.TrimPrefix(n.text, "SIG")
	case "program":
		return "helpers.md", "Helper programs", n.text
	case "method":
		return "xml-rpc.md", "", strings.TrimPrefix(n.text, "supervisor.")
	case "state", "member":
		return "xml-rpc.md", "About a program", n.text
	case "fault":
		return "xml-rpc.md", "Faults", n.text
	case "token", "listener":
		return "events.md", "On the wire", n.text
	}
	return "events.md", "", n.text
}

// TestTheTestCanFail asks about names that do not exist.
func TestTheTestCanFail(t *testing.T) {
	c := theCode(t)
	for _, n := range []name{
		{kind: "section", text: "[nothing]"},
		{kind: "key", section: "[program:x]", text: "comand", value: "/bin/cat"},
		{kind: "key", section: "[supervisorctl]", text: "nothing", value: "1"},
		{kind: "key", section: "[program:x]", text: "startsecs", value: "1"}, // the default has no effect
		{kind: "expansion", text: "nothing"},
		{kind: "option", text: "supervisord -x"},
		{kind: "option", text: "supervisord -l", value: "/nowhere/at/all"},
		{kind: "option", text: "supervisorctl --nothing"},
		{kind: "action", text: "nothing"},
		{kind: "action", text: "start <nothing>"},
		{kind: "program", text: "nothing"},
		{kind: "state", text: "RUNNING", parts: []string{"21"}},
		{kind: "level", text: "warning", parts: []string{"WARN"}},
		{kind: "level", text: "warn", parts: []string{"INFO"}},
		{kind: "token", text: "serials"},
		{kind: "listener", text: "LAZY"},
		{kind: "event", text: "PROCESS_STATE_NOTHING"},
		{kind: "event", text: "TICK_5", parent: "PROCESS_STATE"},
		{kind: "event", text: "TICK_5", parts: []string{"then"}},
		{kind: "method", text: "supervisor.nothing"},
		{kind: "method", text: "supervisor.getPID", parts: []string{"name"}},
		{kind: "method", text: "supervisor.getProcessInfo", parts: []string{"title"}},
		{kind: "member", text: "spawner"},
		{kind: "fault", text: "FATAL_STATE"},
		{kind: "nothing", text: "nothing"},
	} {
		if c.ask(n) == nil {
			t.Errorf("%s %s %s%s is found", n.kind, n.text, n.value, n.parts)
		}
	}
}
