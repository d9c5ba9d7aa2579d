package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "helper-detect":
			helperDetect()
			return
		case "helper-title":
			helperTitle()
			return
		}
	}
	os.Exit(m.Run())
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about: %s", what)
		}
	}
}

// tree makes a tree, or skips the test where there are no control groups.
func tree(t testing.TB) *Tree {
	t.Helper()
	tr, err := Detect("test " + t.Name() + strconv.Itoa(os.Getpid()))
	if err != nil {
		var r *Reduced
		if !errors.As(err, &r) || err.Error() == "" {
			t.Fatalf("not a reason: %v", err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(tr.Dir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the tree is left behind: %v", err)
		}
	})
	return tr
}

func create(t testing.TB, tr *Tree, name string) *Group {
	t.Helper()
	g, err := tr.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.Kill()
		eventually(t, "the group is empty", func() bool {
			empty, err := g.Empty()
			return empty && err == nil
		})
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// run starts a script inside a group.
func run(t testing.TB, g *Group, script string) *exec.Cmd {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", script)
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.FD(), Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

func TestGroup(t *testing.T) {
	tr := tree(t)
	for _, name := range hostile {
		g := create(t, tr, name)
		if empty, err := g.Empty(); !empty || err != nil {
			t.Fatalf("%q: new group: %v, %v", name, empty, err)
		}
		if _, err := tr.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%q twice: %v", name, err)
		}
		other, err := tr.Open(name)
		if err != nil || other.Dir() != g.Dir() || filepath.Dir(g.Dir()) != tr.Dir() {
			t.Errorf("%q: %v, %v", name, other, err)
		}
		if again, err := tr.Reopen(g.Dir()); err != nil || again.group != g.group {
			t.Errorf("%q by directory: %+v, want %q, %v", name, again, g.group, err)
		}
	}
	if _, err := tr.Open("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
	for _, dir := range []string{"/", "/proc", "/nowhere", tr.Dir() + "/../" + filepath.Base(tr.Dir()), "relative"} {
		if g, err := tr.Reopen(dir); err == nil {
			t.Errorf("%s was taken for a group: %+v", dir, g)
		}
	}
}

func TestMembersAndKill(t *testing.T) {
	tr := tree(t)
	for name, kill := range map[string]func(*Group) error{"at one blow": (*Group).Kill, "each": (*Group).killEach} {
		t.Run(name, func(t *testing.T) {
			g := create(t, tr, name)
			ready := filepath.Join(t.TempDir(), "ready")
			// A group below, with a member; a session of its own; one that is stopped; one that forks on.
			c := run(t, g, fmt.Sprintf(`
mkdir %[1]s/inner
(sh -c 'echo $$ >%[1]s/inner/cgroup.procs; exec sleep 1000' &)
setsid env -i sh -c 'trap "" TERM; sleep 1000; sleep 1000' &
(sh -c 'kill -STOP $$; sleep 1' &)
setsid sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); sleep 0.01 & done; sleep 1000' &
: >%[2]s
wait; wait`, g.Dir(), ready))
			eventually(t, "ready", func() bool { _, err := os.Stat(ready); return err == nil })
			eventually(t, "members", func() bool {
				inner, _ := os.ReadFile(g.Dir() + "/inner/cgroup.procs")
				pids, err := g.Procs()
				if err != nil {
					t.Fatal(err)
				}
				return len(inner) > 0 && len(pids) > 6 && slices.Contains(pids, c.Process.Pid)
			})
			if !g.Has(c.Process.Pid) || g.Has(os.Getpid()) || g.Has(1<<30) {
				t.Error("wrong members")
			}
			if err := g.Remove(); !errors.Is(err, ErrBusy) {
				t.Errorf("Remove: %v", err)
			}
			if err := kill(g); err != nil {
				t.Fatal(err)
			}
			eventually(t, "everybody is dead", func() bool {
				empty, err := g.Empty()
				if err != nil {
					t.Fatal(err)
				}
				return empty
			})
			if pids, err := g.Procs(); len(pids) != 0 || err != nil {
				t.Errorf("left: %v, %v", pids, err)
			}
			eventually(t, "it is removed without another call", func() bool {
				_, err := os.Stat(g.Dir())
				return errors.Is(err, fs.ErrNotExist)
			})
			if err := g.Kill(); err != nil {
				t.Errorf("nobody is left to kill: %v", err)
			}
		})
	}
}

func TestFreezeIsUndone(t *testing.T) {
	tr := tree(t)
	g := create(t, tr, "x")
	if err := g.killEach(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(g.Dir() + "/cgroup.freeze"); err == nil && strings.TrimSpace(string(b)) != "0" {
		t.Errorf("frozen: %s", b)
	}
}

func TestAdd(t *testing.T) {
	tr := tree(t)
	g := create(t, tr, "x")
	c := exec.Command("/bin/sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	if err := g.Add(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) || !g.Has(c.Process.Pid) {
		t.Errorf("%v, %v", pids, err)
	}
	if err := g.Add(1 << 30); err == nil {
		t.Error("added nobody")
	}
}

// TestRemoveMany: hundreds of groups that are busy when they are removed go when they become empty.
func TestRemoveMany(t *testing.T) {
	tr := tree(t)
	var cmds []*exec.Cmd
	for i := range 100 {
		g, err := tr.Create("g" + strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		c := run(t, g, "exec sleep 1000")
		cmds = append(cmds, c)
		if err := g.Remove(); !errors.Is(err, ErrBusy) || g.FD() != -1 {
			t.Errorf("Remove: %v, descriptor %d", err, g.FD())
		}
	}
	for _, c := range cmds {
		_ = c.Process.Kill()
	}
	eventually(t, "all are removed", func() bool {
		left, err := os.ReadDir(tr.Dir())
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(left, fs.DirEntry.IsDir)
	})
}

func TestSweep(t *testing.T) {
	tr := tree(t)
	for _, name := range []string{"p/web:web/1", "p/web:web/2", "p/db:db/7", strings.Repeat("l", 300)} {
		create(t, tr, name)
	}
	busy := create(t, tr, "p/old:old/3")
	c := run(t, busy, "exec sleep 1000")
	removed, left, err := tr.Sweep([]string{"p/db:db/7", strings.Repeat("l", 300)})
	if err != nil || removed != 2 {
		t.Errorf("removed %d, %v", removed, err)
	}
	if len(left) != 1 || left[0].Name != "p/old:old/3" {
		t.Fatalf("left %+v", left)
	}
	if pids, err := left[0].Group.Procs(); err != nil || !slices.Equal(pids, []int{c.Process.Pid}) {
		t.Errorf("%v, %v", pids, err)
	}
	if _, err := tr.Open("p/db:db/7"); err != nil {
		t.Error(err)
	}
	if err := tr.Close(); err != nil { // others are still in it: it stays
		t.Error(err)
	}
	if _, err := os.Stat(tr.Dir()); err != nil {
		t.Error(err)
	}
}

func TestTreeRemovedByOthers(t *testing.T) {
	tr := tree(t)
	if err := os.Remove(tr.Dir()); err != nil {
		t.Fatal(err)
	}
	create(t, tr, "x")
}

// TestSurvivors: the tree of a handle is its control group.
func TestSurvivors(t *testing.T) {
	tr := tree(t)
	g := create(t, tr, "x")
	out := filepath.Join(t.TempDir(), "pid")
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", fmt.Sprintf(
		`setsid env -i /bin/sh -c 'trap "" TERM; echo $$ >%s; while :; do sleep 1000; done' & wait`, out)},
		&syscall.ProcAttr{Env: os.Environ(), Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.FD(), Setpgid: true, PidFD: &pidfd}})
	if err != nil {
		t.Fatal(err)
	}
	h := procfd.Own(pidfd, pid)
	defer h.Close()
	c := procfd.NewCensus(procfd.CensusOptions{})
	c.Track(h, procfd.Marks{Cgroup: g})
	var hidden int
	eventually(t, "the hidden one", func() bool {
		b, _ := os.ReadFile(out)
		hidden, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil && strings.HasSuffix(string(b), "\n")
	})
	if err := h.Signal(int(unix.SIGKILL), 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { _, done, _ := h.Wait(true); return done })
	eventually(t, "the sleep below", func() bool {
		all, err := c.Survivors(h)
		if err != nil {
			t.Fatal(err)
		}
		return len(all) == 2 && slices.ContainsFunc(all, func(p procfd.Process) bool {
			return p.PID == hidden && p.Name == "sh" && p.Mark == procfd.MarkCgroup
		})
	})
	if err := h.Signal(int(unix.SIGKILL), 2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody is left", func() bool {
		all, err := c.Survivors(h)
		return len(all) == 0 && err == nil
	})
	if _, _, err := h.Wait(false); err != nil {
		t.Error(err)
	}
}

// TestDetectElsewhere runs Detect where it must refuse or adapt: each row is a shell command in fresh
// namespaces, at the end of which "$@" detects.
func TestDetectElsewhere(t *testing.T) {
	tr := tree(t)
	if os.Getuid() != 0 {
		t.Skip("only root makes namespaces here")
	}
	if err := exec.Command("unshare", "-m", "-C", "true").Run(); err != nil {
		t.Skipf("no namespaces: %v", err)
	}
	own := filepath.Dir(tr.Dir())
	mnt := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	in := create(t, tr, "inside")
	for _, tc := range []struct {
		name, script, want string
	}{
		{"as it is", `"$@"`, "ok " + own},
		{"read-only", fmt.Sprintf(`mount -o remount,ro,bind %s 2>/dev/null || { mount --bind %[1]s %[1]s; mount -o remount,ro,bind %[1]s; }; "$@"`, own), "cause 3"},
		{"second mount", fmt.Sprintf(`mount -t cgroup2 none %s; "$@"`, mnt), "ok " + mnt},
		{"none", `for m in $(awk '$0 ~ / - cgroup2 /{print $5}' /proc/self/mountinfo); do umount -l $m; done; "$@"`, "cause 1"},
		{"covered by something else", fmt.Sprintf(`mount -t tmpfs none %s; "$@"`, own), "cause 2"},
		{"inside a group", fmt.Sprintf(`echo $$ >%s/cgroup.procs; "$@"`, in.Dir()), "ok " + in.Dir()},
		{"cgroup namespace", fmt.Sprintf(`echo $$ >%s/cgroup.procs; mkdir -p %s; unshare -C -m sh -c 'mount -t cgroup2 none %[2]s; exec "$@"' sh "$@"`, in.Dir(), mnt), "ok " + mnt},
		{"cgroup namespace, mount from outside", fmt.Sprintf(`for m in $(awk '$0 ~ / - cgroup2 /{print $5}' /proc/self/mountinfo); do [ $m = %s ] || umount -l $m; done; echo $$ >%s/cgroup.procs; unshare -C "$@"`, own, in.Dir()), "cause 2"},
		{"another user", `setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, "cause 4"},
		{"another user, delegated", fmt.Sprintf(`echo $$ >%[1]s/cgroup.procs; chown 65534 %[1]s %[1]s/cgroup.procs; setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, in.Dir()), "ok " + in.Dir()},
		{"another user, directory only", fmt.Sprintf(`echo $$ >%[1]s/cgroup.procs; chown 65534 %[1]s; chown 0 %[1]s/cgroup.procs; setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, in.Dir()), "cause 4"},
		{"no more groups", fmt.Sprintf(`echo $$ >%[1]s/cgroup.procs; echo 0 >%[1]s/cgroup.max.descendants; "$@"; r=$?; echo max >%[1]s/cgroup.max.descendants; exit $r`, in.Dir()), "cause 6"},
		{"threaded", fmt.Sprintf(`mkdir %[1]s/t; echo threaded >%[1]s/t/cgroup.type; echo $$ >%[1]s/t/cgroup.procs; "$@"; echo $$ >%[1]s/cgroup.procs; rmdir %[1]s/t`, in.Dir()), "cause 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bin := filepath.Join(t.TempDir(), "helper") // where another user may execute it
			if err := os.Chmod(filepath.Dir(filepath.Dir(bin)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := exec.Command("cp", exe, bin).Run(); err != nil {
				t.Fatal(err)
			}
			c := exec.Command("unshare", "-m", "sh", "-c", tc.script, "sh", bin, "helper-detect")
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(tc.want, strings.TrimSpace(string(out))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// helperDetect prints the place that was found, or the cause.
func helperDetect() {
	tr, err := Detect("helper")
	var r *Reduced
	switch {
	case errors.As(err, &r):
		fmt.Println("cause", r.Cause)
	case err != nil:
		fmt.Println(err)
	default:
		g, err := tr.Create("x")
		if err == nil {
			c := exec.Command("/bin/true")
			c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: g.FD()}
			err = errors.Join(c.Run(), g.Remove(), tr.Close())
		}
		if err != nil {
			fmt.Println("detected, but:", err)
			return
		}
		fmt.Println("ok", filepath.Dir(tr.Dir()))
	}
}

func TestReducedText(t *testing.T) {
	seen := map[string]bool{}
	for c := Unsupported; c <= Failed; c++ {
		text := (&Reduced{Cause: c}).Error()
		if text == "" || seen[text] {
			t.Errorf("cause %d: %q", c, text)
		}
		seen[text] = true
	}
	err := error(&Reduced{Cause: Failed, Where: "/x", Err: fs.ErrInvalid})
	if !errors.Is(err, fs.ErrInvalid) || !strings.HasSuffix(err.Error(), ": /x: invalid argument") {
		t.Error(err)
	}
}
