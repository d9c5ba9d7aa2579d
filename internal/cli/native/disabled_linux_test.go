package native

import (
	"strconv"
	"testing"
)

// TestDisabled: a restart does not end what it could not start again; orders for all leave out what is disabled, and one for it
// by its name says so.
func TestDisabled(t *testing.T) {
	u := newUser(t)
	u.start()
	u.is(0, []string{"add", "web", "--", "sleep", "1000"}, "✓ web is running")
	u.is(0, []string{"add", "db", "--", "sleep", "1000"}, "✓ db is running")
	u.is(0, []string{"set", "web", "enabled=false"}, "takes effect at once")
	pid := u.pidOf("web")
	u.is(1, []string{"restart", "web"}, "✕ web is disabled: nobody can start it (enabled=false)", "upkeep set web enabled=true && upkeep start web")
	u.is(0, []string{"restart", "all"}, "✓ db is running")
	u.is(0, []string{"restart", "*b", "--json"})
	if got := u.pidOf("web"); got != pid {
		t.Errorf("pid %d, it was %d", got, pid)
	}
	u.is(0, []string{"status", "web", "-o", "template={{.PID}} {{.Boot}}"}, strconv.Itoa(pid)+" false")
	u.is(0, []string{"stop", "all", "--yes"}, "✓ 2 stopped")
	u.is(0, []string{"start", "all"}, "✓ db is running")
	u.is(1, []string{"start", "web", "db"}, "web is disabled", "db is running already")
	u.is(1, []string{"start", "w*"}, "web is disabled")
	u.is(3, []string{"status", "web", "-o", "template={{.Summary}}"}, "disabled\n")
}
