package supervisorctl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the command itself, for tests that need a process on a terminal.
func TestMain(m *testing.M) {
	if os.Getenv("BE_SUPERVISORCTL") != "" {
		os.Exit(Main("supervisorctl", os.Args[1:]))
	}
	os.Exit(m.Run())
}

// openPTY makes a pseudo terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals: %v", err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if cerr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
		if err == nil {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	return master, slave
}

// sitting is a person at a terminal.
type sitting struct {
	*screen
	master *os.File
	ended  chan error
}

// sit runs the command on a terminal of its own.
func sit(t *testing.T, args ...string) *sitting {
	t.Helper()
	master, slave := openPTY(t)
	defer slave.Close()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_SUPERVISORCTL=1", "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sitting{newScreen(), master, make(chan error, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.Write(buf[:n])
			if err != nil { // the last process has closed its side
				s.ended <- cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return s
}

func (s *sitting) kind(t *testing.T, text string) {
	t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// leaves waits for the end and expects a status.
func (s *sitting) leaves(t *testing.T, status int) {
	t.Helper()
	select {
	case err := <-s.ended:
		got := 0
		if e, ok := err.(*exec.ExitError); ok {
			got = e.ExitCode()
		}
		if got != status {
			t.Errorf("status %d, want %d; the screen:\n%q", got, status, s.String())
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("the command never ended; the screen:\n%q", s.String())
	}
}

func someServer(t *testing.T) (*fakeServer, string) {
	f, url := newFake(t, map[string][]any{
		"getAllProcessInfo":    {[]any{running("cat"), program("grp", "a", 20, "RUNNING", 8, "pid 8"), program("grp", "b", 20, "RUNNING", 9, "pid 9")}},
		"getSupervisorVersion": {"4.3.0"}, "getProcessInfo": {running("cat")}, "sendProcessStdin": {true},
		"startProcess": {fault(60, "ALREADY_STARTED")}, "stopProcess": {true},
	})
	f.hold = true
	f.streams = map[string]string{"/logtail/cat/stdout": "a log line\n", "/mainlogtail": "main\n"}
	return f, url
}

func TestTerminalCompletion(t *testing.T) {
	_, url := someServer(t)
	s := sit(t, "-s", url)
	s.expect(t, "supervisor> ")
	s.kind(t, "vers\t")
	s.expect(t, "version ")
	s.kind(t, "\r")
	s.expect(t, "4.3.0\r\nsupervisor> ")
	s.kind(t, "start ca\t\r")
	s.expect(t, "cat: ERROR (already started)\r\nsupervisor> ")
	s.kind(t, "stop gr\t\t")
	s.expect(t, "grp:* ")
	s.expect(t, "grp:b ")
	s.kind(t, "b\t\r")
	s.expect(t, "grp:b: stopped\r\nsupervisor> ")
	s.kind(t, "\x04")
	s.leaves(t, 0)
}

func TestTerminalInterruptAtPrompt(t *testing.T) {
	_, url := someServer(t)
	s := sit(t, "-s", url)
	s.expect(t, "supervisor> ")
	s.kind(t, "half a li\x03")
	s.leaves(t, 0)
}

// The history of one sitting is there in the next, and nobody else can read it.
func TestTerminalHistory(t *testing.T) {
	_, url := someServer(t)
	file := filepath.Join(t.TempDir(), "history")
	s := sit(t, "-s", url, "-r", file)
	s.expect(t, "supervisor> ")
	s.kind(t, "help version\r")
	s.expect(t, "Show the version of the remote supervisord process\r\nsupervisor> ")
	s.kind(t, "exit\r")
	s.leaves(t, 0)
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "help version\nexit\n" {
		t.Fatalf("history %q, %v", text, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	s = sit(t, "-s", url, "-r", file)
	s.expect(t, "supervisor> ")
	s.kind(t, "\x1b[A\x1b[A\r")
	s.expect(t, "Show the version of the remote supervisord process\r\nsupervisor> ")
	s.kind(t, "\x04")
	s.leaves(t, 0)
}

// In fg the terminal echoes, lines reach the program, and Ctrl-C returns to an editor that works.
func TestTerminalForeground(t *testing.T) {
	f, url := someServer(t)
	s := sit(t, "-s", url)
	s.expect(t, "supervisor> ")
	s.kind(t, "fg cat\r")
	s.expect(t, "a log line\r\n")
	s.kind(t, "hello\n")
	s.expect(t, "hello\r\n") // by the terminal itself
	awaitCall(t, f, "sendProcessStdin cat hello\n")
	s.kind(t, "\x03")
	s.expect(t, "^CExiting foreground\r\nsupervisor> ")
	s.kind(t, "version\r")
	s.expect(t, "4.3.0\r\nsupervisor> ")
	s.kind(t, "fg cat\r")
	s.expect(t, "fg cat\r\n==> Press Ctrl-C to exit <==\r\n")
	s.kind(t, "\x04")
	s.expect(t, "Exiting foreground\r\nsupervisor> ")
	s.kind(t, "quit\r")
	s.leaves(t, 0)
}

func TestTerminalFollow(t *testing.T) {
	_, url := someServer(t)
	s := sit(t, "-s", url)
	s.expect(t, "supervisor> ")
	s.kind(t, "tail -f cat\r")
	s.expect(t, "a log line\r\n")
	s.kind(t, "\x03")
	s.expect(t, "^C\r\nsupervisor> ")
	s.kind(t, "version\r")
	s.expect(t, "4.3.0\r\nsupervisor> ")
	s.kind(t, "\x04")
	s.leaves(t, 0)

	s = sit(t, "-s", url, "maintail", "-f")
	s.expect(t, "main\r\n")
	s.kind(t, "\x03")
	s.leaves(t, 0)
	if !strings.HasSuffix(s.String(), "main\r\n^C\r\n") {
		t.Errorf("screen %q", s.String())
	}
	s = sit(t, "-s", url, "fg", "cat")
	s.expect(t, "a log line\r\n")
	s.kind(t, "\x03")
	s.leaves(t, 0)
}

// A password is never echoed.
func TestTerminalLogin(t *testing.T) {
	f, url := someServer(t)
	f.lock("u:sesame")
	s := sit(t, "-s", url)
	s.expect(t, "Username:")
	s.kind(t, "u\r")
	s.expect(t, "Password:")
	s.kind(t, "sesame\r")
	s.expect(t, "supervisor> ")
	s.kind(t, "shutdown\r")
	s.expect(t, "y/N? ")
	s.kind(t, "n\r")
	s.expect(t, "n\r\nsupervisor> ")
	s.kind(t, "\x04")
	s.leaves(t, 0)
	if strings.Contains(s.String(), "sesame") {
		t.Errorf("the password is on the screen:\n%q", s.String())
	}
}

func awaitCall(t *testing.T, f *fakeServer, call string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		for _, c := range f.noted() {
			if c == call {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q was never called, but %q", call, f.noted())
		}
	}
}
