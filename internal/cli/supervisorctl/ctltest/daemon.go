package ctltest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Daemon is a running supervisord with Config in a directory of its own.
type Daemon struct {
	Dir  string
	Port int
}

// patience bounds every wait.
const patience = 2 * time.Minute

// Start runs a supervisord for the length of a test. Paths are kept short, because those of unix sockets
// are limited to 107 bytes.
func Start(t *testing.T, command ...string) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := &Daemon{Dir: dir, Port: freePort(t)}
	d.Write(t, map[string]string{"s.conf": Config})
	var out bytes.Buffer
	cmd := exec.Command(command[0], append(command[1:], "-c", filepath.Join(dir, "s.conf"))...)
	cmd.Env = append(os.Environ(), "UPKEEP_ROOT="+filepath.Join(dir, "upkeep"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		log, _ := os.ReadFile(filepath.Join(dir, "s.log"))
		said := func(name string) bool { text, _ := os.ReadFile(filepath.Join(dir, name)); return len(text) > 0 }
		// The last program in the start order that ends by itself says that everything is up.
		if strings.Contains(string(log), "exited: quick") && strings.Contains(string(log), "success: web_02") && said("echo.log") && said("err.log") {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("the daemon did not come up; it said:\n%s\nand logged:\n%s", out.String(), log)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Expand replaces {dir} and {port}.
func (d *Daemon) Expand(s string) string {
	return strings.NewReplacer("{dir}", d.Dir, "{port}", strconv.Itoa(d.Port)).Replace(s)
}

// Write writes files as Line.Files says.
func (d *Daemon) Write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(d.Dir, name)
		var err error
		if text == "" {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, []byte(d.Expand(text)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Args are the arguments of a line for this daemon.
func (d *Daemon) Args(l *Line) []string {
	var out []string
	if !l.Bare {
		out = append(out, "-c", filepath.Join(d.Dir, "s.conf"))
	}
	for _, a := range l.Args {
		out = append(out, d.Expand(a))
	}
	return out
}

// Result is what a run did.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// String shows everything.
func (r Result) String() string {
	return fmt.Sprintf("%s--- stderr\n%s--- status %d\n", r.Stdout, r.Stderr, r.Status)
}

// Runner runs a command line.
type Runner func(args []string, stdin string) Result

// Program is a Runner for an executable.
func Program(t *testing.T, command ...string) Runner {
	return func(args []string, stdin string) Result {
		t.Helper()
		cmd := exec.Command(command[0], append(command[1:], args...)...)
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "COLUMNS=80")
		cmd.Dir = "/"
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}
}

// Run runs a line, as often as it says.
func (d *Daemon) Run(t *testing.T, l *Line, run Runner) Result {
	t.Helper()
	d.Write(t, l.Files)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r := run(d.Args(l), d.Expand(l.Stdin))
		if l.Until == "" || strings.Contains(r.Stdout, l.Until) {
			r = Result{d.Comparable(r.Stdout), d.Comparable(r.Stderr), r.Status}
			if l.Unordered {
				lines := strings.SplitAfter(r.Stdout, "\n")
				slices.Sort(lines)
				r.Stdout = strings.Join(lines, "")
			}
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q never said %q but\n%s", l.Args, l.Until, r)
		}
	}
}

// volatile is what differs between two runs of the same thing.
var volatile = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`pid \d+`), "pid PID"},
	{regexp.MustCompile(`uptime (\d+ days, )?\d+:\d\d:\d\d`), "uptime TIME"},
	{regexp.MustCompile(`[A-Z][a-z][a-z] \d\d \d\d:\d\d [AP]M`), "DATE"},
	{regexp.MustCompile(`(?m)^[1-9]\d*$`), "PID"},
}

// Comparable replaces process numbers, times, the directory and the port.
func (d *Daemon) Comparable(s string) string {
	s = strings.ReplaceAll(s, d.Dir, "{dir}")
	s = strings.ReplaceAll(s, "127.0.0.1:"+strconv.Itoa(d.Port), "127.0.0.1:{port}")
	for _, v := range volatile {
		s = v.what.ReplaceAllString(s, v.with)
	}
	return s
}
