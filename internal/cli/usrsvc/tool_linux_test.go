package usrsvc

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const looper = "[Main]\n\n[Program:MagicLooper]\ncommand = {}/looper.sh one 'two words'\n[[Env]]\nWHO = me\n"

const looperScript = "#!/bin/sh\necho \"$WHO\"\nwhile :; do sleep 0.05; done\n"

// message is the beginning of every message.
const message = `(?m)^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] - `

// TestSession: start, status and stop as the tool introduces itself, with details in JSON.
func TestSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, looper)
	s.write("looper.sh", looperScript)
	pid := 0
	for _, step := range []struct {
		line string
		code Code
		want string // a regular expression of the whole output
	}{
		{"usrsvc status MagicLooper", GeneralFailure, message + `MagicLooper is not running\n$`},
		{"usrsvc stop MagicLooper", Success, message + `MagicLooper is not running, no action\n$`},
		{"usrsvc start MagicLooper", Success, message + `Started MagicLooper:\n\n(\{.*\})\n\n$`},
		{"usrsvc start MagicLooper", Success, message + `MagicLooper is already running:\n\n(\{.*\})\n\n$`},
		{"usrsvc status MagicLooper", Success, message + `MagicLooper is running:\n\n(\{.*\})\n\n$`},
		{"usrsvc stop MagicLooper", Success, message + `Stopping MagicLooper \[(\d+)\]\n\[.*\] - MagicLooper terminated\n$`},
		{"usrsvc status MagicLooper", GeneralFailure, message + `MagicLooper is not running\n$`},
	} {
		out, errs, code := s.run(step.line)
		m := regexp.MustCompile(step.want).FindStringSubmatch(out)
		if code != step.code || errs != "" || m == nil {
			t.Fatalf("%s: %s\n%s%s", step.line, code, out, errs)
		}
		if len(m) == 2 && strings.HasPrefix(m[1], "{") {
			script := filepath.Join(s.home, "looper.sh")
			found := regexp.MustCompile(`^\{"pid":(\d+),"cmdline":"(\S*/)?sh ` + regexp.QuoteMeta(script) + ` one two words","executable":"(\S*/)?sh","args":\["` +
				regexp.QuoteMeta(script) + `","one","two words"\],"running":true\}$`).FindStringSubmatch(m[1])
			if found == nil {
				t.Fatalf("%s: %s", step.line, m[1])
			}
			now, _ := strconv.Atoi(found[1])
			if pid != 0 && pid != now {
				t.Errorf("%s: it was %d and is %d", step.line, pid, now)
			}
			pid = now
			if s.read("MagicLooper.pid") != found[1]+"\n" {
				t.Errorf("its pid file has %q", s.read("MagicLooper.pid"))
			}
		} else if len(m) == 2 && m[1] != strconv.Itoa(pid) {
			t.Errorf("%s: %s instead of %d", step.line, m[1], pid)
		}
	}
	if got := s.read("MagicLooper.log"); got != "me\n" {
		t.Errorf("its log is %q", got)
	}
	if _, err := os.Stat(filepath.Join(s.home, "MagicLooper.pid")); err == nil {
		t.Error("its pid file is left")
	}
}

// TestCodes: what every command ends with.
func TestCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, `[Main]
config_dir = {}/cfg
pidfile = {}/usrsvcd.pid

[Program:good]
command = /bin/sleep {n}01
[Program:off]
command = /bin/sleep {n}02
enabled = 0
[Program:absent]
command = {}/nothing
[Program:early]
command = /bin/sh -c 'echo oops >&2; exit 3'
success_seconds = 30
[Program:calm]
command = /bin/true
success_seconds = 30
[Program:nolog]
command = /bin/sleep {n}03
stdout = {}/folder
[Program:nopid]
command = /bin/sleep {n}04
pidfile = {}/no/such/folder/p.pid
[Program:dirpid]
command = /bin/sleep {n}04
pidfile = {}/folder
`)
	s.write("folder/x", "")
	s.write("cfg/broken.cfg", "[Program:broken]\ncommand = /bin/sleep {n}05\nsuccess_seconds = soon\n")
	for _, tt := range []struct {
		line string
		code Code
		err  string // what the problem says; empty = there is none
	}{
		{"usrsvc", GeneralFailure, "usage: usrsvc"},
		{"usrsvc start", GeneralFailure, "usage: usrsvc"},
		{"usrsvc --frob start good", GeneralFailure, "usage: usrsvc"},
		{"usrsvc frob good", InvalidAction, `there is no action "frob"`},
		{"usrsvc start nobody", ProgramUndefined, `there is no program "nobody"`},
		{"usrsvc start n* x*", ProgramUndefined, `there is no program "x*"`},
		{"usrsvc start goood", ProgramUndefined, "config_dir; is good meant?"},
		{"usrsvc start broken", InvalidConfig, "broken.cfg:"},
		{"usrsvc status broken", InvalidConfig, "success_seconds"},
		{"usrsvc start off", ProgramDisabled, "disabled"},
		{"usrsvc restart off", ProgramDisabled, "disabled"},
		{"usrsvc stop off", Success, ""},
		{"usrsvc status off", GeneralFailure, ""},
		{"usrsvc start absent", ProgramFailedToLaunch, "nothing"},
		{"usrsvc start early", ProgramFailedToLaunch, "code 3"},
		{"usrsvc start calm", ProgramFailedToLaunch, "code 0"},
		{"usrsvc start nolog", InsufficientPermissions, "folder"},
		{"usrsvc start nopid", InsufficientPermissions, "folder"},
		{"usrsvc start dirpid", InsufficientPermissions, "its pid file cannot be written: {}/folder: not a file"},
		{"usrsvc restart good", Success, ""},
		{"usrsvc status good", Success, ""},
		{"usrsvc good status", InvalidAction, ""},
		{"usrsvc -c {}/absent.cfg status good", InvalidConfig, "absent.cfg"},
		{"usrsvc status good --debug", Success, "DEBUG: "},
		{"usrsvc start nobody --debug", ProgramUndefined, "133 PROGRAM_UNDEFINED"},
		{"usrsvc frob --help", Success, ""},
		{"usrsvc --version", Success, ""},
		{"usrsvc --readme", Success, ""},
		{"usrsvcd frob", InvalidAction, `there is no action "frob"`},
		{"usrsvcd start stop", GeneralFailure, "usage: usrsvcd"},
		{"usrsvcd stop --foreground", GeneralFailure, "usage: usrsvcd"},
		{"usrsvcd status", GeneralFailure, ""},
		{"usrsvcd checkconfig", InvalidConfig, "broken.cfg:"},
		{"usrsvcd reread", InvalidConfig, "broken.cfg:"},
		{"usrsvcd restart", InvalidConfig, "broken.cfg:"},
		{"usrsvcd -c {}/absent.cfg start", InvalidConfig, "absent.cfg"},
		{"usrsvcd -c {}/absent.cfg stop", Success, ""},
		{"usrsvcd -h", Success, ""},
	} {
		out, errs, code := s.run(strings.ReplaceAll(tt.line, "{}", s.home))
		if code != tt.code || !strings.Contains(errs, strings.ReplaceAll(tt.err, "{}", s.home)) || (code == Success && tt.err == "") && errs != "" {
			t.Errorf("%s: %s, want %s\n%s%s", tt.line, code, tt.code, out, errs)
		}
	}
	if early := s.read("early.log"); !strings.Contains(early, "oops") {
		t.Errorf("what a program writes before it ends is lost: %q", early)
	}
	if left := s.processes(s.sleeps()); len(left) != 1 {
		t.Errorf("%d programs run instead of one", len(left))
	}
}

// TestEveryFailureAsJSON: with --json what fails is told as an object, whatever it is about.
func TestEveryFailureAsJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:quick]\ncommand = /bin/false\nsuccess_seconds = 30\n[Program:off]\ncommand = /bin/true\nenabled = false\n")
	for line, want := range map[string]Outcome{
		"usrsvc":                              {Code: 1},
		"usrsvc frob quick":                   {Action: "frob", Code: 131},
		"usrsvc stop nobody":                  {Program: "nobody", Action: "stop", Code: 133},
		"usrsvc start quick":                  {Program: "quick", Action: "start", Code: 137},
		"usrsvc start off":                    {Program: "off", Action: "start", Code: 132},
		"usrsvc -c {}/absent.cfg status good": {Action: "status", Code: 130},
		"usrsvc --frob start quick":           {Code: 1},
		"usrsvcd --frob":                      {Code: 1},
		"usrsvcd frob":                        {Program: "usrsvcd", Action: "frob", Code: 131},
		"usrsvcd start stop":                  {Program: "usrsvcd", Action: "start", Code: 1},
	} {
		out, _, code := s.run(strings.ReplaceAll(line, "{}", s.home) + " --json")
		var got Outcome
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
		if got.Program != want.Program || got.Action != want.Action || got.Code != want.Code || Code(got.Code) != code || got.Name != code.Name() || got.Text == "" {
			t.Errorf("%s: %s, %+v", line, code, got)
		}
		if strings.Contains(got.Text, "fact:") {
			t.Errorf("%s: %s", line, got.Text)
		}
	}
}

func TestCodeNames(t *testing.T) {
	for code, want := range map[Code]string{
		0: "0 SUCCESS", 1: "1 GENERAL_FAILURE", 11: "11 TRY_AGAIN", 130: "130 INVALID_CONFIG", 131: "131 INVALID_ACTION",
		132: "132 PROGRAM_DISABLED", 133: "133 PROGRAM_UNDEFINED", 134: "134 PROGRAM_EXITED_UNEXPECTEDLY",
		135: "135 USRSVCD_ALREADY_RUNNING", 136: "136 INSUFFICIENT_PERMISSIONS", 137: "137 PROGRAM_FAILED_TO_LAUNCH",
		138: "138 HELP_MESSAGE", 254: "254 UNKNOWN_FAILURE", 77: "77 UNKNOWN(77)",
	} {
		if code.String() != want {
			t.Errorf("%s, want %s", code, want)
		}
	}
}

// TestAll: one that fails concerns no other, one after the other and at the same time.
func TestAll(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"", " --parallel"} {
		s := newSite(t, "[Main]\n[Program:a1]\ncommand = /bin/sleep {n}1\n[Program:bad]\ncommand = /bin/false\nsuccess_seconds = 30\n[Program:a2]\ncommand = /bin/sleep {n}2\n[Program:off]\ncommand = /bin/sleep {n}3\nenabled = false\n")
		out, errs, code := s.run("usrsvc" + how + " start all")
		if code != GeneralFailure || strings.Count(out, "Started a") != 2 || !strings.Contains(errs, "start failed for 2 of 4 programs") ||
			!strings.Contains(errs, "bad: 137 PROGRAM_FAILED_TO_LAUNCH") || !strings.Contains(errs, "off: 132 PROGRAM_DISABLED") {
			t.Errorf("start all%s: %s\n%s%s", how, code, out, errs)
		}
		s.want("usrsvc start a* a1", Success)
		s.want("usrsvc status all", GeneralFailure)
		s.want("usrsvc status a?", Success)
		old := s.pid("a1")
		out, errs, code = s.run("usrsvc restart a1 a2 --json" + how)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		want := `^\{"program":"a1","action":"restart","code":0,"name":"SUCCESS","outcome":"terminated, started","process":\{.*"running":true\}\}$`
		if code != Success || errs != "" || len(lines) != 2 || !regexp.MustCompile(want).MatchString(lines[0]) {
			t.Errorf("restart%s: %s\n%s%s", how, code, out, errs)
		}
		if pid := s.pid("a1"); pid == old || lives(old) {
			t.Errorf("it was %d and is %d", old, pid)
		}
		out = s.want("usrsvc stop all"+how, Success)
		if strings.Count(out, "terminated") != 2 || strings.Count(out, "no action") != 2 || len(s.processes(s.sleeps())) != 0 {
			t.Errorf("stop all%s: %s", how, out)
		}
	}
}

// TestAtOnce: however many start a program at the same moment, and no daemon runs before, there is one of it.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:one]\ncommand = /bin/sleep {n}0\n")
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			if out, errs, code := s.run("usrsvc start one"); code != Success {
				t.Errorf("%s\n%s%s", code, out, errs)
			}
		})
	}
	work.Wait()
	if n := len(s.processes(s.sleeps())); n != 1 {
		t.Errorf("it runs %d times", n)
	}
}

// TestRestartOfTheDeaf: of a program that has to be killed exactly one new instance is there afterwards; one that is not deaf
// ends with the first TERM, however long it might take.
func TestRestartOfTheDeaf(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:deaf]\ncommand = {}/deaf.sh\nterm_to_kill_seconds = 0.5\n[Program:plain]\ncommand = /bin/sleep {n}0\nterm_to_kill_seconds = 100000\n")
	s.write("deaf.sh", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
	s.want("usrsvc start all", Success)
	s.until("it is deaf", func() bool { return s.read("deaf.log") == "ready\n" })
	old := s.pid("deaf")
	out := s.want("usrsvc restart deaf", Success)
	if !strings.Contains(out, "deaf killed") || !strings.Contains(out, "Started deaf:") {
		t.Error(out)
	}
	if found := s.processes("deaf.sh"); len(found) != 1 || found[0] == old || found[0] != s.pid("deaf") {
		t.Errorf("%d run, the old one was %d", found, old)
	}
	if out := s.want("usrsvc stop plain", Success); !strings.Contains(out, "plain terminated") {
		t.Error(out)
	}
}

// TestPassive: without usrsvcd nothing comes by itself, neither at the first command nor when a program ends.
func TestPassive(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:one]\ncommand = /bin/sleep {n}1\n[Program:two]\ncommand = /bin/sleep {n}2\n")
	s.want("usrsvc start one", Success)
	if s.pid("two") != 0 {
		t.Error("what nobody has started runs")
	}
	s.kill(s.pid("one"))
	client := s.client()
	defer client.Close()
	s.until("its end is known", func() bool {
		p, err := client.Process(t.Context(), "one")
		return err == nil && p.State == "EXITED" && p.LastExit != nil && p.LastExit.Signal != nil && *p.LastExit.Signal == "SIGKILL"
	})
	if p, err := client.Process(t.Context(), "one"); err != nil || p.Run != 1 || p.NextTry != nil {
		t.Errorf("it was started %d times: %v", p.Run, err)
	}
	if sys, err := client.System(t.Context()); err != nil || !sys.Passive {
		t.Errorf("%+v %v", sys, err)
	}
	s.want("usrsvcd status", GeneralFailure)
	s.want("usrsvc start one", Success)
	s.want("usrsvcd stop", Success) // of what watches
	if s.pid("one") == 0 {
		t.Error("it has ended with what watches it")
	}
}

// TestByHand: a program that somebody else has started is the program, and nothing else is.
func TestByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:loop]\ncommand = {}/loop.sh x\n[Program:pattern]\ncommand = /bin/sleep {n}7\nproctitle_re = loop.sh pat+ern\n")
	s.write("loop.sh", "#!/bin/sh\nwhile :; do sleep 0.05; done\n")
	script := filepath.Join(s.home, "loop.sh")
	tail, err := exec.LookPath("tail")
	if err != nil {
		t.Skip(err)
	}
	viewer := s.byHand(tail, "-f", script, "x")
	if s.pid("loop") != 0 {
		t.Fatal("who looks at the script is taken for it")
	}
	pid := s.byHand(script, "x")
	s.until("it is seen", func() bool { return s.pid("loop") == pid })
	if out := s.want("usrsvc start loop", Success); !strings.Contains(out, "already running") || !strings.Contains(out, strconv.Itoa(pid)) {
		t.Error(out)
	}
	if out := s.want("usrsvc stop loop", Success); !strings.Contains(out, "terminated") || lives(pid) {
		t.Error(out)
	}
	pid = s.byHand(script, "pattern")
	s.until("it is seen", func() bool { return s.pid("pattern") == pid })
	s.want("usrsvc restart pattern", Success)
	if lives(pid) || !lives(viewer) {
		t.Error("the wrong one was ended")
	}
	one, two := s.byHand(script, "x"), s.byHand(script, "x")
	s.until("both have executed", func() bool { return len(s.processes("loop.sh x")) == 3 }) // and the viewer
	if out := s.want("usrsvc stop loop", GeneralFailure); !strings.Contains(out, strconv.Itoa(one)) || !strings.Contains(out, strconv.Itoa(two)) {
		t.Error(out)
	}
	if !lives(one) || !lives(two) {
		t.Error("one of two that fit was ended")
	}
}

// TestInterrupted: an interrupted command says so, and what it has ordered goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t, "[Main]\n[Program:slow]\ncommand = /bin/sleep {n}1\nsuccess_seconds = 100000\n")
	cmd := s.command("usrsvc start slow")
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := s.runs("slow")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := Code(cmd.ProcessState.ExitCode()); code != GeneralFailure || !regexp.MustCompile(message+`interrupted; what was ordered already goes on\n$`).MatchString(errs.String()) {
		t.Errorf("%s: %s", code, errs.String())
	}
	if s.pid("slow") != pid {
		t.Error("the start does not go on")
	}
	s.want("usrsvc stop slow", Success)
}
