package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// TestBrokenDefinition: a file that somebody has broken changes nothing that runs, says what is wrong with it, and is
// whole again when it is mended: over an apply, a HUP and a kill of the manager. Source: one-model C7.
func TestBrokenDefinition(t *testing.T) {
	root := shortDir(t)
	dir := filepath.Join(root, "config", "upkeep")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "upkeep.conf"), []byte("[defaults:quick]\nstartsecs=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := native(t, root, 0)
	d.define("web", sleeper)
	d.define("other", "command=/bin/sleep 1000\ndefaults=quick\n")
	web, other := d.process("web"), d.process("other")
	file := filepath.Join(d.root, "config", "upkeep", "programs", "web.conf")
	if web.Origin.File != file || !web.Origin.Managed || web.Origin.Line != 1 {
		t.Fatalf("%+v", web.Origin)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	untouched := func(when string) {
		t.Helper()
		for _, was := range []upkeep.Process{web, other} {
			if is := d.process(was.ID); is.PID == nil || *is.PID != *was.PID || is.State != "RUNNING" {
				t.Errorf("%s: %+v", when, is)
			}
		}
	}
	invalid := func() []string {
		t.Helper()
		s, err := d.api.System(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Invalid
	}
	write("[program:web]\ncommand=/bin/sleep 1000\nstartsecs=soon\n")
	plan, err := d.api.Apply(t.Context())
	if err != nil || len(plan.Steps) != 0 || len(plan.Problems) != 1 || plan.Problems[0].File != file || plan.Problems[0].Line != 3 {
		t.Errorf("%+v %v", plan, err)
	}
	untouched("after an apply")
	if got := invalid(); !slices.Equal(got, []string{file}) {
		t.Errorf("%q", got)
	}

	d.define("third", sleeper) // another one can come all the same
	s, err := d.api.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Manager, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the next manager", func() bool {
		n, err := d.api.System(t.Context())
		return err == nil && n.Manager != s.Manager
	})
	untouched("after a kill of the manager")
	if got := invalid(); !slices.Equal(got, []string{file}) {
		t.Errorf("after a kill of the manager: %q", got)
	}
	def, err := d.api.Program(t.Context(), "other")
	if err != nil || len(def.Values) == 0 || !slices.ContainsFunc(def.Values, func(v upkeep.Value) bool {
		return v.Key == "startsecs" && v.Value == "0" && strings.HasPrefix(v.Source, "defaults:quick ")
	}) {
		t.Errorf("%+v %v", def, err)
	}

	write("[program:web]\ncommand=/bin/sleep 1000\nstartsecs=0\npriority=7\n")
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, "the mended file", func() bool { return len(invalid()) == 0 })
	untouched("after a HUP")
	if err := d.api.Forget(t.Context(), "third"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "third.conf")); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
	if p, err := d.api.Process(t.Context(), "third"); err == nil {
		t.Errorf("%+v", p)
	}
}

// TestFilesOfOnesOwn: what stands in the instance's own file is not rewritten.
func TestFilesOfOnesOwn(t *testing.T) {
	root := shortDir(t)
	dir := filepath.Join(root, "config", "upkeep")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "upkeep.conf")
	if err := os.WriteFile(own, []byte("[program:mine]\n"+sleeper), 0o600); err != nil {
		t.Fatal(err)
	}
	d := native(t, root, 0)
	for _, err := range []error{
		d.api.Forget(t.Context(), "mine"),
		func() error {
			_, err := d.api.Define(t.Context(), "mine", []byte("[program:mine]\n"+sleeper), "*")
			return err
		}(),
	} {
		if p, ok := err.(*upkeep.Problem); !ok || p.Code != "not_managed" || p.Detail == "" {
			t.Errorf("%v", err)
		}
	}
	until(t, "the program", func() bool { return d.process("mine").State == "RUNNING" })
	if p := d.process("mine"); p.Origin.Managed {
		t.Errorf("%+v", p)
	}
	// While the own file is broken nothing is stored that could not be applied.
	if err := os.WriteFile(own, []byte("[program:mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := d.api.Define(t.Context(), "new", []byte("[program:new]\n"+sleeper), "")
	if p, ok := err.(*upkeep.Problem); !ok || p.Code != "invalid_config" {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "programs", "new.conf")); !os.IsNotExist(err) {
		t.Errorf("it was stored: %v", err)
	}
}
