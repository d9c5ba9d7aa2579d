package native

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

// TestPageHasEveryVerb holds the reference against the tree of commands.
func TestPageHasEveryVerb(t *testing.T) {
	section := pagetest.Read(t, "docs/reference/commands.md").Section("upkeep")
	if section == nil {
		t.Fatal("there is no section about the command")
	}
	tree := (&command{environ: func(string) string { return "" }}).root()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd()
	var have, want []string
	for _, row := range section.Rows {
		have = append(have, strings.Fields(row.Names(0)[0])[0])
	}
	for _, cmd := range tree.Commands() {
		if cmd.Hidden || !cmd.IsAvailableCommand() && cmd.Name() != "help" {
			continue
		}
		want = append(want, cmd.Name())
		row := section.Find(cmd.Name())
		for _, sub := range cmd.Commands() {
			if row != nil && !sub.Hidden && cmd.Name() != "completion" && !strings.Contains(strings.Join(row, " "), sub.Name()) {
				t.Errorf("the line about %s does not name %s", cmd.Name(), sub.Name())
			}
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the page has\n%v, there is\n%v", have, want)
	}
}

// TestPageHasEveryStatus holds the table of exit statuses against those that there are.
func TestPageHasEveryStatus(t *testing.T) {
	section := pagetest.Read(t, "docs/reference/commands.md").Section("Exit statuses of upkeep")
	if section == nil {
		t.Fatal("there is no section about exit statuses")
	}
	var have []string
	for _, row := range section.Rows {
		have = append(have, row[0])
	}
	var want []string
	for _, s := range []int{
		0, statusFailed, statusUsage, statusNotRunning, statusUnknown, statusNoProgram, statusInvalid, statusAbsent,
		statusTimeout, statusInterrupted,
	} {
		want = append(want, strconv.Itoa(s))
	}
	if !slices.Equal(have, want) {
		t.Errorf("the page has %v, there is %v", have, want)
	}
}
