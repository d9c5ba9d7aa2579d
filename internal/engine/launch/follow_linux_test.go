package launch

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

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// subreaper lets orphans fall to this process for the time of a test.
func subreaper(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
}

// following makes a host that finds descendants. The keeper's part is the test's process, which orphans fall to.
func following(t *testing.T, v *vault) func(*Options) {
	subreaper(t)
	return func(o *Options) {
		o.Store, o.Journal = v, v
		o.Census = procfd.NewCensus(procfd.CensusOptions{})
	}
}

// daemon is a program that sends itself away: a script that starts what text says and ends with 0.
func (r *rig) daemon(name, text string, track model.Track) *model.Program {
	r.t.Helper()
	script := r.path(name + ".sh")
	if err := os.WriteFile(script, []byte("cd "+r.dir+"\n"+text+"\n"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	p := r.program(name, "sh "+script)
	p.Attach.Track = track
	if track == model.TrackPIDFile {
		p.Attach.PIDFile = r.path(name + ".pid")
	}
	r.t.Cleanup(func() { // whatever the test has found, nothing of it is left
		b, _ := os.ReadFile(r.path("left"))
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		procfd.ReapOrphans(r.host.Known, func(int, model.Exit) {})
	})
	return p
}

// The ways in which a program sends itself away. Each notes the number of who is left.
const (
	plainly   = "sleep 1000 & echo $! >>left; exit 0"
	thorough  = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >>left; exit 0"
	twofold   = "(setsid sh -c 'echo $$ >>left; exec env -i sleep 1000' </dev/null >/dev/null 2>&1 & ); exit 0"
	withFile  = "setsid sh -c 'echo $$ >>left; echo $$ >x.pid; exec sleep 1000' </dev/null >/dev/null 2>&1 & exit 0"
	slowly    = "(sleep 0.3; setsid sh -c 'echo $$ >>left; echo $$ >x.pid; exec sleep 1000' </dev/null >/dev/null 2>&1) & exit 0"
	noProcess = "exit 0"
)

// TestFollow: the process that a program leaves when it sends itself away is the instance, and its end is seen.
func TestFollow(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		track model.Track
	}{
		"fork, plainly":         {plainly, model.TrackFork},
		"fork, thorough":        {thorough, model.TrackFork},
		"fork, twofold":         {twofold, model.TrackFork},
		"pid file":              {withFile, model.TrackPIDFile},
		"pid file, after while": {slowly, model.TrackPIDFile},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			r := newRig(t, following(t, v), nil)
			p := r.daemon("x", tt.text, tt.track)
			i := r.launch(r.slots(p)[0])
			first := r.started("x").PID()
			until(t, "it is followed", func() bool { return len(r.all("moved", "x")) > 0 })
			pid := r.all("moved", "x")[0].proc.PID()
			until(t, "who is left", func() bool { return strings.TrimSpace(r.read("left")) == strconv.Itoa(pid) })
			if pid == first || !r.host.Known(pid) || !v.has(keyOf(i)) {
				t.Errorf("pid %d after %d, known %v, kept %v", pid, first, r.host.Known(pid), v.has(keyOf(i)))
			}
			until(t, "the first is released", func() bool { return !r.host.Known(first) && !alive(first) })
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if got := r.outcome("x").exit; !got.Known || got.Signal != 9 {
				t.Errorf("its end: %+v", got)
			}
			until(t, "nothing is kept", func() bool { return len(v.held()) == 0 && !r.host.Known(pid) })
		})
	}
}

// TestFollowTooLate: whoever gets no processor until the time is over finds what is there all the same.
func TestFollowTooLate(t *testing.T) {
	v := newVault(t)
	r := newRig(t, following(t, v), nil)
	r.host.patience = -time.Hour
	r.launch(r.slots(r.daemon("x", plainly, model.TrackFork))[0])
	until(t, "it is followed", func() bool { return len(r.all("moved", "x")) > 0 || len(r.all("ended", "x")) > 0 })
	if ended := r.all("ended", "x"); len(ended) > 0 {
		t.Errorf("%+v", ended[0].exit)
	}
}

// unmarked leaves a process that bears no mark of the program: neither its group, nor its pipes, nor its environment.
const unmarked = "(setsid sh -c 'echo $$ >>left; exec env -i sleep %d' </dev/null >/dev/null 2>&1 & ); exit 0"

// TestFollowAtOnce: of programs that send themselves away at the same time, and leave nothing that tells whose it is, each gets
// what fits its pattern, and one that leaves nothing gets nobody else's.
func TestFollowAtOnce(t *testing.T) {
	v := newVault(t)
	r := newRig(t, following(t, v), nil)
	r.host.patience = 15 * time.Second // who leaves nothing waits for that long; the others are to be found by then
	n := unique()
	texts := map[string]string{"one": fmt.Sprintf(unmarked, n), "two": fmt.Sprintf(unmarked, n+1), "none": noProcess}
	for name, text := range texts {
		p := r.daemon(name, text, model.TrackFork)
		if name != "none" {
			p.Attach.Match = fmt.Sprintf("^sleep %d$", map[string]int{"one": n, "two": n + 1}[name])
		}
		r.launch(r.slots(p)[0])
	}
	for name, want := range map[string]int{"one": n, "two": n + 1} {
		until(t, name+" is followed", func() bool { return len(r.all("moved", name)) > 0 })
		q, err := find.Read(r.all("moved", name)[0].proc.PID())
		if err != nil || q.Line() != fmt.Sprint("sleep ", want) {
			t.Errorf("%s: %q, %v", name, q.Line(), err)
		}
	}
	if got := r.outcome("none"); got.exit.Known || len(r.all("moved", "none")) > 0 {
		t.Errorf("%+v", got)
	}
}

// TestFollowNotOurs: the spawner of a manager that came while a program was starting is not what the program has left.
func TestFollowNotOurs(t *testing.T) {
	v := newVault(t)
	r := newRig(t, following(t, v), nil)
	r.host.patience = 100 * time.Millisecond
	p := r.daemon("x", "while ! test -e go; do sleep 0.01; done; exit 0", model.TrackFork)
	r.launch(r.slots(p)[0])
	r.started("x")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(r.path("upkeep-spawner"), "1000")
	c.Args[0], c.Env, c.SysProcAttr = "sleep", []string{}, &syscall.SysProcAttr{Setsid: true}
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	r.touch("go")
	if got := r.outcome("x").exit; !strings.Contains(got.Reason, "it has left no process") {
		t.Errorf("%+v", got)
	}
	if len(r.all("moved", "x")) > 0 || !alive(c.Process.Pid) {
		t.Error("our own process was taken for the program's")
	}
}

// TestDetachWhileFollowed: what a program has left lives on when it is let go of while that is looked for, and its first process is
// reaped.
func TestDetachWhileFollowed(t *testing.T) {
	v := newVault(t)
	r := newRig(t, following(t, v), nil)
	p := r.daemon("x", plainly[:len(plainly)-len("exit 0")]+plainly, model.TrackFork)
	i := r.launch(r.slots(p)[0])
	proc := r.started("x")
	until(t, "it is looked for", func() bool { return r.host.looking.Load() > 0 })
	proc.(core.Releaser).Detach()
	r.mu.Lock()
	delete(r.procs, i)
	r.mu.Unlock()
	until(t, "the first is reaped", func() bool { return !alive(proc.PID()) })
	until(t, "the search is over", func() bool { return r.host.looking.Load() == 0 })
	for _, f := range strings.Fields(r.read("left")) {
		if pid, err := strconv.Atoi(f); err != nil || !alive(pid) {
			t.Errorf("%s was ended", f)
		}
	}
	if len(r.all("ended", "")) > 0 {
		t.Error("its end was reported")
	}
}

// TestFollowInVain: what cannot be told is a start that has failed, what it has started is ended, and nobody else is.
func TestFollowInVain(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits in vain nine times")
	}
	stranger := sleeper(t, unique(), os.Getuid())
	for name, tt := range map[string]struct {
		text  string
		track model.Track
		want  string
	}{
		"no process":          {noProcess, model.TrackFork, "it has left no process"},
		"several":             {plainly[:len(plainly)-len("exit 0")] + plainly, model.TrackFork, "it has left 2 processes"},
		"no file":             {plainly, model.TrackPIDFile, "is not there"},
		"a stranger":          {fmt.Sprintf("sleep 1000 & echo $! >>left; echo %d >x.pid; exit 0", stranger), model.TrackPIDFile, "not of this start"},
		"init":                {"sleep 1000 & echo $! >>left; echo 1 >x.pid; exit 0", model.TrackPIDFile, "no process that a program can be"},
		"ourselves":           {fmt.Sprintf("sleep 1000 & echo $! >>left; echo %d >x.pid; exit 0", os.Getpid()), model.TrackPIDFile, "not of this start"},
		"its own ended start": {"sleep 1000 & echo $! >>left; echo $$ >x.pid; exit 0", model.TrackPIDFile, "has ended"},
		"a fifo":              {"sleep 1000 & echo $! >>left; mkfifo x.pid; exit 0", model.TrackPIDFile, "no regular file"},
		"a link":              {"sleep 1000 & echo $! >>left; echo $! >real; ln -s real x.pid; exit 0", model.TrackPIDFile, "no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			r := newRig(t, following(t, v), nil)
			r.host.patience = 100 * time.Millisecond
			p := r.daemon("x", tt.text, tt.track)
			r.launch(r.slots(p)[0])
			got := r.outcome("x").exit
			if got.Known || !strings.Contains(got.Reason, tt.want) {
				t.Errorf("%+v, want %q", got, tt.want)
			}
			r.mu.Lock()
			if r.aways != 1 {
				t.Errorf("that it is looked for was said %d times", r.aways)
			}
			r.mu.Unlock()
			for _, f := range strings.Fields(r.read("left")) {
				pid, _ := strconv.Atoi(f)
				until(t, "what it started is ended", func() bool {
					_, err := find.Read(pid)
					return err == syscall.ESRCH
				})
			}
			if !alive(stranger) {
				t.Fatal("a stranger was ended")
			}
		})
	}
}

// TestFollowAfterKill: at whatever moment the manager is killed, its successor goes on with what the program has left.
func TestFollowAfterKill(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		track model.Track
		when  string // the report after which it is killed
	}{
		"fork, before it is followed":     {slowly, model.TrackFork, "launched"},
		"fork, after":                     {thorough, model.TrackFork, "moved"},
		"pid file, before it is followed": {slowly, model.TrackPIDFile, "launched"},
		"pid file, after":                 {withFile, model.TrackPIDFile, "moved"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			set := following(t, v)
			a := newRig(t, set, nil)
			p := a.daemon("x", tt.text, tt.track)
			s := a.slots(p)[0]
			i := a.launch(s)
			until(t, tt.when, func() bool { return len(a.all(tt.when, "x")) > 0 })
			a.die()
			b := v.heir(set)
			out := b.resume(i, false)
			if out.Process == nil || out.Exit != nil {
				t.Fatalf("%+v", out)
			}
			left := func() int {
				pid, _ := strconv.Atoi(strings.TrimSpace(a.read("left")))
				return pid
			}
			until(t, "it is what the program has left", func() bool {
				b.mu.Lock()
				defer b.mu.Unlock()
				now := b.procs[core.Instance{Slot: s, Gen: i.Gen}]
				return now != nil && left() != 0 && now.PID() == left()
			})
			if err := unix.Kill(left(), unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got := b.outcome("x").exit; !got.Known || got.Signal != 15 {
				t.Errorf("its end: %+v", got)
			}
		})
	}
}

// TestFoundAfterKill: one that was taken in the place of a start is told apart from one that was started.
func TestFoundAfterKill(t *testing.T) {
	n := unique()
	v := newVault(t)
	a := mortal(t, v, nil)
	pid := sleeper(t, n, os.Getuid())
	s := a.slots(a.seeking("x", n))[0]
	i := a.launch(s)
	until(t, "it is found", func() bool { return len(a.all("found", "x")) > 0 })
	a.die()
	b := v.heir(nil)
	if out := b.resume(i, false); out.Process == nil || out.Process.PID() != pid || !out.Found || out.Exit != nil {
		t.Errorf("%+v", out)
	}
}

// TestDirect: a program that writes its logs itself needs nothing of ours for it, not even when all of us is gone.
func TestDirect(t *testing.T) {
	v := newVault(t)
	a := mortal(t, v, nil)
	p := a.program("x", fmt.Sprintf("sh -c 'echo out; echo err >&2; cat; while ! test -e %s; do sleep 0.01; done; echo more; sleep 1000'", a.path("go")))
	p.IO.Direct = true
	if err := os.WriteFile(p.IO.Stdout.Path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := a.slots(p)[0]
	i := a.launch(s)
	proc := a.started("x")
	until(t, "both lines", func() bool { return a.read("x.out") == "before\nout\n" && a.read("x.err") == "err\n" })
	for fd, want := range map[int]string{0: os.DevNull, 1: p.IO.Stdout.Path, 2: p.IO.Stderr.Path} {
		link := fmt.Sprintf("/proc/%d/fd/%d", proc.PID(), fd)
		real, err := filepath.EvalSymlinks(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != real {
			t.Errorf("descriptor %d is %s, %v", fd, got, err)
		}
	}
	for _, it := range v.held() {
		if strings.ContainsAny(it.Roles, "ioe") {
			t.Errorf("a pipe is kept: %+v", it)
		}
	}
	a.die()
	a.touch("go")
	until(t, "a line while nobody is there", func() bool { return a.read("x.out") == "before\nout\nmore\n" })
	b := v.heir(nil)
	if out := b.resume(i, false); out.Process == nil || out.Process.PID() != proc.PID() {
		t.Errorf("%+v", out)
	}
}

// TestDirectMerged: both outputs go to one file, and a program without logs writes to nobody.
func TestDirectMerged(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.program("x", "sh -c 'echo out; echo err >&2'")
	p.IO.Direct, p.IO.MergeStderr = true, true
	if got := r.run(p); got.exit.Status != 0 || r.read("x.out") != "out\nerr\n" || r.read("x.err") != "" {
		t.Errorf("%+v: %q %q", got, r.read("x.out"), r.read("x.err"))
	}
	q := r.program("y", "sh -c 'echo out; echo err >&2'")
	q.IO = model.IOSpec{Direct: true}
	if got := r.run(q); got.what != "ended" || got.exit.Status != 0 {
		t.Errorf("%+v", got)
	}
}

// TestDirectThroughLink: a link in the directory of the program's user leads nowhere: the program is not started.
// Source: spec/reliability S16.
func TestDirectThroughLink(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be led astray by others")
	}
	r := newRig(t, nil, nil)
	dir, victim := r.path("theirs"), r.path("victim")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(victim, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.program("x", "sh -c 'echo out'")
	p.Command.UID, p.IO.Direct = nobody, true
	p.IO.Stdout.Path = filepath.Join(dir, "x.out")
	if err := os.Symlink(victim, p.IO.Stdout.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	got := r.run(p)
	if b, _ := os.ReadFile(victim); got.what != "failed" || string(b) != "keep" {
		t.Errorf("%+v, and the target has %q", got, b)
	}
}
