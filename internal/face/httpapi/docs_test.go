package httpapi

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

// TestReferenceHasEveryRoute holds the table of the page against the routes and their parameters.
func TestReferenceHasEveryRoute(t *testing.T) {
	got := map[string][]string{}
	for _, row := range pagetest.Read(t, "docs/reference/api.md").Section("Routes").Rows {
		name, _ := row.Code(0)
		params := append([]string{}, row.Names(1)...)
		slices.Sort(params)
		got[name] = params
	}
	want := map[string][]string{}
	for _, r := range (&API{}).routes() {
		params := append([]string{}, strings.Fields(r.params)...)
		slices.Sort(params)
		want[r.method+" "+r.path] = params
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("routes -, page +:\n%s", d)
	}
}

// TestReferenceHasEveryCode holds the table of codes against those that are given out, with their statuses.
func TestReferenceHasEveryCode(t *testing.T) {
	got := map[string]string{}
	for _, row := range pagetest.Read(t, "docs/reference/api.md").Section("Problems").Rows {
		code, _ := row.Code(0)
		got[code] = row[1]
	}
	want := map[string]string{"method_not_allowed": "405", "precondition_required": "428", "too_large": "413", "no_reload": "409", "reload_ended": "409"}
	for _, k := range kinds {
		want[k.code] = strconv.Itoa(k.status)
	}
	for status, k := range refusals {
		want[k.code] = strconv.Itoa(status)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("given out -, page +:\n%s", d)
	}
}
