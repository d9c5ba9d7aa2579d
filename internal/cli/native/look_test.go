package native

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// TestStatusFields: the members that the status asks for are all that its table and its exit status need.
func TestStatusFields(t *testing.T) {
	data, err := json.Marshal(shop())
	if err != nil {
		t.Fatal(err)
	}
	var members []map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		maps.DeleteFunc(m, func(name string, _ any) bool { return !slices.Contains(strings.Fields(statusFields), name) })
	}
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	var few []upkeep.Process
	if err := json.Unmarshal(data, &few); err != nil {
		t.Fatal(err)
	}
	whole, part := newScreen(120, "C.UTF-8", true), newScreen(120, "C.UTF-8", true)
	for s, list := range map[*screen][]upkeep.Process{whole: shop(), part: few} {
		if err := s.statusTable(list, false, instance.Instance{}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(whole.shown()+whole.err.String(), part.shown()+part.err.String()); d != "" {
		t.Errorf("with all members -, with those asked for +:\n%s", d)
	}
	for _, list := range [][]upkeep.Process{few, few[1:2], few[3:4]} {
		if got, want := allFine(list), len(list) == 1; got != want {
			t.Errorf("%+v: fine: %t", list, got)
		}
	}
}

// TestTextWidth: the width of a text is that of the library, whether it is asked or not.
func TestTextWidth(t *testing.T) {
	for _, text := range []string{"", "web", "● running", "✕ fatal…", "–", "↻○✓", "店", "● 店", "e\u0301", "a\tb\x1b", "é", "\xff"} {
		if got, want := textWidth(text), runewidth.StringWidth(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
