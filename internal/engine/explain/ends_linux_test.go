package explain

import (
	"bufio"
	"fmt"
	"net"
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
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

const python = "/usr/bin/python3"

// self is the command line of one of the test's own programs.
func self(what string) string { return os.Args[0] + " helper " + what }

func TestShells(t *testing.T) {
	try(t, []failure{
		{
			name: "not found", p: program{line: `sh -c "slepe 10"`}, cause: CauseCommandNotFound,
			says: []string{"exited with code 127", "sh: 1: slepe: not found", `there is no "slepe" in the PATH`, "close by: /usr/bin/sleep"}, never: []string{"Use:"},
		},
		{
			name: "not found by bash", need: "/bin/bash", p: program{line: `bash -c "slepe 10"`}, cause: CauseCommandNotFound, says: []string{`there is no "slepe" in the PATH`},
		},
		{
			name: "not found by exec", p: program{line: `sh -c "exec slepe 10"`}, cause: CauseCommandNotFound, says: []string{`there is no "slepe" in the PATH`},
		},
		{
			name: "not executable", p: program{line: `sh -c ./x`, files: map[string]string{"x": "#!/bin/sh\n"}}, cause: CauseNotExecutable,
			says: []string{"exited with code 126", "DIR/x is not executable", "chmod +x DIR/x"},
		},
		{
			name: "only said", p: program{line: `sh -c "echo sh: 1: ls: not found >&2; exit 127"`}, cause: CauseExited, says: []string{"sh: 1: ls: not found"}, never: []string{"checked", "hint"},
		},
	})
}

func TestSignals(t *testing.T) {
	stopped := func(by Ender, who string) func(*rig, *Facts) {
		return func(_ *rig, f *Facts) { f.Runs[0].By, f.Runs[0].Who = by, who }
	}
	group := func(r *rig, f *Facts) {
		f.Cgroup = r.dir
		if err := os.WriteFile(filepath.Join(r.dir, "memory.events"), []byte("oom 4\noom_kill 4\n"), 0o600); err != nil {
			panic(err)
		}
		f.Runs[0].MemoryLimit, f.Runs[0].MemoryPeak = 256<<20, 256<<20
	}
	try(t, []failure{
		{
			name: "killed by somebody", p: program{line: `sh -c 'kill -KILL $$'`}, cause: CauseKilledByOther,
			says: []string{"was ended by SIGKILL after", "upkeep did not send SIGKILL", "the kernel's log"}, never: []string{"hint"},
		},
		{
			name: "for memory", p: program{line: `sh -c 'echo loading model; kill -KILL $$'`}, facts: group, cause: CauseOutOfMemory,
			says: []string{"memory reached its limit: limit 256 MB, peak 256 MB, 4 kills by the kernel", "it did not crash by itself", "loading model"},
		},
		{
			name: "for memory, of what it ran", p: program{line: `sh -c 'sh -c "kill -KILL \$\$"; exit $?'`}, facts: group, cause: CauseOutOfMemory,
			says: []string{"exited with code 137", "code 137 says that something it ran was ended by SIGKILL"},
		},
		{
			name: "by our limit", p: program{line: `sh -c 'kill -KILL $$'`}, facts: stopped(MemoryLimit, ""), cause: CauseOutOfMemory, says: []string{"upkeep ended it since it used more memory"},
		},
		{
			name: "after a stop", p: program{line: `sh -c 'kill -KILL $$'`}, facts: stopped(Kill, ""), cause: CauseKilledByUs,
			says: []string{"it had not ended within 10s (stopwaitsecs)", "upkeep set web stopwaitsecs=30"},
		},
		{
			name: "by a check", p: program{line: `sh -c 'kill -KILL $$'`}, facts: stopped(Check, ""), cause: CauseKilledByUs, says: []string{"its health check failed"},
		},
		{
			name: "through us", p: program{line: `sh -c 'kill -KILL $$'`}, facts: stopped(SignalOrder, "alice"), cause: CauseKilledByOther,
			says: []string{"alice sent SIGKILL through upkeep"}, never: []string{"upkeep did not"},
		},
		{
			name: "terminated", p: program{line: `sh -c 'kill -TERM $$'`}, cause: CauseTerminatedByOther, says: []string{"upkeep did not send SIGTERM"},
		},
		{
			name: "terminated, passed on", p: program{line: `sh -c 'exit 143'`}, cause: CauseTerminatedByOther, says: []string{"code 143 says that something it ran was ended by SIGTERM"},
		},
		{
			name: "segmentation fault", p: program{line: `sh -c 'kill -SEGV $$'`}, cause: CauseCrashed, says: []string{"was ended by SIGSEGV", "segmentation fault"},
		},
		{
			name: "segmentation fault, passed on", p: program{line: `sh -c 'sh -c "kill -SEGV \$\$"; exit $?'`}, cause: CauseCrashed, says: []string{"exited with code 139", "code 139 says"},
		},
		{
			name: "CPU time", p: program{line: `sh -c 'kill -XCPU $$'`}, cause: CauseCPULimit, says: []string{"RLIMIT_CPU"},
		},
		{
			name: "size of a file", p: program{line: `sh -c 'ulimit -f 1; exec cat /dev/zero > big'`}, cause: CauseFileSizeLimit, says: []string{"RLIMIT_FSIZE"},
		},
		{
			name: "pipe", p: program{line: `sh -c 'kill -PIPE $$'`}, cause: CauseBrokenPipe, says: []string{"nobody reads"},
		},
	})
}

func TestCore(t *testing.T) {
	if p := ThisMachine().CorePattern(); p != "core" {
		t.Skipf("memory images are named %q here", p)
	}
	r := newRig(t)
	f := r.run(t, program{line: `sh -c 'ulimit -c unlimited; kill -ABRT $$'`})
	if !f.Runs[0].Exit.Core {
		t.Skip("no memory image is written here")
	}
	v, text := explained(f)
	core, _ := filepath.Glob(r.dir + "/core*")
	if v.Cause != CauseCrashed || len(core) != 1 || !strings.Contains(text, "its memory image is "+core[0]) || !strings.Contains(text, "gdb /usr/bin/sh "+core[0]) {
		t.Error(text)
	}
	v = Explain(t.Context(), f, &fake{core: "|/lib/systemd/systemd-coredump %P"})
	if text := render(v); !strings.Contains(text, "coredumpctl info "+strconv.Itoa(f.Runs[0].PID)) {
		t.Error(text)
	}
}

// occupied starts a process that listens.
func occupied(t *testing.T) (pid, port int) {
	t.Helper()
	c := exec.Command(os.Args[0], "helper", "listen", "127.0.0.1:0")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(strings.TrimSpace(line))
	port, err = strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, port
}

func TestPortInUse(t *testing.T) {
	pid, port := occupied(t)
	held := fmt.Sprintf("port %d is held by pid %d (%s helper listen", port, pid, os.Args[0])
	held = held[:min(len(held), 100)]
	try(t, []failure{
		{
			name: "Go", p: program{line: fmt.Sprintf(self("listen")+" 127.0.0.1:%d", port)}, cause: CausePortInUse,
			says: []string{"bind: address already in use", held, "user root, running ", "End that one first, or give this one another port."},
		},
		{
			name: "Python, which does not name it", need: python, p: program{line: fmt.Sprintf(python+" -m http.server %d --bind 127.0.0.1", port)}, cause: CausePortInUse,
			says: []string{"Address already in use", held},
		},
		{
			name: "Node", need: "/usr/bin/node", p: program{line: fmt.Sprintf(`node -e "require('net').createServer().listen(%d,'127.0.0.1')"`, port)}, cause: CausePortInUse, says: []string{held},
		},
		{
			name: "a variable", need: python, p: program{line: python + ` -c "import os,socket; socket.socket().bind(('127.0.0.1',int(os.environ['PORT'])))"`, env: []string{fmt.Sprintf("PORT=%d", port)}},
			cause: CausePortInUse, says: []string{held},
		},
		{
			name: "our own", p: program{line: fmt.Sprintf(self("listen")+" 127.0.0.1:%d", port)}, cause: CausePortInUse,
			facts: func(_ *rig, f *Facts) {
				f.Neighbours = []Neighbour{{ID: model.ID{Group: "shop", Name: "api"}, State: model.Running, PID: pid}}
			},
			says: []string{"the program shop:api"}, never: []string{"adopt"},
		},
		{
			name: "left over", p: program{line: fmt.Sprintf(self("listen")+" 127.0.0.1:%d", port)}, cause: CausePortInUse,
			facts: func(_ *rig, f *Facts) { f.Left = []int{pid} },
			says:  []string{"which an earlier run of this program has left", fmt.Sprintf("kill %d", pid)},
		},
		{
			name: "free meanwhile", p: program{line: `sh -c "echo listen tcp :1: bind: address already in use; exit 1"`}, cause: CauseExited, never: []string{"checked", "hint"},
		},
	})
}

func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	nothing := "nothing listens on " + addr
	db := func(_ *rig, f *Facts) {
		f.Neighbours = []Neighbour{{ID: model.ID{Group: "db", Name: "db"}, State: model.Fatal}, {ID: model.ID{Group: "x", Name: "x"}, State: model.Running, PID: 1}}
	}
	try(t, []failure{
		{
			name: "Go", p: program{line: self("dial") + " " + addr}, facts: db, cause: CauseRefused,
			says: []string{"connect: connection refused", nothing, "not running here: db\n", "start it first"},
		},
		{
			name: "Node", need: "/usr/bin/node", p: program{line: `node -e "require('net').connect(` + port + `,'127.0.0.1')"`}, cause: CauseRefused, says: []string{nothing},
		},
		{
			name: "as a database client says it", p: program{line: `sh -c 'echo "connection to server at \"127.0.0.1\", port ` + port + ` failed: Connection refused" >&2; exit 2'`},
			cause: CauseRefused, says: []string{nothing},
		},
		{
			name: "as another one says it", p: program{line: `sh -c 'echo "Error 111 connecting to localhost:` + port + `. Connection refused." >&2; exit 2'`},
			cause: CauseRefused, says: []string{"nothing listens on localhost:" + port},
		},
		{
			name: "elsewhere", p: program{line: `sh -c 'echo "dial tcp 192.0.2.7:5432: connection refused" >&2; exit 2'`}, cause: CauseExited, never: []string{"nothing listens", "hint"},
		},
	})
	r := newRig(t)
	f := r.run(t, program{line: self("dial") + " " + addr})
	if l, err = net.Listen("tcp4", addr); err != nil {
		t.Skip(err)
	}
	defer l.Close()
	f.Neighbours = []Neighbour{{ID: model.ID{Group: "db", Name: "db"}, State: model.Running, PID: os.Getpid()}}
	f.Status.State = model.Fatal
	if v, text := explained(f); v.Cause != CauseRefused || !strings.Contains(text, "the program db listens on "+addr+" now") || !strings.Contains(text, "upkeep start web") {
		t.Error(text)
	}
}

func TestAddresses(t *testing.T) {
	try(t, []failure{
		{
			name: "of another machine", p: program{line: self("listen") + " 192.0.2.7:8000"}, cause: CauseAddressForeign, says: []string{"this machine does not have the address 192.0.2.7"},
		},
	})
	if os.Getuid() != 0 {
		t.Skip("the rest needs another user")
	}
	exe := copySelf(t)
	try(t, []failure{
		{
			name: "for root", p: program{line: exe + " helper listen 127.0.0.1:81", uid: stranger}, cause: CausePortPrivileged,
			says: []string{"user 54321 may not listen on port 81: ports below ", "setcap cap_net_bind_service=+ep " + exe},
		},
	})
}

// copySelf copies the test binary to where another user may execute it.
func copySelf(t *testing.T) string {
	t.Helper()
	r := newRig(t)
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.dir, "program")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil && strings.TrimSpace(string(b)) == "0" {
		t.Skip("everybody may listen on every port here")
	}
	return path
}

func TestLimits(t *testing.T) {
	try(t, []failure{
		{
			name: "files", need: python, p: program{line: `sh -c "ulimit -n 30; exec ` + python + ` -c 'l=[open(\"/dev/null\") for _ in range(99)]'"`}, cause: CauseTooManyFiles,
			facts: func(_ *rig, f *Facts) { f.FilesLimit = 30 }, says: []string{"Too many open files", "it may have 30 files and connections open at once", "minfds"},
		},
		{
			name: "files, limit unknown", p: program{line: `sh -c "echo Too many open files; exit 1"`}, facts: func(_ *rig, f *Facts) { f.FilesLimit = 0 },
			cause: CauseExited, never: []string{"hint"},
		},
		{
			name: "space that is there", p: program{line: `sh -c "echo No space left on device; exit 1"`}, cause: CauseExited, never: []string{"hint", "checked"},
		},
	})
}

func TestFullDisk(t *testing.T) {
	r := newRig(t)
	small := filepath.Join(r.dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", small, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("no file system can be mounted: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	v, text := explained(r.run(t, program{line: `sh -c "cat /dev/zero > big"`, dir: "small"}))
	if v.Cause != CauseNoSpace || !strings.Contains(text, "the file system of "+small+" is full: 0 bytes of 2 MB are free") || !strings.Contains(text, "du -xh "+small) {
		t.Error(text)
	}
	if err := unix.Mount("", small, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	v, text = explained(r.run(t, program{line: `sh -c "echo > DIR/small/x"`}))
	if v.Cause != CauseReadOnly || !strings.Contains(text, "the file system of "+small+" is mounted read-only") {
		t.Error(text)
	}
}

func TestBackground(t *testing.T) {
	r := newRig(t)
	f := r.run(t, program{line: `sh -c "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"`})
	pid, err := strconv.Atoi(strings.TrimSpace(string(f.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, pid) })
	f.Left = []int{pid}
	v, text := explained(f)
	for _, s := range []string{fmt.Sprintf("its child, pid %d (sleep 1000, user ", pid), "put itself in the background", fmt.Sprintf("kill %d", pid)} {
		if v.Cause != CauseBackground || !strings.Contains(text, s) {
			t.Errorf("no %q: %s", s, text)
		}
	}
	f.Status.State, f.Runs[0].Exit = model.Exited, model.Exit{Known: true}
	if v, text := explained(f); v.Cause != CauseBackground {
		t.Error("as an expected end: ", text)
	}
}

// finish ends a process that is nobody's child any more.
func finish(t *testing.T, pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s, err := procstat.Read(pid); err != nil || s.Dead() {
			return
		}
	}
	t.Errorf("process %d does not end", pid)
}

func TestKnownDaemons(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/sbin/nginx -c x.conf":    `'command=/usr/sbin/nginx -c x.conf -g '\''daemon off;'\'''`,
		"nginx -g 'daemon off;'":       "",
		"apache2 -k start":             "'command=apache2 -k start -DFOREGROUND'",
		"/usr/sbin/sshd":               "'command=/usr/sbin/sshd -D'",
		"php-fpm8.2":                   "'command=php-fpm8.2 -F'",
		"gunicorn --daemon app:app":    "'command=gunicorn app:app'",
		"gunicorn app:app":             "",
		"redis-server --daemonize yes": "",
		"pg_ctl -D /data start":        "'command=postgres -D /data'",
		"mysqld --daemonize":           "command=mysqld ",
		"/usr/sbin/cron":               "'command=/usr/sbin/cron -f'",
		"/bin/true":                    "",
	} {
		f := fakeFacts(model.Backoff).ran(model.Exit{Known: true}, 100*time.Millisecond)
		f.Status.Program.Command.Line = line
		v := Explain(t.Context(), f, &fake{uid: 1000})
		if got := render(v) + " "; (v.Cause == CauseBackground) != (want != "") || !strings.Contains(strings.ReplaceAll(got, "\n", " "), want) {
			t.Errorf("%s: %s", line, got)
		}
	}
}

func TestRealDaemon(t *testing.T) {
	const nginx = "/usr/sbin/nginx"
	need(t, nginx)
	r := newRig(t)
	f := r.run(t, program{line: nginx + " -p DIR -c DIR/nginx.conf -e DIR/error.log", files: map[string]string{"nginx.conf": "pid DIR/pid;\nevents {}\n"}})
	if f.Runs[0].Exit.Code() != 0 {
		t.Skipf("it does not run here: %s%s", f.Stdout, f.Stderr)
	}
	var pid int // its child writes it, when the parent may be gone
	for end := time.Now().Add(patience); pid == 0; time.Sleep(time.Millisecond) {
		b, _ := os.ReadFile(filepath.Join(r.dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		if time.Now().After(end) {
			t.Fatal("it does not say who it is")
		}
	}
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGTERM) // it ends its workers
		for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		finish(t, pid)
	})
	f.Left = []int{pid}
	v, text := explained(f)
	if v.Cause != CauseBackground || !strings.Contains(text, "nginx: master process") || !strings.Contains(text, "-g '\\''daemon off;'\\''") {
		t.Error(text)
	}
}

func TestQuietEnds(t *testing.T) {
	try(t, []failure{
		{
			name: "at once", p: program{line: "/bin/true"}, cause: CauseQuick,
			says: []string{"exited with code 0", "before the 1s (startsecs)", "upkeep set web startsecs=0 autorestart=false"},
		},
		{
			name: "no input", p: program{line: "cat"}, facts: func(_ *rig, f *Facts) { f.StdinEnds = true }, cause: CauseStdinEnded, says: []string{"cat reads its input until that ends"},
		},
		{
			name: "an interactive shell", p: program{line: "sh -i"}, facts: func(_ *rig, f *Facts) { f.StdinEnds = true }, cause: CauseStdinEnded,
		},
		{
			name: "with a file to work on", p: program{line: "cat DIR/x", files: map[string]string{"x": "y"}}, facts: func(_ *rig, f *Facts) { f.StdinEnds = true }, cause: CauseQuick,
		},
		{
			name: "a terminal", p: program{line: "stty"}, cause: CauseNeedsTerminal, says: []string{"Inappropriate ioctl for device", "it asks for a terminal"},
		},
	})
}
