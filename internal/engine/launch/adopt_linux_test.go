package launch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
)

// stranger is a process that the host has not started, and whose parent collects its status at once.
func stranger(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		<-over
	})
	return cmd
}

// adopt takes a process as an instance.
func (r *rig) adopt(i core.Instance, pid int) (core.Process, error) {
	c, err := r.host.Candidate(pid)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	p, err := c.Take(i)
	if err == nil {
		r.mu.Lock()
		r.procs[i] = p
		r.mu.Unlock()
	}
	return p, err
}

// TestAdopt: a foreign process is signalled, its end is seen with its status, and what belongs to it is gone then.
func TestAdopt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		signal int
		want   model.Exit
	}{
		{"by itself", "sleep 0.1; exit 7", 0, model.Exit{Known: true, Status: 7, Raw: 7 << 8}},
		{"by a signal", "exec sleep 1000", 15, model.Exit{Known: true, Signal: 15, Raw: 15}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVault(t)
			r := mortal(t, v, nil)
			p := r.program("x", "true")
			s := r.slots(p)[0]
			i := core.Instance{Slot: s, Gen: 3}
			cmd := stranger(t, tt.script)
			c, err := r.host.Candidate(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if age := r.host.Now() - c.Since(); age < 0 || age > patience {
				t.Errorf("it is %v old", age)
			}
			c.Close()
			proc, err := r.adopt(i, cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if proc.PID() != cmd.Process.Pid || !r.host.Known(cmd.Process.Pid) || !v.has(keyOf(i)) {
				t.Errorf("pid %d, known %v, kept %v", proc.PID(), r.host.Known(proc.PID()), v.has(keyOf(i)))
			}
			if _, err := r.adopt(core.Instance{Slot: s, Gen: 4}, cmd.Process.Pid); !errors.Is(err, ErrTaken) {
				t.Errorf("a second time: %v", err)
			}
			if err := proc.WriteStdin([]byte("x")); !errors.Is(err, streams.ErrClosed) {
				t.Errorf("input: %v", err)
			}
			if tt.signal != 0 {
				if err := proc.Signal(tt.signal, model.ReachGroup); err != nil {
					t.Error(err)
				}
			}
			got := r.outcome("x").exit
			if !got.Known && strings.Contains(got.Reason, "somebody else") {
				t.Skip("this kernel does not tell the status: ", got.Reason)
			}
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			until(t, "nothing is kept", func() bool { return !v.has(keyOf(i)) && !r.host.Known(cmd.Process.Pid) })
			if _, err := os.Stat(p.IO.Stdout.Path); err == nil {
				t.Error("a log was made for what is not logged")
			}
		})
	}
}

// TestAdoptRefuses what cannot be an instance, and lets go of it.
func TestAdoptRefuses(t *testing.T) {
	r := mortal(t, newVault(t), nil)
	own := r.program("own", "sh -c 'sleep 1000 & echo $! >"+r.path("child")+"; wait'")
	r.launch(r.slots(own)[0])
	instance, child := r.started("own").PID(), 0
	until(t, "its child", func() bool {
		n, _ := fmt.Sscan(r.read("child"), &child)
		return n == 1
	})
	t.Cleanup(func() { _ = unix.Kill(child, unix.SIGKILL) })
	ended := exec.Command("true") // and is not reaped
	if err := ended.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "it has ended", func() bool {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(ended.Process.Pid) + "/stat")
		return strings.Contains(string(b), ") Z ")
	})
	t.Cleanup(func() { _ = ended.Wait() })
	thread := threadOf(t)
	before := len(openDescriptors(t))
	for _, tt := range []struct {
		what string
		pid  int
		want error
	}{
		{"no process", 1 << 22, ErrNoProcess},
		{"nonsense", -5, ErrNoProcess},
		{"ended", ended.Process.Pid, ErrNoProcess},
		{"a thread", thread, ErrNoProcess},
		{"ourselves", os.Getpid(), ErrOurselves},
		{"the keeper", os.Getppid(), ErrOurselves},
		{"an instance", instance, ErrTaken},
		{"below an instance", child, ErrBelow},
		{"the first process", 1, ErrInit},
	} {
		if c, err := r.host.Candidate(tt.pid); !errors.Is(err, tt.want) || c != nil {
			t.Errorf("%s (pid %d): %v, want %v", tt.what, tt.pid, err, tt.want)
		}
	}
	if pid := kernelThread(); pid != 0 {
		if _, err := r.host.Candidate(pid); !errors.Is(err, ErrKernel) {
			t.Errorf("pid %d: %v", pid, err)
		}
	}
	if now := len(openDescriptors(t)); now != before {
		t.Errorf("%d descriptors, %d before", now, before)
	}
}

// enclosed starts a process in a pid namespace of its own, as containers have.
func enclosed(t *testing.T, argv ...string) int {
	t.Helper()
	c := exec.Command(argv[0], argv[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := c.Start(); err != nil {
		t.Skipf("no process can be made in a pid namespace of its own: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c.Process.Pid
}

// TestContainers: what runs in a pid namespace of its own is neither found nor taken.
func TestContainers(t *testing.T) {
	n := unique()
	pid := enclosed(t, "sleep", strconv.Itoa(n))
	r := newRig(t, nil, nil)
	if _, err := r.host.Candidate(pid); !errors.Is(err, ErrElsewhere) {
		t.Errorf("pid %d: %v", pid, err)
	}
	r.launch(r.slots(r.seeking("x", n))[0])
	if got := r.started("x").PID(); got == pid {
		t.Errorf("pid %d of a container was taken", got)
	}
}

func openDescriptors(t *testing.T) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// threadOf is a thread of this process that is not its first.
func threadOf(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if tid, err := strconv.Atoi(e.Name()); err == nil && tid != os.Getpid() {
			return tid
		}
	}
	t.Fatal("there is one thread")
	return 0
}

// kernelThread is a thread of the kernel that can be seen from here; 0 = none.
func kernelThread() int {
	b, _ := os.ReadFile("/proc/2/comm")
	if strings.TrimSpace(string(b)) == "kthreadd" {
		return 2
	}
	return 0
}

// TestAdoptForbidden: who may not signal a process is told so.
func TestAdoptForbidden(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	r := mortal(t, newVault(t), nil)
	cmd := stranger(t, "exec sleep 1000")
	const nobody = 65534
	become := func(uid uintptr) { // this thread alone
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, 0); errno != 0 {
			t.Error(errno)
		}
	}
	runtime.LockOSThread()
	become(nobody)
	_, err := r.host.Candidate(cmd.Process.Pid)
	become(0)
	runtime.UnlockOSThread()
	if !errors.Is(err, ErrNotPermitted) {
		t.Error(err)
	}
	if c, err := r.host.Candidate(cmd.Process.Pid); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

// TestAdoptedSurvives: one that took a process is killed; the next one has it, by what is held or by the journal alone,
// and its end.
func TestAdoptedSurvives(t *testing.T) {
	for _, keeper := range []bool{true, false} {
		t.Run(strconv.FormatBool(keeper), func(t *testing.T) {
			v := newVault(t)
			a := mortal(t, v, nil)
			s := a.slots(a.program("x", "true"))[0]
			i := core.Instance{Slot: s, Gen: 3}
			cmd := stranger(t, "while ! test -e "+a.path("over")+"; do sleep 0.01; done; exit 9")
			if _, err := a.adopt(i, cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			a.die()
			if !keeper {
				_ = v.Drop(keyOf(i))
			}
			b := v.heir(nil)
			out := b.resume(i, false)
			if out.Process == nil || out.Process.PID() != cmd.Process.Pid || out.Exit != nil || out.Since == 0 {
				t.Fatalf("%+v", out)
			}
			if !v.has(keyOf(i)) {
				t.Error("it is not kept any more")
			}
			a.touch("over")
			if e := b.outcome("x").exit; e.Known && e.Status != 9 {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestAdoptedPidIsGivenAway: the pid of an adopted process belongs to a stranger when a successor comes: it is left
// alone, whatever is wished of the program. Source: spec/reliability R11.
func TestAdoptedPidIsGivenAway(t *testing.T) {
	v := newVault(t)
	a := mortal(t, v, nil)
	s := a.slots(a.program("x", "true"))[0]
	i := core.Instance{Slot: s, Gen: 3}
	cmd := stranger(t, "exec sleep 1000")
	pid := cmd.Process.Pid
	proc, err := a.adopt(i, pid)
	if err != nil {
		t.Fatal(err)
	}
	a.die()
	_ = v.Drop(keyOf(i)) // nobody holds it
	_ = unix.Kill(pid, unix.SIGKILL)
	until(t, "the pid is free", func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
	newcomer := forkAs(t, pid)
	defer newcomer()

	if err := proc.Signal(9, model.ReachGroup); !errors.Is(err, unix.ESRCH) {
		t.Errorf("a signal to the old one: %v", err)
	}
	b := v.heir(nil)
	if Living(v.entries)[s.Program().ID] {
		t.Error("it is taken for alive")
	}
	if out := b.resume(i, false); out.Process != nil || !out.Gone || out.PID != pid {
		t.Errorf("%+v", out)
	}
	if out := b.resume(core.Instance{Slot: s, Gen: 4}, true); out.Process != nil {
		t.Errorf("%+v", out)
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("the stranger: %v", err)
	}
}

// forkAs makes a process with a certain pid, which does nothing but wait for its end.
func forkAs(t *testing.T, pid int) (end func()) {
	t.Helper()
	const tries = 200
	for range tries { // others make processes too
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skip("pids cannot be chosen here: ", err)
		}
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid == pid {
			return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		time.Sleep(time.Millisecond)
	}
	t.Skip("others take the pid before us")
	return nil
}
