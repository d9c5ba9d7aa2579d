package spawn

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second

// HelperMain is the main of the test binary in its other roles.
func HelperMain() bool {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "helper-") {
		return false
	}
	switch os.Args[1] {
	case "helper-marks":
		helperMarks()
	case "helper-daemon":
		helperDaemon()
	}
	return true
}

func newDirect(t testing.TB, o Options) *Direct {
	t.Helper()
	d, err := NewDirect(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func request(argv ...string) *Request {
	return &Request{
		Path: argv[0], Argv: argv, Env: []string{"PATH=/usr/bin:/bin"}, Umask: -1,
		Stdout: StdioPipe, Stderr: StdioPipe,
	}
}

func shell(script string) *Request { return request("/bin/sh", "-c", script) }

// outcome is what came out of a program.
type outcome struct {
	PID            int
	Stdout, Stderr string
	Exit           model.Exit
}

// run starts a program, reads its output to the end and waits for it.
func run(t testing.TB, s Spawner, r *Request) outcome {
	t.Helper()
	res, err := s.Spawn(r)
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	return finish(t, res)
}

func finish(t testing.TB, res *Result) outcome {
	t.Helper()
	defer res.Handle.Close()
	o := outcome{PID: res.PID}
	var wg sync.WaitGroup
	for _, p := range []struct {
		fd  int
		dst *string
	}{{res.Stdout, &o.Stdout}, {res.Stderr, &o.Stderr}} {
		if p.fd < 0 {
			continue
		}
		f := os.NewFile(uintptr(p.fd), "output")
		wg.Go(func() {
			defer f.Close()
			b, err := io.ReadAll(f)
			if err != nil {
				t.Errorf("reading output: %v", err)
			}
			*p.dst = string(b)
		})
	}
	if res.Stdin >= 0 {
		unix.Close(res.Stdin)
	}
	wg.Wait()
	o.Exit = await(t, res.Handle)
	return o
}

// await polls for the end of a process.
func await(t testing.TB, h procfd.Handle) model.Exit {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		e, done, err := h.Wait(false)
		if err != nil {
			t.Fatalf("Wait: %v", err)
		}
		if done {
			return e
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("pid %d has not ended", h.PID())
	return model.Exit{}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// field is one line of a /proc status text.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(v)
		}
	}
	return "missing"
}

// waitExec waits until a process executes a program of this name.
func waitExec(t testing.TB, pid int, name string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(b)) == name {
			return
		}
	}
	t.Fatalf("pid %d never executed %s", pid, name)
}

// copySelf puts the test binary where every user can execute it.
func copySelf(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "spawn-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(dir, "self")
	if err := os.WriteFile(p, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

// helperDaemon is a daemon of one program; the argument says what to do.
func helperDaemon() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("helper:", err)
			os.Exit(1)
		}
	}
	r := shell("echo ran; cat /proc/self/status /proc/self/limits")
	what, arg, _ := strings.Cut(os.Args[2], ":")
	switch what {
	case "cred": // uid,gid,group
		n := [3]int{}
		for i, s := range strings.SplitN(arg, ",", 3) {
			var err error
			n[i], err = strconv.Atoi(s)
			fail(err)
		}
		r.Cred = &Cred{UID: n[0], GID: n[1], Groups: []int{n[2]}}
	case "plain", "ignore":
		// No shell: some clear the mask of their children.
		r = request("/bin/cat", "/proc/self/status", "/proc/self/limits")
		r.IgnoreSIGPIPE = what == "ignore"
	case "drop": // the daemon itself gives up root
		fail(privilege.Drop(65534, 65534, []int{65534}))
		r.Dir = arg
	}
	d, err := NewDirect(Options{})
	fail(err)
	r.Stderr = StdioMerge
	res, err := d.Spawn(r)
	fail(err)
	fail(syscall.SetNonblock(res.Stdout, false))
	out := os.NewFile(uintptr(res.Stdout), "output")
	_, err = io.Copy(os.Stdout, out)
	fail(err)
	for range int(patience / time.Millisecond) {
		e, done, err := res.Handle.Wait(false)
		fail(err)
		if done {
			fmt.Printf("\nexit: %v %d\n", e.Known, e.Code())
			break
		}
		time.Sleep(time.Millisecond)
	}
	fail(d.Close())
}

func countFDs(t testing.TB) int {
	t.Helper()
	n, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(n)
}
