package native

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// written writes the manual into a folder, by the command itself.
func written(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var out, errs bytes.Buffer
	c := &command{version: "1.2.3", names: []Name{{Name: "supervisord", Help: "runs a supervisord.conf"}}, out: &out, err: &errs, environ: func(string) string { return "" }}
	if status := c.run(t.Context(), []string{"man", dir}); status != 0 || out.Len()+errs.Len() > 0 {
		t.Fatalf("%d %s%s", status, out.String(), errs.String())
	}
	return dir
}

// shown is a page without the marks of the typesetter.
func shown(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\(dq`, `"`, `\&`, "", `\e`, `\`).Replace(string(b))
}

// TestManualHasEverything: every verb has a page, with every flag of its own; every key is in that of the configuration.
func TestManualHasEverything(t *testing.T) {
	dir := written(t)
	root := (&command{environ: func(string) string { return "" }}).root()
	root.InitDefaultHelpCmd()
	want := []string{"upkeep.1"}
	all := shown(t, filepath.Join(dir, "man1/upkeep.1"))
	for _, v := range verbs(root) {
		name := "upkeep-" + v.Name() + ".1"
		want = append(want, name)
		if !strings.Contains(all, ".BR upkeep-"+v.Name()+" (1)") || !strings.Contains(all, plainer().Replace(v.Short)) {
			t.Errorf("the page of the command does not name %s", v.Name())
		}
		text := shown(t, filepath.Join(dir, "man1", name))
		for _, s := range append(verbs(v), v) {
			s.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
				if is := strings.Contains(text, "--"+f.Name); is == f.Hidden {
					t.Errorf("%s: --%s of %s: %v", name, f.Name, s.Name(), is)
				}
			})
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "man1"))
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("there are\n%v, want\n%v", have, want)
	}
	conf := shown(t, filepath.Join(dir, "man5/upkeep.conf.5"))
	for _, name := range keys.Sections().Names() {
		if !strings.Contains(conf, `.B "`+name+`"`) {
			t.Errorf("%s is not in the page of the configuration", name)
		}
	}
}

// TestManualIsTypeset has the typesetter read all pages with all its warnings on.
func TestManualIsTypeset(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	dir := written(t)
	pages, err := filepath.Glob(filepath.Join(dir, "man?", "*"))
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	out, err := exec.Command(groff, append([]string{"-man", "-ww", "-z", "-Tascii"}, pages...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEscaped: what stands in a text is what is shown.
func TestEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"a -b":      `a \-b`,
		`c:\d`:      `c:\ed`,
		"'x' `y` ~": `\(aqx\(aq \(gay\(ga \(ti`,
		"x…":        "x...",
		"ü":         `\[u00FC]`,
	} {
		if got := escaped(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for line, want := range map[string]string{".PP": `\&.PP`, "'x": `\&'x`, "a.": "a."} {
		if got := guarded(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
