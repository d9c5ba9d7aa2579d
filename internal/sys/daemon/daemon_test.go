//go:build unix

package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roleVariable makes the test binary play a part: "launch ROLE DIR" is the launching command, and what it
// starts again does what ROLE says.
const roleVariable = "DAEMON_TEST"

func TestMain(m *testing.M) {
	words := strings.Fields(os.Getenv(roleVariable))
	switch {
	case len(words) == 0:
		os.Exit(m.Run())
	case !Awaited():
		status, err := Start(os.Args)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status)
	}
	play(words[0], words[1])
}

// play is the process in the background.
func play(role, dir string) {
	switch role {
	case "refuse":
		fmt.Fprintln(os.Stderr, "Error: refused")
		os.Exit(2)
	case "die":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
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
	var out strings.Builder
	fmt.Fprintln(&out, os.Getpid(), again == nil, Awaited(), os.Getenv(readyVariable) == "")
	sid, _ := unix.Getsid(0)
	fmt.Fprintln(&out, sid == os.Getpid())
	for fd := range 3 {
		to, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
		fmt.Fprintln(&out, to)
	}
	tmp := filepath.Join(dir, "tmp")
	if os.WriteFile(tmp, []byte(out.String()), 0o600) != nil || os.Rename(tmp, filepath.Join(dir, "told")) != nil {
		os.Exit(4)
	}
	for { // until the test lets it go; an orphan goes by itself
		if _, err := os.Stat(filepath.Join(dir, "told")); err != nil {
			os.Exit(0)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// launch runs the launching command.
func launch(t *testing.T, role, dir string) (out string, status int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"some name", "-x"}
	cmd.Env = append(os.Environ(), roleVariable+"="+role+" "+dir)
	text, err := cmd.CombinedOutput() // returns only when nobody holds the output any more
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
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.Fields(lines[0])[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		os.Remove(told)
		for deadline := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil; {
			if time.Now().After(deadline) {
				t.Fatal("it does not end")
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	want := fmt.Sprint(pid, " true false true")
	if lines[0] != want || lines[1] != "true" {
		t.Errorf("%q", lines)
	}
	if _, err := os.Stat("/proc/self/fd"); err == nil && strings.Join(lines[2:5], " ") != "/dev/null /dev/null /dev/null" {
		t.Errorf("descriptors %q", lines[2:5])
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil && string(cmdline) != "some name\x00-x\x00" {
		t.Errorf("command line %q", cmdline)
	}
}

func TestStartThatFails(t *testing.T) {
	for role, want := range map[string]struct {
		out    string
		status int
	}{
		"refuse": {"Error: refused\n", 2},
		"die":    {"signal: killed\n", 1},
		"leave":  {"", 1}, // it ended before it was ready: not a success
	} {
		out, status := launch(t, role, t.TempDir())
		if status != want.status || want.out != "" && out != want.out {
			t.Errorf("%s: %q, status %d", role, out, status)
		}
	}
}

func TestNobodyWaits(t *testing.T) {
	if Awaited() || Take() != nil {
		t.Error("this process was not started by Start")
	}
	for _, bad := range []string{"", "x", "3x"} {
		t.Setenv(readyVariable, bad)
		if Awaited() || Take() != nil {
			t.Errorf("%q is no descriptor", bad)
		}
	}
}

func TestPrivate(t *testing.T) {
	for entry, want := range map[string]bool{
		readyVariable + "=3": true, "UPKEEP_X=": true, "UPKEEPER=1": false, "PATH=UPKEEP_": false, "": false,
	} {
		if Private(entry) != want {
			t.Errorf("%q: %v", entry, !want)
		}
	}
}
