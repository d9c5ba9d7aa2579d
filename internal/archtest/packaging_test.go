package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell runs a script of the tree with arguments and returns what it says.
func shell(t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell: ", err)
	}
	cmd := exec.Command("sh", append([]string{script}, args...)...)
	cmd.Dir = root(t)
	// Output goes to a file: a daemon that the script leaves behind must not hold our pipe open.
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	runErr := cmd.Run()
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text), runErr
}

func TestUnitsAreInstalled(t *testing.T) {
	dest := t.TempDir()
	if out, err := shell(t, "scripts/install-units.sh", dest, "/opt/here"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, mode := range map[string]os.FileMode{
		"/etc/systemd/system/supervisord.service": 0o644,
		"/etc/init.d/supervisord":                 0o755,
	} {
		text, err := os.ReadFile(dest + name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("@")) {
			t.Errorf("%s has an unfilled place", name)
		}
		if !bytes.Contains(text, []byte("/opt/here/bin/upkeep")) {
			t.Errorf("%s does not name the binary", name)
		}
		if st, err := os.Stat(dest + name); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v, want %v", name, st.Mode(), err, mode)
		}
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		unit := filepath.Join(dest, "etc/systemd/system/supervisord.service")
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		// The binary must exist for the verification; any will do.
		fixed := strings.ReplaceAll(string(text), "/opt/here/bin/upkeep", "/bin/true")
		if err := os.WriteFile(unit, []byte(fixed), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", unit).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	}
}

// TestInitScript drives the SysV script with a daemon: the original when it is installed.
func TestInitScript(t *testing.T) {
	if testing.Short() {
		t.Skip("the original takes its time to end")
	}
	const original = "/usr/bin/supervisord"
	if _, err := os.Stat(original); err != nil {
		t.Skip("no daemon to drive: ", err)
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	daemon := write("daemon", "#!/bin/sh\nshift\nexec "+original+" \"$@\"\n", 0o755)
	conf := write("d.conf", "[supervisord]\nlogfile="+dir+"/d.log\npidfile="+dir+"/d.pid\n"+
		"[program:x]\ncommand=/bin/sleep 1000\nstdout_logfile=NONE\nstderr_logfile=NONE\n", 0o644)
	text := read(t, "packaging/units/supervisord.init")
	for from, to := range map[string]string{
		"CONF=/etc/supervisor/supervisord.conf": "CONF=" + conf,
		"PIDFILE=/var/run/supervisord.pid":      "PIDFILE=" + dir + "/d.pid",
		"DAEMON=@BINDIR@/upkeep":                "DAEMON=" + daemon,
		"/etc/default/supervisord":              dir + "/none",
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("the script has no %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	script := write("init", text, 0o755)

	step := func(verb, want string, ok bool) {
		t.Helper()
		out, err := shell(t, script, verb)
		if (err == nil) != ok || !strings.Contains(out, want) {
			t.Fatalf("%s: %v, %q; want %q, success %v", verb, err, out, want, ok)
		}
	}
	await := func(verb, want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			out, _ := shell(t, script, verb)
			if strings.Contains(out, want) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s never says %q but %q", verb, want, out)
			}
		}
	}
	step("status", "not running", false)
	step("stop", "not running", true)
	step("start", "", true)
	defer func() { _, _ = shell(t, script, "stop") }()
	await("status", "running as process") // the pid file comes a moment after the launching command has ended
	step("start", "is running", true)
	step("restart", "", true)
	await("status", "running as process")
	step("stop", "", true)
	step("status", "not running", false)
	step("dance", "usage", false)
}
