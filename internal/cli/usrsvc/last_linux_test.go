package usrsvc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLastGood: whatever becomes of the files, a daemon that begins anew runs what was in force last in the place of what cannot
// be used, says so, and what runs can be seen and stopped.
func TestLastGood(t *testing.T) {
	t.Parallel()
	const good = "[Main]\npidfile = {}/d.pid\nusrsvcd_stdout = {}/d.log\nconfig_dir = {}/cfg\n[Program:one]\ncommand = /bin/sleep {n}1\n"
	const three = "[Program:three]\ncommand = /bin/sleep {n}3\n"
	s := newSite(t, good)
	s.write("cfg/three.cfg", three)
	s.want("usrsvcd start", Success)
	s.runs("three")
	main := filepath.Join(s.home, "usrsvc.cfg")
	for name, tt := range map[string]struct {
		main, three string
		all         Code // of status all
	}{
		"a folder":         {"", three, Success},
		"no text":          {"\xff\xfe[\x00", three, Success},
		"nothing in it":    {"\n", three, InvalidConfig},
		"no other files":   {strings.Replace(good, "{}/cfg", "cfg", 1), three, InvalidConfig},
		"a broken program": {good, three + "enabled = perhaps\n", Success},
		"a broken file":    {good, "[Program:three\n", InvalidConfig},
	} {
		s.powerCut()
		if err := os.Remove(main); err != nil {
			t.Fatal(err)
		}
		s.write("cfg/three.cfg", tt.three)
		switch name {
		case "a folder":
			s.write("usrsvc.cfg/x", "")
		case "no text":
			if err := os.WriteFile(main, []byte(tt.main), 0o600); err != nil {
				t.Fatal(err)
			}
		default:
			s.write("usrsvc.cfg", tt.main)
		}
		if out := s.want("usrsvcd checkconfig", InvalidConfig); !strings.Contains(out, "a start of usrsvcd takes the last good configuration") {
			t.Errorf("%s: %s", name, out)
		}
		if out := s.want("usrsvcd start", Success); !strings.Contains(out, "WARNING: ") || strings.Contains(out, "stale socket") {
			t.Errorf("%s: %s", name, out)
		}
		s.runs("one")
		s.runs("three")
		if out := s.want("usrsvcd status", Success); !strings.Contains(out, "what was good last is in force") {
			t.Errorf("%s: %s", name, out)
		}
		if out := s.want("usrsvcd checkconfig", InvalidConfig); !strings.Contains(out, "goes on with the last good configuration") {
			t.Errorf("%s: %s", name, out)
		}
		if out := s.want("usrsvc status all", tt.all); !strings.Contains(out, "three is running") {
			t.Errorf("%s: %s", name, out)
		}
		s.want("usrsvc restart three", InvalidConfig)
		s.want("usrsvc stop three", Success)
		if len(s.processes("sleep "+s.n+"3")) != 0 || s.read("d.pid") == "" || !strings.Contains(s.read("d.log"), "spawned: 'three'") {
			t.Errorf("%s: it is not as it was", name)
		}
		if err := os.RemoveAll(main); err != nil {
			t.Fatal(err)
		}
		if out := s.want("usrsvc status one", Success); !strings.Contains(out, "the last good one is in force") {
			t.Errorf("%s: %s", name, out)
		}
		s.write("usrsvc.cfg", good)
		s.write("cfg/three.cfg", three)
		if out := s.want("usrsvcd reread", Success); strings.Contains(out, "WARNING") {
			t.Error(out)
		}
		s.want("usrsvc start three", Success)
		if out := s.want("usrsvcd status", Success); strings.Contains(out, "WARNING") {
			t.Error(out)
		}
	}
	s.powerCut()
	if err := os.Remove(main); err != nil {
		t.Fatal(err)
	}
	s.want("usrsvcd start", InvalidConfig) // it was taken away: nothing is to run
	if left := s.processes(s.sleeps()); len(left) != 0 {
		t.Errorf("%d programs were started", len(left))
	}
}

// powerCut ends the daemon and all programs at once.
func (s *site) powerCut() {
	s.t.Helper()
	daemon := "--config=" + filepath.Join(s.home, "usrsvc.cfg")
	s.until("nothing is left", func() bool { // one of its processes may begin another one meanwhile
		pids := append(s.everything(daemon), s.processes(s.sleeps())...)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(pids) == 0
	})
}

// everything are the processes whose command line contains a text.
func (s *site) everything(text string) (pids []int) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.Contains(string(line), text) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestNotSeen: while mistakes may hide programs, what is asked of all is not called a success, and what there is of mistakes is
// told.
func TestNotSeen(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\nconfig_dir = cfg\n[Program:one]\ncommand = /bin/sleep {n}1\n")
	for _, line := range []string{"usrsvc start all", "usrsvc status all", "usrsvc stop o*"} {
		if out := s.want(line, InvalidConfig); !strings.Contains(out, "config_dir: ") {
			t.Errorf("%s: %s", line, out)
		}
	}
	s.want("usrsvc start one", Success)
	s.write("usrsvc.cfg", "")
	if out := s.want("usrsvc start all", InvalidConfig); !strings.Contains(out, "there are no programs") {
		t.Error(out)
	}
	if out := s.want("usrsvc stop one", Success); !strings.Contains(out, "terminated") {
		t.Error(out)
	}
}

// TestHalfWritten: from a file that somebody is writing nothing is concluded.
func TestHalfWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\nconfig_dir = {}/cfg\n")
	s.write("cfg/one.cfg", "[Program:one]\ncommand = /bin/sleep {n}1\n")
	s.want("usrsvcd start", Success)
	s.runs("one")
	f, err := os.Create(filepath.Join(s.home, "cfg/one.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
				_, _ = f.WriteString("#\n") // where nobody can tell who writes, a change tells it
				time.Sleep(time.Millisecond)
			}
		}
	}()
	out := s.want("usrsvcd reread", InvalidConfig)
	known := s.known("one")
	close(over)
	<-ended
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !known || !strings.Contains(out, "one.cfg: it is being written") {
		t.Errorf("it is known: %v\n%s", known, out)
	}
	if out := s.want("usrsvcd reread", Success); !strings.Contains(out, "1 program has changed\n  one: not managed any more") || s.known("one") {
		t.Error(out)
	}
}

// TestWithoutFile: what was configured once is stopped without a daemon, too, when the main file is gone, and stays so.
func TestWithoutFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:one]\ncommand = /bin/sleep {n}1\n[Program:bad]\ncommand = /bin/false\nrestart_delay = 100000\n")
	s.want("usrsvcd start", Success)
	s.runs("one")
	s.want("usrsvcd stop", Success)
	main := filepath.Join(s.home, "usrsvc.cfg")
	if err := os.Rename(main, main+".old"); err != nil {
		t.Fatal(err)
	}
	s.want("usrsvc stop all", Success)
	if found := s.processes(s.sleeps()); len(found) != 0 {
		t.Errorf("%d run", len(found))
	}
	s.want("usrsvcd start", InvalidConfig)
	if err := os.Rename(main+".old", main); err != nil {
		t.Fatal(err)
	}
	s.want("usrsvcd start", Success)
	s.want("usrsvc status one", GeneralFailure)
}

// TestRestartThatCannotBe: what could not be started again is not ended for it.
func TestRestartThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:one]\ncommand = /bin/sleep {n}1\n")
	s.want("usrsvc start one", Success)
	pid := s.pid("one")
	if err := os.Remove(filepath.Join(s.home, "one.log")); err != nil {
		t.Fatal(err)
	}
	s.write("one.log/x", "")
	s.want("usrsvc restart one", InsufficientPermissions)
	if s.pid("one") != pid {
		t.Error("it was ended")
	}
}
