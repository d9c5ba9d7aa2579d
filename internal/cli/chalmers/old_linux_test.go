package chalmers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// original starts a monitor of the original with its command: the pids of both. The state is there when it returns.
func (s *site) original(name, script string) (watcher *exec.Cmd, child int) {
	s.t.Helper()
	state := filepath.Join(s.dir, "data", "state", name+".yaml")
	if err := os.Remove(state); err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	cmd := s.command(name, script)
	cmd.Env = append(cmd.Env, monitor+"="+s.dir)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	until(s.t, "the state of "+name, func() bool {
		text, _ := os.ReadFile(state)
		_, err := fmt.Sscanf(string(text), "child_pid: %d\n", &child)
		return err == nil && strings.Contains(string(text), "start_time")
	})
	s.t.Cleanup(func() {
		if p, err := procstat.Read(child); err == nil && (p.PPID == cmd.Process.Pid || p.PPID == 1) {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, child
}

func (s *site) store(name, definition, state string) {
	s.t.Helper()
	for dir, text := range map[string]string{"programs": definition, "state": state} {
		if text != "" {
			put(s.t, filepath.Join(s.dir, "data", dir, name+".yaml"), text)
		}
	}
}

// snapshot is what is in a folder.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s\n%s\n", path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const ticking = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done"

// TestHandOver: what the original runs goes on under this instance: the pid is unchanged, the log continues, no second copy is
// ever started, and the store stays as it was. Source: one-model 5, spec/chalmers CH-99.
func TestHandOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, dir := range []string{"logs", "data/state"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.store("web", "command: [sh, -c, '"+ticking+"']\nname: web\ncwd: /\nstartsecs: 1\nenv: {A: true}\n", "")
	s.store("idle", "command: [sleep, '1000']\nname: idle\ncwd: /\n", "paused: false\npid: null\nchild_pid: null\nexit_status: null\nreason: x\n")
	s.store("resting", "command: [sleep, '1000']\nname: resting\ncwd: /\n", "paused: true\npid: null\n")
	// The numbers of this test's own process, which began long after: it must not be touched.
	s.store("stale", "command: [sleep, '1000']\nname: stale\n", fmt.Sprintf("pid: %d\nchild_pid: %d\nstart_time: 1400000000.5\n", os.Getppid(), os.Getpid()))
	s.store("broken", "command: [sleep\n", "")
	watcher, child := s.original("web", ticking)
	log := filepath.Join(s.dir, "logs", "web.stdout.log")
	size := func() int64 {
		st, err := os.Stat(log)
		if err != nil {
			return 0
		}
		return st.Size()
	}
	until(t, "it writes", func() bool { return size() > 0 })
	before := snapshot(t, filepath.Join(s.dir, "data"))

	out, errs, status := s.run("list")
	if status != 0 {
		t.Fatalf("%d\n%s%s", status, out, errs)
	}
	for _, want := range []string{
		fmt.Sprintf("web runs on with pid %d\n", child), "[WARNING] stale: process", "broken.yaml:", "4 of 5 programs; nothing was changed there",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not said:\n%s", want, errs)
		}
	}
	for _, want := range []string{
		fmt.Sprintf("web                       RUNNING        pid %-6d, uptime", child), "idle                      STOPPED\n", "resting                   OFF\n", "stale                     STOPPED\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not listed:\n%s", want, out)
		}
	}
	if err := watcher.Wait(); err == nil {
		t.Error("the monitor ended by itself")
	}
	if snapshot(t, filepath.Join(s.dir, "data")) != before {
		t.Error("the store was changed")
	}
	was := size()
	until(t, "the log continues", func() bool { return size() > was+100 })
	if got := s.ok("log", "web", "-n", "2"); !strings.HasPrefix(got, "tick ") {
		t.Errorf("%q", got)
	}
	if got := s.ok("log", "web", "--showfile"); got != log+"\n" {
		t.Errorf("%q", got)
	}
	// It is told once.
	if _, errs, _ := s.run("list"); errs != "" {
		t.Errorf("told again: %s", errs)
	}
	if _, errs, status := s.run("start", "web"); status != 0 || !strings.Contains(errs, "already started: web") {
		t.Errorf("%d %s", status, errs)
	}
	// The keeping alive is ours now: an end of the process is one of a program like any other.
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it is started again", func() bool { p := s.pid("web"); return p != 0 && p != child })
	s.ok("stop", "web")
	text, err := os.ReadFile(log)
	if err != nil || strings.Count(string(text), "tick 0\n") != 2 {
		t.Errorf("the log does not go on in the same file: %v", err)
	}
	// What has been removed does not come back.
	s.ok("remove", "idle")
	if out := s.ok("list"); strings.Contains(out, "idle") {
		t.Error(out)
	}
}

// TestNoSecondCopy: what was started with the original since is taken over by start, not started twice.
func TestNoSecondCopy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, dir := range []string{"logs", "data/state"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.store("web", "command: [sh, -c, '"+ticking+"']\nname: web\ncwd: /\nstartsecs: 1\n", "")
	if out := s.ok("list"); out != "web                       STOPPED\n" {
		t.Fatal(out)
	}
	_, child := s.original("web", ticking)
	_, errs, status := s.run("start", "web")
	if want := fmt.Sprintf("web runs already: taken over from the old chalmers with pid %d\n", child); status != 0 || errs != want {
		t.Fatalf("%d %q", status, errs)
	}
	if got := s.pid("web"); got != child {
		t.Errorf("pid %d, it was %d", got, child)
	}
	s.ok("stop", "web")
	until(t, "it is gone", func() bool {
		p, err := procstat.Read(child)
		return err != nil || p.Dead()
	})
	if p, err := procstat.Read(child); err == nil && !p.Dead() {
		t.Errorf("%+v", p)
	}
}
