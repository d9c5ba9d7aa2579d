package usrsvc

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// update writes the golden files anew.
var update = flag.Bool("update", false, "write the golden files")

// plain is a program about which only what is required is said; golden files tell what is different from it.
func plain() *model.Program {
	return &model.Program{
		Priority: 999, Command: model.Command{UID: -1, Umask: -1},
		Start:  model.StartPolicy{Auto: true, Secs: 2 * time.Second, Retries: model.Endless, Delay: 2 * time.Second, Timeout: 90 * time.Second},
		Stop:   model.StopPolicy{Signal: 15, Wait: 8 * time.Second},
		Exit:   model.ExitPolicy{Restart: model.RestartAlways, Codes: []int{0}},
		IO:     model.IOSpec{Direct: true, NoStdin: true, MergeStderr: true},
		Attach: model.AttachSpec{Scan: true},
	}
}

// render is a configuration as one text.
func render(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "main: pidfile %s", c.Main.PIDFile)
	for _, v := range [...]struct{ name, value string }{
		{"config_dir", c.Main.ConfigDir}, {"stdout", c.Main.Stdout}, {"stderr", c.Main.Stderr}, {"sendmail", c.Main.Sendmail},
	} {
		if v.value != "" {
			fmt.Fprintf(&b, ", %s %s", v.name, v.value)
		}
	}
	fmt.Fprintf(&b, "\nnames: %s\n", strings.Join(c.Names, " "))
	for _, g := range c.Model.Groups {
		p := g.Programs[0]
		fmt.Fprintf(&b, "program %s\n", p.ID.Name)
		for _, d := range model.Diff(plain(), p) {
			if d.Field == model.FieldSection || d.Field == "environment" {
				continue
			}
			fmt.Fprintf(&b, "  %s: %s\n", d.Field, d.New)
		}
		for _, v := range p.Command.Env {
			fmt.Fprintf(&b, "  env %s=%q\n", v.Name, v.Value)
		}
	}
	for _, p := range c.Broken {
		fmt.Fprintf(&b, "broken %s (%s:%d), %d problems\n", p.Name, p.Origin.File, p.Origin.Line, len(p.Problems))
	}
	for _, p := range c.Problems {
		fmt.Fprintf(&b, "problem %s\n", p)
	}
	for _, p := range c.Warnings {
		fmt.Fprintf(&b, "warning %s\n", p)
	}
	return b.String()
}

// TestGolden reads the configurations in testdata and compares what comes of them with what is kept there. In the files of a
// case D stands for its folder: $D. Lines of a case before its first file say what it shows.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) < 75 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			want := -1
			for i, f := range ar.Files {
				if f.Name == "want" {
					want = i
					continue
				}
				path := filepath.Join(dir, f.Name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				text := strings.NewReplacer("$D", dir, "\\xff", "\xff", "\\x00", "\x00", "\\r", "\r").Replace(string(f.Data))
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := ""
			c, err := Load(filepath.Join(dir, "usrsvc.cfg"), Options{Home: dir, UID: 1000, Vars: map[string]string{"HOME": dir, "USER": "sam"}})
			if err != nil {
				got = "error " + err.Error() + "\n"
			} else {
				got = render(c)
				checkPlaces(t, c)
			}
			got = strings.ReplaceAll(got, dir, "$D")
			if *update {
				if want < 0 {
					want = len(ar.Files)
					ar.Files = append(ar.Files, txtar.File{Name: "want"})
				}
				ar.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 {
				t.Fatal("there is no golden text")
			}
			if d := cmp.Diff(string(ar.Files[want].Data), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// checkPlaces: every mistake and every warning says its file, and its line when it stands in one; a program that cannot be
// used is not among those that can.
func checkPlaces(t testing.TB, c *Config) {
	t.Helper()
	for _, list := range [...][]Problem{c.Problems, c.Warnings} {
		for _, p := range list {
			if p.File == "" || p.Text == "" || p.Line < 0 {
				t.Errorf("%+v", p)
			}
		}
	}
	for _, b := range c.Broken {
		if len(b.Problems) == 0 || c.Model.Group(b.Name) != nil || b.Origin.Line == 0 {
			t.Errorf("%+v", b)
		}
		for _, p := range b.Problems {
			if p.Program != b.Name {
				t.Errorf("%+v", p)
			}
		}
	}
	if len(c.Names) != len(c.Broken)+len(c.Model.Groups) {
		t.Errorf("%d names, %d broken, %d programs", len(c.Names), len(c.Broken), len(c.Model.Groups))
	}
}
