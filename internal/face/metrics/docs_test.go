package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

// TestReferenceHasEveryFamily holds the tables of the page against what is written out.
func TestReferenceHasEveryFamily(t *testing.T) {
	type entry struct {
		Kind, Help string
		Labels     []string
	}
	want, got := map[string]entry{}, map[string]entry{}
	for _, f := range Families() {
		want[f.Name] = entry{f.Kind, f.Help, append([]string{}, f.Labels...)}
	}
	for _, s := range pagetest.Read(t, "docs/reference/metrics.md").Sections {
		for _, row := range s.Rows {
			name, _ := row.Code(0)
			got[name] = entry{row[1], row[3], append([]string{}, row.Names(2)...)}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("written out -, page +:\n%s", d)
	}
}

// metric is a name of ours in a query. Its end may be that of a part of a histogram.
var metric = regexp.MustCompile(`\b(?:upkeep|go|process|node_supervisord)_[a-z_]+\b`)

// exists holds the names in a query against the families.
func exists(t *testing.T, where, query string) (n int) {
	t.Helper()
	known := map[string]string{}
	for _, f := range Families() {
		known[f.Name] = f.Kind
	}
	for _, name := range metric.FindAllString(query, -1) {
		n++
		base := name
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if b, ok := strings.CutSuffix(name, part); ok && known[b] == histogram {
				base = b
			}
		}
		if known[base] == "" {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
	return n
}

// TestRules: the alerting rules name metrics that exist, and promtool accepts them.
func TestRules(t *testing.T) {
	file := filepath.Join(pagetest.Root(t), "contrib", "prometheus", "upkeep.rules.yml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for line := range strings.Lines(string(text)) {
		if expr, ok := strings.CutPrefix(strings.TrimSpace(line), "expr:"); ok {
			rules++
			if exists(t, file, expr) == 0 {
				t.Errorf("no metric in %q", expr)
			}
		}
	}
	if rules < 5 {
		t.Errorf("%d rules are found", rules)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: only the names are checked")
	}
	for _, args := range [][]string{{"check", "rules", file}, {"test", "rules", filepath.Join(filepath.Dir(file), "upkeep.rules.test.yml")}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestDashboard: the dashboard can be read, and each of its queries names metrics that exist.
func TestDashboard(t *testing.T) {
	file := filepath.Join(pagetest.Root(t), "contrib", "prometheus", "upkeep.dashboard.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Query string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("panel %d: %+v", p.ID, p)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			if exists(t, p.Title, q.Expr) == 0 {
				t.Errorf("%s: no metric in %q", p.Title, q.Expr)
			}
		}
	}
	if len(ids) < 8 || board.Title == "" || board.UID == "" {
		t.Errorf("%d panels", len(ids))
	}
	for _, v := range board.Templating.List {
		exists(t, v.Name, v.Query)
	}
}
