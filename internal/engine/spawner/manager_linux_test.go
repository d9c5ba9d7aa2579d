package spawner

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// helperManager is a manager of one program: how it starts programs, what it does, and a file.
func helperManager(args []string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("manager:", err)
			os.Exit(1)
		}
	}
	var s spawn.Spawner
	var err error
	switch args[0] {
	case "direct":
		s, err = spawn.NewDirect(spawn.Options{})
	case "spawner":
		s, err = New(Options{Log: func(line string) { fmt.Println("log:", line) }})
	}
	fail(err)
	r := shell("echo ran >" + args[2])
	r.Stdout = spawn.StdioPipe
	switch args[1] {
	case "die": // before the program may go on
		r.Identified = func(pid, _ int) error {
			fmt.Println("pid", pid)
			kill(os.Getpid())
			select {}
		}
	case "report":
		r = request("/bin/cat", "/proc/self/status", "/proc/self/limits")
		r.Stdout = spawn.StdioPipe
		r.Identified = func(int, int) error { return nil }
	}
	res, err := s.Spawn(r)
	fail(err)
	fail(unix.SetNonblock(res.Stdout, false))
	_, err = io.Copy(os.Stdout, os.NewFile(uintptr(res.Stdout), "output"))
	fail(err)
	for range int(patience / time.Millisecond) {
		e, done, err := res.Handle.Wait(false)
		fail(err)
		if done {
			fmt.Printf("\nexit: %v %d\nown: %d\n", e.Known, e.Code(), os.Getpid())
			break
		}
		time.Sleep(time.Millisecond)
	}
	fail(s.Close())
}

func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func field(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(v)
		}
	}
	return "missing"
}

// TestManagerDies: when the manager is killed after a process has reported itself and before it may go on,
// the process ends without executing anything, and so does the spawner.
func TestManagerDies(t *testing.T) {
	if !spawn.Gated() {
		t.Skip("no gate on this architecture")
	}
	for _, how := range []string{"direct", "spawner"} {
		for i := range 20 {
			file := filepath.Join(t.TempDir(), strconv.Itoa(i))
			// Not everybody has /proc/PID/fd of others: a pipe that the processes inherit ends with them.
			cmd := exec.Command(self(t), "helper-manager", how, "die", file)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatalf("%q %v", line, err)
			}
			pid, err := strconv.Atoi(field(line, "pid"))
			if err != nil {
				t.Fatalf("%q", line)
			}
			_ = cmd.Wait() // killed
			until(t, "the end of the process", func() bool {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				return err != nil || strings.Contains(string(b), ") Z ")
			})
			if _, err := os.Stat(file); err == nil {
				t.Errorf("%s: the program ran", how)
			}
		}
	}
}

// TestOddManager: a manager that was started with ignored and blocked signals, a descriptor of its parent
// and odd limits starts clean programs with the limits that it was given.
func TestOddManager(t *testing.T) {
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("no python3 to make an odd parent with")
	}
	for _, how := range []string{"direct", "spawner"} {
		for _, soft := range []int{777, 60} {
			if how == "direct" && soft < 100 {
				continue
			}
			out, err := exec.Command(python, "-c", `
import os, resource, signal, sys
for s in (1, 2, 3, 10, 13, 15, 17, 18, 20, 21, 22, 25):
    signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), hard))
resource.setrlimit(resource.RLIMIT_NPROC, (5000, 6000))
os.dup2(0, 47)
os.execv(sys.argv[2], sys.argv[2:])
`, strconv.Itoa(soft), self(t), "helper-manager", how, "report", "-").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text := string(out)
			for name, want := range map[string]string{
				"SigIgn:": "0000000000000000", "SigBlk:": "0000000000000000", "SigPnd:": "0000000000000000",
				"exit:": "true 0", "Threads:": "1",
			} {
				if got := field(text, name); got != want {
					t.Errorf("%s: %s %s, want %s", how, name, got, want)
				}
			}
			if f := strings.Fields(field(text, "Max open files")); len(f) == 0 || f[0] != strconv.Itoa(soft) {
				t.Errorf("%s: descriptor limit %v, want %d", how, f, soft)
			}
			if f := strings.Fields(field(text, "Max processes")); len(f) < 2 || f[0] != "5000" || f[1] != "6000" {
				t.Errorf("%s: process limit %v", how, f)
			}
			if field(text, "log:") != "missing" {
				t.Errorf("%s: %s", how, text)
			}
		}
	}
}

// TestFirstProcess: the manager may be the first process of a container.
func TestFirstProcess(t *testing.T) {
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", self(t), "helper-manager", "spawner", "report", "-")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("no namespaces here: %v %s", err, out)
	}
	text := string(out)
	if field(text, "own:") != "1" || field(text, "PPid:") != "1" || field(text, "exit:") != "true 0" || field(text, "log:") != "missing" {
		t.Errorf("got %s", text)
	}
}
