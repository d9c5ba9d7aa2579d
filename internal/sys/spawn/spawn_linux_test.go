package spawn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second

// helperMain is the main of the test binary in its other roles.
func helperMain() bool {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "helper-") {
		return false
	}
	switch os.Args[1] {
	case "helper-ids":
		helperIDs()
	case "helper-daemon":
		helperDaemon()
	}
	return true
}

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
	v.CapEff, _ = statusField("CapEff:")
	if v.UIDs[0] != 0 {
		v.Regained = syscall.Setuid(0) == nil || syscall.Setreuid(-1, 0) == nil || syscall.Seteuid(0) == nil
	}
	_ = json.NewEncoder(os.Stdout).Encode(v)
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

func TestStdio(t *testing.T) {
	d := newDirect(t, Options{})
	file, err := os.Create(filepath.Join(t.TempDir(), "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("from a file\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name        string
		in          Stdio
		out, errs   Stdio
		ignore      bool // through the shim
		stdout, err string
	}{
		{name: "pipes", out: StdioPipe, errs: StdioPipe, stdout: "out\n", err: "err\n"},
		{name: "merged", out: StdioPipe, errs: StdioMerge, stdout: "out\nerr\n"},
		{name: "null", out: StdioNull, errs: StdioNull},
		{name: "merged into null", out: StdioNull, errs: StdioMerge},
		{name: "stdin file", in: StdioFile, out: StdioPipe, errs: StdioNull, stdout: "from a file\nout\n"},
		{name: "shim, merged", out: StdioPipe, errs: StdioMerge, ignore: true, stdout: "out\nerr\n"},
		{name: "shim, pipes", out: StdioPipe, errs: StdioPipe, ignore: true, stdout: "out\n", err: "err\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := shell("cat; echo out; echo err >&2")
			r.Stdin, r.Stdout, r.Stderr, r.StdinFile, r.IgnoreSIGPIPE = tc.in, tc.out, tc.errs, file, tc.ignore
			got := run(t, d, r)
			want := outcome{PID: got.PID, Stdout: tc.stdout, Stderr: tc.err, Exit: model.Exit{Known: true}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStdinPipe(t *testing.T) {
	d := newDirect(t, Options{})
	r := shell("cat")
	r.Stdin = StdioPipe
	res, err := d.Spawn(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{res.Stdin, res.Stdout, res.Stderr} {
		fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || fl&unix.O_NONBLOCK == 0 {
			t.Errorf("descriptor %d is not non-blocking: %#x, %v", fd, fl, err)
		}
		if fl, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || fl&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec: %#x, %v", fd, fl, err)
		}
	}
	// The program's own ends block, as programs expect.
	for n := range 3 {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", res.PID, n))
		if err != nil {
			t.Fatal(err)
		}
		flags, err := strconv.ParseUint(field(string(info), "flags:"), 8, 64)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("the program's descriptor %d has flags %#o, %v", n, flags, err)
		}
	}
	if _, err := unix.Write(res.Stdin, []byte("ping\n")); err != nil {
		t.Fatal(err)
	}
	unix.Close(res.Stdin)
	res.Stdin = -1
	if got := finish(t, res); got.Stdout != "ping\n" || got.Exit.Code() != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestWorld compares everything a program inherits, on both paths.
func TestWorld(t *testing.T) {
	d := newDirect(t, Options{Threads: 2})
	dir := t.TempDir()
	for _, ignore := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignore=%v", ignore), func(t *testing.T) {
			r := shell("cat /proc/self/status; pwd; umask; env; ps -o pgid=,sid= -p $$")
			r.Dir, r.Umask, r.IgnoreSIGPIPE = dir, 0o27, ignore
			r.Env = []string{"A=1", "B=x\ny", "GODEBUG=inittrace=1", "PATH=/usr/bin:/bin"}
			o := run(t, d, r)
			wantIgn := "0000000000000000"
			if ignore {
				wantIgn = "0000000001001000" // SIGPIPE and SIGXFSZ, as the original's children have
			}
			if got := field(o.Stdout, "SigIgn:"); got != wantIgn {
				t.Errorf("ignored signals %s, want %s", got, wantIgn)
			}
			if got := field(o.Stdout, "SigBlk:"); got != "0000000000000000" {
				t.Errorf("blocked signals %s", got)
			}
			if got := field(o.Stdout, "Umask:"); got != "0027" {
				t.Errorf("umask %s", got)
			}
			for _, want := range []string{"\n" + dir + "\n", "\nA=1\n", "\nB=x\ny\n", "\nGODEBUG=inittrace=1\n"} {
				if !strings.Contains(o.Stdout, want) {
					t.Errorf("no %q in %q", want, o.Stdout)
				}
			}
			sid, err := unix.Getsid(0)
			if err != nil {
				t.Fatal(err)
			}
			last := strings.Fields(o.Stdout[strings.LastIndex(strings.TrimSpace(o.Stdout), "\n"):])
			if want := []string{strconv.Itoa(o.PID), strconv.Itoa(sid)}; !slices.Equal(last, want) {
				t.Errorf("group and session %v, want %v", last, want)
			}
			if o.Stderr != "" || o.Exit.Code() != 0 {
				t.Errorf("stderr %q, exit %+v", o.Stderr, o.Exit)
			}
		})
	}
}

// TestNoLeakedDescriptors starts programs while hundreds of descriptors are open, some of them as a
// careless parent would have left them.
func TestNoLeakedDescriptors(t *testing.T) {
	for range 300 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	for range 20 { // not close-on-exec
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	d := newDirect(t, Options{})
	for _, ignore := range []bool{false, true} {
		r := request("/bin/sleep", "1000")
		r.IgnoreSIGPIPE = ignore
		res, err := d.Spawn(r)
		if err != nil {
			t.Fatal(err)
		}
		waitExec(t, res.PID, "sleep")
		names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", res.PID))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range names {
			got = append(got, n.Name())
		}
		if diff := cmp.Diff([]string{"0", "1", "2"}, got); diff != "" {
			t.Errorf("ignore=%v: %s", ignore, diff)
		}
		if err := res.Handle.Signal(int(unix.SIGKILL), model.ReachProcess); err != nil {
			t.Error(err)
		}
		if got := finish(t, res); got.Exit.Signal != int(unix.SIGKILL) {
			t.Errorf("exit %+v", got.Exit)
		}
	}
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

// TestUmaskPrivacy starts programs with many umasks at once while this process creates files: nobody
// sees anybody else's umask.
func TestUmaskPrivacy(t *testing.T) {
	d := newDirect(t, Options{Threads: 2})
	if !d.forks.private {
		t.Log("threads have no umask of their own here: the shim sets it")
	}
	own, err := processUmask()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var creator sync.WaitGroup
	dir := t.TempDir()
	creator.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p := filepath.Join(dir, strconv.Itoa(i%16))
			_ = os.Remove(p)
			f, err := os.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			st, err := f.Stat()
			f.Close()
			if err != nil || int(st.Mode().Perm()) != 0o666&^own {
				t.Errorf("a file of ours has mode %v, %v", st.Mode(), err)
				return
			}
		}
	})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 40 {
				want := []int{0, 0o77, 0o27, 0o177, -1}[(i+w)%5]
				r := shell("umask")
				r.Umask = want
				if want < 0 {
					want = own
				}
				if got := run(t, d, r).Stdout; got != fmt.Sprintf("%04o\n", want) {
					t.Errorf("umask %q, want %04o", got, want)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	creator.Wait()
}

// TestSlowPath: what cannot be executed has a pid, tells why in its output, and exits with 127.
func TestSlowPath(t *testing.T) {
	d := newDirect(t, Options{})
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	notExec := write("plain", "echo no\n", 0o644)
	noBang := write("nobang", "echo no\n", 0o755)
	badBang := write("badbang", "#!/nonexistent/interpreter\n", 0o755)
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<18) // one argument longer than the kernel takes
	const tail = "supervisor: child process was not spawned\n"
	for _, tc := range []struct {
		name string
		edit func(*Request)
		want string
	}{
		{"no such file", func(r *Request) { r.Path, r.Argv[0] = "/nonexistent/prog", "prog" }, "couldn't exec prog: ENOENT"},
		{"no x bit", func(r *Request) { r.Path, r.Argv[0] = notExec, notExec }, "couldn't exec " + notExec + ": EACCES"},
		{"directory", func(r *Request) { r.Path, r.Argv[0] = dir, dir }, "couldn't exec " + dir + ": EACCES"},
		{"no interpreter line", func(r *Request) { r.Path, r.Argv[0] = noBang, noBang }, "couldn't exec " + noBang + ": ENOEXEC"},
		{"interpreter missing", func(r *Request) { r.Path, r.Argv[0] = badBang, badBang }, "couldn't exec " + badBang + ": ENOENT"},
		{"links in a circle", func(r *Request) { r.Path, r.Argv[0] = loop, loop }, "couldn't exec " + loop + ": ELOOP"},
		{"below a file", func(r *Request) { r.Path, r.Argv[0] = noBang+"/x", "x" }, "couldn't exec x: ENOTDIR"},
		{"argument too long", func(r *Request) { r.Argv = append(r.Argv, long) }, "couldn't exec /bin/sh: E2BIG"},
		{"no such directory", func(r *Request) { r.Dir = "/nonexistent/dir" }, "couldn't chdir to /nonexistent/dir: ENOENT"},
		{"directory is a file", func(r *Request) { r.Dir = noBang }, "couldn't chdir to " + noBang + ": ENOTDIR"},
		{"relative path after chdir", func(r *Request) { r.Path, r.Argv[0], r.Dir = "bin/sh", "bin/sh", dir }, "couldn't exec bin/sh: ENOENT"},
		{"unknown user", func(r *Request) {
			r.Cred, _ = LookupCred(987654)
		}, "couldn't setuid to 987654: Can't find uid 987654"},
		{"merged", func(r *Request) { r.Path, r.Argv[0], r.Stderr = "/nonexistent", "nx", StdioMerge }, "couldn't exec nx: ENOENT"},
		{"shim first", func(r *Request) { r.Path, r.Argv[0], r.IgnoreSIGPIPE = "/nonexistent", "nx", true }, "couldn't exec nx: ENOENT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := shell("echo must not run")
			tc.edit(r)
			got := run(t, d, r)
			want := outcome{PID: got.PID, Exit: model.Exit{Known: true, Raw: 127 << 8, Status: 127}}
			text := "supervisor: " + tc.want + "\n" + tail
			if r.Stderr == StdioMerge {
				want.Stdout = text
			} else {
				want.Stderr = text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if got.PID <= 0 {
				t.Errorf("pid %d", got.PID)
			}
		})
	}
}

// TestCredentials starts programs as other users and has them tell what they are.
func TestCredentials(t *testing.T) {
	needRoot(t)
	d := newDirect(t, Options{})
	exe := copySelf(t)
	const tail = "\nsupervisor: child process was not spawned\n"
	huge := make([]int, 70000)
	for _, shim := range []bool{false, true} {
		for _, tc := range []struct {
			name string
			cred *Cred
			want ids
			err  string
		}{
			{name: "nobody", cred: &Cred{UID: 65534, GID: 65534, Groups: []int{65534}}, want: same(65534, 65534, 65534)},
			{name: "no groups", cred: &Cred{UID: 1234, GID: 4321}, want: same(1234, 4321)},
			{name: "several groups", cred: &Cred{UID: 1, GID: 2, Groups: []int{2, 7, 3}}, want: same(1, 2, 2, 3, 7)},
			{name: "highest ids", cred: &Cred{UID: 1<<32 - 2, GID: 1<<32 - 2, Groups: []int{1<<32 - 2}}, want: same(1<<32-2, 1<<32-2, 1<<32-2)},
			{name: "ourselves: no step", cred: &Cred{UID: 0, GID: 55, Groups: []int{55}}, want: rootIDs(t)},
			{name: "unchanged marker uid", cred: &Cred{UID: 1<<32 - 1, GID: 1}, err: "couldn't setuid to 4294967295: user 4294967295 or one of its groups has an impossible number"},
			{name: "negative uid", cred: &Cred{UID: -1, GID: 1}, err: "couldn't setuid to -1: user -1 or one of its groups has an impossible number"},
			{name: "overflow to root", cred: &Cred{UID: 1 << 32, GID: 1}, err: "couldn't setuid to 4294967296: user 4294967296 or one of its groups has an impossible number"},
			{name: "negative gid", cred: &Cred{UID: 1, GID: -1}, err: "couldn't setuid to 1: user 1 or one of its groups has an impossible number"},
			{name: "group overflow", cred: &Cred{UID: 1, GID: 1, Groups: []int{1 << 32}}, err: "couldn't setuid to 1: user 1 or one of its groups has an impossible number"},
			{name: "too many groups", cred: &Cred{UID: 1, GID: 1, Groups: huge}, err: "couldn't setuid to 1: Could not set groups of effective user"},
			{name: "refused", cred: &Cred{UID: 0, GID: 0, Refused: "for a test"}, err: "couldn't setuid to 0: for a test"},
		} {
			t.Run(fmt.Sprintf("shim=%v/%s", shim, tc.name), func(t *testing.T) {
				r := request(exe, "helper-ids")
				r.Cred, r.IgnoreSIGPIPE = tc.cred, shim
				o := run(t, d, r)
				if tc.err != "" {
					if o.Stdout != "" || o.Stderr != "supervisor: "+tc.err+tail || o.Exit.Code() != 127 {
						t.Errorf("got %+v", o)
					}
					return
				}
				var got ids
				if err := json.Unmarshal([]byte(o.Stdout), &got); err != nil {
					t.Fatalf("%v in %+v", err, o)
				}
				if got.UIDs[0] == 0 {
					got.CapEff = ""
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
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

// TestUnprivileged: a daemon that is not root cannot switch, and says so through the program.
func TestUnprivileged(t *testing.T) {
	needRoot(t)
	d := newDirect(t, Options{})
	exe := copySelf(t)
	for _, tc := range []struct{ script, want string }{
		{"cred:0", "couldn't setuid to 0: Can't drop privilege as nonroot user\n"},
		{"cred:1", "couldn't setuid to 1: Can't drop privilege as nonroot user\n"},
		{"cred:65534", "ran\n"}, // itself: no step
	} {
		r := request(exe, "helper-daemon", tc.script)
		r.Cred = &Cred{UID: 65534, GID: 65534}
		o := run(t, d, r)
		if !strings.Contains(o.Stdout, tc.want) || o.Exit.Code() != 0 {
			t.Errorf("%s: got %+v", tc.script, o)
		}
	}
}

// helperDaemon is a daemon of one program; the argument says what to do.
func helperDaemon() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("helper:", err)
			os.Exit(1)
		}
	}
	d, err := NewDirect(Options{})
	fail(err)
	r := shell("echo ran; cat /proc/self/status /proc/self/limits")
	what, arg, _ := strings.Cut(os.Args[2], ":")
	if what == "cred" {
		uid, err := strconv.Atoi(arg)
		fail(err)
		r.Cred = &Cred{UID: uid, GID: uid}
	}
	if what == "ignore" {
		r.IgnoreSIGPIPE = true
	}
	r.Stderr = StdioMerge
	res, err := d.Spawn(r)
	fail(err)
	fail(syscall.SetNonblock(res.Stdout, false))
	out := os.NewFile(uintptr(res.Stdout), "output")
	_, err = io.Copy(os.Stdout, out)
	fail(err)
	fail(d.Close())
}

// TestOddDaemon: a daemon that was started with ignored and blocked signals and odd limits starts clean
// programs with the limits that it was given.
func TestOddDaemon(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := newDirect(t, Options{})
	for _, path := range []string{"plain", "ignore"} {
		// A python program is the odd parent: it can ignore and block what a shell cannot.
		r := request("/usr/bin/python3", "-c", `
import os, resource, signal, sys
for s in (1, 2, 3, 10, 13, 15, 17, 18, 20, 21, 22, 25):
    signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (777, hard))
resource.setrlimit(resource.RLIMIT_NPROC, (5000, 6000))
os.dup2(0, 47)
os.execv(sys.argv[1], sys.argv[1:])
`, exe, "helper-daemon", path)
		if _, err := os.Stat(r.Path); err != nil {
			t.Skip("no python3 to make an odd parent with")
		}
		o := run(t, d, r)
		want := "0000000000000000"
		if path == "ignore" {
			want = "0000000001001000"
		}
		if got := field(o.Stdout, "SigIgn:"); got != want {
			t.Errorf("%s: ignored signals %s in %+v", path, got, o)
		}
		if got := field(o.Stdout, "SigBlk:"); got != "0000000000000000" {
			t.Errorf("%s: blocked signals %s", path, got)
		}
		if f := strings.Fields(field(o.Stdout, "Max open files")); len(f) == 0 || f[0] != "777" {
			t.Errorf("%s: descriptor limit %v", path, f)
		}
		if f := strings.Fields(field(o.Stdout, "Max processes")); len(f) < 2 || f[0] != "5000" || f[1] != "6000" {
			t.Errorf("%s: process limit %v", path, f)
		}
	}
}

// TestErrors are the failures of the daemon's side.
func TestErrors(t *testing.T) {
	d := newDirect(t, Options{})
	for _, r := range []*Request{
		{},
		{Path: "/bin/true"},
		{Path: "/bin/true", Argv: []string{"true"}, Stdin: StdioFile},
		{Path: "/bin/true", Argv: []string{"true"}, Stdin: StdioMerge},
		{Path: "/bin/true", Argv: []string{"true"}, Stdout: StdioMerge},
		{Path: "/bin/true", Argv: []string{"true"}, Stderr: StdioFile},
		{Path: "/bin/true", Argv: []string{"true", "a\x00b"}},
	} {
		if _, err := d.Spawn(r); err == nil {
			t.Errorf("%+v was started", r)
		}
	}

	bad := newDirect(t, Options{Shim: "/nonexistent/shim"})
	var ee *ExecError
	if _, err := bad.Spawn(request("/nonexistent/prog")); !errors.As(err, &ee) || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no shim: %v", err)
	}
	open := countFDs(t)
	for range 50 {
		_, _ = bad.Spawn(request("/nonexistent/prog"))
	}
	if now := countFDs(t); now != open {
		t.Errorf("%d descriptors before, %d after failed starts", open, now)
	}
	if err := bad.Close(); err != nil {
		t.Error(err)
	}
	if err := bad.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := bad.Spawn(request("/bin/true")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func countFDs(t testing.TB) int {
	t.Helper()
	n, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(n)
}

// TestShortage: without descriptors a start fails as such, at whichever step, and leaks nothing.
func TestShortage(t *testing.T) {
	d := newDirect(t, Options{})
	run(t, d, shell("true")) // everything lazy has happened
	var fill []*os.File
	defer func() {
		for _, f := range fill {
			f.Close()
		}
	}()
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: uint64(countFDs(t) + 20), Max: old.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &low, nil); err != nil {
		t.Fatal(err)
	}
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil)
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		fill = append(fill, f)
	}
	failed := 0
	for len(fill) > 0 {
		res, err := d.Spawn(shell("true"))
		if err == nil {
			finish(t, res)
			break
		}
		var pe *PipeError
		if !errors.As(err, &pe) || !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("with %d fewer descriptors: %v", failed, err)
		}
		failed++
		fill[0].Close()
		fill = fill[1:]
	}
	if failed < 4 {
		t.Errorf("only %d shortages were seen", failed)
	}
}

// TestFirstMillisecond: programs that are gone before anybody looks have their status.
func TestFirstMillisecond(t *testing.T) {
	d := newDirect(t, Options{})
	w, err := procfd.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 100 {
		r := shell(fmt.Sprintf("exit %d", i))
		r.Stdout, r.Stderr = StdioNull, StdioNull
		res, err := d.Spawn(r)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		if i%2 == 0 {
			time.Sleep(2 * time.Millisecond) // let it end before it is watched
		}
		if err := w.Watch(res.Handle, func() { close(ended) }); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the end was not seen")
		}
		if e, done, err := res.Handle.Wait(false); err != nil || !done || e.Code() != i {
			t.Errorf("exit %+v, %v, %v; want status %d", e, done, err, i)
		}
		res.Handle.Close()
	}
}

// TestThreadsEnd: the forking threads end with the spawner.
func TestThreadsEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		d, err := NewDirect(Options{Threads: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestCloseUnderLoad: Close while others start programs neither hangs nor loses one.
func TestCloseUnderLoad(t *testing.T) {
	d := newDirect(t, Options{Threads: 2})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				res, err := d.Spawn(shell("exit 3"))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("Spawn: %v", err)
					return
				}
				if o := finish(t, res); o.Exit.Code() != 3 {
					t.Errorf("exit %+v", o.Exit)
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestRequestCodec(t *testing.T) {
	for _, r := range []*Request{
		{Path: "/bin/x", Argv: []string{"x"}, Env: []string{}, Umask: -1},
		{Path: "x", Argv: []string{"", "\xff\xfe", "a\nb"}, Env: []string{"A=", "B=\x01"}, Dir: "/d", Umask: 0o22, IgnoreSIGPIPE: true},
		{Path: "x", Argv: []string{"x"}, Env: []string{}, Cred: &Cred{UID: -5, GID: 1 << 40, Groups: []int{1, 2, 3}, Refused: "no"}},
	} {
		b, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Error(diff)
		}
		for i := range b { // every truncation is noticed
			if _, err := decode(b[:i]); err == nil {
				t.Errorf("accepted %d of %d bytes", i, len(b))
			}
		}
		if _, err := decode(append(bytes.Clone(b), 'x')); err == nil {
			t.Error("accepted a longer request")
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := encode(&Request{Path: "x", Argv: []string{"a", "b"}, Env: []string{"A=1"}, Cred: &Cred{UID: 1, GID: 2, Groups: []int{3}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(requestMagic + "\x00x\x00\x00-1\x00true\x0099999999999\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(r)
		if err != nil {
			t.Fatalf("%q decodes to %+v, which cannot be encoded: %v", b, r, err)
		}
		back, err := decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkSpawn(b *testing.B) {
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			d := newDirect(b, Options{Threads: threads})
			for b.Loop() {
				benchThousand(b, d)
			}
		})
	}
}

// benchThousand starts 1,000 sleeping programs, which is what is measured, and ends them.
func benchThousand(b *testing.B, d *Direct) {
	const n, callers = 1000, 4
	results := make([]*Result, n)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				r := request("/bin/sleep", "1000")
				r.Stderr = StdioMerge
				res, err := d.Spawn(r)
				if err != nil {
					b.Error(err)
					return
				}
				results[i] = res
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	for _, res := range results {
		if res == nil {
			continue
		}
		_ = res.Handle.Signal(int(unix.SIGKILL), model.ReachProcess)
		unix.Close(res.Stdout)
	}
	for _, res := range results {
		if res != nil {
			await(b, res.Handle)
			res.Handle.Close()
		}
	}
	b.StartTimer()
}
