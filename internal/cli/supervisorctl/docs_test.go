package supervisorctl

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

const commandsPage = "docs/reference/commands.md"

// TestPageHasEveryCommand holds the reference against the table of commands.
func TestPageHasEveryCommand(t *testing.T) {
	page := pagetest.Read(t, commandsPage)
	listed, ours := page.Section("Commands of supervisorctl"), page.Section("Commands of ours")
	if listed == nil || ours == nil {
		t.Fatal("the sections about the commands are not there")
	}
	words := func(s *pagetest.Section) (names []string) {
		for _, row := range s.Rows {
			for _, form := range row.Names(0) {
				names = append(names, strings.Fields(form)[0])
			}
		}
		return slices.Compact(names)
	}
	standard, extra := words(listed), words(ours)
	for _, c := range commands() {
		switch {
		case !c.hidden && !slices.Contains(standard, c.name):
			t.Errorf("no line about %s", c.name)
		case c.hidden && !slices.Contains(standard, c.name) && !slices.Contains(extra, c.name):
			t.Errorf("no line about %s", c.name)
		case !c.hidden && slices.Contains(extra, c.name):
			t.Errorf("%s is in the list that help prints", c.name)
		}
	}
	for _, name := range append(standard, extra...) {
		if name != "?" && find(name) == nil {
			t.Errorf("there is no command %s", name)
		}
	}
}

// TestPageHasEveryOption holds the reference against what -h prints, and that against what is understood.
func TestPageHasEveryOption(t *testing.T) {
	sect := pagetest.Read(t, commandsPage).Section("supervisorctl")
	if sect == nil {
		t.Fatal("no section about supervisorctl")
	}
	env := plainEnviron()
	options := regexp.MustCompile(`(?m)^-(\w)/--(\S+)(?: ([A-Z]+))?`).FindAllStringSubmatch(helpText("supervisorctl"), -1)
	if len(options) != 7 {
		t.Errorf("help has %d options", len(options))
	}
	for _, o := range options {
		if long := "--" + strings.ReplaceAll(o[2], "-", "_"); sect.Find(long) == nil || sect.Find("-"+o[1]) == nil {
			t.Errorf("no line about -%s, %s", o[1], long)
		}
		for _, words := range [][]string{{"-" + o[1]}, {"--" + o[2]}} {
			if o[3] != "" || o[1] == "r" {
				words = append(words, "http://localhost:1")
			}
			// -h ends the reading, so that no configuration is needed.
			if _, err := parse("supervisorctl", append(words, "-h"), &env); err != nil {
				t.Errorf("%v: %v", words, err)
			}
		}
	}
}
