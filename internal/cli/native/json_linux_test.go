package native

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// TestFailuresAsJSON: with --json every failure is one problem with a code on standard error, or stands in what was asked for.
func TestFailuresAsJSON(t *testing.T) {
	u := newUser(t)
	u.write("broken.conf", "[supervisord]\n[program:x]\ncommand=sleep 1\nstopsignal=TREM\n")
	absent := []struct {
		args   string
		status int
		code   string
	}{
		{"status", 4, "unavailable"},
		{"wait web", 4, "unavailable"},
		{"why web", 7, "unavailable"},
		{"logs", 7, "unavailable"},
		{"diff", 7, "unavailable"},
		{"notify ls", 7, "unavailable"},
		{"release web", 7, "unavailable"},
		{"daemon status", 7, "unavailable"},
		{"check " + u.root + "/broken.conf", 6, "invalid_config"},
		{"-c " + u.root + "/none.conf status", 1, "failed"},
		{"nosuch", 2, "bad_request"},
		{"status --nosuch", 2, "bad_request"},
		{"set web nosuch=1", 2, "bad_request"},
		{"adopt 1 --name x", 1, "not_adoptable"}, // starts the daemon, and does not say so
	}
	running := []struct {
		args   string
		status int
		code   string
	}{
		{"start", 2, "bad_request"},
		{"start web", 5, "not_found"},
		{"show web", 5, "not_found"},
		{"rm web", 5, "not_found"},
		{"adopt", 2, "bad_request"},
		{"adopt web", 2, "bad_request"},
		{"adopt --title ^no.such.thing$ --name x", 1, "failed"},
		{"add web -- no-such-command", 1, "invalid_config"},
		{"notify test x", 5, "not_found"},
		{"stop all", 2, "bad_request"},
		{"notify test", 2, "bad_request"},
		{"notify tst", 2, "bad_request"},
		{"boot enble", 2, "bad_request"},
		{"daemon stp", 2, "bad_request"},
		{"version x", 2, "bad_request"},
	}
	for _, c := range append(absent, running...) {
		_, stderr, status := u.call(append([]string{"--json"}, strings.Fields(c.args)...)...)
		var p upkeep.Problem
		if err := json.Unmarshal([]byte(stderr), &p); err != nil {
			t.Errorf("%s: %v in %s", c.args, err, stderr)
		}
		if status != c.status || p.Code != c.code || p.Status < 400 || p.Title == "" || p.Type == "" {
			t.Errorf("%s: status %d, %+v", c.args, status, p)
		}
	}
}

// TestTimeoutUnits: a length of time is written as in configurations.
func TestTimeoutUnits(t *testing.T) {
	u := newUser(t)
	for _, text := range []string{"2", "1.5", "1h30m", "500ms"} {
		u.is(4, []string{"status", "--timeout", text}, "no upkeep daemon is running")
	}
	for _, text := range []string{"-1", "2x", ""} {
		u.is(2, []string{"status", "--timeout", text}, "--timeout")
	}
}
