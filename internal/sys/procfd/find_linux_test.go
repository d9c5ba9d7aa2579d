package procfd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// lost starts an instance whose daemon has died: a script with a pipe as descriptor fd, which the child
// holds for reading and writing, locked if wanted. Our end is closed unless keep.
func lost(t testing.TB, group, name string, fd int, lock, keep bool, script string) (*handle, uint64) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	w, err := unix.Open("/proc/self/fd/"+strconv.Itoa(p[1]), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w)
	unix.Close(p[1])
	ino, err := PipeInode(p[0])
	if err != nil {
		t.Fatal(err)
	}
	if lock {
		if err := unix.Flock(w, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			t.Fatal(err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	files[fd] = uintptr(w)
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/bin:/bin", envGroup + "=" + group, envName + "=" + name, envServer + "=unix:///a.sock"},
		Files: files, Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := Own(pidfd, pid).(*handle)
	t.Cleanup(func() {
		if keep {
			unix.Close(p[0])
		}
		_ = h.Signal(int(unix.SIGKILL), model.ReachTree)
		eventually(t, func() bool { _, done, err := h.Wait(false); return done || err != nil })
		h.Close()
	})
	if !keep {
		unix.Close(p[0])
	}
	return h, ino
}

func TestFindInstances(t *testing.T) {
	unique := strconv.Itoa(os.Getpid())
	uid := os.Getuid()
	f := newTruth(t)
	a, _ := lost(t, "g"+unique, "a", 1, true, false, "sleep 1000")
	b, _ := lost(t, "g"+unique, "b", 0, true, false, // with descendants that inherit everything and lead groups
		fmt.Sprintf("setsid sh -c 'echo $$ >>%[1]s; sleep 1000' & setsid sh -c 'echo $$ >>%[1]s; sleep 1000' & wait", f))
	lost(t, "g"+unique, "unlocked", 1, false, false, "sleep 1000")
	lost(t, "g"+unique, "supervised", 2, true, true, "sleep 1000")
	f.await(t, 2)
	want := []Wanted{
		{"g" + unique, "a", uid, ""},
		{"g" + unique, "b", -1, ""},
		{"g" + unique, "unlocked", uid, ""},
		{"g" + unique, "supervised", uid, ""},
		{"g" + unique, "none", uid, ""},
		{"g" + unique, "a", uid + 1, ""},
		{"g" + unique, "a", uid, "unix:///a.sock"},
		{"g" + unique, "a", uid, "unix:///b.sock"}, // of a daemon that is configured alike
	}
	got, err := FindInstances(want)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[want[0]] != a.Identity() || got[want[1]] != b.Identity() || got[want[6]] != a.Identity() {
		t.Errorf("got %+v, want %+v and %+v", got, a.Identity(), b.Identity())
	}
	id, err := FindInstance("g"+unique, "a", uid)
	if err != nil || id != a.Identity() {
		t.Errorf("%+v, %v", id, err)
	}
	if h, err := Adopt(id); err != nil {
		t.Error(err)
	} else {
		h.Close()
	}
	if _, err := FindInstance("g"+unique, "supervised", uid); !errors.Is(err, ErrGone) {
		t.Errorf("a program of another daemon: %v", err)
	}
}

func TestRemains(t *testing.T) {
	group := "r" + strconv.Itoa(os.Getpid())
	began := time.Now()
	f := newTruth(t)
	a, _ := lost(t, group, "a", 1, true, false,
		fmt.Sprintf("setsid sh -c 'echo $$ >>%[1]s; sleep 1000' >/dev/null & env -i setsid sh -c 'echo $$ >>%[1]s; sleep 1000' & wait", f))
	lost(t, group, "b", 1, true, false, "sleep 1000")
	f.await(t, 2)
	ours := Wanted{Group: group, Name: "a", Server: "unix:///a.sock"}
	for name, c := range map[string]struct {
		w     Wanted
		after time.Time
		none  bool
	}{
		"those of the program": {w: ours, after: began},
		"of later":             {ours, time.Now().Add(time.Minute), true},
		"of another daemon":    {Wanted{Group: group, Name: "a", Server: "unix:///b.sock"}, began, true},
		"of no daemon":         {Wanted{Group: group, Name: "a"}, began, true},
		"of another program":   {Wanted{Group: group, Name: "c", Server: "unix:///a.sock"}, began, true},
	} {
		got, err := Remains(c.w, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if c.none {
			if len(got) > 0 {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		// The shell, what it has sent away with the environment, and the sleep of that; not what has no environment.
		if len(got) < 2 || got[0] != a.PID() {
			t.Errorf("%s: %v, and the program is %d", name, got, a.PID())
		}
		for _, pid := range got {
			if group, name, _, ok := programOf(member{Stat: procstat.Stat{PID: pid}}); ok && (group != ours.Group || name != ours.Name) {
				t.Errorf("%d is of %s:%s", pid, group, name)
			}
		}
	}
}

// TestFindUnderPIDTwo: in a namespace of its own the daemon may be process 2, which elsewhere is the kernel's: what is lost
// there is found all the same.
func TestFindUnderPIDTwo(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/bin/sh", "-c", `"$@" & wait $!`, "sh", exe, "helper-second", "-test.run=^(TestFindInstances|TestRemains)$")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // for Pdeathsig
	defer runtime.UnlockOSThread()
	out, err := c.CombinedOutput()
	if errors.Is(err, unix.EPERM) || strings.HasPrefix(string(out), "skip") {
		t.Skipf("there are no namespaces of processes here: %v %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// helperSecond makes the tests that are asked for run as process 2 of the namespace.
func helperSecond() {
	err := cmp.Or(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, ""))
	if err != nil || os.Getpid() != 2 {
		fmt.Println("skip:", os.Getpid(), err)
		os.Exit(0)
	}
	os.Args = append(os.Args[:1], os.Args[2:]...)
}

func TestOlder(t *testing.T) {
	m := func(pid, ppid int, ticks uint64) member {
		return member{Stat: procstat.Stat{PID: pid, PPID: ppid, StartTicks: ticks}}
	}
	for _, tc := range []struct{ first, second member }{
		{m(9, 1, 1), m(5, 1, 2)}, {m(9, 1, 1), m(5, 9, 1)}, {m(5, 1, 1), m(9, 1, 1)},
	} {
		if older(tc.first, tc.second) >= 0 || older(tc.second, tc.first) <= 0 {
			t.Errorf("%+v before %+v", tc.first.Stat, tc.second.Stat)
		}
	}
}

func TestReopenPipe(t *testing.T) {
	// Output: every reader is gone, the program goes on, and what it wrote is there.
	f := newTruth(t)
	h, ino := lost(t, "g", "x", 1, true, false, fmt.Sprintf("echo hello; echo $$ >%s; sleep 1000", f))
	f.await(t, 1)
	fd, err := ReopenPipe(h.PID(), 1, ino)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	if string(buf[:max(n, 0)]) != "hello\n" || err != nil {
		t.Errorf("%q, %v", buf[:max(n, 0)], err)
	}
	if _, err := unix.Read(fd, buf); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("it blocks, or has ended: %v", err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	unix.Close(fd)

	// Input.
	got := filepath.Join(t.TempDir(), "got")
	in, inode := lost(t, "g", "y", 0, true, false, "read line; echo $line >"+got+"; sleep 1000")
	fd, err = ReopenPipe(in.PID(), 0, inode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("word\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { b, _ := os.ReadFile(got); return string(b) == "word\n" })
	unix.Close(fd)

	for name, tc := range map[string]struct {
		pid, fd int
		inode   uint64
		want    error
	}{
		"another pipe":     {h.PID(), 1, ino + 1, ErrNoPipe},
		"a device":         {h.PID(), 0, ino, ErrNoPipe},
		"no descriptor":    {h.PID(), 99, ino, ErrGone},
		"no process":       {1 << 30, 1, ino, ErrGone},
		"another's number": {in.PID(), 0, ino, ErrNoPipe},
	} {
		if fd, err := ReopenPipe(tc.pid, tc.fd, tc.inode); !errors.Is(err, tc.want) || fd != -1 {
			t.Errorf("%s: %d, %v", name, fd, err)
		}
	}
	named := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(named, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(named, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	st, err := PipeInode(int(fifo.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReopenPipe(os.Getpid(), int(fifo.Fd()), st); !errors.Is(err, ErrNoPipe) {
		t.Errorf("a named pipe was opened: %v", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := PipeInode(int(null.Fd())); !errors.Is(err, ErrNoPipe) {
		t.Errorf("PipeInode of a device: %v", err)
	}
}
