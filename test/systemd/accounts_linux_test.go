package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// accounts are the service accounts of the test.
var accounts = map[string]int{"ann": 2001, "ben": 2002}

// newAccounts is a machine with service accounts that have programs of the same names.
func newAccounts(t *testing.T) *machine {
	m := newMachine(t)
	passwd, group := m.read("etc/passwd"), m.read("etc/group")
	for name, uid := range accounts {
		passwd += fmt.Sprintf("%s:x:%d:%d::/home/%s:/bin/sh\n", name, uid, uid, name)
		group += fmt.Sprintf("%s:x:%d:\n", name, uid)
		home := "home/" + name
		m.write(home+"/web.sh", "#!/bin/sh\nid -u\nwhile :; do sleep 0.1; done\n")
		m.write(home+"/usrsvc.cfg", "[Main]\n[Program:web]\ncommand = /bin/sh /home/"+name+"/web.sh\npidfile = /home/"+name+"/web.pid\nstdout = /home/"+name+"/web.log\nsuccess_seconds = 0.2\n")
		err := filepath.WalkDir(filepath.Join(m.root, home), func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(path, uid, uid)
		})
		if err == nil {
			err = os.Chmod(filepath.Join(m.root, home), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(m.root, 0o755); err != nil { // everybody is to come in
		t.Fatal(err)
	}
	m.write("etc/passwd", passwd)
	m.write("etc/group", group)
	return m
}

// as runs a command of the product as an account.
func (m *machine) as(account string, words ...string) (string, error) {
	id := fmt.Sprint(accounts[account])
	return m.do("setpriv", append([]string{
		"--reuid", id, "--regid", id, "--clear-groups", "env", "-i", "HOME=/home/" + account, "USER=" + account, "PATH=/usr/bin:/bin", "/opt/bin/upkeep",
	}, words...)...)
}

// web is the pid of an account's program under usrsvc; 0 = it does not run.
func (m *machine) web(account string) int {
	out, err := m.as(account, "usrsvc", "status", "web", "--json")
	var o struct {
		Process *struct {
			PID int `json:"pid"`
		} `json:"process"`
	}
	if err != nil || json.Unmarshal([]byte(out), &o) != nil || o.Process == nil {
		return 0
	}
	return o.Process.PID
}

// property is a property of a unit.
func (m *machine) property(unit, name string) string {
	out, _ := m.do("systemctl", "show", "--value", "-p", name, unit)
	return strings.TrimSpace(out)
}

// TestServiceAccounts: usrsvcd and the native instance are enabled for each account by the units of the package. What happens
// to one account is nothing to the other; an ordered end of usrsvcd is nothing to its programs, nor is a power cut after a slip
// in its configuration.
func TestServiceAccounts(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	m := newAccounts(t)
	m.on()
	if out, err := m.do("systemctl", "enable", "--now", "usrsvcd@ann", "usrsvcd@ben", "upkeep@ann"); err != nil {
		state, _ := m.do("systemctl", "status", "usrsvcd@ann", "usrsvcd@ben", "upkeep@ann")
		t.Fatalf("%v\n%s%s", err, out, state)
	}
	webs := map[string]int{}
	for account, uid := range accounts {
		m.until("usrsvcd of "+account+" works", func() bool { return m.property("usrsvcd@"+account, "ActiveState") == "active" })
		m.until("its program runs", func() bool { webs[account] = m.web(account); return webs[account] != 0 })
		m.until("it has written", func() bool { return m.read("home/"+account+"/web.log") == fmt.Sprintln(uid) })
	}
	m.until("the native instance works", func() bool { return m.property("upkeep@ann", "ActiveState") == "active" })
	if out, err := m.as("ann", "add", "web", "--", "sleep", "1000"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := m.as("ben", "status"); err == nil {
		t.Errorf("one account sees the instance of another: %s", out)
	}
	same := func(when string) {
		t.Helper()
		for account, pid := range webs {
			if now := m.web(account); now != pid {
				t.Fatalf("%s: the program of %s was %d and is %d", when, account, pid, now)
			}
		}
	}
	m.must("systemctl", "reload", "usrsvcd@ann")
	same("after a reload")
	m.must("systemctl", "stop", "usrsvcd@ann")
	if _, err := m.as("ann", "usrsvcd", "status"); err == nil {
		t.Error("usrsvcd runs on after the stop of its unit")
	}
	same("after a stop")
	m.must("systemctl", "start", "usrsvcd@ann")
	same("after a start")
	m.must("systemctl", "restart", "usrsvcd@ann")
	same("after a restart")
	killed := m.property("usrsvcd@ann", "MainPID")
	m.must("systemctl", "kill", "-s", "KILL", "--kill-who=main", "usrsvcd@ann")
	m.until("usrsvcd comes back", func() bool {
		main := m.property("usrsvcd@ann", "MainPID")
		return main != killed && main != "0" && m.property("usrsvcd@ann", "ActiveState") == "active"
	})
	same("after usrsvcd was killed")
	if out, err := m.as("ann", "usrsvc", "stop", "web"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if now := m.web("ben"); now != webs["ben"] {
		t.Error("a stop in one account has reached the other")
	}
	m.must("systemctl", "stop", "upkeep@ann")
	if now := m.web("ben"); now != webs["ben"] {
		t.Error("the end of one account's instance has reached the other")
	}
	m.write("home/ben/usrsvc.cfg", "[Main\n") // a slip, and the power is cut
	m.off()
	m.on()
	for account := range accounts { // what was stopped by hand is started with the machine
		m.until("usrsvcd of "+account+" works after a power cut", func() bool { return m.property("usrsvcd@"+account, "ActiveState") == "active" })
		m.until("its program runs after a power cut", func() bool { return m.web(account) != 0 })
	}
	if out, err := m.as("ben", "usrsvcd", "checkconfig"); err == nil || !strings.Contains(out, "goes on with the last good configuration") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestServiceAccountThatCannotStart: systemd does not try again and again what somebody has to mend first, and takes over when
// a daemon that somebody has started by hand ends.
func TestServiceAccountThatCannotStart(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	m := newAccounts(t)
	m.on()
	for account, spoil := range map[string]func(text string) string{
		"ann": func(string) string { return "\xff\xfe[\x00" }, // 130: it is no text, and there is nothing that was in force last
		"ben": func(text string) string {
			return "[Main]\nusrsvcd_stdout = /root/log\n" + strings.TrimPrefix(text, "[Main]\n")
		}, // 136
	} {
		unit, file := "usrsvcd@"+account, "home/"+account+"/usrsvc.cfg"
		good := m.read(file)
		m.write(file, spoil(good))
		if out, err := m.do("systemctl", "start", unit); err == nil {
			t.Errorf("%s is started with a configuration that cannot be used: %s", unit, out)
		}
		m.until(unit+" is given up", func() bool { return m.property(unit, "ActiveState") == "failed" })
		m.write(file, good)
		m.must("systemctl", "start", unit)
		m.until("its program runs", func() bool { return m.web(account) != 0 })
	}
	m.must("systemctl", "stop", "usrsvcd@ann")
	web := m.web("ann")
	if out, err := m.as("ann", "usrsvcd", "start"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := m.do("systemctl", "start", "usrsvcd@ann"); err == nil {
		t.Errorf("there are two: %s", out)
	}
	if out, err := m.as("ann", "usrsvcd", "stop"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.until("the unit takes its place", func() bool { return m.property("usrsvcd@ann", "ActiveState") == "active" })
	if now := m.web("ann"); web == 0 || now != web {
		t.Errorf("the program was %d and is %d", web, now)
	}
}
