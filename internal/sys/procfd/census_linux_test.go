package procfd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// subreaper lets orphans fall to this process for the time of a test, and ends and reaps all of them.
func subreaper(t testing.TB) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, func() bool {
			kids, err := procstat.Children(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			for _, pid := range kids {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
			ReapOrphans(func(int) bool { return false }, func(int, model.Exit) {})
			return len(kids) == 0
		})
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	})
}

// program is an instance as the daemon would start it.
type program struct {
	*handle
	marks Marks
}

// start starts a script as an instance of a program in its own process group, with a pipe as standard
// output if wanted. Its other descriptors are the null device.
func start(t testing.TB, group, name string, pipe bool, script string, env ...string) *program {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	p := &program{marks: Marks{Group: group, Name: name}}
	if pipe {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		t.Cleanup(func() { r.Close() })
		ino, err := PipeInode(int(r.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		p.marks.Pipes, files[1] = []uint64{ino}, w.Fd()
	}
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
		Env:   append(append(os.Environ(), envGroup+"="+group, envName+"="+name), env...),
		Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.handle = Own(pidfd, pid).(*handle)
	t.Cleanup(func() {
		_ = p.Signal(int(unix.SIGKILL), model.ReachTree)
		eventually(t, func() bool { _, done, err := p.Wait(false); return done || err != nil })
		p.Close()
	})
	return p
}

// truth is a file in which processes write their numbers.
type truth string

func newTruth(t testing.TB) truth { return truth(filepath.Join(t.TempDir(), "truth")) }

func (f truth) pids(t testing.TB) []int {
	t.Helper()
	b, err := os.ReadFile(string(f))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var out []int
	for _, s := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// await waits until n processes have written.
func (f truth) await(t testing.TB, n int) []int {
	t.Helper()
	eventually(t, func() bool { return len(f.pids(t)) >= n })
	return f.pids(t)
}

func find(all []Process, pid int) *Process {
	if i := slices.IndexFunc(all, func(p Process) bool { return p.PID == pid }); i >= 0 {
		return &all[i]
	}
	return nil
}

// TestMarks: by what a survivor is recognised, and whose it is.
func TestMarks(t *testing.T) {
	subreaper(t)
	var known sync.Map
	c := NewCensus(CensusOptions{Known: func(pid int) bool { _, ok := known.Load(pid); return ok }, Age: time.Millisecond})
	all := func(p *program) []Process {
		out, err := c.Survivors(p.handle)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const quiet = `exec >/dev/null 2>&1; exec sleep 1000`
	for _, tc := range []struct {
		name, script string // %[1]s: the truth, in which one process writes
		mark         Mark
		dies         bool // the instance ends before
	}{
		{"child", `setsid env -i sh -c 'echo $$ >%[1]s; ` + quiet + `' & wait`, MarkParent, false},
		{"grandchild", `setsid env -i sh -c 'setsid sh -c "echo \$\$ >%[1]s; ` + quiet + `" & wait' & wait`, MarkParent, false},
		{"group", `env -i sh -c 'echo $$ >%[1]s; ` + quiet + `' &`, MarkGroup, true},
		{"environment", `setsid sh -c 'echo $$ >%[1]s; ` + quiet + `' &`, MarkEnv, true},
		{"pipe", `setsid env -i sh -c 'echo $$ >%[1]s; exec sleep 1000' &`, MarkPipe, true},
		{"nothing", `setsid env -i sh -c 'echo $$ >%[1]s; ` + quiet + `' &`, MarkOrphan, true},
		{"orphan of the living", `(setsid sh -c 'echo $$ >%[1]s; ` + quiet + `' &); sleep 1000`, MarkEnv, false},
		// The shell that leads the session is recognised; its child left it for us without a mark.
		{"session", `setsid sh -c '(env -i sh -c "echo \$\$ >%[1]s; ` + quiet + `" &); ` + quiet + `' &`, MarkSession, true},
		{"below another mark", `setsid sh -c 'SUPERVISOR_PROCESS_NAME=inner; env -i sh -c "echo \$\$ >%[1]s; ` + quiet + `" & wait' &`, MarkEnv, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newTruth(t)
			other := start(t, "g", "other", true, `sleep 1000`)
			p := start(t, "g", "web", true, fmt.Sprintf(tc.script, f))
			for _, q := range []*program{other, p} {
				known.Store(q.pid, true)
				defer known.Delete(q.pid)
				c.Track(q.handle, q.marks)
			}
			pid := f.await(t, 1)[0]
			defer func() { _ = unix.Kill(pid, unix.SIGKILL) }()
			if tc.dies {
				ended(t, p.handle)
			}
			// The shells in between end, and what they leave closes its descriptors.
			eventually(t, func() bool {
				s := find(all(p), pid)
				return s != nil && s.Mark == tc.mark && s.Name == "sleep" && s.StartTicks != 0
			})
			if find(all(p), p.pid) != nil || find(all(p), other.pid) != nil {
				t.Error("leaders are listed")
			}
			if s := find(all(other), pid); s != nil && (s.Mark.Sure() || tc.mark.Sure()) {
				t.Errorf("it is listed for another program too: %+v", s)
			}
			// A KILL of the tree reaches all that is certain, and nobody else.
			if err := p.Signal(int(unix.SIGKILL), model.ReachTree); err != nil {
				t.Error(err)
			}
			if tc.mark.Sure() {
				eventually(t, func() bool { return !alive(pid) })
				if s := all(p); slices.ContainsFunc(s, func(p Process) bool { return p.Mark.Sure() }) {
					t.Errorf("left: %+v", s)
				}
			} else if !alive(pid) {
				t.Error("a guess was killed")
			}
			if _, done, _ := other.Wait(true); done {
				t.Error("another program was killed")
			}
			// A survivor can be signalled by what was listed, another process of its number cannot.
			if s := find(all(p), pid); s != nil {
				wrong := *s
				wrong.StartTicks++
				wrong.Inode ^= 1
				if err := wrong.Signal(int(unix.SIGKILL)); !errors.Is(err, syscall.ESRCH) || !alive(pid) {
					t.Errorf("a stranger was signalled: %v", err)
				}
				if err := s.Signal(int(unix.SIGKILL)); err != nil {
					t.Error(err)
				}
				eventually(t, func() bool { return !alive(pid) })
			}
		})
	}
}

// TestNamesakes: a program of the same name under another daemon, which is a program of ours or nothing
// to us, is left alone.
func TestNamesakes(t *testing.T) {
	subreaper(t)
	var known sync.Map
	c := NewCensus(CensusOptions{Known: func(pid int) bool { _, ok := known.Load(pid); return ok }, Age: time.Millisecond})
	f := newTruth(t)
	// A supervisor among our programs, with a program that is named like the other one of ours.
	inner := start(t, "g", "inner", false, fmt.Sprintf(
		`SUPERVISOR_PROCESS_NAME=web setsid sh -c 'echo $$ >%s; exec sleep 1000' & wait`, f))
	web := start(t, "g", "web", false, "sleep 1000")
	for _, q := range []*program{inner, web} {
		known.Store(q.pid, true)
		c.Track(q.handle, q.marks)
	}
	pid := f.await(t, 1)[0]
	s, err := c.Survivors(web.handle)
	if err != nil || find(s, pid) != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if err := web.Signal(int(unix.SIGKILL), model.ReachTree); err != nil {
		t.Fatal(err)
	}
	ended(t, web)
	if !alive(pid) {
		t.Error("the program of another supervisor was killed")
	}
}

// TestShared: many who ask at once share few looks, and each look begins after the question.
func TestShared(t *testing.T) {
	var scans atomic.Int32
	gate := make(chan time.Time)
	clock := time.Now()
	c := NewCensus(CensusOptions{
		Now:   func() time.Time { return clock },
		After: func(time.Duration) <-chan time.Time { scans.Add(1); return gate },
	})
	p := start(t, "g", "web", false, "sleep 1000")
	c.Track(p.handle, p.marks)
	if _, err := c.Survivors(p.handle); err != nil || scans.Load() != 0 { // the first does not wait
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var asking atomic.Int32
	for range 200 {
		wg.Go(func() {
			asking.Add(1)
			if _, err := c.Survivors(p.handle); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, func() bool { return scans.Load() == 1 && asking.Load() == 200 })
	late := start(t, "g", "web", false, "sleep 1000") // after the question, before the look
	pid := late.pid
	gate <- time.Time{}
	close(gate)
	wg.Wait()
	if n := scans.Load(); n > 20 { // stragglers come after the first look has begun
		t.Errorf("%d looks at all processes for 200 questions", n)
	}
	s := c.scan()
	if _, ok := s.procs[pid]; !ok {
		t.Error("a living process is missing")
	}
}

func TestUntracked(t *testing.T) {
	c := NewCensus(CensusOptions{})
	p := start(t, "g", "web", false, "sleep 1000 & wait")
	if s, err := c.Survivors(p.handle); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	c.Track(nil, Marks{})
	if s, err := c.Survivors(nil); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestVariable(t *testing.T) {
	env := []byte("A=1\x00SUPERVISOR_GROUP_NAME=g:x=y\x00\x00SUPERVISOR_GROUP_NAMES=no\x00E=\x00last=z")
	for name, want := range map[string]string{"A": "1", envGroup: "g:x=y", "E": "", "last": "z"} {
		if got, ok := variable(env, name); got != want || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"SUPERVISOR_GROUP", "B", "g"} {
		if got, ok := variable(env, name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// BenchmarkScan is one look at all processes of this machine.
func BenchmarkScan(b *testing.B) {
	n := 0
	for b.Loop() {
		all, err := everybody()
		if err != nil {
			b.Fatal(err)
		}
		n = len(all)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(max(n, 1)), "µs/process")
}
