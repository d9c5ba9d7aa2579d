package app_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// asNotifier has the test binary be a program that says that it is ready as soon as a file is there, and after that, while
// another one is there, that it lives.
const asNotifier = "APP_TEST_NOTIFIER"

func notifier(dir string) {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	is := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	for ; !is("ready"); time.Sleep(5 * time.Millisecond) {
	}
	_, _ = conn.Write([]byte("READY=1\nSTATUS=serving\n"))
	if err := os.WriteFile(filepath.Join(dir, "said"), nil, 0o600); err != nil {
		os.Exit(1)
	}
	for ; ; time.Sleep(50 * time.Millisecond) {
		if is("alive") {
			_, _ = conn.Write([]byte("WATCHDOG=1"))
		}
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// killed kills the manager, and is told when another one answers.
func (d *daemon) killed(meanwhile func()) {
	d.t.Helper()
	before, err := d.api.System(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	if err := syscall.Kill(before.Manager, syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	meanwhile()
	until(d.t, "another manager", func() bool {
		now, err := d.api.System(d.t.Context())
		return err == nil && now.Manager != before.Manager
	})
}

// TestReadiness: a program is ready when it says so, be it to a daemon that is killed at this moment, and stays it for the
// next one, since it says it once.
func TestReadiness(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a daemon")
	}
	d := native(t, shortDir(t), 0)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	touch(t, filepath.Join(dir, "alive"))
	d.define("nt", "command="+self+"\nenvironment="+asNotifier+"=\""+dir+"\"\nready=notify\ncheck.up=notify stage=ready\n"+
		"check.beat=heartbeat age=15s after=0s\nautostart=false\n")
	if out := d.request("POST", "/v1/processes/nt/start", "{}"); out.status != 202 && out.status != 200 {
		t.Fatalf("%+v", out)
	}
	until(t, "the process", func() bool { return d.process("nt").PID != nil })
	pid := *d.process("nt").PID
	if p := d.process("nt"); p.State != "STARTING" || p.Health != "none" {
		t.Errorf("%+v", p)
	}
	d.killed(func() {
		touch(t, filepath.Join(dir, "ready"))
		until(t, "the message", func() bool {
			_, err := os.Stat(filepath.Join(dir, "said"))
			return err == nil
		})
	})
	well := func() bool {
		p := d.process("nt")
		return p.State == "RUNNING" && p.Health == "healthy" && p.PID != nil && *p.PID == pid
	}
	until(t, "readiness", well)
	d.killed(func() {})
	until(t, "readiness for the next manager", well)
	list, err := d.api.Checks(t.Context(), "nt")
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, k := range list {
		if k.Verdict != "passing" {
			t.Errorf("%+v", k)
		}
	}
	if err := os.Remove(filepath.Join(dir, "alive")); err != nil { // it hangs
		t.Fatal(err)
	}
	until(t, "another process", func() bool {
		p := d.process("nt")
		return p.PID != nil && *p.PID != pid
	})
	why := d.request("GET", "/v1/processes/nt/why", "")
	if !strings.Contains(why.body, "beat") || !strings.Contains(why.body, "last sign of life") {
		t.Errorf("nobody says why it was started anew: %s", why.body)
	}
}

// TestCommandsOfKilledManager: the command of a check that hangs when the manager is killed is ended by the next one, with what
// it has started.
func TestCommandsOfKilledManager(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a daemon")
	}
	d := native(t, shortDir(t), 0)
	left := filepath.Join(t.TempDir(), "left")
	d.define("app", "command=sleep 1000\n"+
		"check.hangs=command \"/bin/sh -c 'setsid sleep 1000 & echo $$ $! >>"+left+"; wait'\" every=200ms timeout=10m after=0s\n")
	var pids [2]int
	hangs := func() bool {
		b, _ := os.ReadFile(left)
		n, _ := fmt.Sscan(string(b), &pids[0], &pids[1])
		return n == len(pids)
	}
	until(t, "the command", hangs)
	d.killed(func() {
		for _, pid := range pids {
			if procstat.Gone(pid) {
				t.Errorf("%d is gone with the manager: nothing is shown by this test", pid)
			}
		}
	})
	until(t, "the end of the command, and of what it has started", func() bool { return procstat.Gone(pids[0]) && procstat.Gone(pids[1]) })
	if p := d.process("app"); p.PID == nil || procstat.Gone(*p.PID) {
		t.Errorf("the program was ended too: %+v", p)
	}
}

// TestChecksOfAProgram: a command, a file and a line of the log, with real processes; what they do, and what is shown.
func TestChecksOfAProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a daemon")
	}
	d := native(t, shortDir(t), 0)
	dir := t.TempDir()
	active, sick := filepath.Join(dir, "active"), filepath.Join(dir, "sick")
	touch(t, active)
	d.define("app", "command=/bin/sh -c 'while :; do [ -e "+sick+" ] && echo it is sick; sleep 0.1; done'\n"+
		"check.own=command \"/bin/sh -c 'kill -0 $UPKEEP_PID && echo $UPKEEP_CHECK'\" every=200ms after=0s\n"+
		"check.missing=command /nonexistent/check every=200ms after=0s\n"+
		"check.hangs=command \"sleep 1000\" every=200ms timeout=300ms after=0s then=event failures=1\n"+
		"check.file=activity "+active+" age=1000s every=200ms after=0s\n"+
		"check.log=log '^it is sick$' every=200ms after=0s\n"+
		"check.heap=memory max=1GB of=tree every=200ms after=0s\n")
	until(t, "verdicts", func() bool {
		list, err := d.api.Checks(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]upkeep.Check{}
		for _, k := range list {
			have[k.Name] = k
		}
		return have["own"].Verdict == "passing" && have["own"].Text == "ended with 0: own" && have["file"].Verdict == "passing" &&
			have["heap"].Verdict == "passing" && have["hangs"].Verdict == "failing" && have["hangs"].Text == "it did not end in time" &&
			have["missing"].Verdict == "none" && strings.HasPrefix(have["missing"].Text, "cannot look") && have["log"].Verdict == "passing"
	})
	p := d.process("app")
	if p.Health != "unhealthy" || p.HealthText != "hangs: it did not end in time" || p.Summary != "unhealthy, "+p.HealthText {
		t.Errorf("%+v", p)
	}
	pid := *p.PID
	touch(t, sick)
	until(t, "another process", func() bool {
		p := d.process("app")
		return p.PID != nil && *p.PID != pid
	})
	if err := os.Remove(sick); err != nil {
		t.Fatal(err)
	}
	events, err := d.api.Events(t.Context(), upkeep.EventFilter{Select: []string{"app"}})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, e := range events {
		if e.Check != "" {
			seen = append(seen, e.Type+" "+e.Check+" "+e.Text)
		}
	}
	all := strings.Join(seen, "\n")
	for _, want := range []string{
		"CHECK_FAILED log check log fails: it is sick", "CHECK_ACTION log check log has it started anew: it is sick",
		"CHECK_FAILED hangs check hangs fails: it did not end in time",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q has not happened: %s", want, all)
		}
	}
	if strings.Contains(all, "CHECK_ACTION hangs") || strings.Contains(all, "missing") {
		t.Error(all)
	}
	if out := d.request("POST", "/v1/processes/app/stop", "{}"); out.status != 200 && out.status != 202 {
		t.Fatalf("%+v", out)
	}
	until(t, "the stop", func() bool { return d.process("app").State == "STOPPED" })
	if list, err := d.api.Checks(t.Context(), "app"); err != nil || len(list) != 0 {
		t.Errorf("of a stopped program: %+v, %v", list, err)
	}
}

// TestLogWrittenByTheProgram: lines that do not go through the daemon are found in the file, from the first that the process
// writes, and by the next manager too.
func TestLogWrittenByTheProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a daemon")
	}
	d := native(t, shortDir(t), 0)
	dir := t.TempDir()
	out, own, sick := filepath.Join(dir, "out"), filepath.Join(dir, "own"), filepath.Join(dir, "sick")
	if err := os.WriteFile(out, []byte("it is up\nit is sick\n"), 0o644); err != nil { // of an earlier life
		t.Fatal(err)
	}
	d.define("dir", "command=/bin/sh -c 'echo it is up; while :; do [ -e "+sick+" ] && echo it is sick; sleep 0.1; done'\n"+
		"log_mode=direct\nstdout_logfile="+out+"\nredirect_stderr=true\n"+
		"check.up=log '^it is up$' stage=startup\n"+
		"check.log=log '^it is sick$' every=200ms after=0s\n"+
		"check.own=log bad file="+own+" every=200ms after=0s then=event\n")
	checks := func() map[string]upkeep.Check {
		list, err := d.api.Checks(t.Context(), "dir")
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]upkeep.Check{}
		for _, k := range list {
			have[k.Name] = k
		}
		return have
	}
	until(t, "verdicts", func() bool {
		have := checks()
		return have["up"].Verdict == "passing" && have["up"].Text == "it is up" && have["log"].Verdict == "passing" &&
			have["log"].Text == "no such line" && have["own"].Text == "no such line: "+own+" is not there"
	})
	pid := *d.process("dir").PID
	d.killed(func() {})
	until(t, "verdicts for the next manager", func() bool {
		have := checks()
		return have["log"].Verdict == "passing" && have["own"].Verdict == "passing"
	})
	if err := os.WriteFile(own, []byte("bad luck\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, "a line of a file of its own", func() bool {
		events, err := d.api.Events(t.Context(), upkeep.EventFilter{Select: []string{"dir"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Type == "CHECK_FAILED" && e.Check == "own" {
				return strings.HasSuffix(e.Text, "bad luck")
			}
		}
		return false
	})
	if now := d.process("dir").PID; now == nil || *now != pid {
		t.Fatal("it was started anew for a line of an earlier life")
	}
	touch(t, sick)
	until(t, "another process", func() bool {
		p := d.process("dir")
		return p.PID != nil && *p.PID != pid
	})
}

// TestFiguresOfWhatIsLeft: when the process that was started has left another one, the figures, the page of metrics and the
// checks are of that one.
func TestFiguresOfWhatIsLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a daemon")
	}
	d := native(t, shortDir(t), 0)
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	d.define("bg", "command=/bin/sh -c 'sleep 1000 & echo $$ >"+first+".new; mv "+first+".new "+first+"; sleep 0.5; exit 0'\n"+
		"track=fork\nlog_mode=direct\ncheck.heap=memory max=1GB every=200ms after=0s\n")
	until(t, "what is left", func() bool {
		b, err := os.ReadFile(first)
		p := d.process("bg")
		return err == nil && p.PID != nil && fmt.Sprint(*p.PID) != strings.TrimSpace(string(b)) && p.State == "RUNNING"
	})
	pid := *d.process("bg").PID
	p, err := d.api.Process(t.Context(), "bg")
	if err != nil || p.PID == nil || *p.PID != pid || p.CPU == nil || p.Memory == nil || p.Usage == nil || p.Usage.Memory <= 0 ||
		p.TreeUsage == nil || p.TreeUsage.Processes != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	until(t, "the figures on the page", func() bool {
		return strings.Contains(d.request("GET", "/metrics", "").body, `upkeep_process_children{group="bg",process="bg"} 0`)
	})
	until(t, "the check", func() bool {
		list, err := d.api.Checks(t.Context(), "bg")
		return err == nil && len(list) == 1 && list[0].Verdict == "passing"
	})
	if text := d.request("GET", "/v1/processes/bg/why", ""); text.status != 200 || !strings.Contains(text.body, fmt.Sprint(pid)) {
		t.Errorf("%+v", text)
	}
}
