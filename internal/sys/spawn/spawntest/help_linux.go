package spawntest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// ids is what a started program says about itself.
type ids struct {
	UIDs, GIDs [3]int // real, effective, saved
	Groups     []int
	Regained   bool // it could become root again
	CapEff     string
}

func helperIDs() {
	var v ids
	v.UIDs[0], v.UIDs[1], v.UIDs[2] = unix.Getresuid()
	v.GIDs[0], v.GIDs[1], v.GIDs[2] = unix.Getresgid()
	for i := range 3 { // the system's numbers have no sign
		v.UIDs[i], v.GIDs[i] = int(uint32(v.UIDs[i])), int(uint32(v.GIDs[i]))
	}
	v.Groups, _ = os.Getgroups()
	slices.Sort(v.Groups)
	status, _ := os.ReadFile("/proc/self/status")
	v.CapEff = field(string(status), "CapEff:")
	if v.UIDs[0] != 0 {
		v.Regained = syscall.Setuid(0) == nil || syscall.Setreuid(-1, 0) == nil || syscall.Seteuid(0) == nil
	}
	_ = json.NewEncoder(os.Stdout).Encode(v)
}

func same(uid, gid int, groups ...int) ids {
	return ids{UIDs: [3]int{uid, uid, uid}, GIDs: [3]int{gid, gid, gid}, Groups: groups, CapEff: "0000000000000000"}
}

func rootIDs(t *testing.T) ids {
	t.Helper()
	v := ids{}
	v.GIDs[0], v.GIDs[1], v.GIDs[2] = unix.Getresgid()
	v.Groups, _ = os.Getgroups()
	slices.Sort(v.Groups)
	return v
}

func request(argv ...string) *spawn.Request {
	return &spawn.Request{
		Path: argv[0], Argv: argv, Env: []string{"PATH=/usr/bin:/bin"}, Umask: -1,
		Stdout: spawn.StdioPipe, Stderr: spawn.StdioPipe,
	}
}

func shell(script string) *spawn.Request { return request("/bin/sh", "-c", script) }

// run starts a program, reads its output to the end and waits for it.
func run(t testing.TB, s spawn.Spawner, r *spawn.Request) outcome {
	t.Helper()
	res, err := s.Spawn(r)
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	return finish(t, res)
}

func finish(t testing.TB, res *spawn.Result) outcome {
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

// outcome is what came out of a program.
type outcome struct {
	PID            int
	Stdout, Stderr string
	Exit           model.Exit
}

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second
