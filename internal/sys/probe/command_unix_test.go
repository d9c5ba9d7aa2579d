//go:build unix

package probe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

func shell(script string, env ...string) errand.Errand {
	return errand.Errand{Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Env: append(os.Environ(), env...)}
}

func TestCommand(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script string
		ok     bool
		text   string
	}{
		{"exit 0", true, "ended with 0"},
		{"echo one; echo two; echo", true, "ended with 0: two"},
		{"echo why >&2; exit 3", false, "exit status 3: why"},
		{"kill -9 $$", false, "signal: killed"},
		{"pwd", true, dir},
		{"echo $WHAT", true, "ended with 0: it is set"},
		{"printf 'a\\033[31mb\\007'", true, "ended with 0: ab"},
		{"i=0; while [ $i -lt 3000 ]; do echo $i a line; i=$((i+1)); done", true, "2999 a line"},
		{"(sleep 100 &) ; echo left", true, "left"}, // what holds the output is not waited for
	} {
		cmd := shell(c.script, "WHAT=it is set")
		cmd.Dir = dir
		r, err := Command(soon(t), cmd)
		want(t, c.script, r, err, c.ok, c.text)
	}
	for _, cmd := range []errand.Errand{
		{Path: "/nonexistent", Argv: []string{"x"}},
		{Path: dir, Argv: []string{"x"}},
		{Path: "/bin/sh", Argv: []string{"sh"}, Cred: &spawn.Cred{Refused: "no such user"}},
	} {
		if r, err := Command(soon(t), cmd); err == nil {
			t.Errorf("%+v: %+v", cmd, r)
		}
	}
}

// TestCommandInTime: when its time is over, nothing is left of it, be it in another process group or session.
func TestCommandInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	script := "echo hello; sleep 1000 & echo $! >>" + file + "; (trap '' TERM; echo $$ >>" + file + "; sleep 1001) & "
	if _, err := os.Stat("/usr/bin/setsid"); err == nil {
		script += "setsid sh -c 'echo $$ >>" + file + "; sleep 1002' & "
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	cmd := shell(script + "sleep 0.1; echo x >>" + file + "; wait")
	cmd.Begin = func(start func() (int, error)) (func(), error) {
		_, err := start()
		return func() { close(over) }, err
	}
	go func() {
		defer cancel()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if b, _ := os.ReadFile(file); strings.Contains(string(b), "x\n") {
				return
			}
		}
	}()
	r, err := Command(ctx, cmd)
	want(t, "a command that hangs", r, err, false, "did not end in time: hello")
	select {
	case <-over:
	default:
		t.Error("nobody was told of its end")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			continue
		}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if procstat.Gone(pid) {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%d is still there", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
		}
	}
}

func TestCommandOfUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	cmd := shell("id -u; id -g; id -G")
	cmd.Argv[2] = "echo $(id -u) $(id -g) $(id -G)"
	cmd.Cred = &spawn.Cred{UID: 65534, GID: 65533, Groups: []int{65533, 65532}}
	r, err := Command(soon(t), cmd)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this root may not: ", err)
	}
	want(t, "another user's", r, err, true, "65534 65533 65533 65532")
}
