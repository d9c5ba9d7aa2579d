package spawn

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

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
			r := shell("cat /proc/self/status; pwd; umask; env; read pid name state parent group session rest </proc/self/stat; echo $group $session")
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

// TestSharedUmask: where threads cannot have a umask of their own, the shim sets it.
func TestSharedUmask(t *testing.T) {
	d := newDirect(t, Options{Threads: 1})
	own, err := processUmask()
	if err != nil {
		t.Fatal(err)
	}
	d.forks.private = false
	for _, want := range []int{0o77, own, -1, 0} {
		r := shell("umask")
		r.Umask = want
		if got := d.needsShim(r); got != (want >= 0 && want != own) {
			t.Errorf("umask %#o: shim %v", want, got)
		}
		if want < 0 {
			want = own
		}
		if got := run(t, d, r).Stdout; got != fmt.Sprintf("%04o\n", want) {
			t.Errorf("umask %q, want %04o", got, want)
		}
	}
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
		if got := field(o.Stdout, "exit:"); got != "true 0" { // although SIGCHLD was ignored
			t.Errorf("%s: exit %s", path, got)
		}
		if f := strings.Fields(field(o.Stdout, "Max processes")); len(f) < 2 || f[0] != "5000" || f[1] != "6000" {
			t.Errorf("%s: process limit %v", path, f)
		}
	}
}
