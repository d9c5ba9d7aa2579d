package native

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

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

// TestAnswersAsJSON: with --json every verb answers with one document and nothing beside it: on standard output,
// or on standard error where it has failed.
func TestAnswersAsJSON(t *testing.T) {
	u := newUser(t)
	u.vars["EDITOR"] = "sed -i s/startsecs.*/startsecs=0/"
	u.write("Procfile", "job: sleep 1000\n")
	u.write("upkeep.conf", "[supervisord]\n")
	u.start()
	file := u.write("shop/Procfile", "web: sleep 1000\n")
	t.Cleanup(func() { u.call("down", "-f", file, "--yes") })
	raw := []string{"attach", "exec", "help", "shell"} // what they show is for people, or is that of programs
	walked := map[string]bool{}
	for _, c := range []struct {
		args   string
		status int
		has    string // what stands in the document
	}{
		{"version", 0, `"version": "1.2.3"`},
		{"explain startsecs", 0, `"startsecs"`},
		{"doctor", -1, `[`},
		{"daemon start", 0, `"pid":`},
		{"daemon status", 0, `"pid":`},
		{"add web -- sleep 1000", 0, `"web"`},
		{"add two -- sleep 1000", 0, `"two"`},
		{"set web startsecs=2", 0, `"result": "stored"`},
		{"set web startsecs=2", 0, `"result": "unchanged"`},
		{"set web env.A=1 --now", 0, `"applied": true`},
		{"edit web", 0, `"result": "stored"`},
		{"edit web", 0, `"result": "unchanged"`},
		{"show web", 0, `"web"`},
		{"on web", 0, `"result": "unchanged"`},
		{"off web two", 0, `"name": "two"`},
		{"status", 0, `"web"`},
		{"wait web", 0, `"RUNNING"`},
		{"why web", 0, `"web"`},
		{"logs web", 0, `[`},
		{"events", 0, `[`},
		{"tree web", 0, `"sleep`},
		{"stop two", 0, `"two"`},
		{"start two", 0, `"two"`},
		{"restart two", 0, `"two"`},
		{"signal CONT two", 0, `"two"`},
		{"reload web", 1, `"web"`}, // it has no reload_signal
		{"release two", 0, `"two"`},
		{"check", 0, `"programs"`},
		{"diff", 0, `[`},
		{"apply", 0, `"steps"`},
		{"notify ls", 0, `[`},
		{"notify test", 2, ``},
		{"export web", 0, `"web"`},
		{"import procfile " + u.root + "/Procfile", 0, `"job"`},
		{"daemon reload", 0, `"steps"`},
		{"daemon reopen-logs", 0, `"pid":`},
		{"daemon upgrade", 0, `"pid":`},
		{"install-links --dir " + u.root + "/bin", 2, ``},
		{"boot status", 3, `"enabled": false`},
		{"boot enable --dry-run", 2, ``},
		{"boot enable", -1, ``}, // nobody says --yes, or there is no way
		{"boot disable --yes", 0, `"enabled": false`},
		{"adopt 1 --name x", 1, ``},
		{"up -f " + file, 2, ``},
		{"up -d -f " + file, 0, `"web"`},
		{"up -d --wait -f " + file, 0, `"web"`},
		{"down -f " + file, 0, `"stopped": 1`},
		{"down -f " + file, 0, `"stopped": 0`},
		{"rm web two --yes", 0, `"result": "forgotten"`},
		{"rm web", 5, ``},
		{"daemon stop", 0, `"stopped": 1`},
		{"daemon stop", 7, ``},
	} {
		args := strings.Fields(c.args)
		out, errs, status := u.call(append([]string{"--json"}, args...)...)
		if c.status >= 0 && status != c.status || c.status < 0 && status > 7 {
			t.Errorf("%s: status %d: %s%s", c.args, status, out, errs)
		}
		document, beside := out, errs
		if c.has == "" { // it is about a failure
			document, beside = errs, out
		}
		if !json.Valid([]byte(document)) || !strings.Contains(document, c.has) || beside != "" {
			t.Errorf("%s: %s\nbeside it: %s", c.args, document, beside)
		}
		walked[args[0]] = true
		walked[strings.Join(args[:min(2, len(args))], " ")] = true
	}
	var walk func(cmd *cobra.Command, path string)
	walk = func(cmd *cobra.Command, path string) {
		for _, sub := range cmd.Commands() {
			name := strings.TrimSpace(path + " " + sub.Name())
			if sub.Hidden || sub.IsAdditionalHelpTopicCommand() || slices.Contains(raw, name) && !sub.HasAvailableSubCommands() || name == "completion" {
				continue
			}
			if walk(sub, name); !walked[name] {
				t.Errorf("nobody has looked at %s", name)
			}
		}
	}
	walk((&command{environ: func(string) string { return "" }}).root(), "")
}
