package usrsvc

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const two = `[Main]
pidfile = {}/d.pid
usrsvcd_stdout = {}/d.log
usrsvcd_stderr = {}/err.log
config_dir = {}/cfg

[Program:one]
command = /bin/sleep {n}1
restart_delay = 0
[Program:off]
command = /bin/sleep {n}2
autostart = false
`

// daemon is the pid of usrsvcd, 0 = it does not run.
func (s *site) daemon() int {
	s.t.Helper()
	if o := s.outcome("usrsvcd status"); o.Process != nil {
		return o.Process.PID
	}
	return 0
}

// TestDaemon: it starts what starts by itself, keeps alive what runs, and leaves everything alone when it ends, however it
// does.
func TestDaemon(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	if out := s.want("usrsvcd", Success); !strings.Contains(out, "Started usrsvcd:") {
		t.Error(out)
	}
	daemon := s.daemon()
	if s.read("d.pid") != strconv.Itoa(daemon)+"\n" {
		t.Errorf("its pid file has %q, it is %d", s.read("d.pid"), daemon)
	}
	if out := s.want("usrsvcd start", UsrsvcdAlreadyRunning); !strings.Contains(out, strconv.Itoa(daemon)) {
		t.Error(out)
	}
	one := s.runs("one")
	if s.pid("off") != 0 {
		t.Error("what does not start by itself was started")
	}
	s.killed("one", one)
	s.want("usrsvc start off", Success)
	before := []int{s.pid("one"), s.pid("off")}
	same := func(when string) {
		t.Helper()
		if now := []int{s.pid("one"), s.pid("off")}; now[0] != before[0] || now[1] != before[1] {
			t.Fatalf("%s: %d run, it was %d", when, now, before)
		}
	}
	s.want("usrsvcd stop", Success)
	if s.daemon() != 0 || lives(daemon) {
		t.Error("it runs on")
	}
	if _, err := os.Stat(filepath.Join(s.home, "d.pid")); err == nil {
		t.Error("its pid file is left")
	}
	same("after its stop")
	s.want("usrsvcd start", Success)
	same("after its start")
	s.want("usrsvcd restart", Success)
	same("after its restart")
	sys, err := s.client().System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{sys.PID, sys.Manager} { // all of it at once
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	s.until("it is gone", func() bool { return !lives(sys.PID) && !lives(sys.Manager) })
	s.until("it can begin anew", func() bool {
		_, _, code := s.run("usrsvcd start")
		return code == Success || code == UsrsvcdAlreadyRunning
	})
	same("after it was killed")
	s.killed("one", before[0])
	if log := s.read("err.log"); !strings.Contains(log, "exited: one") || strings.Contains(log, " INFO ") {
		t.Errorf("the log of trouble has %q", log)
	}
	if log := s.read("d.log"); !strings.Contains(log, "spawned: 'one'") {
		t.Errorf("its log has %q", log)
	}
}

// TestStopStays: what a person has stopped is not started again by a daemon, whenever it is looked at, until a person starts
// it; so it is with what the tool has stopped before there was a daemon.
func TestStopStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	s.want("usrsvcd start", Success)
	s.runs("one")
	s.want("usrsvc stop one", Success)
	s.want("usrsvcd restart", Success)
	s.want("usrsvcd reread", Success)
	p, err := s.client().Process(t.Context(), "one")
	if err != nil || p.State != "STOPPED" {
		t.Errorf("%+v %v", p, err)
	}
	s.want("usrsvc start one", Success)
	s.killed("one", s.pid("one"))
	s.want("usrsvcd stop", Success)
	s.want("usrsvc stop one", Success)
	s.want("usrsvcd start", Success)
	if p, err = s.client().Process(t.Context(), "one"); err != nil || p.State != "STOPPED" {
		t.Errorf("%+v %v", p, err)
	}
}

// TestStopOfWhatIsDown: a stop counts although nothing runs at this moment, with a daemon and without: what waits to be tried
// again, what has ended meanwhile and what has never run is not started by the next daemon. A start and a restart end that.
func TestStopOfWhatIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:bad]\ncommand = {}/bad\nsuccess_seconds = 5\nrestart_delay = 100000\n[Program:gone]\ncommand = /bin/sleep {n}1\n[Program:later]\ncommand = /bin/sleep {n}2\nautostart = false\n")
	s.write("bad", "#!/bin/sh\ntest -e {}/good && exec sleep {n}3\n")
	state := func(name, want string) {
		t.Helper()
		c := s.client()
		defer c.Close()
		s.until(name+" is "+want, func() bool { p, err := c.Process(t.Context(), name); return err == nil && p.State == want })
	}
	s.want("usrsvcd start", Success)
	state("bad", "BACKOFF")
	for _, with := range []bool{true, false} {
		gone := s.runs("gone")
		if !with {
			s.want("usrsvcd stop", Success)
			s.kill(gone)
		}
		for _, name := range []string{"bad", "later"} {
			if out := s.want("usrsvc stop "+name, Success); !strings.Contains(out, name+" is not running, no action") {
				t.Error(out)
			}
		}
		if !with {
			s.want("usrsvc stop gone", Success)
		}
		s.want("usrsvcd restart", Success)
		state("bad", "STOPPED")
		if !with {
			s.want("usrsvc status gone", GeneralFailure)
			break
		}
		s.want("usrsvc start bad", ProgramFailedToLaunch)
		state("bad", "BACKOFF")
	}
	s.write("good", "")
	for _, line := range []string{"usrsvc start bad", "usrsvc restart gone"} {
		s.want("usrsvcd stop", Success)
		s.want(line, Success)
		s.want("usrsvcd start", Success)
	}
	s.runs("bad")
	s.runs("gone")
}

// TestWithoutItsFiles: where somebody deletes the daemon's folder, no second daemon begins beside it, by whatever command; it
// can be ended and replaced, and the programs run on. A daemon of another configuration is nobody's in this.
func TestWithoutItsFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(two, "{}/d.log", "{}/x.log", 1))
	s.want("usrsvcd start", Success)
	daemon, one := s.daemon(), s.runs("one")
	if err := os.RemoveAll(filepath.Join(s.home, "r")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"usrsvcd start", "usrsvcd --foreground", "usrsvcd status", "usrsvc start off", "usrsvc stop one"} {
		if out := s.want(line, UsrsvcdAlreadyRunning); !strings.Contains(out, strconv.Itoa(daemon)) {
			t.Errorf("%s: %s", line, out)
		}
	}
	s.write("other.cfg", strings.NewReplacer("config_dir", "#", "{n}", "{n}9", "{}/d.log", "{}/other.log").Replace(two))
	s.want("usrsvcd start -c "+filepath.Join(s.home, "other.cfg"), Success)
	s.want("usrsvcd stop -c "+filepath.Join(s.home, "other.cfg"), Success)
	if s.pid("one") != one || !lives(daemon) {
		t.Fatal("something was ended")
	}
	s.write("d.pid", strconv.Itoa(daemon)+"\n") // the other one has taken it away
	s.want("usrsvcd restart", Success)
	if lives(daemon) || s.daemon() == 0 {
		t.Error("it was not replaced")
	}
	if s.runs("one") != one {
		t.Error("the program was started anew")
	}
	s.want("usrsvc stop one", Success)
}

// TestStatusOfWhatIsLeft: a program that runs on after its daemon is seen without one, also when its command line is not that of
// its command; what has ended is not, whatever has its pid.
func TestStatusOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:one]\ncommand = echo one; exec sleep {n}1\nuseshell = 1\n[Program:two]\ncommand = /bin/sleep {n}2\n")
	s.want("usrsvcd start", Success)
	one, two := s.runs("one"), s.runs("two")
	s.want("usrsvcd stop", Success)
	if pid := s.pid("one"); pid != one {
		t.Errorf("it is %d, and %d is seen", one, pid)
	}
	s.kill(one)
	s.write("one.pid", strconv.Itoa(two)+"\n")
	if pid := s.pid("one"); pid != 0 {
		t.Errorf("it has ended, and %d is seen", pid)
	}
}

// TestSeenRunning: what does not start by itself is kept alive once somebody has started it, by whatever means.
func TestSeenRunning(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	s.want("usrsvcd start", Success)
	hand := s.byHand("/bin/sleep", s.n+"2")
	client := s.client()
	defer client.Close()
	s.until("it is captured", func() bool {
		p, err := client.Process(t.Context(), "off")
		return err == nil && p.PID != nil && *p.PID == hand
	})
	s.killed("off", hand)
}

// TestReread: the configuration can be changed at any time. What runs is not touched, and what is wrong changes nothing.
func TestReread(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	s.want("usrsvcd reread", Success) // nobody is there to do it
	s.want("usrsvcd start", Success)
	one := s.runs("one")
	s.write("cfg/three.cfg", "[Program:three]\ncommand = /bin/sleep {n}3\n")
	s.want("usrsvcd checkconfig", Success)
	if s.known("three") {
		t.Error("a check has changed something")
	}
	s.want("usrsvcd reread", Success)
	three := s.runs("three")

	changed := strings.Replace(two, "{n}1", "{n}11", 1)
	s.write("usrsvc.cfg", changed)
	s.want("usrsvcd reread", Success)
	if s.pid("one") != one {
		t.Error("a changed program was restarted")
	}
	s.want("usrsvc restart one", Success)
	if found := s.processes("sleep " + s.n + "11"); len(found) != 1 || lives(one) {
		t.Errorf("%d run with the new command", len(found))
	}

	one = s.pid("one")
	for _, bad := range []string{"[Program:four]\ncommand = /bin/sleep {n}4\nsuccess_seconds = x\n", "[Program:four\n", "[Program:one]\ncommand = x\n"} {
		s.write("cfg/four.cfg", bad)
		s.write("cfg/five.cfg", "[Program:five]\ncommand = /bin/sleep {n}5\n")
		for _, line := range []string{"usrsvcd reread", "usrsvcd restart", "usrsvcd checkconfig"} {
			if out := s.want(line, InvalidConfig); !strings.Contains(out, "four.cfg:") {
				t.Errorf("%s: %s", line, out)
			}
		}
		if s.pid("one") != one || s.pid("three") != three || s.known("five") || s.daemon() == 0 {
			t.Errorf("%q has changed something", bad)
		}
	}
	daemon := s.daemon()
	said := strings.Count(s.read("d.log"), "the configuration is not applied")
	for i, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP} {
		if err := syscall.Kill(daemon, sig); err != nil {
			t.Fatal(err)
		}
		s.until("it refuses", func() bool { return strings.Count(s.read("d.log"), "the configuration is not applied") == said+i+1 })
	}
	if s.known("five") {
		t.Error("a bad configuration has changed something")
	}
	if err := os.Remove(filepath.Join(s.home, "cfg/four.cfg")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.home, "cfg/three.cfg")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(daemon, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	s.runs("five")
	s.until("what is gone is not managed", func() bool { return !s.known("three") })
	if !lives(three) || s.daemon() != daemon {
		t.Error("what is not configured any more was ended")
	}
}

// known reports whether the daemon has a program.
func (s *site) known(name string) bool {
	c := s.client()
	defer c.Close()
	_, err := c.Process(s.t.Context(), name)
	return err == nil
}

// TestBrokenStart: a program that cannot be used keeps no other from being started with the daemon.
func TestBrokenStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	s.write("cfg/bad.cfg", "[Program:bad]\ncommand = /bin/sleep {n}9\nenabled = perhaps\n")
	if out := s.want("usrsvcd start", Success); !strings.Contains(out, "bad.cfg:") {
		t.Error(out)
	}
	s.runs("one")
	s.want("usrsvc start bad", InvalidConfig)
	s.want("usrsvc restart one", Success)
	s.want("usrsvcd status", Success)
	s.want("usrsvcd stop", Success)
}

// TestDaemonPermissions: a start that cannot work says why, and does not pretend.
func TestDaemonPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t, strings.Replace(two, "{}/d.log", "{}/folder", 1))
	s.write("folder/x", "")
	s.want("usrsvcd start", InsufficientPermissions)
	s.write("usrsvc.cfg", strings.Replace(two, "{}/d.pid", "{}/no/folder/d.pid", 1))
	s.want("usrsvcd start", InsufficientPermissions)
	s.want("usrsvcd status", GeneralFailure)
	if found := s.processes(s.sleeps()); len(found) != 0 {
		t.Errorf("%d programs were started", len(found))
	}
}

// TestForeground: an init system has it in the foreground, and asks it to end by TERM.
func TestForeground(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	s.want("usrsvc start off", Success) // what watches makes room
	off := s.pid("off")
	cmd := s.command("usrsvcd --foreground")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("it works", func() bool { return s.daemon() == cmd.Process.Pid })
	one := s.runs("one")
	s.want("usrsvcd --foreground", UsrsvcdAlreadyRunning)
	// The process that the init system knows is killed alone; the one that it starts in its place is the daemon then.
	s.kill(cmd.Process.Pid)
	_ = cmd.Wait()
	cmd = s.command("usrsvcd --foreground")
	said, err := os.Create(filepath.Join(s.home, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.until("it works again", func() bool {
		if !lives(cmd.Process.Pid) {
			t.Fatalf("it has ended: %v, %s", cmd.Wait(), s.read("said"))
		}
		return s.daemon() == cmd.Process.Pid
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !lives(one) || !lives(off) || s.pid("one") != one || s.pid("off") != off {
		t.Error("the programs have ended with it")
	}
}

// TestMail: whoever is to be told hears of what comes by itself, and not of what a person does nor without usrsvcd.
func TestMail(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\nsendmail_path = {}/sendmail\n[Program:one]\ncommand = /bin/sleep {n}1\nemail_alerts = ops@example.org\nrestart_delay = 0\n")
	s.write("sendmail", "#!/bin/sh\ncat >>{}/mail.$$ && mv {}/mail.$$ {}/mail\n")
	s.want("usrsvc start one", Success)
	s.kill(s.pid("one"))
	s.until("its end is known", func() bool { return s.pid("one") == 0 })
	s.want("usrsvc start one", Success)
	s.want("usrsvc restart one", Success)
	if mail := s.read("mail"); mail != "" {
		t.Errorf("there is mail about what a person does: %s", mail)
	}
	s.want("usrsvcd start", Success)
	old := s.pid("one")
	s.kill(old)
	s.until("there is mail", func() bool { return strings.Contains(s.read("mail"), "To: ops@example.org") })
	if mail := s.read("mail"); !strings.Contains(mail, "\n  usrsvc status one\n") || strings.Contains(mail, "upkeep why") {
		t.Errorf("it does not say of what, or how to see more: %s", mail)
	}
}

// TestMonitor: a program whose file of signs of life is missing is started anew; without usrsvcd it is left alone.
func TestMonitor(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:one]\ncommand = /bin/sleep {n}1\nrestart_delay = 0\n[[Monitor]]\nmonitor_after = 0\nactivityfile = {}/alive\n")
	s.want("usrsvcd start", Success)
	old := s.runs("one")
	s.until("it is started anew", func() bool { pid := s.pid("one"); return pid != 0 && pid != old })
	if lives(old) {
		t.Error("there are two")
	}
	p, err := s.client().Process(t.Context(), "one")
	if err != nil || p.Run < 2 {
		t.Errorf("%+v %v", p, err)
	}
}

// TestWhileItComesAndGoes: a command that meets a daemon which begins or ends is carried out by the next one, and no command
// keeps a daemon from beginning.
func TestWhileItComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if out, errs, code := s.run("usrsvc restart one"); code != Success {
				t.Errorf("restart: %s\n%s%s", code, out, errs)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	for range 6 {
		s.want("usrsvcd start", Success)
		s.want("usrsvcd stop", Success)
	}
	close(over)
	<-ended
	if found := s.processes("sleep " + s.n + "1"); len(found) != 1 {
		t.Errorf("%d run", len(found))
	}
}

// TestAskedInItsLastMoment: a daemon that ends while it is asked is no answer; then there is none, and another one begins.
func TestAskedInItsLastMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	socket := s.place().Socket
	for _, tt := range []struct {
		line string
		want Code
	}{{"usrsvcd status", GeneralFailure}, {"usrsvcd stop", Success}, {"usrsvc status one", GeneralFailure}, {"usrsvcd start", Success}} {
		if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan int)
		go func() {
			n := 0
			for range 3 {
				if c, err := l.Accept(); err == nil {
					n++
					c.Close()
				}
			}
			l.Close()
			asked <- n
		}()
		s.want(tt.line, tt.want)
		l.Close()
		if n := <-asked; n != 3 {
			t.Errorf("%s: asked %d times", tt.line, n)
		}
	}
}

// TestNotOurs: who asks for the daemon of somebody else, or has no place for its files, is told what is wrong.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t, two)
	if os.Getuid() == 0 {
		t.Skip("nothing is closed to root")
	}
	if err := os.Mkdir(filepath.Join(s.home, "r"), 0); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"usrsvcd status", "usrsvc start one", "usrsvc status one"} {
		if out := s.want(line, InsufficientPermissions); !strings.Contains(out, "HOME may not be that of this account") {
			t.Errorf("%s: %s", line, out)
		}
	}
}
