//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The names of measured programs in the process table. They are hard links to our own binary, or to
// sleep: the table shows at a glance which processes belong to the manager.
const (
	sleeperName = "bench-sleeper"
	childName   = "bench-child"
)

// program is one [program:x] section.
type program struct {
	name     string
	argv     []string
	log      string // "" = NONE
	maxBytes string // "0" = never rotate
	backups  int
	manual   bool   // autostart=false
	more     string // further lines of its section; "" = both outputs in one
}

// session is one daemon with its configuration, from start to shutdown.
type session struct {
	b       *bench
	sys     system
	dir     string
	conf    string
	sock    string
	cmd     *exec.Cmd
	ended   chan struct{}
	started int64  // monotonic
	said    []byte // by the last supervisorctl
}

// newSession prepares a directory and a configuration.
func (b *bench) newSession(sys system, programs []program) (*session, error) {
	dir, err := b.scratch()
	if err != nil {
		return nil, err
	}
	s := &session{
		b: b, sys: sys, dir: dir, ended: make(chan struct{}),
		conf: filepath.Join(dir, "supervisord.conf"), sock: filepath.Join(dir, "s.sock"),
	}
	return s, os.WriteFile(s.conf, []byte(configuration(dir, s.sock, programs)), 0o644)
}

// configuration is the supervisord.conf of a session.
func configuration(dir, sock string, programs []program) string {
	var t strings.Builder
	fmt.Fprintf(&t, "[unix_http_server]\nfile=%s\n\n", sock)
	fmt.Fprintf(&t, "[supervisord]\nlogfile=%s/supervisord.log\npidfile=%s/supervisord.pid\nchildlogdir=%s\n", dir, dir, dir)
	fmt.Fprintf(&t, "nodaemon=true\nminfds=%d\n\n", min(max(1024, 64+5*len(programs)), mostDescriptors()))
	t.WriteString("[rpcinterface:supervisor]\n" +
		"supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n")
	fmt.Fprintf(&t, "[supervisorctl]\nserverurl=unix://%s\n\n", sock)
	for _, p := range programs {
		fmt.Fprintf(&t, "[program:%s]\ncommand=%s\nstartsecs=0\nautorestart=true\n",
			p.name, strings.Join(p.argv, " "))
		t.WriteString(cmp.Or(p.more, "redirect_stderr=true\n"))
		if p.manual {
			t.WriteString("autostart=false\n")
		}
		if p.log == "" {
			t.WriteString("stdout_logfile=NONE\n\n")
			continue
		}
		fmt.Fprintf(&t, "stdout_logfile=%s\nstdout_logfile_maxbytes=%s\nstdout_logfile_backups=%d\n\n",
			p.log, p.maxBytes, p.backups)
	}
	return t.String()
}

// mostDescriptors is how many descriptors a process can have here.
func mostDescriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(min(l.Max, math.MaxInt32))
}

// sleepers are n programs that do nothing.
func (b *bench) sleepers(n int) ([]program, error) {
	path, err := b.link(sleeperName, "/bin/sleep")
	if err != nil {
		return nil, err
	}
	out := make([]program, n)
	for i := range out {
		out[i] = program{name: fmt.Sprintf("p%05d", i), argv: []string{path, "1000000"}}
	}
	return out, nil
}

// child is the command line of one of our own modes.
func (b *bench) child(args ...string) ([]string, error) {
	path, err := b.link(childName, b.self)
	return append([]string{path}, args...), err
}

// link makes a program available under another name in the scratch directory.
func (b *bench) link(name, target string) (string, error) {
	path := filepath.Join(b.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, text, 0o755)
}

// start launches the daemon in the foreground.
func (s *session) start() error {
	out, err := os.Create(filepath.Join(s.dir, "console"))
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd = exec.Command(s.sys.Daemon, "-n", "-c", s.conf)
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), s.b.mark, "UPKEEP_ROOT="+filepath.Join(s.dir, "upkeep"))
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.started = monotonic()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.cmd.Wait() // its status is in s.cmd.ProcessState
		close(s.ended)
	}()
	return nil
}

func (s *session) pid() int { return s.cmd.Process.Pid }

// alive reports whether the daemon still runs.
func (s *session) alive() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// running waits until the interface says that n programs are RUNNING.
func (s *session) running(n int) error {
	c := newClient(s.sock, true)
	defer c.close()
	var got int
	var last error
	step := time.Millisecond
	ok := until(s.b.o.limit, 0, func() bool {
		time.Sleep(step)
		if !s.alive() {
			return true
		}
		t := time.Now()
		body, err := c.call(methodInfo)
		// Asking must not become the load: at most a quarter of the time.
		step = max(time.Millisecond, 3*time.Since(t))
		if last = err; err != nil {
			return false
		}
		got = strings.Count(string(body), "<string>RUNNING</string>")
		return got == n
	})
	switch {
	case !s.alive():
		return fmt.Errorf("the daemon ended: %s", s.console())
	case !ok && last != nil:
		return fmt.Errorf("no answer: %w", last)
	case !ok:
		return fmt.Errorf("%d of %d RUNNING after %v", got, n, s.b.o.limit)
	}
	return nil
}

// up starts the daemon and waits for its programs.
func (s *session) up(n int) error {
	if err := s.start(); err != nil {
		return err
	}
	return s.running(n)
}

// console is the end of what the daemon said.
func (s *session) console() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "console"))
	text := strings.TrimSpace(string(b))
	return text[max(0, len(text)-300):]
}

// ctl runs supervisorctl; its exit status is no error when it ran.
func (s *session) ctl(ctx context.Context, args ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.b.o.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.sys.Ctl, append([]string{"-c", s.conf}, args...)...)
	cmd.Env = append(os.Environ(), s.b.mark)
	t := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(t)
	s.said = out
	if ctx.Err() != nil {
		return took, fmt.Errorf("supervisorctl %s: not back after %v", strings.Join(args, " "), took)
	}
	if err != nil && cmd.ProcessState == nil {
		return took, err
	}
	if strings.Contains(string(out), "ERROR") || strings.Contains(string(out), "refused") {
		return took, fmt.Errorf("supervisorctl %s: %.200s", strings.Join(args, " "), out)
	}
	return took, nil
}

// shutdown sends TERM and returns the time until the daemon and every program are gone.
func (s *session) shutdown() (time.Duration, error) {
	family := descendants(s.pid(), processes())
	t := time.Now()
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-s.ended:
	case <-time.After(s.b.o.limit):
		return time.Since(t), fmt.Errorf("still there %v after TERM", s.b.o.limit)
	}
	gone := until(s.b.o.limit, time.Millisecond, func() bool {
		reapOrphans(family, s.pid())
		for _, p := range family {
			if now, ok := readStat(p.pid); ok && now.name == p.name && !now.zombie {
				return false
			}
		}
		return true
	})
	if !gone {
		return time.Since(t), fmt.Errorf("programs survived the shutdown")
	}
	return time.Since(t), nil
}

// reapOrphans buries those of family that were handed to us; the daemon itself is waited for elsewhere.
func reapOrphans(family []process, daemon int) {
	for _, p := range family {
		if p.pid != daemon {
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil) // not ours: ECHILD
		}
	}
}

// end makes sure that nothing of the session is left. What is not measured need not be orderly: an ordered
// shutdown takes the original up to a minute.
func (s *session) end() {
	if s.cmd != nil && s.cmd.Process != nil {
		var family []process
		if s.alive() {
			family = descendants(s.pid(), processes())
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
		for _, p := range family {
			if now, ok := readStat(p.pid); ok && p.pid != s.pid() && now.name == p.name {
				_ = unix.Kill(p.pid, unix.SIGKILL)
			}
		}
		reapOrphans(family, s.pid())
	}
	endMarked(s.b.mark)
	os.RemoveAll(s.dir)
}
