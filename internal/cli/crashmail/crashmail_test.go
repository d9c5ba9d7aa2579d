package crashmail

import (
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/cli/superlance"
	"github.com/upkeep-project/upkeep/internal/cli/superlance/superlancetest"
)

const exited = "PROCESS_STATE_EXITED"

func start(t *testing.T, args ...string) *superlancetest.Session {
	t.Helper()
	return superlancetest.Start(t, "http://127.0.0.1:1", func(env *superlance.Env) int { return run(env, args) })
}

// TestMails compares a whole conversation: what is mailed, what is logged.
func TestMails(t *testing.T) {
	command, mails := superlancetest.Mailbox(t)
	s := start(t, "-m", "me@x.example", "-s", command, "-o", "host1")
	for _, quiet := range []struct{ name, payload string }{
		{"TICK_60", "when:60"},
		{exited, "processname:a groupname:a from_state:RUNNING expected:1 pid:3"},
		{"PROCESS_STATE_STOPPED", "processname:a groupname:a from_state:STOPPING pid:3"},
	} {
		if got := s.Send(quiet.name, quiet.payload); got != "OK" || mails() != "" || s.Said() != "" {
			t.Errorf("%s: %q", quiet.name, got)
		}
	}
	if got := s.Send(exited, "processname:cat groupname:pets from_state:RUNNING expected:0 pid:58597"); got != "OK" {
		t.Errorf("answer %q", got)
	}
	const message = "To: me@x.example\nSubject: host1: cat crashed at 2026-02-03 04:05:06,789\n\n" +
		"Process cat in group pets exited unexpectedly (pid 58597) from state RUNNING"
	if got := mails(); got != message+"\n--\n" {
		t.Errorf("mailed %q", got)
	}
	if got := s.Said(); got != "unexpected exit, mailing\nMailed:\n\n"+message {
		t.Errorf("logged %q", got)
	}
	if got := s.Status(); got != 0 {
		t.Errorf("status %d", got)
	}
}

// TestSelection: -p is a restriction, unless -a is given.
func TestSelection(t *testing.T) {
	command, mails := superlancetest.Mailbox(t)
	for _, c := range []struct {
		args           string
		group, program string
		mailed         bool
	}{
		{"", "g", "x", true},
		{"-p x", "g", "x", true},
		{"-p g:x", "g", "x", true},
		{"-p x:x", "x", "x", true},
		{"-p y -p x", "g", "x", true},
		{"-p y", "g", "x", false},
		{"-p h:x", "g", "x", false},
		{"-p y -a", "g", "x", true},
		{"--program y --any", "g", "x", true},
	} {
		s := start(t, append(strings.Fields(c.args), "--email=me@x.example", "--sendmail_program="+command)...)
		s.Send(exited, "processname:"+c.program+" groupname:"+c.group+" from_state:RUNNING expected:0 pid:1")
		if got := mails() != ""; got != c.mailed {
			t.Errorf("%q, %s:%s: mailed %v", c.args, c.group, c.program, got)
		}
	}
}

// TestNobodyToMail: without an address, and with a mail command that fails, the log has what is known.
func TestNobodyToMail(t *testing.T) {
	const payload = "processname:x groupname:x from_state:RUNNING expected:0 pid:1"
	s := start(t)
	s.Send(exited, payload)
	if got := s.Said(); got != "unexpected exit, and no address to mail to: x crashed at 2026-02-03 04:05:06,789\n" {
		t.Errorf("%q", got)
	}
	s = start(t, "-m", "me@x.example", "-s", "exit 3")
	if got := s.Send(exited, payload); got != "OK" {
		t.Errorf("answer %q", got)
	}
	if got := s.Said(); !strings.Contains(got, "not mailed: exit 3: exit status 3") || !strings.Contains(got, "Process x in group x") {
		t.Errorf("%q", got)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args      string
		status    int
		out, errs string // beginnings
	}{
		{"-h", 0, "crashmail [-p", ""},
		{"--nope", 255, "crashmail [-p", "option --nope not recognized\n"},
		{"-m", 255, "crashmail [-p", "option -m requires argument\n"},
		{"-a", 0, "", "crashmail must be run as a supervisor event listener\n"},
	} {
		status, out, errs := superlancetest.Once("", func(env *superlance.Env) int { return run(env, strings.Fields(c.args)) })
		if status != c.status || !strings.HasPrefix(out, c.out) || errs != c.errs || (out == "") != (c.out == "") {
			t.Errorf("%q: %d %q %q", c.args, status, out, errs)
		}
	}
}
