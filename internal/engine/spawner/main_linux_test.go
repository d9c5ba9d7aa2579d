package spawner

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
	"github.com/upkeep-project/upkeep/internal/sys/spawn/spawntest"
)

func TestMain(m *testing.M) {
	if Main() || spawn.ShimMain() || spawntest.Main() || helperMain() {
		return
	}
	os.Exit(m.Run())
}

// helperMain is the main of the test binary in its other roles.
func helperMain() bool {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "helper-") {
		return false
	}
	switch os.Args[1] {
	case "helper-manager":
		helperManager(os.Args[2:])
	}
	return true
}

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second

func newTest(t testing.TB) *Client {
	t.Helper()
	s, err := New(Options{Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*Client)
}

func request(argv ...string) *spawn.Request {
	return &spawn.Request{Path: argv[0], Argv: argv, Env: []string{"PATH=/usr/bin:/bin"}, Umask: -1}
}

func shell(script string) *spawn.Request { return request("/bin/sh", "-c", script) }

// await polls for the end of a process and reaps it.
func await(t testing.TB, h procfd.Handle) model.Exit {
	t.Helper()
	defer h.Close()
	var e model.Exit
	until(t, fmt.Sprintf("the end of pid %d", h.PID()), func() bool {
		var (
			done bool
			err  error
		)
		e, done, err = h.Wait(false)
		if err != nil {
			t.Fatalf("Wait: %v", err)
		}
		return done
	})
	return e
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// children are the numbers of our children, ended ones included.
func children(t testing.TB) []string {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue // the thread has ended
		}
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

func parentOf(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func countFDs(t testing.TB) int {
	t.Helper()
	n, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(n)
}

func kill(pid int) { _ = unix.Kill(pid, unix.SIGKILL) }
