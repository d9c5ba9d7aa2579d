package chalmers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// until polls until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestLogParts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.log")
	put(t, path+".1", "1\n2\n3\n")
	put(t, path, "4\n5\nno end")
	var long strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	put(t, filepath.Join(dir, "long.log"), long.String())
	for _, tt := range []struct {
		args, want string
	}{
		{"-n 1", "no end\n"},
		{"-n 3", "4\n5\nno end\n"},
		{"-n 5", "2\n3\n4\n5\nno end\n"},
		{"-n 50", "1\n2\n3\n4\n5\nno end\n"},
		{"-n 0", "4\n5\nno end\n"},
		{"--head 2", "4\n5\n"},
		{"--head 9", "4\n5\nno end\n"},
	} {
		f := &fake{programs: []Program{{Name: "x", Stdout: path}}}
		if status, out, errs := run(f, append([]string{"log", "x"}, strings.Fields(tt.args)...)...); status != 0 || out != tt.want {
			t.Errorf("%s: %d %q %q", tt.args, status, out, errs)
		}
	}
	f := &fake{programs: []Program{{Name: "x", Stdout: filepath.Join(dir, "long.log")}}}
	if _, out, _ := run(f, "log", "x", "-n", "30000"); !strings.HasPrefix(out, "line 10000\n") || strings.Count(out, "\n") != 30000 {
		t.Errorf("%.40q, %d lines", out, strings.Count(out, "\n"))
	}
	// It ends with the program, which does not run.
	if _, out, _ := run(f, "log", "x", "-n", "1", "-f"); out != "line 39999\n" {
		t.Errorf("%q", out)
	}
}

// TestConcerning: the lines of the activity log that are about a program.
func TestConcerning(t *testing.T) {
	for line, want := range map[string]bool{
		"2026-11-21 22:18:49,173 INFO spawned: 'web' with pid 2268":                      true,
		"2026-11-21 22:18:50,173 INFO success: web entered RUNNING state, process has":   true,
		"2026-11-21 22:18:50,173 WARN exited: web (exit status 3; not expected)":         true,
		"2026-11-21 22:18:50,173 INFO waiting for web to stop":                           true,
		"2026-11-21 22:18:50,173 WARN web runs without a control group: x":               true,
		"2026-11-21 22:18:50,173 INFO gave up: web entered FATAL state, too many":        true,
		"2026-11-21 22:18:50,173 INFO spawned: 'web2' with pid 2268":                     true == false,
		"2026-11-21 22:18:50,173 INFO spawned: 'a-web' with pid 2268":                    false,
		"2026-11-21 22:18:50,173 INFO adopted: 'other' with pid 1; what web is not here": false,
	} {
		if got := concerning("web").MatchString(line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// TestFollow: nothing is lost or doubled when a log is rotated or emptied.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var got strings.Builder
	seen := func(text string) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return strings.HasSuffix(got.String(), text) }
	}
	done := make(chan error, 1)
	go func() {
		done <- logReader{path: path}.follow(ctx, 0, func() bool { return true }, func(line []byte) error {
			mu.Lock()
			defer mu.Unlock()
			got.Write(line)
			return nil
		})
	}()
	add := func(text string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add("a\nb")
	until(t, "a line", seen("a\n"))
	add("c\nd\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	add("e\n")
	until(t, "lines over a rotation", seen("bc\nd\ne\n"))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * look) // it is seen to be empty
	add("f\nrest")
	until(t, "a line after it was emptied", seen("f\n"))
	cancel()
	if err := <-done; err != nil || got.String() != "a\nbc\nd\ne\nf\nrest" {
		t.Errorf("%q, %v", got.String(), err)
	}
}
