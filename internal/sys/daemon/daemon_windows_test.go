package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// roleVariable makes the test binary play a part: the launching command, and what that starts again does what it says.
const roleVariable = "DAEMON_TEST"

func TestMain(m *testing.M) {
	role, dir, playing := strings.Cut(os.Getenv(roleVariable), " ")
	switch {
	case !playing:
		os.Exit(m.Run())
	case !Awaited():
		status, err := Start(os.Args)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status)
	}
	play(role, dir)
}

// play is the process in the background.
func play(role, dir string) {
	switch role {
	case "refuse":
		fmt.Fprintln(os.Stderr, "Error: refused")
		os.Exit(2)
	case "leave":
		os.Exit(0)
	}
	b := Take()
	again := Take()
	fmt.Println("before")
	if err := b.Ready(); err != nil {
		os.Exit(3)
	}
	fmt.Println("after")
	tmp := filepath.Join(dir, "tmp")
	text := fmt.Sprintln(os.Getpid(), again == nil, Awaited())
	if os.WriteFile(tmp, []byte(text), 0o600) != nil || os.Rename(tmp, filepath.Join(dir, "told")) != nil {
		os.Exit(4)
	}
	for range 2000 { // until the test lets it go; an orphan goes by itself
		if _, err := os.Stat(filepath.Join(dir, "told")); err != nil {
			os.Exit(0)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// launch runs the launching command. It returns only when nobody holds its output any more.
func launch(t *testing.T, role, dir string) (out string, status int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+dir)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestStart(t *testing.T) {
	dir := t.TempDir()
	out, status := launch(t, "work", dir)
	if out != "before\n" || status != 0 {
		t.Fatalf("%q, status %d", out, status)
	}
	told := filepath.Join(dir, "told")
	var text []byte
	for deadline := time.Now().Add(20 * time.Second); len(text) == 0; text, _ = os.ReadFile(told) {
		if time.Now().After(deadline) {
			t.Fatal("the process in the background says nothing")
		}
		time.Sleep(2 * time.Millisecond)
	}
	words := strings.Fields(string(text))
	pid, err := strconv.Atoi(words[0])
	if err != nil || strings.Join(words[1:], " ") != "true false" {
		t.Fatalf("%q", text)
	}
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	if err := os.Remove(told); err != nil {
		t.Fatal(err)
	}
	if event, err := windows.WaitForSingleObject(h, 20_000); event != windows.WAIT_OBJECT_0 {
		t.Errorf("it does not end: %d, %v", event, err)
	}
}

func TestStartThatFails(t *testing.T) {
	for role, want := range map[string]struct {
		out    string
		status int
	}{
		"refuse": {"Error: refused\n", 2},
		"leave":  {"", 1}, // it ended before it was ready: not a success
	} {
		out, status := launch(t, role, t.TempDir())
		if status != want.status || want.out != "" && out != want.out {
			t.Errorf("%s: %q, status %d", role, out, status)
		}
	}
}

// TestSession: a program is told where its user is, whatever this process was told.
func TestSession(t *testing.T) {
	t.Setenv("MADE_UP", "1")
	found := map[string]bool{}
	for _, kv := range Session() {
		name, _, _ := strings.Cut(kv, "=")
		found[strings.ToUpper(name)] = true
	}
	for _, name := range []string{"PATH", "SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA"} {
		if !found[name] {
			t.Errorf("%s is missing: %v", name, found)
		}
	}
	if found["MADE_UP"] {
		t.Error("it depends on who asks")
	}
}
