package archtest

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// fixes is how many deliberate corrections of the original's behaviour there are: F1 to F47.
// Source: spec/supervisor 10.2.
const fixes = 47

// TestDifferencesAreComplete demands a line for every correction, and no number that does not exist.
func TestDifferencesAreComplete(t *testing.T) {
	text := read(t, "docs/reference/differences.md")
	row := regexp.MustCompile(`(?m)^\| ([^|]*) \|.*\|$`)
	number := regexp.MustCompile(`\bF([0-9]+)\b`)
	seen := map[int]bool{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		for _, f := range number.FindAllStringSubmatch(m[1], -1) {
			n, err := strconv.Atoi(f[1])
			if err != nil || n < 1 || n > fixes {
				t.Errorf("there is no F%s", f[1])
			}
			seen[n] = true
		}
	}
	for n := 1; n <= fixes; n++ {
		if !seen[n] {
			t.Errorf("no line about F%d", n)
		}
	}
}

// TestDecisionsAreListed keeps the index of the decisions equal to the pages.
func TestDecisionsAreListed(t *testing.T) {
	index := read(t, "docs/adr/README.md")
	n := 0
	for _, f := range tree(t) {
		if path.Dir(f) != "docs/adr" || path.Base(f) == "README.md" {
			continue
		}
		n++
		title, _, _ := strings.Cut(read(t, f), "\n")
		words := regexp.MustCompile(`^# ([0-9]+)\. (.+)$`).FindStringSubmatch(title)
		if words == nil {
			t.Errorf("%s begins with %q", f, title)
			continue
		}
		if want := fmt.Sprintf("| %s | [%s](%s) |", words[1], words[2], path.Base(f)); !strings.Contains(index, want) {
			t.Errorf("docs/adr/README.md has no line %q", want)
		}
	}
	if n == 0 {
		t.Error("no decisions found")
	}
}

// TestDependenciesAreListed keeps docs/dependencies.md equal to go.mod.
func TestDependenciesAreListed(t *testing.T) {
	text := read(t, "docs/dependencies.md")
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\t?([a-z]\S+\.\S+/\S+) v`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		name := regexp.MustCompile(`^github\.com/|/v[0-9]+$`).ReplaceAllString(m[1], "")
		if !strings.Contains(text, name) {
			t.Errorf("docs/dependencies.md does not mention %s", m[1])
		}
	}
}
