package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/conformance/internal/differ"
)

// TestScenariosLoad holds the data together: everything parses, names are unique, there are enough.
func TestScenariosLoad(t *testing.T) {
	var out, errs bytes.Buffer
	if code := differ.Command(t.Context(), files, []string{"-list"}, &out, &errs); code != 0 {
		t.Fatalf("status %d: %s", code, &errs)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 150 {
		t.Errorf("only %d scenarios", len(lines))
	}
	for _, l := range lines {
		if len(strings.Fields(l)) < 2 {
			t.Errorf("no title: %s", l)
		}
	}
}

// TestConformance runs everything when UPKEEP_CONFORMANCE holds the directories of the original's
// and of our supervisord and supervisorctl, separated by a colon: "/usr/bin:../bin".
func TestConformance(t *testing.T) {
	ref, our, ok := strings.Cut(os.Getenv("UPKEEP_CONFORMANCE"), ":")
	if !ok {
		t.Skip("UPKEEP_CONFORMANCE=REFDIR:OURDIR is not set")
	}
	var out, errs bytes.Buffer
	code := differ.Command(t.Context(), files, []string{
		"-ref-d", ref + "/supervisord", "-ref-ctl", ref + "/supervisorctl",
		"-our-d", our + "/supervisord", "-our-ctl", our + "/supervisorctl",
		"-run", os.Getenv("UPKEEP_CONFORMANCE_RUN"),
	}, &out, &errs)
	if code != 0 {
		t.Errorf("status %d\n%s%s", code, &out, &errs)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"-run", "("}, {"-pairs", "x"}, {"-ref-d", "/nonexistent/d"}} {
		var out, errs bytes.Buffer
		if code := differ.Command(t.Context(), files, args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: status %d, %q", args, code, &errs)
		}
	}
}
