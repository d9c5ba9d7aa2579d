package launch

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
)

// vault is a keeper and a journal in memory.
type vault struct {
	t       testing.TB
	mu      sync.Mutex
	items   map[string]Held
	entries map[string][]byte
}

func newVault(t testing.TB) *vault {
	v := &vault{t: t, items: map[string]Held{}, entries: map[string][]byte{}}
	t.Cleanup(func() {
		for key := range v.items {
			_ = v.Drop(key)
		}
	})
	return v
}

func (v *vault) dup(fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		v.t.Errorf("descriptor %d: %v", fd, err)
	}
	return n
}

func (v *vault) Hold(key, roles string, fds []int) error {
	_ = v.Drop(key)
	v.mu.Lock()
	defer v.mu.Unlock()
	it := Held{Key: key, Roles: roles}
	for _, fd := range fds {
		it.FDs = append(it.FDs, v.dup(fd))
	}
	v.items[key] = it
	return nil
}

func (v *vault) Secure(key, roles string, fds []int) error { return v.Hold(key, roles, fds) }

func (v *vault) Bind(key string, pid, pidfd int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	it := v.items[key]
	if fd := it.fd(rolePidfd); fd >= 0 { // of the one before
		unix.Close(fd)
		it.drop()
	}
	it.Key, it.PID = key, pid
	it.Roles, it.FDs = it.Roles+string(rolePidfd), append(it.FDs, v.dup(pidfd))
	v.items[key] = it
	return nil
}

func (v *vault) Release(key string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	it, ok := v.items[key]
	if fd := it.fd(rolePidfd); fd >= 0 {
		unix.Close(fd)
	}
	if it.PID = 0; ok {
		v.items[key] = it
	}
	return nil
}

func (v *vault) Drop(key string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, fd := range v.items[key].FDs {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	delete(v.items, key)
	return nil
}

func (v *vault) Put(key string, value []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.entries[key] = value; value == nil {
		delete(v.entries, key)
	}
}

func (v *vault) Flush() error { return nil }

// held are duplicates of what it has.
func (v *vault) held() (out []Held) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, it := range v.items {
		it.FDs = slices.Clone(it.FDs)
		it.drop()
		for k, fd := range it.FDs {
			it.FDs[k] = v.dup(fd)
		}
		out = append(out, it)
	}
	return out
}

func (v *vault) has(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, held := v.items[key]
	return held && v.entries[birthPrefix+key] != nil
}

// mortal makes a rig that keeps what a successor needs.
func mortal(t testing.TB, v *vault, set func(*Options)) *rig {
	return newRig(t, func(o *Options) {
		o.Store, o.Journal = v, v
		if set != nil {
			set(o)
		}
	}, nil)
}

// die ends a rig as a kill would: everything stays as it is.
func (r *rig) die() {
	r.t.Helper()
	r.host.Close()
	r.host.o.Watcher.Close()
	if err := r.host.o.Pump.Detach(); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.procs)
}

// heir is a rig that goes on after another one. The journal's and the keeper's part are optional.
func (v *vault) heir(set func(*Options)) *rig {
	r := mortal(v.t, v, set)
	v.mu.Lock()
	entries := map[string][]byte{}
	for k, b := range v.entries {
		entries[k] = b
	}
	v.mu.Unlock()
	r.host.Inherit(v.held(), entries)
	return r
}

// resume resumes an instance as a core does.
func (r *rig) resume(i core.Instance, whichever bool) core.Resumed {
	out := r.host.Resume(i, whichever)
	if out.Process != nil && out.Exit == nil {
		r.mu.Lock()
		r.procs[core.Instance{Slot: i.Slot, Gen: out.Gen}] = out.Process
		r.mu.Unlock()
	}
	return out
}

// parting is a program that leaves a descendant, which holds the output and writes a line when it is told to, and
// another one when it is told to end. Later instances say that they are new.
func (r *rig) parting(name string) *model.Program {
	script := r.path(name + ".sh")
	text := fmt.Sprintf(`cd %s
if test -e again; then echo new; exit 0; fi
echo old
(trap '' HUP; while ! test -e go; do sleep 0.01; done; echo late; while ! test -e over; do sleep 0.01; done; echo last) &
exit 0
`, r.dir)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.touch("go", "over") })
	return r.program(name, "sh "+script)
}

func (r *rig) touch(names ...string) {
	for _, name := range names {
		if err := os.WriteFile(r.path(name), nil, 0o600); err != nil {
			r.t.Error(err)
		}
	}
}

// waiting is how many bytes wait in the output of an instance.
func (v *vault) waiting(key string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	it := v.items[key]
	n, err := unix.IoctlGetInt(it.FDs[strings.IndexByte(it.Roles, roleStdout)], unix.TIOCINQ)
	if err != nil {
		v.t.Error(err)
	}
	return n
}

// TestLeftOutputComesFirst: what is in the pipe of an ended instance when everything is taken over is in the log before
// the first line of the next one, whether that was under way or is decided later; and the descendant is heard further.
func TestLeftOutputComesFirst(t *testing.T) {
	for _, whichever := range []bool{false, true} {
		t.Run(strconv.FormatBool(whichever), func(t *testing.T) {
			v := newVault(t)
			a := mortal(t, v, nil)
			p := a.parting("x")
			s := a.slots(p)[0]
			first := a.launch(s)
			a.outcome("x")
			until(t, "the first line", func() bool { return a.read("x.out") == "old\n" })
			a.die()
			a.touch("go", "again")
			until(t, "the late line is in the pipe", func() bool { return v.waiting(keyOf(first)) == len("late\n") })

			b := v.heir(nil)
			next := core.Instance{Slot: s, Gen: first.Gen + 1}
			if out := b.resume(next, whichever); out.Process != nil {
				t.Errorf("%+v", out)
			}
			b.host.Launch(next)
			b.outcome("x")
			b.host.Settle(func(model.ID) *core.Slot { return s }, func(model.ID) bool { return false })
			until(t, "both lines", func() bool { return strings.Count(a.read("x.out"), "\n") >= 3 })
			if got, want := a.read("x.out"), "old\nlate\nnew\n"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			b.host.Told(keyOf(first), 0) // a keeper may repeat itself
			a.touch("over")
			until(t, "the last line", func() bool { return strings.HasSuffix(a.read("x.out"), "last\n") })
			until(t, "nothing is held", func() bool { return !v.has(keyOf(first)) && !v.has(keyOf(next)) })
		})
	}
}

// TestInheritedEndComesFirst: the output of an instance that has ended and was not let go of comes before that of the
// next one, which was started already.
func TestInheritedEndComesFirst(t *testing.T) {
	v := newVault(t)
	a := mortal(t, v, nil)
	p := a.parting("x")
	s := a.slots(p)[0]
	a.keep = true
	first := a.launch(s)
	a.outcome("x")
	a.touch("again")
	until(t, "the first line", func() bool { return a.read("x.out") == "old\n" })
	a.mu.Lock()
	a.reports = nil
	a.mu.Unlock()
	next := a.launch(s)
	a.outcome("x")
	until(t, "the second line", func() bool { return a.read("x.out") == "old\nnew\n" })
	a.die()
	a.touch("go")
	until(t, "the late line is in the pipe", func() bool { return v.waiting(keyOf(first)) == len("late\n") })

	b := v.heir(nil)
	out := b.resume(next, false)
	if out.Exit == nil || out.Exit.Status != 0 || !out.Exit.Known {
		t.Errorf("%+v", out)
	}
	// Both are connected, in order.
	if got, want := a.read("x.out"), "old\nnew\nlate\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out.Process.Release()
	a.touch("over")
	until(t, "nothing is held", func() bool { return !v.has(keyOf(first)) && !v.has(keyOf(next)) })
}

// TestUnclaimed: a process of a program that nobody knows waits for one of that name, with its output; one that has
// ended meanwhile is no hindrance.
func TestUnclaimed(t *testing.T) {
	v := newVault(t)
	a := mortal(t, v, nil)
	talk := "sh -c 'cd " + a.dir + "; echo one; while ! test -e go; do sleep 0.01; done; echo two; while ! test -e over; do sleep 0.01; done; exit 3'"
	slots := a.slots(a.program("x", talk), a.program("y", talk))
	began := a.host.Now()
	x, y := a.launch(slots[0]), a.launch(slots[1])
	pid := map[string]int{"x": a.started("x").PID(), "y": a.started("y").PID()}
	until(t, "they talk", func() bool { return a.read("x.out") == "one\n" && a.read("y.out") == "one\n" })
	spoke := a.host.Now()
	a.die()

	b := v.heir(nil)
	b.host.Settle(func(model.ID) *core.Slot { return nil }, func(model.ID) bool { return false })
	for _, id := range []string{"x", "y"} {
		want := fmt.Sprintf("WARN pid %d was started as %s, which is not configured: it runs on", pid[id], model.ID{Group: id, Name: id})
		if got := b.activity(); strings.Count(got, want) != 1 {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if n := len(b.host.Belongings()); n != 2 {
		t.Errorf("a successor would get %d items", n)
	}
	out := b.resume(core.Instance{Slot: slots[0], Gen: 1}, true)
	if out.Process == nil || out.Process.PID() != pid["x"] || out.Gen != x.Gen {
		t.Fatalf("%+v", out)
	}
	if out.Since < began-20*time.Millisecond || out.Since > spoke {
		t.Errorf("it began %v after the order, and spoke %v after it", out.Since-began, spoke-began)
	}
	a.touch("go")
	until(t, "it is heard again", func() bool { return a.read("x.out") == "one\ntwo\n" })
	a.touch("over")
	if r := b.outcome("x"); r.exit.Status != 3 {
		t.Errorf("%+v", r.exit)
	}
	until(t, "the other one has ended", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid["y"]))
		return err != nil || strings.Contains(string(b), ") Z ")
	})
	if out := b.resume(core.Instance{Slot: slots[1], Gen: 1}, true); out.Process != nil || out.Gone {
		t.Errorf("%+v", out)
	}
	if got := a.read("y.out"); got != "one\ntwo\n" {
		t.Errorf("its output is %q", got)
	}
	until(t, "nothing is held", func() bool { return !v.has(keyOf(x)) && !v.has(keyOf(y)) })
}

// TestKeyOfASuccessor: a program that was removed and added again counts its instances anew; the late end of an earlier
// one's output must not take what is kept of the new one of the same number.
func TestKeyOfASuccessor(t *testing.T) {
	v := newVault(t)
	r := mortal(t, v, nil)
	p := r.parting("x")
	s := r.slots(p)[0]
	i := r.launch(s)
	r.outcome("x")
	r.touch("go")
	until(t, "the descendant talks", func() bool { return strings.HasSuffix(r.read("x.out"), "late\n") })
	lingering := r.host.keys.get(keyOf(i))
	q := *p
	q.Command.Line = "sleep 1000"
	again := core.Instance{Slot: r.slots(&q)[0], Gen: i.Gen}
	r.host.Launch(again)
	until(t, "it runs again", func() bool { return len(r.all("launched", "x")) == 2 })
	r.touch("over")
	until(t, "the last line", func() bool { return strings.HasSuffix(r.read("x.out"), "last\n") })
	until(t, "the stream has ended", func() bool {
		n := lingering
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.key == ""
	})
	for range 50 { // what must not happen would now
		if !v.has(keyOf(again)) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if !v.has(keyOf(again)) {
		t.Error("the new instance is not kept any more")
	}
}

// TestStaleControlGroups: groups of which nobody knows are removed at the start, at once or when they have become
// empty; others stay.
func TestStaleControlGroups(t *testing.T) {
	tree, err := cgroup.Detect("launch-test-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { tree.Close() })
	dirs := map[string]string{}
	for _, name := range []string{"p/empty:empty/1", "p/busy:busy/1", "p/known:known/1"} {
		g, err := tree.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		dirs[name] = g.Dir()
		g.CloseFD()
		t.Cleanup(func() { _ = g.Remove() })
		if name == "p/busy:busy/1" {
			cmd := exec.Command("sleep", "1000")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			if err := g.Add(cmd.Process.Pid); err != nil {
				t.Skip(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				until(t, "the busy one is gone too", func() bool { _, err := os.Stat(dirs[name]); return err != nil })
			}()
		}
	}
	r := newRig(t, func(o *Options) { o.Cgroups = tree }, nil)
	r.host.Inherit(nil, map[string][]byte{birthPrefix + "p/known:known/1": []byte("{}")})
	for name, want := range map[string]bool{"p/empty:empty/1": false, "p/busy:busy/1": true, "p/known:known/1": true} {
		if _, err := os.Stat(dirs[name]); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
