package spawntest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Run checks that a way of starting programs does what all of them must do. make makes a new spawner, which
// is closed at the end of the test.
func Run(t *testing.T, make func(testing.TB) spawn.Spawner) {
	for name, check := range map[string]func(*testing.T, spawn.Spawner){
		"Stdio": stdio, "Files": files, "StdinPipe": stdinPipe, "World": world, "UmaskPrivacy": umaskPrivacy,
		"SlowPath": slowPath, "Credentials": credentials,
	} {
		t.Run(name, func(t *testing.T) { check(t, make(t)) })
	}
	t.Run("NoLeakedDescriptors", func(t *testing.T) { noLeakedDescriptors(t, make) })
}

// Main is called in the main of tests that call Run: their binary is the program of some of the tests.
func Main() (handled bool) {
	if len(os.Args) != 2 || os.Args[1] != "helper-ids" {
		return false
	}
	helperIDs()
	return true
}

func stdio(t *testing.T, d spawn.Spawner) {
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
		in          spawn.Stdio
		out, errs   spawn.Stdio
		ignore      bool // through the shim
		stdout, err string
	}{
		{name: "pipes", out: spawn.StdioPipe, errs: spawn.StdioPipe, stdout: "out\n", err: "err\n"},
		{name: "merged", out: spawn.StdioPipe, errs: spawn.StdioMerge, stdout: "out\nerr\n"},
		{name: "null", out: spawn.StdioNull, errs: spawn.StdioNull},
		{name: "merged into null", out: spawn.StdioNull, errs: spawn.StdioMerge},
		{name: "stdin file", in: spawn.StdioFile, out: spawn.StdioPipe, errs: spawn.StdioNull, stdout: "from a file\nout\n"},
		{name: "shim, merged", out: spawn.StdioPipe, errs: spawn.StdioMerge, ignore: true, stdout: "out\nerr\n"},
		{name: "shim, pipes", out: spawn.StdioPipe, errs: spawn.StdioPipe, ignore: true, stdout: "out\n", err: "err\n"},
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

// files: outputs that are files of the caller's.
func files(t *testing.T, d spawn.Spawner) {
	for name, shim := range map[string]bool{"plain": false, "shim": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var of [2]*os.File
			for i, name := range []string{"out", "err"} {
				f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				of[i] = f
			}
			r := shell("echo out; echo err >&2")
			r.IgnoreSIGPIPE = shim
			r.Stdin, r.Stdout, r.Stderr = spawn.StdioNull, spawn.StdioFile, spawn.StdioFile
			r.StdoutFile, r.StderrFile = of[0], of[1]
			run(t, d, r)
			r.Stderr, r.StderrFile = spawn.StdioMerge, nil
			run(t, d, r)
			for name, want := range map[string]string{"out": "out\nout\nerr\n", "err": "err\n"} {
				if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
					t.Errorf("%s: %q, %v", name, b, err)
				}
			}
		})
	}
}

func stdinPipe(t *testing.T, d spawn.Spawner) {
	r := shell("cat")
	r.Stdin = spawn.StdioPipe
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

// world compares everything a program inherits, on both paths.
func world(t *testing.T, d spawn.Spawner) {
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

// noLeakedDescriptors starts programs while hundreds of descriptors are open, some of them as a
// careless parent would have left them.
func noLeakedDescriptors(t *testing.T, make func(testing.TB) spawn.Spawner) {
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
	d := make(t)
	for _, ignore := range []bool{false, true} {
		r := request("/bin/sleep", "1000")
		r.IgnoreSIGPIPE = ignore
		res, err := d.Spawn(r)
		if err != nil {
			t.Fatal(err)
		}
		waitExec(t, res.PID, "sleep")
		want := []string{"0", "1", "2"}
		var got []string
		for end := time.Now().Add(patience); time.Now().Before(end) && !slices.Equal(got, want); time.Sleep(time.Millisecond) {
			// While it is being loaded the program has its libraries open.
			names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", res.PID))
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, n := range names {
				got = append(got, n.Name())
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
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

// umaskPrivacy starts programs with many umasks at once while this process creates files: nobody
// sees anybody else's umask.
func umaskPrivacy(t *testing.T, d spawn.Spawner) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := strconv.ParseUint(field(string(status), "Umask:"), 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	own := int(parsed)
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

// slowPath: what cannot be executed has a pid, tells why in its output, and exits with 127.
func slowPath(t *testing.T, d spawn.Spawner) {
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
		edit func(*spawn.Request)
		want string
	}{
		{"no such file", func(r *spawn.Request) { r.Path, r.Argv[0] = "/nonexistent/prog", "prog" }, "couldn't exec prog: ENOENT"},
		{"no x bit", func(r *spawn.Request) { r.Path, r.Argv[0] = notExec, notExec }, "couldn't exec " + notExec + ": EACCES"},
		{"directory", func(r *spawn.Request) { r.Path, r.Argv[0] = dir, dir }, "couldn't exec " + dir + ": EACCES"},
		{"no interpreter line", func(r *spawn.Request) { r.Path, r.Argv[0] = noBang, noBang }, "couldn't exec " + noBang + ": ENOEXEC"},
		{"interpreter missing", func(r *spawn.Request) { r.Path, r.Argv[0] = badBang, badBang }, "couldn't exec " + badBang + ": ENOENT"},
		{"links in a circle", func(r *spawn.Request) { r.Path, r.Argv[0] = loop, loop }, "couldn't exec " + loop + ": ELOOP"},
		{"below a file", func(r *spawn.Request) { r.Path, r.Argv[0] = noBang+"/x", "x" }, "couldn't exec x: ENOTDIR"},
		{"argument too long", func(r *spawn.Request) { r.Argv = append(r.Argv, long) }, "couldn't exec /bin/sh: E2BIG"},
		{"no such directory", func(r *spawn.Request) { r.Dir = "/nonexistent/dir" }, "couldn't chdir to /nonexistent/dir: ENOENT"},
		{"directory is a file", func(r *spawn.Request) { r.Dir = noBang }, "couldn't chdir to " + noBang + ": ENOTDIR"},
		{"relative path after chdir", func(r *spawn.Request) { r.Path, r.Argv[0], r.Dir = "bin/sh", "bin/sh", dir }, "couldn't exec bin/sh: ENOENT"},
		{"unknown user", func(r *spawn.Request) {
			r.Cred, _ = spawn.LookupCred(987654)
		}, "couldn't setuid to 987654: Can't find uid 987654"},
		{"merged", func(r *spawn.Request) { r.Path, r.Argv[0], r.Stderr = "/nonexistent", "nx", spawn.StdioMerge }, "couldn't exec nx: ENOENT"},
		{"shim first", func(r *spawn.Request) { r.Path, r.Argv[0], r.IgnoreSIGPIPE = "/nonexistent", "nx", true }, "couldn't exec nx: ENOENT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := shell("echo must not run")
			tc.edit(r)
			got := run(t, d, r)
			want := outcome{PID: got.PID, Exit: model.Exit{Known: true, Raw: 127 << 8, Status: 127}}
			text := "supervisor: " + tc.want + "\n" + tail
			if r.Stderr == spawn.StdioMerge {
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

// credentials starts programs as other users and has them tell what they are.
func credentials(t *testing.T, d spawn.Spawner) {
	needRoot(t)
	exe := copySelf(t)
	const tail = "\nsupervisor: child process was not spawned\n"
	huge := make([]int, 70000)
	for _, shim := range []bool{false, true} {
		for _, tc := range []struct {
			name string
			cred *spawn.Cred
			want ids
			err  string
		}{
			{name: "nobody", cred: &spawn.Cred{UID: 65534, GID: 65534, Groups: []int{65534}}, want: same(65534, 65534, 65534)},
			{name: "no groups", cred: &spawn.Cred{UID: 1234, GID: 4321}, want: same(1234, 4321)},
			{name: "several groups", cred: &spawn.Cred{UID: 1, GID: 2, Groups: []int{2, 7, 3}}, want: same(1, 2, 2, 3, 7)},
			{name: "highest ids", cred: &spawn.Cred{UID: 1<<32 - 2, GID: 1<<32 - 2, Groups: []int{1<<32 - 2}}, want: same(1<<32-2, 1<<32-2, 1<<32-2)},
			{name: "ourselves: no step", cred: &spawn.Cred{UID: 0, GID: 55, Groups: []int{55}}, want: rootIDs(t)},
			{name: "unchanged marker uid", cred: &spawn.Cred{UID: 1<<32 - 1, GID: 1}, err: "couldn't setuid to 4294967295: user 4294967295 or one of its groups has an impossible number"},
			{name: "negative uid", cred: &spawn.Cred{UID: -1, GID: 1}, err: "couldn't setuid to -1: user -1 or one of its groups has an impossible number"},
			{name: "overflow to root", cred: &spawn.Cred{UID: 1 << 32, GID: 1}, err: "couldn't setuid to 4294967296: user 4294967296 or one of its groups has an impossible number"},
			{name: "negative gid", cred: &spawn.Cred{UID: 1, GID: -1}, err: "couldn't setuid to 1: user 1 or one of its groups has an impossible number"},
			{name: "group overflow", cred: &spawn.Cred{UID: 1, GID: 1, Groups: []int{1 << 32}}, err: "couldn't setuid to 1: user 1 or one of its groups has an impossible number"},
			{name: "too many groups", cred: &spawn.Cred{UID: 1, GID: 1, Groups: huge}, err: "couldn't setuid to 1: Could not set groups of effective user"},
			{name: "refused", cred: &spawn.Cred{UID: 0, GID: 0, Refused: "for a test"}, err: "couldn't setuid to 0: for a test"},
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
