//go:build unix

package supervisord

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// run starts the daemon in the foreground with more arguments and returns at once.
func (s *site) run(args ...string) {
	s.t.Helper()
	s.cmd = command(append([]string{"-n", "-c", s.conf}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// signal sends a signal to the daemon.
func (s *site) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// over waits for the daemon's end and returns its exit status; -1 when a signal killed it.
func (s *site) over() int {
	s.t.Helper()
	hung := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer hung.Stop()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// gone checks that no process of this log's programs lives, and that the daemon's files are away.
func (s *site) gone() {
	s.t.Helper()
	for _, m := range regexp.MustCompile(`spawned: '\S+' with pid (\d+)`).FindAllStringSubmatch(s.read("d.log"), -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			s.t.Fatal(err)
		}
		if syscall.Kill(pid, 0) == nil {
			s.t.Errorf("pid %d still lives", pid)
		}
	}
	for _, f := range []string{"d.pid", "s.sock"} {
		if _, err := os.Lstat(filepath.Join(s.dir, f)); err == nil {
			s.t.Errorf("%s is still there", f)
		}
	}
}

func TestEndBySignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		s := newSite(t, standard+"[program:p]\ncommand=sleep 1000\nstartsecs=0\n")
		s.running(s.start(), "p")
		s.signal(sig)
		if status := s.over(); status != 0 {
			t.Errorf("%v: status %d", sig, status)
		}
		name := map[syscall.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT"}[sig]
		s.logged(`WARN received ` + name + ` indicating exit request\n`)
		s.logged(`INFO waiting for p to die\n`)
		s.logged(`WARN stopped: p \(terminated by SIGTERM\)\n`)
		s.gone()
	}
}

// TestEndDuringTheStart: whenever the order comes while fifty programs are being started, nothing is left.
func TestEndDuringTheStart(t *testing.T) {
	for _, after := range []int{0, 1, 20, 49} {
		s := newSite(t, standard+"[program:p]\ncommand=sleep 1000\nnumprocs=50\nprocess_name=p_%(process_num)02d\n")
		s.run()
		s.until("the daemon has begun", func() bool {
			log := s.read("d.log")
			return strings.Contains(log, "started with pid") && strings.Count(log, "spawned: ") >= after
		})
		s.signal(syscall.SIGTERM)
		if status := s.over(); status != 0 {
			t.Errorf("after %d: status %d", after, status)
		}
		s.gone()
	}
}

// TestRestartsOnTopOfEachOther: orders to restart that come at any moment of a restart neither kill the daemon
// nor confuse it.
func TestRestartsOnTopOfEachOther(t *testing.T) {
	s := newSite(t, standard+"[program:p]\ncommand=sleep 1000\n")
	s.running(s.start(), "p")
	s.signal(syscall.SIGHUP)
	s.signal(syscall.SIGHUP)
	for i := range 60 {
		s.signal(syscall.SIGHUP)
		time.Sleep(time.Duration(i%7) * time.Millisecond) // at different moments; none decides the test
	}
	c := s.client()
	s.running(c, "p")
	s.until("the same process answers", func() bool { // the last order may have begun another restart just now
		pid, err := c.GetPID(context.Background())
		return err == nil && pid == s.cmd.Process.Pid
	})
	if strings.Contains(s.read("d.log"), "not restarted") {
		t.Error("a restart during a restart is shown as a failure")
	}
	s.signal(syscall.SIGHUP)
	s.signal(syscall.SIGTERM)
	if status := s.over(); status != 0 {
		t.Errorf("status %d", status)
	}
	s.gone()
}

// TestConfigurationSpoiledDuringARestart: it was good when the order came, so that everything comes back.
func TestConfigurationSpoiledDuringARestart(t *testing.T) {
	conf := standard + `[program:slow]
command=sh -c 'trap "while ! test -e go; do sleep 0.02; done; exit" TERM; echo ready; while :; do sleep 0.02; done'
stdout_logfile=%(here)s/slow.log
directory=%(here)s
`
	s := newSite(t, conf)
	before := s.running(s.start(), "slow")
	s.until("the trap is set", func() bool { return s.read("slow.log") == "ready\n" })
	s.signal(syscall.SIGHUP)
	s.logged(`INFO waiting for slow to die`)
	s.write("d.conf", conf+"autostart=perhaps\n")
	s.write("go", "")
	s.logged(`ERRO the configuration is bad, the last good one is in force: .*'perhaps'`)
	c := s.client()
	if now := s.running(c, "slow"); now.PID == before.PID {
		t.Error("not restarted")
	}
}

func TestMainLogOnStdout(t *testing.T) {
	for _, c := range []struct {
		args string
		log  string
		want int // how often each line appears on the standard output
	}{
		{"", "%(here)s/d.log", 1}, {"-s", "%(here)s/d.log", 0}, {"", "/dev/stdout", 2}, {"-s", "/dev/stdout", 1},
	} {
		s := newSite(t, strings.Replace(standard, "logfile=%(here)s/d.log\n", "logfile="+c.log+"\nlogfile_maxbytes=0\n", 1)+"[program:p]\ncommand=sleep 1000\nstartsecs=0\n")
		s.run(strings.Fields(c.args)...)
		s.running(s.client(), "p")
		s.signal(syscall.SIGTERM)
		if status := s.over(); status != 0 {
			t.Errorf("%+v: status %d", c, status)
		}
		for _, line := range []string{" INFO spawned: 'p' with pid ", " WARN stopped: p (terminated by SIGTERM)\n"} {
			if n := strings.Count(s.out.String(), line); n != c.want {
				t.Errorf("%+v: %q %d times", c, line, n)
			}
		}
	}
}

func TestPidfileThroughALink(t *testing.T) {
	s := newSite(t, standard)
	s.write("victim", "keep")
	if err := os.Symlink(s.dir+"/victim", s.dir+"/d.pid"); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.until("the pidfile is written", func() bool { return s.read("d.pid") == fmt.Sprintln(s.cmd.Process.Pid) })
	if got := s.read("victim"); got != "keep" {
		t.Errorf("the target of the link has %q", got)
	}
	if info, err := os.Lstat(s.dir + "/d.pid"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}

// whoami is a program that tells all about its surroundings.
const whoami = `[program:me]
command=sh -c 'umask; grep -E "^Sig(Ign|Blk)" /proc/self/status; ls -m /proc/$$/fd; env | grep -c ^UPKEEP; exec sleep 1000'
stdout_logfile=%(here)s/me.log
`

// TestOddSurroundings: the daemon is started with signals ignored, an open umask, more descriptors and
// variables like our own; a program sees none of it but the umask (K20).
func TestOddSurroundings(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc")
	}
	s := newSite(t, standard+whoami)
	daemon := command("-n", "-c", s.conf)
	s.cmd = exec.Command("sh", "-c", `trap "" HUP INT TERM USR1 CHLD; umask 0; exec 7<&0; exec "$0" "$@"`)
	s.cmd.Args = append(s.cmd.Args, s.dir+"/supervisord")
	s.cmd.Args = append(s.cmd.Args, daemon.Args[1:]...)
	if err := os.Symlink(daemon.Path, s.dir+"/supervisord"); err != nil {
		t.Fatal(err)
	}
	s.cmd.Env = append(daemon.Env, "UPKEEP_SECRET=canary", "UPKEEP_READY_FDS=9")
	extra, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	s.cmd.ExtraFiles = []*os.File{extra, extra}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := s.client()
	const want = "0000\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0, 1, 2\n0\n"
	s.until("the program has told", func() bool { return strings.Count(s.read("me.log"), "\n") == 5 })
	if got := s.read("me.log"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	// Once more after a restart, with clients connected.
	s.signal(syscall.SIGHUP)
	s.until("the program has told again", func() bool { return strings.Count(s.read("me.log"), "\n") == 10 })
	if got := s.read("me.log"); got != want+want {
		t.Errorf("after the restart\n%s", got)
	}
	s.running(c, "me")
	s.signal(syscall.SIGTERM) // was ignored when the daemon came
	if status := s.over(); status != 0 {
		t.Errorf("status %d", status)
	}
	s.gone()
}

// TestBackgroundSurroundings: what the way into the background needs does not reach a program, and the
// configured umask and directory do.
func TestBackgroundSurroundings(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc")
	}
	s := newSite(t, strings.Replace(standard, "[supervisord]\n", "[supervisord]\numask=027\ndirectory=%(here)s/sub\n", 1)+
		strings.Replace(whoami, "umask;", "umask; pwd;", 1))
	if err := os.Mkdir(s.dir+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := command("-c", s.conf).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	c := s.client()
	defer func() {
		if err := c.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		s.until("the daemon is gone", func() bool { _, err := os.Lstat(s.dir + "/d.pid"); return err != nil })
	}()
	s.until("the program has told", func() bool { return strings.Count(s.read("me.log"), "\n") == 6 })
	want := "0027\n" + s.dir + "/sub\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0, 1, 2\n0\n"
	if got := s.read("me.log"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	s.logged(`INFO set current directory: '` + s.dir + `/sub'\n`)
}

// TestLogsThatCannotBeMadeReachTheLaunchingCommand: before the way into the background, not after it.
func TestLogsThatCannotBeMadeReachTheLaunchingCommand(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no /proc") // a directory in which nobody can make a file
	}
	for _, args := range [][]string{{"-n"}, nil} {
		s := newSite(t, strings.Replace(standard, "childlogdir=%(here)s", "childlogdir=/proc", 1)+"[program:p]\ncommand=sleep 1000\n")
		out, err := command(append(args, "-s", "-c", s.conf)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), "Error: cannot make the log file of a program: ") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		s.gone()
	}
}

func TestProfile(t *testing.T) {
	s := newSite(t, standard)
	s.run("--profile_options=cumulative,callers")
	s.client()
	s.signal(syscall.SIGTERM)
	if status := s.over(); status != 0 {
		t.Errorf("status %d", status)
	}
	m := regexp.MustCompile(`(?m)^profile: (\S+)$`).FindStringSubmatch(s.out.String())
	if m == nil {
		t.Fatal("the profile's place is not said")
	}
	defer os.Remove(m[1])
	f, err := os.Open(m[1])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(z); err != nil || len(data) == 0 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestLogDirectoryIsRemoved: the program runs on, and is logged again when the directory is back.
func TestLogDirectoryIsRemoved(t *testing.T) {
	s := newSite(t, standard+"[program:echo]\ncommand=cat\nstdout_logfile=%(here)s/logs/echo.log\n")
	if err := os.Mkdir(s.dir+"/logs", 0o755); err != nil {
		t.Fatal(err)
	}
	c := s.start()
	before := s.running(c, "echo")
	say := func(text string) {
		t.Helper()
		if err := c.SendProcessStdin(context.Background(), "echo", text); err != nil {
			t.Fatal(err)
		}
	}
	say("one\n")
	s.until("one is logged", func() bool { return s.read("logs/echo.log") == "one\n" })
	if err := os.RemoveAll(s.dir + "/logs"); err != nil {
		t.Fatal(err)
	}
	say("two\n")
	s.logged(`DEBG 'echo' stdout output:\ntwo\n`)
	if _, err := c.ReadProcessStdoutLog(context.Background(), "echo", 0, 0); !isFault(err, 20) {
		t.Errorf("read of a log that is gone: %v", err)
	}
	s.signal(syscall.SIGUSR2)
	s.logged(`ERRO cannot reopen a log: .*logs/echo\.log`)
	if err := os.Mkdir(s.dir+"/logs", 0o755); err != nil {
		t.Fatal(err)
	}
	say("three\n")
	s.until("three is logged", func() bool { return strings.HasSuffix(s.read("logs/echo.log"), "three\n") })
	if now := s.info(c, "echo"); now.PID != before.PID || now.StateName != "RUNNING" {
		t.Errorf("%+v", now)
	}
}

func isFault(err error, code int) bool {
	var f *supervisor.Fault
	return errors.As(err, &f) && f.Code == code
}

// Whoever reads the daemon's output may go away; the daemon does not go with it.
func TestReaderOfTheOutputGoesAway(t *testing.T) {
	s := newSite(t, standard+"[program:cat]\ncommand=cat\n")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = command("-n", "-c", s.conf)
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c := s.client()
	s.running(c, "cat")
	r.Close()
	ctx := context.Background()
	for range 3 {
		if err := c.StopProcess(ctx, "cat", true); err != nil {
			t.Fatal(err)
		}
		if err := c.StartProcess(ctx, "cat", true); err != nil {
			t.Fatal(err)
		}
	}
	s.logged(`(?s)(spawned: 'cat'.*){4}`)
	if got := strings.Count(s.read("d.log"), "spawned: 'cat'"); got != 4 {
		t.Errorf("%d starts are in the log, want 4", got)
	}
}
