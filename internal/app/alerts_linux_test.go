package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

// subjects are the subjects of the mails of which the text before the host is left out, in order.
func subjects(mails []smtptest.Mail) []string {
	var out []string
	for _, m := range mails {
		_, rest, _ := strings.Cut(m.Text, "\nSubject: [")
		line, _, _ := strings.Cut(rest, "\n")
		_, line, _ = strings.Cut(line, "] ")
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// begins reports whether there are exactly these subjects, by how they begin.
func begins(got, want []string) bool {
	return len(got) == len(want) && !slices.ContainsFunc(want, func(w string) bool {
		return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) })
	})
}

// TestAlerts: a real server of mail gets one readable mail for each thing that has happened, with its cause and the last lines,
// although the manager is killed again and again, everything is killed once, and the server is away for a while.
func TestAlerts(t *testing.T) {
	if testing.Short() {
		t.Skip("two minutes: messages are collected for half a minute, and tried again after one")
	}
	const canary = "c4n4ry"
	server := (&smtptest.Server{Auth: "PLAIN", User: "me", Password: canary}).Start(t)
	root := shortDir(t)
	dir := filepath.Join(root, "config", "upkeep")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(root, name) }
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(at("password"), canary+"\n", 0o600)
	write(at("gives-up"), "#!/bin/sh\nif [ -e "+at("well")+" ]; then exec sleep 1000; fi\necho boom password="+canary+" >&2; exit 3\n", 0o700)
	write(at("fat"), "#!/bin/sh\necho eats\nif [ ! -e "+at("was-fat")+" ]; then : > "+at("was-fat")+
		"; x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 1000; fi; exec sleep 1000\n", 0o700)
	write(at("idle"), "#!/bin/sh\necho idles\n: > "+at("sign")+"\nif [ ! -e "+at("was-idle")+" ]; then : > "+at("was-idle")+
		"; exec sleep 1000; fi\nwhile :; do : > "+at("sign")+"; sleep 0.2; done\n", 0o700)
	write(filepath.Join(dir, "upkeep.conf"), `[notify:ops]
to=mailto:ops@x.example
via=smtp://`+server.Addr+`
from=upkeep@x.example
username=me
password_file=`+at("password")+`
on=fatal,check,restart,recovered
[notify:starts]
to=mailto:starts@x.example
via=smtp://`+server.Addr+`
from=upkeep@x.example
username=me
password_file=`+at("password")+`
on=started
[program:gives-up]
command=`+at("gives-up")+`
startsecs=5
startretries=1
notify=ops
[program:fat]
command=`+at("fat")+`
notify=ops
stopasgroup=true
killasgroup=true
check.memory=memory max=30MB every=1s after=0s failures=1
[program:idle]
command=`+at("idle")+`
notify=ops
stopasgroup=true
killasgroup=true
check.activity=activity `+at("sign")+` age=10s every=1s after=0s failures=1
[program:dead]
command=/bin/sleep 1000
notify=none
`, 0o600)
	d := native(t, root, 0)
	s, err := d.api.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keeper := s.PID
	until(t, "the end of what gives up", func() bool { return d.process("gives-up").State == "FATAL" })
	kill := func() {
		t.Helper()
		s, err := d.api.System(t.Context())
		if err != nil || s.Manager == keeper {
			t.Fatalf("%+v, %v", s, err)
		}
		if err := syscall.Kill(s.Manager, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "the next manager", func() bool {
			now, err := d.api.System(t.Context())
			return err == nil && now.Manager != s.Manager
		})
	}
	kill()
	first := []string{"FATAL gives-up, exit 3 after ", "RESTARTED fat, memory: ", "RESTARTED idle, activity: "}
	// A mail of which the server has said that it has it, and nothing else yet, may come twice.
	sent := func(ops, starts uint64) bool {
		list, err := d.api.Notifiers(t.Context())
		return err == nil && len(list) == 2 && list[0].Sent == ops && list[1].Sent == starts
	}
	long(t, "the first mails", func() bool { return sent(3, 0) })
	kill()
	if got := subjects(server.Mails()); !begins(got, first) {
		t.Errorf("%q", got)
	}
	for _, m := range server.Mails() {
		for part, of := range map[string]string{
			"boom password=[hidden]": "FATAL", "last 2 lines of stderr": "FATAL", "exited with code 3": "FATAL",
			"eats": "RESTARTED fat", "limit 30 MB": "RESTARTED fat", "idles": "RESTARTED idle", "it is RUNNING since": "RESTARTED",
		} {
			if strings.Contains(m.Text, "] "+of) && !strings.Contains(m.Text, part) {
				t.Errorf("there is no %q in %s", part, m.Text)
			}
		}
		if m.Login != "PLAIN me" || !strings.HasPrefix(m.Text, "From: upkeep@x.example\nTo: ops@x.example\n") {
			t.Errorf("%+v", m)
		}
	}

	// Everything is killed, one of the programs too; the server of mail is away when the daemon comes back.
	server.Break(smtptest.Gone)
	write(filepath.Join(dir, "upkeep.conf"), strings.Replace(content(t, filepath.Join(dir, "upkeep.conf")), "notify=none", "notify=starts", 1), 0o600)
	if _, err := d.api.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead := *d.process("dead").PID
	s, err = d.api.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(keeper, syscall.SIGSTOP) // so that nobody comes after the manager
	for _, pid := range []int{s.Manager, dead, keeper} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	<-d.ended
	until(t, "the end of the program", func() bool { return syscall.Kill(dead, 0) == syscall.ESRCH })
	d.api.Close()
	d.start("native", 0)
	until(t, "what was found dead", func() bool {
		p := d.process("dead")
		return p.State == "RUNNING" && *p.PID != dead
	})
	write(at("well"), "", 0o600)
	if r := d.request("POST", "/v1/processes/gives-up/start?wait=60", ""); r.status != 200 {
		t.Errorf("%+v", r)
	}
	long(t, "a failure", func() bool {
		list, err := d.api.Notifiers(t.Context())
		return err == nil && len(list) == 2 && list[0].LastError != "" && list[1].LastError != ""
	})
	if p := d.process("idle"); p.State != "RUNNING" { // nothing waits for the server
		t.Errorf("%+v", p)
	}
	server.Break(smtptest.Well)
	kill()
	all := append(slices.Clone(first), "RECOVERED gives-up, well again after ", "STARTED dead, found dead and started")
	long(t, "the other mails", func() bool { return sent(4, 1) })
	kill()
	list, err := d.api.Notifiers(t.Context())
	if err != nil || len(list) != 2 || list[0].Sent != 4 || list[1].Sent != 1 || list[0].Waiting+list[1].Waiting != 0 || list[0].Failed+list[1].Failed != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, n := range []string{"ops", "starts"} {
		if out, err := d.api.TestNotifier(t.Context(), n); err != nil || len(out) != 1 || out[0].Error != "" {
			t.Errorf("%+v, %v", out, err)
		}
	}
	got := subjects(server.Mails())
	if !begins(got, append(all, "TEST of notifier ops", "TEST of notifier starts")) {
		t.Errorf("%q", got)
	}
	d.stop()
	err = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && path != at("password") && path != at("gives-up") && !strings.Contains(path, "gives-up-std") &&
			strings.Contains(content(t, path), canary) && !strings.Contains(filepath.Base(path), "gives-up") {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, m := range server.Mails() {
		if strings.Contains(m.Text, canary) {
			t.Errorf("the secret is in %s", m.Text)
		}
	}
	if strings.Contains(d.said.String(), canary) {
		t.Error("the daemon has said the secret")
	}
}

// long is until for what takes its time.
func long(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: has not come", what)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
