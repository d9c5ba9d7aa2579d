package native

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// tape is an output that is looked at while it is written.
type tape struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *tape) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(b)
}

func (w *tape) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// following is a command that goes on until it is interrupted.
type following struct {
	t        *testing.T
	out, err tape
	end      context.CancelFunc
	status   chan int
}

func (u *user) follow(args ...string) *following {
	ctx, cancel := context.WithCancel(context.Background())
	f := &following{t: u.t, end: cancel, status: make(chan int, 1)}
	c := &command{
		version: "1.2.3", in: strings.NewReader(""), out: &f.out, err: &f.err, now: time.Now,
		environ: func(name string) string { return u.vars[name] },
	}
	go func() { f.status <- c.run(ctx, args) }()
	u.t.Cleanup(cancel)
	return f
}

// until waits for what is to be seen.
func until(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !seen(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not seen: " + what)
		}
	}
}

// interrupt is Ctrl-C.
func (f *following) interrupt() {
	f.t.Helper()
	f.end()
	select {
	case status := <-f.status:
		if status != statusInterrupted {
			f.t.Errorf("interrupted: status %d, %s", status, f.err.String())
		}
	case <-time.After(time.Minute):
		f.t.Fatal("it goes on after it was interrupted")
	}
}

// fails is a program that writes a line to both streams and ends with status 3, and is not tried again.
const fails = "[program:fails]\ncommand = sh -c 'echo out; echo err >&2; exit 3'\nstartsecs = 30\nstartretries = 0\nautostart = false\n"

// ticks is a program that counts.
const ticks = "[program:ticks]\ncommand = sh -c 'i=0; while :; do i=$((i+1)); echo $$ $i; sleep 0.02; done'\nautostart = false\nstop_reach = tree\n"

// TestLooking runs the verbs that look against a daemon.
func TestLooking(t *testing.T) {
	u := newUser(t)
	u.program("fails", fails)
	u.program("idle", "[program:idle]\ncommand = sleep 1000\nstartsecs = 0\n")
	if _, stderr, status := u.call("daemon", "start"); status != 0 {
		t.Fatal(stderr)
	}
	if _, _, status := u.call("start", "fails"); status != statusFailed {
		t.Errorf("a program that fails: status %d", status)
	}
	if stdout, stderr, status := u.call("logs", "fails"); stdout != "out\nerr\n" && stdout != "err\nout\n" || status != 0 {
		t.Errorf("logs: status %d, %q, %s", status, stdout, stderr)
	}
	u.play([]step{
		{"logs fails --stderr -n 1 --no-prefix", 0, "err\n", ""},
		{"logs fails -g ^o", 0, "out\n", ""},
		{"logs --stdout", 0, "fails │ out\n", ""},
		{"logs fails -n 0", 0, "", ""},
		{"logs fails -U yesterday", 0, "", ""},
		{"logs --state fatal --stdout -o template={{.ID}}:{{.Text}}", 0, "fails:out\n", ""},
		{"logs --state starting", 0, "", "no programs\n"},
		{"logs fails -n x", statusUsage, "", "\"x\" is no number of lines, and not \"all\"\n"},
		{"why idle -q", 0, "idle\n", ""},
		{"events idle -n 1 -o template={{.ID}}/{{.Text}}", 0, "idle/running, pid N\n", ""},
		{"events idle -S 0s", 0, "", "nothing has happened\n"},
		{"tree -q", 0, "fails\nidle\n", ""},
		{"tree idle -o 'template={{range .Tree}}{{.Command}}{{end}}'", 0, "sleep 1000\n", ""},
	})
	for _, c := range []struct {
		args   string
		status int
		want   []string
	}{
		{"why fails", 0, []string{"fails is FATAL: ", "exited with code 3", "last stderr line\n    err\n", "  upkeep events fails   upkeep logs fails\n"}},
		{"why", 0, []string{"fails is FATAL: "}},
		{"why idle", 0, []string{"idle is running for "}},
		{"why fails -o json", 0, []string{`"headline": `, `"timeline": `}},
		{"why nope", statusNoProgram, []string{`no program named nope`}},
		{"logs nope", statusNoProgram, []string{`no program named nope`}},
		{"events nope", statusNoProgram, []string{`no program named nope`}},
		{"tree nope", statusNoProgram, []string{`no program named nope`}},
		{"events fails", 0, []string{"fails   starting\n", "fails   given up\n"}},
		{"events", 0, []string{"upkeep  the daemon runs\n", "idle    running, pid N\n"}},
		{"events -S soon", statusUsage, []string{`"soon" is no time`}},
		{"tree", 0, []string{"● idle\n", "└─ sleep 1000\n", "✕ fails  fatal\n"}},
		{"logs --daemon", 0, []string{"spawned: 'fails' with pid N\n"}},
		{"status", statusNotRunning, []string{"fails  ✕ fatal", "2 programs: 1 running, 1 needs attention.   upkeep why fails\n"}},
		{"status --state running", 0, []string{"idle  ● running"}},
		{"status --group fails", statusNotRunning, []string{"1 program: 0 running"}},
	} {
		stdout, stderr, status := u.call(split(c.args)...)
		for _, w := range c.want {
			if status != c.status || !strings.Contains(stdout+stderr, w) {
				t.Errorf("%s: status %d, nothing of %q in\n%s%s", c.args, status, w, stdout, stderr)
			}
		}
	}
}

// TestAbsent: nothing that only looks starts a daemon.
func TestAbsent(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand = sleep 1000\n")
	u.write("logs/web.stdout.log", "hello\n")
	const nobody = "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n  1 program is defined. Start the daemon:  upkeep daemon start\n"
	u.play([]step{
		{"logs web", statusAbsent, "", nobody + "  The logs are files:  ~/logs/*.log\n"},
		{"logs -f", statusAbsent, "", nobody + "  The logs are files:  ~/logs/*.log\n"},
		{"logs --daemon", statusAbsent, "", nobody + "  The logs are files:  ~/logs/*.log\n"},
		{"why web", statusAbsent, "", nobody},
		{"events -f", statusAbsent, "", nobody},
		{"tree", statusAbsent, "", nobody},
		{"status", statusUnknown, "", nobody},
	})
}

// TestFollowing follows the logs and the events of a program while it is restarted, while the manager is killed and while the
// daemon is stopped and started again: no line is lost or given twice.
func TestFollowing(t *testing.T) {
	u := newUser(t)
	u.program("ticks", ticks)
	u.program("idle", "[program:idle]\ncommand = sleep 1000\n")
	if _, stderr, status := u.call("start", "ticks"); status != 0 {
		t.Fatal(stderr)
	}
	logs, events := u.follow("logs", "ticks", "-f", "-n", "all"), u.follow("events", "-f", "-n", "100")
	grows := func(what string) {
		t.Helper()
		had := len(logs.out.String())
		until(t, "lines "+what, func() bool { return len(logs.out.String()) > had+50 })
	}
	grows("at first")
	if _, stderr, status := u.call("restart", "ticks"); status != 0 {
		t.Fatal(stderr)
	}
	until(t, "the restart", func() bool { return strings.Contains(logs.out.String(), "── restarted (") })
	grows("after a restart")

	i, err := instance.Native(false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := i.Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Manager != s.PID { // there is a keeper
		p, err := os.FindProcess(s.Manager)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			t.Fatal(err)
		}
		until(t, "another manager", func() bool {
			again, err := i.Running(t.Context())
			return err == nil && again.Manager != s.Manager
		})
		grows("after the manager was killed")
	}
	if _, stderr, status := u.call("daemon", "stop", "--yes"); status != 0 {
		t.Fatal(stderr)
	}
	until(t, "that it is away", func() bool { return strings.Contains(logs.err.String(), "the daemon has gone away") })
	if _, stderr, status := u.call("start", "ticks"); status != 0 {
		t.Fatal(stderr)
	}
	grows("after the daemon was stopped")
	until(t, "the events of both daemons", func() bool { return strings.Count(events.out.String(), "upkeep  the daemon runs\n") >= 2 })
	if _, stderr, status := u.call("stop", "ticks"); status != 0 {
		t.Fatal(stderr)
	}
	want := lines(u.logged("ticks.stdout.log"))
	until(t, "the last line", func() bool { return strings.Contains(logs.out.String(), want[len(want)-1]+"\n") })
	logs.interrupt()
	events.interrupt()
	got := slices.DeleteFunc(lines(logs.out.String()), func(l string) bool { return strings.HasPrefix(l, "──") })
	if !slices.Equal(got, want) {
		t.Errorf("%d lines were written, %d seen; the first that differs: %s", len(want), len(got), differing(want, got))
	}
	checkCounting(t, got)
}

// logged is the whole text of a log.
func (u *user) logged(name string) string {
	b, err := os.ReadFile(filepath.Join(u.root, "logs", name))
	if err != nil {
		u.t.Fatal(err)
	}
	return string(b)
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

func differing(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%d: %q, %q", i, a[i], b[i])
		}
	}
	return "the length"
}

// checkCounting demands that each process has counted from 1 without a gap.
func checkCounting(t *testing.T, got []string) {
	t.Helper()
	at := map[string]int{}
	for _, l := range got {
		pid, n, _ := strings.Cut(l, " ")
		if at[pid]++; n != strconv.Itoa(at[pid]) {
			t.Errorf("%q comes where %d is due", l, at[pid])
			return
		}
	}
	if len(at) < 3 {
		t.Errorf("%d processes have counted, 3 were started", len(at))
	}
}
