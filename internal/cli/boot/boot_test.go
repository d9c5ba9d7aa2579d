package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// pretend is sam's machine with systemd, in a folder.
type pretend struct {
	t    *testing.T
	host *boot.Host
	fail string // the beginning of a command that fails
	deaf bool   // systemd does not do what it is told
	up   bool
	runs []string
}

func newPretend(t *testing.T) *pretend {
	t.Helper()
	p := &pretend{t: t}
	p.host = &boot.Host{
		OS: "linux", Root: t.TempDir(), UID: 1000, User: "sam", Home: "/home/sam", Exec: p.exec,
		Account: func(context.Context, string) (int, bool) { return 1001, true },
	}
	for _, name := range []string{"run/systemd/system/x", "run/user/1000/systemd/private", "usr/bin/systemctl", "usr/bin/loginctl"} {
		p.put(name)
	}
	return p
}

func (p *pretend) path(name string) string { return filepath.Join(p.host.Root, name) }

func (p *pretend) put(name string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte("x"), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

const (
	unitFile = "home/sam/.config/systemd/user/upkeep.service"
	wantLink = "home/sam/.config/systemd/user/default.target.wants/upkeep.service"
)

func (p *pretend) exec(_ context.Context, c boot.Command) (string, error) {
	line := strings.Join(c.Argv, " ")
	if p.fail != "" && strings.HasPrefix(line, p.fail) {
		return "", &boot.CommandError{Argv: c.Argv, Output: "Access \x1b[31mdenied\n", Err: errors.New("exit status 1")}
	}
	switch {
	case strings.HasSuffix(line, "is-system-running"):
		return "running\n", nil
	case strings.Contains(line, " show-user "):
		return "Sessions=1\n", nil
	case strings.Contains(line, " show "):
		answer := map[bool]string{true: "enabled", false: "disabled"}[p.exists(wantLink)]
		return "UnitFileState=" + answer + "\nActiveState=" + map[bool]string{true: "active", false: "inactive"}[p.up] + "\n", nil
	}
	p.runs = append(p.runs, line)
	switch {
	case p.deaf:
	case strings.Contains(line, " enable-linger "):
		p.put("var/lib/systemd/linger/sam")
	case strings.Contains(line, " disable-linger "):
		return "", os.Remove(p.path("var/lib/systemd/linger/sam"))
	case strings.Contains(line, " enable "):
		p.up = p.up || strings.Contains(line, "--now")
		_ = os.MkdirAll(filepath.Dir(p.path(wantLink)), 0o755)
		_ = os.Symlink("../upkeep.service", p.path(wantLink))
	case strings.Contains(line, " disable "):
		_ = os.Remove(p.path(wantLink))
		p.up = p.up && !strings.Contains(line, "--now")
	}
	return "", nil
}

func (p *pretend) exists(name string) bool {
	_, err := os.Lstat(p.path(name))
	return err == nil
}

// call runs a verb as a person at a terminal would, who types answer.
func (p *pretend) call(verb, answer string, edit ...func(*Options)) (status int, out, trouble string) {
	p.t.Helper()
	var o, e bytes.Buffer
	options := Options{
		Host: p.host, Prog: "upkeep boot", Stop: "upkeep daemon stop", In: strings.NewReader(answer), Terminal: true, Out: &o, Err: &e,
		Target:   boot.Target{Name: "upkeep", Command: []string{"/usr/local/bin/upkeep", "daemon"}, Description: "upkeep of sam"},
		Programs: func(context.Context) []string { return []string{"web", "db", "worker"} },
	}
	for _, f := range edit {
		f(&options)
	}
	status = Run(context.Background(), verb, options)
	return status, o.String(), e.String()
}

func (p *pretend) expect(status, want int, got, text string) {
	p.t.Helper()
	if status != want {
		p.t.Errorf("exit status %d, want %d: %s", status, want, got)
	}
	if d := cmp.Diff(text, got); d != "" {
		p.t.Error(d)
	}
}

const question = `will write   ~/.config/systemd/user/upkeep.service
will run     systemctl --user enable --now upkeep
             loginctl enable-linger sam   (starts at boot, no root needed)
Go ahead? [Y/n] `

func TestTranscript(t *testing.T) {
	p := newPretend(t)
	status, out, _ := p.call("status", "")
	p.expect(status, 3, out, "nothing starts it at boot or login.   upkeep boot enable\n")
	status, out, _ = p.call("enable", "\n")
	p.expect(status, 0, out, question+"✓ web, db and worker start at boot.     undo: upkeep boot disable\n")
	status, out, _ = p.call("enable", "")
	p.expect(status, 0, out, "✓ web, db and worker start at boot already.     undo: upkeep boot disable\n")
	status, out, _ = p.call("status", "")
	p.expect(status, 0, out, "starts at boot   systemd-user   ~/.config/systemd/user/upkeep.service   running\n")
	status, out, _ = p.call("disable", "y\n")
	p.expect(status, 0, out, `will write   /run/user/1000/systemd/user/upkeep.service
will run     systemctl --user disable upkeep
will remove  ~/.config/systemd/user/upkeep.service
will run     systemctl --user daemon-reload
             loginctl disable-linger sam   (was turned on by upkeep boot enable)
the daemon that runs now goes on; a copy of the unit stays in /run/user/1000/systemd/user/upkeep.service until the machine stops
what systemd runs for sam ends with the last session of sam
Go ahead? [Y/n] ✓ nothing starts at boot or login any more.     undo: upkeep boot enable
`)
	status, out, _ = p.call("disable", "")
	p.expect(status, 0, out, "nothing starts it at boot or login; nothing was changed\n")
}

func TestQuestion(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		edit         func(*Options)
		status       int
		done         bool
	}{
		{"no", "n\n", nil, 1, false},
		{"something else", "what?\n", nil, 1, false},
		{"end of input", "", nil, 1, false},
		{"nobody there", "", func(o *Options) { o.Terminal = false }, 2, false},
		{"nobody there, --yes", "", func(o *Options) { o.Terminal, o.Yes = false, true }, 0, true},
		{"dry run", "", func(o *Options) { o.DryRun = true }, 0, false},
		{"YES", "YES\n", nil, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPretend(t)
			var edits []func(*Options)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			status, out, trouble := p.call("enable", c.answer, edits...)
			if status != c.status || p.exists(unitFile) != c.done || (len(p.runs) > 0) != c.done {
				t.Errorf("exit status %d, ran %v\n%s%s", status, p.runs, out, trouble)
			}
			if !strings.HasPrefix(out, "will write   ~/.config") {
				t.Errorf("the plan is not shown: %s", out)
			}
		})
	}
}

// TestRunning: beside a daemon that was started by hand no second one is started.
func TestRunning(t *testing.T) {
	p := newPretend(t)
	running := func(o *Options) { o.Running = func(context.Context) int { return 4711 } }
	status, out, _ := p.call("enable", "\n", running)
	if status != 0 || !strings.Contains(out, "systemctl --user enable upkeep\n") || p.up ||
		!strings.Contains(out, "(pid 4711) goes on; the entry takes effect when the machine starts\n") ||
		!strings.Contains(out, "upkeep daemon stop && systemctl --user start upkeep") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if status, out, _ = p.call("enable", "", running); status != 0 || !strings.Contains(out, "already") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

func TestFailures(t *testing.T) {
	p := newPretend(t)
	p.fail = "loginctl enable-linger"
	status, _, trouble := p.call("enable", "\n")
	p.expect(status, 1, trouble, `✕ loginctl enable-linger sam: exit status 1: Access ?[31mdenied
  Everything is as it was before.
  Ask root for: loginctl enable-linger sam
  Or start with your first login instead: --at=login
`)
	if p.exists(unitFile) || p.exists(wantLink) || p.up {
		t.Error("something is left")
	}
	// A systemd that says yes and does nothing is not believed.
	p = newPretend(t)
	p.deaf = true
	status, _, trouble = p.call("enable", "\n")
	if status != 1 || !strings.Contains(trouble, "systemd-user does not say that it is enabled: disabled inactive") || p.exists(unitFile) {
		t.Errorf("exit status %d, file left: %t\n%s", status, p.exists(unitFile), trouble)
	}
	// Somebody else's unit.
	p = newPretend(t)
	p.put(unitFile)
	for _, verb := range []string{"enable", "disable"} {
		status, out, trouble := p.call(verb, "\n")
		if status != 1 || out != "" || !strings.Contains(trouble, "upkeep.service is not ours") || len(p.runs) > 0 {
			t.Errorf("%s: exit status %d\n%s%s", verb, status, out, trouble)
		}
	}
	if status, out, _ := p.call("status", ""); status != 3 || !strings.Contains(out, "not ours   systemd-user   ~/.config") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	for verb, want := range map[string]int{"frobnicate": 2} {
		if status, _, _ := p.call(verb, ""); status != want {
			t.Errorf("%s: exit status %d", verb, status)
		}
	}
	for _, c := range []struct {
		backend string
		status  int
		text    string
	}{
		{"systemd", 4, "systemd cannot be used: needs root"},
		{"openrc", 1, "OpenRC does not run here"},
		{"initd", 2, "there is no way to start named \"initd\"; there are systemd, systemd-user"},
	} {
		status, _, trouble := p.call("enable", "\n", func(o *Options) { o.Backend = c.backend })
		if status != c.status || !strings.Contains(trouble, c.text) {
			t.Errorf("%s: exit status %d\n%s", c.backend, status, trouble)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	p := newPretend(t)
	if status, _, trouble := p.call("enable", "\n"); status != 0 {
		t.Fatal(trouble)
	}
	moved := func(o *Options) {
		o.JSON = true
		o.Target.Command = []string{"/usr/bin/upkeep", "daemon"}
	}
	status, out, _ := p.call("status", "", moved)
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
		t.Fatal(status, err, out)
	}
	want := []ReportEntry{{
		Backend: "systemd-user", Place: "/" + unitFile, At: "boot", Enabled: true, Active: true, Says: "enabled active",
		Stale: "it has ExecStart=/usr/local/bin/upkeep daemon, now it would be ExecStart=/usr/bin/upkeep daemon",
	}}
	if d := cmp.Diff(want, r.Entries); d != "" || !r.Enabled || r.At != "boot" || len(r.Ways) < 8 {
		t.Errorf("%+v\n%s", r, d)
	}
}
