//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCommandCost: a command is called as often as said; one that fails or says too little is an error.
func TestCommandCost(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	calls := filepath.Join(t.TempDir(), "calls")
	b := &bench{o: &options{limit: time.Minute}, self: self, mark: "BENCH_RUN=0"}
	for _, c := range []struct {
		script, wrong string
	}{
		{"echo x >>" + calls + "; echo a; echo b", ""},
		{"echo a", "1 lines for 2 programs"},
		{"echo a; echo b; exit 3", "exit status 3"},
		{"sleep 1000", "deadline"},
	} {
		if c.wrong == "deadline" {
			b.o.limit = 50 * time.Millisecond
		}
		f := &figures{}
		err := b.commandCost(t.Context(), f, "own", 2, os.Environ(), "/bin/sh", "-c", c.script)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v", c.script, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"own_p50_ms", "own_p99_ms", "own_rss_mb"} {
			if f.values[name] <= 0 {
				t.Errorf("%s is %v", name, f.values[name])
			}
		}
	}
	if text, err := os.ReadFile(calls); err != nil || strings.Count(string(text), "x") != statusCalls {
		t.Errorf("%q, %v", text, err)
	}
	endMarked(b.mark)
}

// TestNative: the native command is found behind the name supervisorctl, and nowhere else.
func TestNative(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"upkeep", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "supervisorctl")
	if err := os.Symlink("upkeep", link); err != nil {
		t.Fatal(err)
	}
	for ctl, want := range map[string]string{link: "upkeep", filepath.Join(dir, "other"): "", filepath.Join(dir, "absent"): ""} {
		if got := (system{Ctl: ctl}).native(); got != want && filepath.Base(got) != want {
			t.Errorf("%s: %q", ctl, got)
		}
	}
}
