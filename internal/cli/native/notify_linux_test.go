package native

import (
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// TestNotify: who is told, and a test that says what came of it.
func TestNotify(t *testing.T) {
	u := newUser(t)
	u.write("config/upkeep/upkeep.conf", `[notify:good]
to=exec:/bin/sh -c 'cat > "$HOME/got"'
[notify:bad]
to=exec:/bin/sh -c "echo no route; exit 4"
on=fatal,backoff:3,restart:5/10m
groups=shop
`)
	u.start()
	u.play([]step{
		{args: "notify test good", stdout: "delivered to exec:/bin/sh …\n"},
		{
			args: "notify test bad", status: 1,
			stdout: "not delivered to exec:/bin/sh …: exit status 4\n  run /bin/sh …\n  < no route\n",
		},
		{args: "notify test goof", status: 5, stderr: "no notifier is named \"goof\". Did you mean good?   All of them: upkeep notify ls\n"},
		{args: "notify ls -q", stdout: "good\nbad\n"},
	})
	if got := u.read("got"); !strings.Contains(got, `"type":"alert.test"`) {
		t.Errorf("%s", got)
	}
	stdout, _, status := u.call("notify", "ls")
	for _, part := range []string{"good  exec:/bin/sh", "fatal backoff:3 restart:5/10m", "WAITING"} {
		if status != 0 || !strings.Contains(stdout, part) {
			t.Errorf("there is no %q in %d %s", part, status, stdout)
		}
	}
}

// TestNoNotifier: addresses of programs are listed like a notifier, and are not what was meant.
func TestNoNotifier(t *testing.T) {
	list := []upkeep.Notifier{{Name: "ops"}, {Name: "email_alerts"}}
	for name, want := range map[string]string{
		"email_alerts": "email_alerts are addresses of single programs and cannot be tested. A section can: [notify:NAME] with to=mailto:ADDRESS",
		"oops":         "no notifier is named \"oops\". Did you mean ops?   All of them: upkeep notify ls",
		"x":            "no notifier is named \"x\".   All of them: upkeep notify ls",
	} {
		if err := noNotifier(name, list); err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

// TestUndelivered: what did not reach people is said while the last attempt has failed.
func TestUndelivered(t *testing.T) {
	for want, list := range map[string][]upkeep.Notifier{
		"": {{Sent: 3, Failed: 2}, {Waiting: 1}},
		"2 alerts could not be delivered.   upkeep notify ls": {{Failed: 1, Waiting: 1, LastError: "no route"}, {Failed: 3}},
		"1 alert could not be delivered.   upkeep notify ls":  {{Waiting: 1, LastError: "no route"}},
	} {
		if got := undelivered(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
