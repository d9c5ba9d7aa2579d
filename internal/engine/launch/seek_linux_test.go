package launch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// nobody is a user that every system has.
const nobody = 65534

// sleeper is a process that somebody else has started, as a user, and which no other one is like.
func sleeper(t testing.TB, seconds, uid int) int {
	t.Helper()
	cmd := exec.Command("sleep", strconv.Itoa(seconds))
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
	})
	until(t, "it sleeps, and began before whatever is started next", func() bool {
		p, err := find.Read(cmd.Process.Pid)
		age, unknown := procstat.Age(p.StartTicks)
		return err == nil && unknown == nil && age > 2*tick && len(p.Args) == 2 && p.Args[0] == "sleep"
	})
	return cmd.Process.Pid
}

// tick is how exactly it is known when a process began.
const tick = 10 * time.Millisecond

// unique are seconds that no other process sleeps.
func unique() int { return 1_000_000 + os.Getpid()*10 + int(time.Now().UnixNano()%10) }

func alive(pid int) bool { return unix.Kill(pid, 0) == nil }

// seeking is a program that takes what runs already.
func (r *rig) seeking(name string, seconds int) *model.Program {
	p := r.program(name, fmt.Sprint("sleep ", seconds))
	p.Attach.Scan = true
	return p
}

// TestScan: the one process that fits is taken, several are named and left alone, and without any one is started.
func TestScan(t *testing.T) {
	n := unique()
	for _, tt := range []struct {
		name   string
		others int
		match  string
		what   string
	}{
		{"none", 0, "", "launched"},
		{"one", 1, "", "found"},
		{"several", 2, "", "failed"},
		{"one fits the pattern", 1, fmt.Sprintf("^sleep %d$", n), "found"},
		{"nobody fits the pattern", 1, "^no such thing$", "launched"},
		{"everybody fits the pattern", 2, fmt.Sprintf("sleep %d|nothing", n), "failed"},
		{"everybody there is fits the pattern", 2, ".", "failed"},
		{"a pattern that is none", 1, "(", "failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVault(t)
			r := mortal(t, v, nil)
			var pids []int
			for range tt.others {
				pids = append(pids, sleeper(t, n, os.Getuid()))
			}
			p := r.seeking("x", n)
			p.Attach.Match = tt.match
			p.Attach.PIDFile = r.path("x.pid")
			i := r.launch(r.slots(p)[0])
			until(t, "the answer", func() bool { return len(r.all("", "x")) > 0 || len(r.all(tt.what, "x")) > 0 })
			got := r.all(tt.what, "x")[0]
			switch tt.what {
			case "failed":
				if strings.Contains(got.text, fmt.Sprintf(" %d (", os.Getpid())) || strings.Contains(got.text, fmt.Sprintf(" %d (", os.Getppid())) {
					t.Errorf("we are named: %s", got.text)
				}
				for _, pid := range pids {
					if len(tt.match) != 1 && !strings.Contains(got.text, fmt.Sprintf("%d (sleep %d)", pid, n)) {
						t.Errorf("%d is not named: %s", pid, got.text)
					}
					if !alive(pid) {
						t.Errorf("%d was ended", pid)
					}
				}
				return
			case "found":
				if got.proc.PID() != pids[0] || !v.has(keyOf(i)) || !r.host.Known(pids[0]) {
					t.Errorf("pid %d, want %d; kept %v", got.proc.PID(), pids[0], v.has(keyOf(i)))
				}
			}
			if f, err := pidfile.Read(p.Attach.PIDFile); err != nil || f.PID != got.proc.PID() {
				t.Errorf("pid file %+v, %v", f, err)
			}
			if err := got.proc.Signal(15, model.ReachProcess); err != nil {
				t.Error(err)
			}
			r.outcome("x")
			if _, err := os.Lstat(p.Attach.PIDFile); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its pid file is left: %v", err)
			}
		})
	}
}

// notToTake starts what sleeps and is not to be taken: a process below an instance, whose pid it returns, and, where that can be
// done, another user's.
func (r *rig) notToTake(seconds int) (below int) {
	r.t.Helper()
	r.launch(r.slots(r.program("own", fmt.Sprintf("sh -c 'sleep %d & wait'", seconds)))[0])
	r.started("own")
	until(r.t, "its child", func() bool {
		all, err := find.Everybody(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		for _, p := range all.All() {
			if p.Line() == fmt.Sprint("sleep ", seconds) {
				below = p.PID
			}
		}
		return below != 0
	})
	r.t.Cleanup(func() { _ = unix.Kill(below, unix.SIGKILL) })
	if os.Getuid() == 0 {
		sleeper(r.t, seconds, nobody)
	}
	return below
}

// TestScanLeavesAlone: instances, what is below them, and processes of other users are not taken.
func TestScanLeavesAlone(t *testing.T) {
	n := unique()
	r := newRig(t, nil, nil)
	below := r.notToTake(n)
	p := r.seeking("x", n)
	r.launch(r.slots(p)[0])
	if pid := r.started("x").PID(); pid == below {
		t.Errorf("the child of an instance was taken")
	}
}

// TestPIDFileNames: the process of the pid file is taken when it is the program, before any other one is looked for.
func TestPIDFileNames(t *testing.T) {
	n := unique()
	for _, track := range []model.Track{model.TrackChild, model.TrackPIDFile} {
		t.Run(track.String(), func(t *testing.T) {
			r := newRig(t, nil, nil)
			meant := sleeper(t, n, os.Getuid())
			sleeper(t, n, os.Getuid())
			p := r.seeking("x", n)
			p.Attach.PIDFile, p.Attach.Track = r.path("x.pid"), track
			if err := pidfile.Write(p.Attach.PIDFile, meant, nil); err != nil {
				t.Fatal(err)
			}
			r.launch(r.slots(p)[0])
			until(t, "it is found", func() bool { return len(r.all("found", "x")) > 0 })
			if pid := r.all("found", "x")[0].proc.PID(); pid != meant {
				t.Errorf("pid %d, want %d", pid, meant)
			}
		})
	}
}

// TestHostilePIDFile: whatever a pid file says that is not to be believed, nobody is taken or signalled, and the program is
// started as if there were none.
func TestHostilePIDFile(t *testing.T) {
	n := unique()
	victim := sleeper(t, n+20, os.Getuid()) // another program of ours
	cases := map[string]func(path string) error{
		"init":            func(path string) error { return os.WriteFile(path, []byte("1\n"), 0o600) },
		"ourselves":       func(path string) error { return os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0o600) },
		"negative":        func(path string) error { return os.WriteFile(path, []byte("-"+strconv.Itoa(victim)), 0o600) },
		"huge":            func(path string) error { return os.WriteFile(path, []byte("123456789012345678901234567890"), 0o600) },
		"no number":       func(path string) error { return os.WriteFile(path, []byte("sleep"), 0o600) },
		"gone":            func(path string) error { return os.WriteFile(path, []byte(strconv.Itoa(1<<30)), 0o600) },
		"another program": func(path string) error { return os.WriteFile(path, []byte(strconv.Itoa(victim)), 0o600) },
		"a fifo":          func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a link": func(path string) error {
			return errors.Join(os.WriteFile(path+".real", []byte(strconv.Itoa(victim)), 0o600), os.Symlink(path+".real", path))
		},
		"a link to a device": func(path string) error { return os.Symlink("/dev/zero", path) },
	}
	if os.Getuid() == 0 {
		theirs := sleeper(t, n, nobody)
		cases["another user's process, in that user's file"] = func(path string) error {
			// As root it could be believed; but this program is not that user's.
			return errors.Join(os.WriteFile(path, []byte(strconv.Itoa(theirs)), 0o644), os.Chown(path, 12345, 12345))
		}
	}
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			p := r.seeking("x", n)
			p.Attach.Scan, p.Attach.Track = false, model.TrackPIDFile
			p.Attach.PIDFile = r.path("x.pid")
			if err := make(p.Attach.PIDFile); err != nil {
				t.Fatal(err)
			}
			r.launch(r.slots(p)[0])
			pid := r.started("x").PID()
			if pid == victim || len(r.all("found", "")) > 0 {
				t.Error("it was believed")
			}
			if !alive(victim) {
				t.Fatal("the victim was ended")
			}
		})
	}
}

// TestPIDFileUnwritable: nothing is executed without the pid file that was asked for. Source: spec/usrsvc US-48.
func TestPIDFileUnwritable(t *testing.T) {
	for _, keeper := range []bool{false, true} {
		r := newRig(t, func(o *Options) {
			if keeper {
				v := newVault(t)
				o.Store, o.Journal = v, v
			}
		}, nil)
		p := r.program("x", "sh -c 'echo executed'")
		p.Attach.PIDFile = r.path("no/such/directory/x.pid")
		got := r.run(p)
		if got.what != "failed" || !strings.Contains(got.text, p.Attach.PIDFile) || r.read("x.out") != "" {
			t.Errorf("%+v, output %q", got, r.read("x.out"))
		}
	}
}

// TestPIDFileOfUser: the pid file in a directory of the program's user is that user's, and a link there is replaced.
func TestPIDFileOfUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root runs programs as others")
	}
	r := newRig(t, nil, nil)
	dir, victim := filepath.Join(r.dir, "theirs"), r.path("victim")
	for d := r.dir; d != "/"; d = filepath.Dir(d) { // the user must come so far
		if info, err := os.Stat(d); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(d, info.Mode().Perm()|0o011); err != nil {
				t.Skip(err)
			}
		}
	}
	p := r.program("x", "sleep 1000")
	p.Command.UID, p.Attach.PIDFile = nobody, filepath.Join(dir, "x.pid")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(victim, []byte("keep"), 0o600), os.Symlink(victim, p.Attach.PIDFile), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	r.launch(r.slots(p)[0])
	pid := r.started("x").PID()
	if f, err := pidfile.Read(p.Attach.PIDFile); err != nil || f.PID != pid || f.Owner != nobody {
		t.Errorf("%+v, %v; want pid %d of %d", f, err, pid, nobody)
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "keep" {
		t.Errorf("the target of the link has %q, %v", b, err)
	}
}

// TestDetach: a process that is let go of lives on, is nobody's, may be adopted anew, and what it writes is logged further.
func TestDetach(t *testing.T) {
	v := newVault(t)
	r := mortal(t, v, nil)
	p := r.program("x", fmt.Sprintf("sh -c 'while ! test -e %s; do sleep 0.01; done; echo later; while ! test -e %s; do sleep 0.01; done; exit 9'", r.path("go"), r.path("over")))
	s := r.slots(p)[0]
	i := r.launch(s)
	proc := r.started("x")
	pid := proc.PID()
	stdin, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid))
	if err != nil {
		t.Fatal(err)
	}
	proc.(core.Releaser).Detach()
	proc.(core.Releaser).Detach() // once more does nothing
	r.mu.Lock()
	delete(r.procs, i)
	r.mu.Unlock()
	t.Cleanup(func() { r.touch("go", "over") })
	if v.has(keyOf(i)) || r.host.Known(pid) || !alive(pid) {
		t.Fatalf("kept %v, known %v, alive %v", v.has(keyOf(i)), r.host.Known(pid), alive(pid))
	}
	r.touch("go")
	until(t, "what it wrote is logged", func() bool { return r.read("x.out") == "later\n" })
	if len(r.all("ended", "")) > 0 {
		t.Error("its end was reported")
	}
	next := core.Instance{Slot: s, Gen: i.Gen + 1}
	if _, err := r.adopt(next, pid); err != nil {
		t.Fatal(err)
	}
	r.touch("over")
	if got := r.outcome("x").exit; !got.Known || got.Status != 9 {
		t.Errorf("it has ended with %+v", got)
	}
	until(t, "it is reaped", func() bool { return !alive(pid) })
	until(t, "its standard input is closed", func() bool {
		return !slices.ContainsFunc(openDescriptors(t), func(e os.DirEntry) bool {
			link, _ := os.Readlink("/proc/self/fd/" + e.Name())
			return link == stdin
		})
	})
}

// TestDetachedEnds: a process that was let go of and is our child is reaped when it ends, and nobody is told.
func TestDetachedEnds(t *testing.T) {
	v := newVault(t)
	r := mortal(t, v, nil)
	i := r.launch(r.slots(r.program("x", "sleep 1000"))[0])
	proc := r.started("x")
	proc.(core.Releaser).Detach()
	r.mu.Lock()
	delete(r.procs, i)
	r.mu.Unlock()
	if err := unix.Kill(proc.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it is reaped", func() bool { return !alive(proc.PID()) })
	until(t, "nothing is kept", func() bool { return len(v.held()) == 0 })
	if len(r.all("ended", "")) > 0 {
		t.Error("its end was reported")
	}
}
