package errand

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

func sh(t *testing.T, script string) *Errand {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	return &Errand{Argv: []string{"/bin/sh", "-c", script}}
}

func TestRun(t *testing.T) {
	e := sh(t, `cat; echo "$X"; pwd; echo err >&2; exit 3`)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e.Input, e.Env, e.Dir = []byte("in\n"), []string{"X=y"}, dir
	out, err := e.Run(t.Context())
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || out != "in\ny\n"+dir+"\nerr\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := (&Errand{}).Run(t.Context()); err == nil {
		t.Error("no command runs")
	}
	if _, err := (&Errand{Argv: []string{filepath.Join(dir, "none")}}).Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	e = sh(t, `i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done`)
	if out, err := e.Run(t.Context()); err != nil || len(out) != maxOutput {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// TestLate: a command that hangs, and what it has started, are ended when the time is over.
func TestLate(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "pid")
	e := sh(t, `sleep 1000 & echo $! > "$0"; wait`)
	e.Argv = append(e.Argv, mark)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for { // it hangs for certain
			if b, err := os.ReadFile(mark); err == nil && strings.HasSuffix(string(b), "\n") {
				cancel()
				return
			}
			if t.Context().Err() != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := e.Run(ctx); !errors.Is(err, ErrLate) {
		t.Fatal(err)
	}
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !procstat.Gone(pid); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("what it has started, %d, lives on", pid)
		}
	}
	e = sh(t, "sleep 1000")
	e.Limit = time.Millisecond
	if _, err := e.Run(t.Context()); !errors.Is(err, ErrLate) {
		t.Error(err)
	}
}

// TestLeftBehind: something that holds the output open does not keep anybody waiting.
func TestLeftBehind(t *testing.T) {
	begin := time.Now()
	if out, err := sh(t, "sleep 100 & echo x").Run(t.Context()); err != nil || out != "x\n" {
		t.Errorf("%q, %v", out, err)
	}
	if d := time.Since(begin); d > 60*time.Second {
		t.Errorf("it took %v", d)
	}
}
