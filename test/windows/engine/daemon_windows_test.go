package engine

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/cli"
)

// patience is how long something may take that comes by itself.
const patience = 40 * time.Second

// TestMain lets the test binary be the daemon and its programs.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE") {
	case "daemon":
		os.Unsetenv("ROLE")
		app.Role()
		os.Exit(cli.Main(os.Args))
	case "crash":
		fmt.Println("about to crash")
		os.Exit(3)
	case "flood":
		for k := range 200 {
			fmt.Printf("line %03d of many\n", k)
		}
		time.Sleep(time.Hour)
	case "echo":
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Printf("got %q\n", in.Text())
		}
		time.Sleep(time.Hour)
	case "tree":
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "ROLE=leaf")
		if err := c.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("leaf", c.Process.Pid)
		time.Sleep(time.Hour)
	case "leaf":
		time.Sleep(time.Hour)
	case "":
		os.Exit(m.Run())
	}
	os.Exit(0)
}

const config = `
[inet_http_server]
port=127.0.0.1:%d
username=user
password=secret
[supervisord]
logfile=%[2]s\daemon.log
pidfile=%[2]s\daemon.pid
childlogdir=%[2]s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:crash]
command="%[3]s"
environment=ROLE="crash"
autostart=false
autorestart=true
startsecs=0
redirect_stderr=true
stdout_logfile=%[2]s\crash.log
[program:flood]
command="%[3]s"
environment=ROLE="flood"
stdout_logfile=%[2]s\flood.log
stdout_logfile_maxbytes=1000
stdout_logfile_backups=2
[program:echo]
command="%[3]s"
environment=ROLE="echo"
stdout_logfile=%[2]s\echo.log
[program:tree]
command="%[3]s"
environment=ROLE="tree"
stdout_logfile=%[2]s\tree.log
killasgroup=true
stopsignal=KILL
[program:missing]
command=C:\no\such\program.exe
autostart=false
[program:found]
command=cmd /c "echo found in the path"
autostart=false
autorestart=false
startsecs=0
stdout_logfile=%[2]s\found.log
`

// daemon is a running one with a client.
type daemon struct {
	*supervisor.Client
	t    *testing.T
	dir  string
	exe  string
	cmd  *exec.Cmd
	over chan error
}

func start(t *testing.T) *daemon {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(dir, "d.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, config, port, dir, exe), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: dir, exe: exe, over: make(chan error, 1)}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the daemon:\n%s\n%s", d.read("said"), d.read("daemon.log"))
		}
	})
	d.Client, err = supervisor.New(supervisor.Options{
		URL: fmt.Sprintf("http://127.0.0.1:%d", port), Username: "user", Password: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	d.run()
	return d
}

// run starts the daemon, the first or another one.
func (d *daemon) run() {
	d.t.Helper()
	d.cmd = exec.Command(d.exe, "-n", "-c", filepath.Join(d.dir, "d.conf"))
	d.cmd.Args[0] = "supervisord"
	d.cmd.Env = append(os.Environ(), "ROLE=daemon")
	said, err := os.OpenFile(filepath.Join(d.dir, "said"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer said.Close()
	d.cmd.Stdout, d.cmd.Stderr = said, said
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func(c *exec.Cmd) { d.over <- c.Wait() }(d.cmd)
	d.until("the daemon answers", func() bool {
		_, err := d.GetPID(d.t.Context())
		return err == nil
	})
}

// until polls for a condition with a deadline.
func (d *daemon) until(what string, ok func() bool) {
	d.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("timed out: %s", what)
		}
	}
}

// read is what a file contains.
func (d *daemon) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(d.dir, name))
	return string(b)
}

func (d *daemon) info(name string) supervisor.ProcessInfo {
	d.t.Helper()
	i, err := d.GetProcessInfo(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	return i
}

// alive reports whether there is a process of a number that has not ended.
func alive(pid int) bool {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(h)
	what, _ := windows.WaitForSingleObject(h, 0)
	return what == uint32(windows.WAIT_TIMEOUT)
}

// TestDaemon is the life of a daemon, from its start to its ordered end.
func TestDaemon(t *testing.T) {
	d := start(t)
	ctx := t.Context()
	t.Run("restart after a crash", func(t *testing.T) { d.crash(ctx, t) })
	t.Run("rotation", func(t *testing.T) {
		want := "line 199 of many"
		d.until("the last line", func() bool { return strings.Contains(d.read("flood.log")+d.read("flood.log.1"), want) })
		for _, name := range []string{"flood.log.1", "flood.log.2"} {
			if s := d.read(name); len(s) < 900 || len(s) > 1100 || !strings.HasSuffix(s, "many\n") {
				t.Errorf("%s has %d bytes, ends in %q", name, len(s), s[max(len(s)-20, 0):])
			}
		}
		if s := d.read("flood.log.3"); s != "" {
			t.Errorf("one backup too many: %q", s)
		}
		tail, err := d.TailProcessStdoutLog(ctx, "flood", 0, 10)
		if err != nil || !strings.HasPrefix("line 199 of many\n", tail.Data) && !strings.HasSuffix("line 199 of many\n", tail.Data) {
			t.Errorf("the tail: %+v, %v", tail, err)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		if err := d.SendProcessStdin(ctx, "echo", "some words\n"); err != nil {
			t.Fatal(err)
		}
		d.until("the echo", func() bool { return strings.Contains(d.read("echo.log"), `got "some words"`) })
	})
	t.Run("stop of a tree", func(t *testing.T) { d.tree(ctx, t) })
	t.Run("clear", func(t *testing.T) {
		if err := d.ClearProcessLogs(ctx, "echo"); err != nil {
			t.Fatal(err)
		}
		if s := d.read("echo.log"); s != "" {
			t.Errorf("%q is left", s)
		}
	})
	t.Run("commands", func(t *testing.T) {
		err := d.StartProcess(ctx, "missing", true)
		if err == nil || !strings.Contains(err.Error(), "NO_FILE") {
			t.Errorf("a program that is not there: %v", err)
		}
		if err := d.StartProcess(ctx, "found", true); err != nil {
			t.Error(err)
		}
		d.until("what it says", func() bool { return strings.Contains(d.read("found.log"), "found in the path") })
	})
	t.Run("shutdown", func(t *testing.T) {
		echo := d.info("echo").PID
		if err := d.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-d.over:
			if err != nil {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(patience):
			t.Fatal("it did not end")
		}
		if alive(echo) {
			t.Error("a program has outlived an ordered end")
		}
		if s := d.read("daemon.pid"); s != "" {
			t.Errorf("the pid file is left: %q", s)
		}
	})
}

func (d *daemon) crash(ctx context.Context, t *testing.T) {
	if err := d.StartProcess(ctx, "crash", true); err != nil {
		t.Fatal(err)
	}
	d.until("three lives", func() bool { return strings.Count(d.read("crash.log"), "about to crash") >= 3 })
	if err := d.StopProcess(ctx, "crash", true); err != nil && !strings.Contains(err.Error(), "NOT_RUNNING") {
		t.Error(err)
	}
	if s := d.read("daemon.log"); !strings.Contains(s, "exited: crash (exit status 3; not expected)") {
		t.Error("the exit code is not in the daemon's log")
	}
}

func (d *daemon) tree(ctx context.Context, t *testing.T) {
	var leaf int
	d.until("the leaf", func() bool {
		_, rest, ok := strings.Cut(d.read("tree.log"), "leaf ")
		number, _, whole := strings.Cut(rest, "\n")
		leaf, _ = strconv.Atoi(strings.TrimSpace(number))
		return ok && whole && leaf > 0
	})
	root := d.info("tree").PID
	if !alive(leaf) || !alive(root) {
		t.Fatalf("root %d, leaf %d: not alive", root, leaf)
	}
	if err := d.StopProcess(ctx, "tree", true); err != nil {
		t.Fatal(err)
	}
	d.until("the end of all", func() bool { return !alive(leaf) && !alive(root) })
	if i := d.info("tree"); i.StateName != "STOPPED" || i.PID != 0 {
		t.Errorf("%+v", i)
	}
}

// TestKilledDaemon: the programs of a daemon that is killed go on, and are those of the next one, which tells how they end.
func TestKilledDaemon(t *testing.T) {
	d := start(t)
	names := []string{"echo", "flood", "tree"}
	running := func() map[string]int {
		out := map[string]int{}
		for _, name := range names {
			if i := d.info(name); i.StateName == "RUNNING" {
				out[name] = i.PID
			}
		}
		return out
	}
	d.until("the programs run", func() bool { return len(running()) == len(names) && strings.Contains(d.read("tree.log"), "\n") })
	before := running()
	leaf, _ := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(d.read("tree.log"), "leaf ")))
	defer func() {
		if p, err := os.FindProcess(leaf); err == nil {
			_ = p.Kill()
		}
	}()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.over
	before["leaf"] = leaf
	for name, pid := range before {
		if !alive(pid) {
			t.Errorf("%s (pid %d) has ended with its daemon", name, pid)
		}
	}
	delete(before, "leaf")
	d.run()
	d.until("the programs are known", func() bool { return len(running()) == len(names) })
	if diff := cmp.Diff(before, running()); diff != "" {
		t.Errorf("others were started: %s", diff)
	}
	p, err := os.FindProcess(before["flood"])
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil { // its exit code is 1 then
		t.Fatal(err)
	}
	d.until("the end of one is told", func() bool {
		return strings.Contains(d.read("daemon.log"), "exited: flood (exit status 1; not expected)")
	})
	d.until("it is started again", func() bool {
		i := d.info("flood")
		return i.StateName == "RUNNING" && i.PID != before["flood"]
	})
	if err := d.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-d.over
	for name, pid := range before {
		if alive(pid) {
			t.Errorf("%s (pid %d) has outlived an ordered end", name, pid)
		}
	}
}
