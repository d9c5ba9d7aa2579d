package native

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUpInTheBackground: a Procfile is run by a daemon of its own, which other commands reach, and which down ends.
func TestUpInTheBackground(t *testing.T) {
	u := newUser(t)
	file := u.write("shop/Procfile", "web: sh -c 'echo web at $PORT; exec sleep 1000'\nmail: sleep 1000\n")
	project := "--project=" + file
	t.Cleanup(func() { u.call("down", "-f", file, "--yes") })
	for _, c := range []struct {
		args        []string
		status      int
		out, errors string
	}{
		{[]string{"down", "-f", file}, 0, "", "nothing of ~/shop/Procfile is running\n"},
		{[]string{"up", "-d", "--wait", "-f", file}, 0, "✓ mail is running   pid N\n✓ web is running   pid N\n", "2 programs in the background.   upkeep status --project   upkeep down\n"},
		{[]string{"status", project, "-q"}, 0, "mail\nweb\n", ""},
		{[]string{"status", "-q"}, 4, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n"},
		{[]string{"up", "-d", "-f", file}, 0, "", "it is running already (pid N); its configuration was read again\n2 programs in the background.   upkeep status --project   upkeep down\n"},
		{[]string{"logs", "web", project}, 0, "web at 5000\n", ""},
		{[]string{"down", "-f", file, "--yes"}, 0, "✓ stopped: 2 programs, and the daemon\n", ""},
		{[]string{"down", "-f", file}, 0, "", "nothing of ~/shop/Procfile is running\n"},
	} {
		out, errs, status := u.call(c.args...)
		if status != c.status || out != c.out || errs != c.errors {
			t.Errorf("%s: %d\n%s%s", c.args, status, out, errs)
		}
	}
}

// TestUpRefuses: what names no program is told so, and starts nothing.
func TestUpRefuses(t *testing.T) {
	u := newUser(t)
	empty := u.write("empty/Procfile", "# nothing\n")
	for _, c := range []struct {
		file   string
		status int
		errors string
	}{
		{empty, 6, "names no program"},
		{filepath.Join(u.root, "nowhere"), 2, "nowhere"},
		{filepath.Dir(u.write("bare/README", "")), 2, "Procfile"},
	} {
		out, errs, status := u.call("up", "-d", "-f", c.file)
		if status != c.status || !strings.Contains(errs, c.errors) {
			t.Errorf("%s: %d\n%s%s", c.file, status, out, errs)
		}
	}
}

// TestUpEnds: in the foreground it shows what the programs write, ends with them, and its status says whether one has failed.
func TestUpEnds(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct {
		code   string
		status int
	}{"well": {"0", 0}, "badly": {"3", 1}} {
		file := u.write(name+"/upkeep.conf", "[program:one]\ncommand=echo hello\nstartsecs=0\nautorestart=false\n"+
			"[program:other]\ncommand=sh -c 'echo there; exit "+c.code+"'\nstartsecs=0\nautorestart=false\n")
		out, errs, status := u.call("up", "-f", file)
		if status != c.status || !strings.Contains(out, "one   | hello\n") || !strings.Contains(out, "other | there\n") {
			t.Errorf("%s: %d\n%s%s", name, status, out, errs)
		}
		u.play([]step{{"down -f '" + file + "'", 0, "", "nothing of " + u.plain(file) + " is running\n"}})
	}
}

// TestUpIsInterrupted: Ctrl-C stops the programs in order, and nothing is left.
func TestUpIsInterrupted(t *testing.T) {
	u := newUser(t)
	file := u.write("shop/upkeep.conf", "[program:web]\ncommand=sh -c 'trap \"echo farewell; exit 0\" TERM; echo up; while :; do sleep 0.05; done'\n")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "up", "-f", file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	impatient := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer impatient.Stop()
	seen := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		seen += lines.Text() + "\n"
		if strings.HasSuffix(lines.Text(), "| up") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(seen, "| farewell\n") {
		t.Errorf("%v\n%s", err, seen)
	}
	u.play([]step{{"down -f '" + file + "'", 0, "", "nothing of ~/shop/upkeep.conf is running\n"}})
}
