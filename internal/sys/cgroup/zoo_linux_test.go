package cgroup

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// stops is how often each animal of the zoo is stopped in each way: go test -run Zoo -stops 1000.
var stops = flag.Int("stops", 1, "stops of each animal in each way")

// animals are hostile programs. $T is the file in which each of their processes writes its number; $EXE is
// this test. Source: spec/reliability 2.2.
func animals() map[string]string {
	const rest = `while :; do sleep 1; done`
	const bare = `env -i T="$T" /bin/sh -c 'echo $$ >>$T; exec >/dev/null 2>&1; exec sleep 1000'`
	return map[string]string{
		"ignores TERM":                  `trap "" TERM; echo $$ >>$T; ` + rest,
		"stops itself":                  `echo $$ >>$T; kill -STOP $$; ` + rest,
		"grandchild in a session":       `echo $$ >>$T; setsid sh -c 'echo $$ >>$T; exec sleep 1000' & ` + rest,
		"double fork, session, no mark": `echo $$ >>$T; (setsid sh -c '` + strings.ReplaceAll(bare, `'`, `'\''`) + ` &' &); ` + rest,
		"fork bomb":                     `echo $$ >>$T; sh -c "$BOMB" & ` + rest,
		"holds the pipe":                `echo $$ >>$T; (setsid env -i T="$T" sh -c 'echo $$ >>$T; exec sleep 1000' &); ` + rest,
		"changes its title":             `exec "$EXE" helper-title`,
	}
}

// bomb doubles until about 300 processes have been there, each in a session of its own.
const bomb = `echo $$ >>$T; [ $(wc -l <$T) -gt 150 ] && exec sleep 1000; setsid sh -c "$BOMB" & setsid sh -c "$BOMB" & (setsid sleep 1000 &); exec sleep 1000`

// helperTitle overwrites its arguments, environment and name, and leaves a child in a session of its own.
func helperTitle() {
	f, err := os.OpenFile(os.Getenv("T"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "echo $$ >>$T; exec sleep 1000"}, &os.ProcAttr{Env: os.Environ(), Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		panic(err)
	}
	_ = p.Release()
	for _, s := range append(syscall.Environ(), os.Args...) {
		b := unsafe.Slice(unsafe.StringData(s), len(s))
		for i := range b {
			b[i] = 'x'
		}
	}
	_ = os.WriteFile("/proc/self/comm", []byte("other"), 0)
	fmt.Fprintln(f, os.Getpid())
	select {}
}

// TestZoo stops every animal in every way. With a control group nobody survives a stop of the tree;
// otherwise nobody survives unreported. Source: spec/reliability R12.
func TestZoo(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	tr, why := Detect("zoo" + strconv.Itoa(os.Getpid()))
	if why == nil {
		defer tr.Close()
	}
	reaches := map[string]model.Reach{"process": model.ReachProcess, "group": model.ReachGroup, "tree": model.ReachTree}
	for name, script := range animals() {
		for how, reach := range reaches {
			for _, boxed := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, control group %v", name, how, boxed), func(t *testing.T) {
					if boxed && why != nil {
						t.Skip(why)
					}
					for range *stops {
						visit(t, tr, script, reach, boxed, name == "fork bomb")
					}
				})
			}
		}
	}
}

// visit starts one animal, stops it, and compares who is left with who is reported.
func visit(t *testing.T, tr *Tree, script string, reach model.Reach, boxed, isBomb bool) {
	truth := filepath.Join(t.TempDir(), "truth")
	marks := procfd.Marks{Group: "zoo", Name: "animal"}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if boxed {
		g := create(t, tr, "animal")
		attr.UseCgroupFD, attr.CgroupFD, marks.Cgroup = true, g.FD(), g
	}
	defer cleanUp(t) // before the group is removed
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ino, err := procfd.PipeInode(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	marks.Pipes = []uint64{ino}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pidfd := -1
	attr.PidFD = &pidfd
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
		Env:   append(os.Environ(), "SUPERVISOR_GROUP_NAME=zoo", "SUPERVISOR_PROCESS_NAME=animal", "T="+truth, "BOMB="+bomb, "EXE="+exe),
		Files: []uintptr{null.Fd(), w.Fd(), null.Fd()}, Sys: attr,
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	h := procfd.Own(pidfd, pid)
	defer h.Close()
	bystander := command(t)
	c := procfd.NewCensus(procfd.CensusOptions{Known: func(p int) bool { return p == pid || p == bystander }})
	c.Track(h, marks)
	want := 1
	switch {
	case isBomb:
		want = 20 // in the middle of it
	case strings.Contains(script, "exec sleep") || strings.Contains(script, "helper-title"):
		want = 2
	}
	eventually(t, "the animal is up", func() bool { return len(numbers(t, truth)) >= want })

	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := h.Signal(int(sig), reach); err != nil {
			t.Fatalf("%v: %v", sig, err)
		}
	}
	eventually(t, "its end", func() bool { _, done, _ := h.Wait(true); return done })
	born := numbers(t, truth)
	if boxed && reach == model.ReachTree {
		eventually(t, "nobody survives", func() bool {
			left, err := c.Survivors(h)
			return err == nil && len(left) == 0
		})
		for _, pid := range numbers(t, truth) {
			if alive(pid) {
				t.Errorf("pid %d survives", pid)
			}
		}
	}
	left, err := c.Survivors(h)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[int]bool{}
	for _, p := range left {
		listed[p.PID] = true
		if reach == model.ReachTree && p.Mark.Sure() && !isBomb {
			if s, err := procstat.Read(p.PID); err == nil && !s.Dead() && s.StartTicks == p.StartTicks {
				eventually(t, "a KILL that was sent works", func() bool { return !alive(p.PID) })
			}
		}
	}
	for _, p := range born {
		if alive(p) && !listed[p] && p != pid {
			t.Errorf("pid %d survives unreported", p)
		}
	}
	if listed[bystander] || listed[pid] || listed[os.Getpid()] || !alive(bystander) {
		t.Errorf("strangers in the list, or killed: %v", left)
	}
	if _, _, err := h.Wait(false); err != nil {
		t.Error(err)
	}
}

// command starts a process that has nothing to do with an animal.
func command(t testing.TB) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Pid
}

// cleanUp ends everything that fell to us.
func cleanUp(t testing.TB) {
	t.Helper()
	eventually(t, "all orphans are reaped", func() bool {
		kids, err := procstat.Children(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range kids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		procfd.ReapOrphans(func(int) bool { return false }, func(int, model.Exit) {})
		return len(kids) == 0
	})
}

func alive(pid int) bool {
	s, err := procstat.Read(pid)
	return err == nil && !s.Dead()
}

func numbers(t testing.TB, file string) []int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []int
	for _, f := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}
