package memmon

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/cli/superlance"
	"github.com/upkeep-project/upkeep/internal/cli/superlance/superlancetest"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// used: a family of three, a neighbour, and one that is being started.
func used() (memory, error) {
	return memory{
		1:  {0, 7},
		10: {1, 1000}, 11: {10, 200}, 12: {11, 30},
		20: {1, 500},
	}, nil
}

func daemon(t *testing.T) *superlancetest.Daemon {
	t.Helper()
	d := &superlancetest.Daemon{Programs: []superlancetest.Program{
		{Group: "web", Name: "a", PID: 10, State: 20},
		{Group: "solo", Name: "solo", PID: 20, State: 20},
		{Group: "web", Name: "off", PID: 0, State: 0},
		{Group: "web", Name: "ended", PID: 99, State: 20},
	}}
	return d.Start(t)
}

func start(t *testing.T, d *superlancetest.Daemon, args ...string) *superlancetest.Session {
	t.Helper()
	return superlancetest.Start(t, d.URL, func(env *superlance.Env) int { return run(env, args, used) })
}

// TestLimits: which limit holds for whom, what is logged, what is restarted.
func TestLimits(t *testing.T) {
	d := daemon(t)
	restart := func(names ...string) []string {
		var out []string
		for _, n := range names {
			out = append(out, "stopProcess "+n, "startProcess "+n)
		}
		return out
	}
	for _, c := range []struct {
		args  string
		said  string
		calls []string
	}{
		{"-p a=1000", "Checking programs a=1000\nRSS of web:a is 1000\n", nil}, // only more than the limit is too much
		{"-p a=999", "Checking programs a=999\nRSS of web:a is 1000\nRestarting web:a\n", restart("web:a")},
		{"-p web:a=999", "Checking programs web:a=999\nRSS of web:a is 1000\nRestarting web:a\n", restart("web:a")},
		{"-p solo=1KB -p other=1", "Checking programs other=1, solo=1024\nRSS of solo:solo is 500\n", nil},
		{"-c -p a=1229", "Checking programs a=1229\nRSS of web:a is 1230\nRestarting web:a\n", restart("web:a")},
		{"--cumulative --program a=1230", "Checking programs a=1230\nRSS of web:a is 1230\n", nil},
		{"-g web=1 -g x=2", "Checking groups web=1, x=2\nRSS of web:a is 1000\nRestarting web:a\n", restart("web:a")},
		{"-a 1", "Checking any=1\nRSS of web:a is 1000\nRestarting web:a\nRSS of solo:solo is 500\nRestarting solo:solo\n", restart("web:a", "solo:solo")},
		// Once is enough, whatever other limits are exceeded as well.
		{"-p a=1 -g web=1 -a 600", "Checking programs a=1\nChecking groups web=1\nChecking any=600\nRSS of web:a is 1000\nRestarting web:a\nRSS of solo:solo is 500\n", restart("web:a")},
		{"-p a=2000 -g web=1500 --any=999", "Checking programs a=2000\nChecking groups web=1500\nChecking any=999\n" +
			"RSS of web:a is 1000\nRSS of web:a is 1000\nRSS of web:a is 1000\nRestarting web:a\nRSS of solo:solo is 500\n", restart("web:a")},
	} {
		s := start(t, d, strings.Fields(c.args)...)
		if got := s.Send("PROCESS_STATE_EXITED", "processname:a groupname:web from_state:RUNNING expected:0 pid:1"); got != "OK" || s.Said() != "" {
			t.Errorf("%q: not a tick: %q", c.args, got)
		}
		if got := s.Send("TICK_60", "when:60"); got != "OK" {
			t.Errorf("%q: %q", c.args, got)
		}
		if diff := cmp.Diff(c.said, s.Said()); diff != "" {
			t.Errorf("%q: -want +said:\n%s", c.args, diff)
		}
		if diff := cmp.Diff(c.calls, d.Calls()); diff != "" {
			t.Errorf("%q: -want +called:\n%s", c.args, diff)
		}
		if got := s.Status(); got != 0 {
			t.Errorf("%q: status %d", c.args, got)
		}
	}
}

func TestMail(t *testing.T) {
	d := daemon(t)
	command, mails := superlancetest.Mailbox(t)
	for _, c := range []struct{ args, subject string }{
		{"-p solo=1", "memmon: process solo:solo restarted"},
		{"-p solo=1 -n here", "memmon [here]: process solo:solo restarted"},
		{"-n here -p solo=1 -u 100s", "memmon [here]: process solo:solo restarted"},
		{"-p solo=1 --uptime=99", ""}, // it had been up for 100
		{"-p solo=1 -u 2m", "memmon: process solo:solo restarted"},
		{"-p solo=1000", ""},
	} {
		s := start(t, d, append(strings.Fields(c.args), "-m", "me@x.example", "--sendmail_program="+command)...)
		s.Send("TICK_60", "when:60")
		want := ""
		if c.subject != "" {
			want = "To: me@x.example\nSubject: " + c.subject + "\n\nmemmon.py restarted the process named solo:solo at " +
				"Tue Feb  3 04:05:06 2026 UTC because it was consuming too much memory (500 bytes RSS)\n--\n"
		}
		if diff := cmp.Diff(want, mails()); diff != "" {
			t.Errorf("%q: -want +mailed:\n%s", c.args, diff)
		}
	}
	s := start(t, d, "-a", "1", "-m", "me@x.example", "-s", "exit 1")
	if got := s.Send("TICK_60", "when:60"); got != "OK" || strings.Count(s.Said(), "not mailed: ") != 2 {
		t.Errorf("a mail command that fails: %q", got)
	}
}

// TestFailures end it, and the event is not answered.
func TestFailures(t *testing.T) {
	command, mails := superlancetest.Mailbox(t)
	fault := xmlrpc.Fault{Code: 70, Text: "NOT_RUNNING: web:a"}
	for call, c := range map[string]struct{ said, subject string }{
		"stopProcess web:a":    {"Failed to stop process web:a (RSS 1000), exiting: <Fault 70: 'NOT_RUNNING: web:a'>", "memmon: failed to stop process web:a, exiting"},
		"startProcess web:a":   {"Failed to start process web:a after stopping it, exiting: <Fault 70: 'NOT_RUNNING: web:a'>", "memmon: failed to start process web:a, exiting"},
		"getProcessInfo web:a": {"web:a: fault 70", ""},
		"getAllProcessInfo":    {"list of programs: fault 70", ""},
	} {
		d := daemon(t)
		d.Faults = map[string]xmlrpc.Fault{call: fault}
		s := start(t, d, "-a", "1", "-m", "me@x.example", "-s", command)
		s.Ready()
		s.Write("eventname:TICK_60 len:7\nwhen:60")
		if rest := s.Leave(); rest != "" {
			t.Errorf("%s: answer %q", call, rest)
		}
		if got := s.Said(); !strings.Contains(got, c.said) || s.Status() != 1 {
			t.Errorf("%s: %q", call, got)
		}
		if got := mails(); c.subject != "" && !strings.HasPrefix(got, "To: me@x.example\nSubject: "+c.subject+"\n\n"+c.said) || c.subject == "" && got != "" {
			t.Errorf("%s: mailed %q", call, got)
		}
	}
}

func TestNoMeasure(t *testing.T) {
	d := daemon(t)
	s := superlancetest.Start(t, d.URL, func(env *superlance.Env) int {
		return run(env, []string{"-a", "1"}, func() (memory, error) { return nil, errors.New("blind") })
	})
	s.Ready()
	s.Write("eventname:TICK_60 len:0\n")
	if rest := s.Leave(); rest != "" || !strings.Contains(s.Said(), "blind") {
		t.Errorf("%q", rest)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args      string
		url       string
		status    int
		out, errs string
	}{
		{"-h", "", 0, "memmon [-c]", ""},
		{"", "", 255, "memmon [-c]", "no limit is given\n"},
		{"-p a", "", 255, "memmon [-c]", "unparseable value 'a' for '-p'\n"},
		{"--group a=b=1", "", 255, "memmon [-c]", "unparseable value 'a=b=1' for '--group'\n"},
		{"-p a=lots", "", 255, "memmon [-c]", "unparseable byte_size in 'lots' for '-p'\n"},
		{"-a 1TB", "", 255, "memmon [-c]", "unparseable byte_size in '1TB' for '-a'\n"},
		{"-u soon", "", 255, "memmon [-c]", "unparseable value for time in 'soon' for -u\n"},
		{"-a 1MB", "", 1, "", "memmon: SUPERVISOR_SERVER_URL is not set: this is to be run by a supervisord, as an event listener\n"},
		{"-a 1MB", "ftp://x", 1, "", "memmon: server address \"ftp://x\": the scheme must be http, https or unix\n"},
	} {
		status, out, errs := superlancetest.Once(c.url, func(env *superlance.Env) int { return run(env, strings.Fields(c.args), used) })
		if status != c.status || !strings.HasPrefix(out, c.out) || errs != c.errs || (out == "") != (c.out == "") {
			t.Errorf("%q: %d %q %q", c.args, status, out, errs)
		}
	}
}

func TestParseSeconds(t *testing.T) {
	for value, want := range map[string]int64{"0": 0, "90": 90, "90s": 90, "2m": 120, "3H": 10800, "1d": 86400, "-1": -1} {
		if got, err := parseSeconds(value, "-u"); err != nil || got != want {
			t.Errorf("%q: %d, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "m", "1.5h", "1w", "9223372036854775807d"} {
		if got, err := parseSeconds(value, "-u"); err == nil {
			t.Errorf("%q is %d", value, got)
		}
	}
}

func TestCumulative(t *testing.T) {
	circle := memory{5: {6, 1}, 6: {5, 2}, 7: {7, 4}} // what a pid that is used again could look like
	for pid, want := range map[int]int64{5: 3, 6: 3, 7: 4} {
		if got, ok := circle.of(pid, true); !ok || got != want {
			t.Errorf("pid %d: %d, %v", pid, got, ok)
		}
	}
	if _, ok := circle.of(8, true); ok {
		t.Error("there is no pid 8")
	}
}

// TestMeasure finds this test and its child, both ways, and they agree roughly.
func TestMeasure(t *testing.T) {
	child := exec.Command("sleep", "100")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	for name, measure := range map[string]func() (memory, error){"measure": measure, "ps": ps} {
		m, err := measure()
		if err != nil && name == "ps" && errors.Is(err, exec.ErrNotFound) {
			t.Log(err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		alone, ok := m.of(os.Getpid(), false)
		if !ok || alone < 1<<20 || alone > 1<<34 {
			t.Errorf("%s: this process uses %d bytes (%v)", name, alone, ok)
		}
		if m[child.Process.Pid].parent != os.Getpid() {
			t.Errorf("%s: the parent of %d is %d", name, child.Process.Pid, m[child.Process.Pid].parent)
		}
		if both, _ := m.of(os.Getpid(), true); both < alone+m[child.Process.Pid].rss {
			t.Errorf("%s: %d alone, %d with a child", name, alone, both)
		}
	}
}

func TestParsePS(t *testing.T) {
	got, err := parsePS("    1     0  9420\n  345     1     0\n")
	if diff := cmp.Diff(memory{1: {0, 9420 << 10}, 345: {1, 0}}, got, cmp.AllowUnexported(process{})); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, text := range []string{"1 2\n", "a b c\n", "\n"} {
		if m, err := parsePS(text); err == nil {
			t.Errorf("%q is %v", text, m)
		}
	}
}

// FuzzParsePS: whatever ps says, nothing panics, and sums end.
func FuzzParsePS(f *testing.F) {
	f.Add("1 0 5\n2 1 6\n1 2 7\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parsePS(text)
		if err != nil {
			return
		}
		for pid := range m {
			if _, ok := m.of(pid, true); !ok {
				t.Errorf("%d is gone", pid)
			}
		}
	})
}
