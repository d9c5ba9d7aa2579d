package native

import (
	"strings"
	"testing"
)

// conf is where definitions are, in what is printed.
const conf = "~/config/upkeep/programs/"

// TestSettings edits a program that runs: what counts at once, what waits for a restart, and what is refused.
func TestSettings(t *testing.T) {
	u := newUser(t)
	u.program("web", "; kept\n[program:web]\ncommand = sleep 1000 ; why\nstartsecs = 0\nenv.TOKEN = secret\n")
	u.program("old", "[program:old]\ncommand = sleep 1000\nautostart = false\n")
	u.write("config/upkeep/upkeep.conf", "[program:mine]\ncommand = sleep 1000\nautostart = false\n")
	u.start()
	const waits = "takes effect when it is applied, which restarts it:   upkeep apply web\n"
	u.play([]step{
		{"set web autorestrat=true", 2, "", "unknown key \"autorestrat\". Did you mean autorestart?   upkeep explain autorestart\n"},
		{"set web qqqqqqqqqqqqqqqqqqqqqq=1", 2, "", "unknown key \"qqqqqqqqqqqqqqqqqqqqqq\".   All keys: upkeep explain\n"},
		{"set web stopsignal=TREM", 6, "", conf + "web.conf:6: stopsignal=TREM is not the name or number of a signal (did you mean TERM?)\nnothing was changed\n"},
		{"set web command=nosuchcommand", 6, "", conf + "web.conf:3: there is no \"nosuchcommand\" in the PATH that this program would get (" +
			"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)\nnothing was changed\n"},
		{"set wbe startsecs=1", 5, "", "no program named \"wbe\". Close: web.   All names: upkeep status -q\n"},
		{"set mine startsecs=1", 6, "", "mine is defined in a file of yours, which upkeep does not touch: edit ~/config/upkeep/upkeep.conf:1, then  upkeep apply\n"},
		{"set web startsecs", 2, "", "\"startsecs\" is no KEY=VALUE; upkeep set NAME --unset KEY takes a key out\n"},
		{"set web", 2, "", "set what? upkeep set NAME KEY=VALUE, such as  upkeep set web startsecs=5   All keys: upkeep explain\n"},
		{"set web stopwaitsecs=5", 0, "web  stopwaitsecs: 10 → 5      " + conf + "web.conf:6\n", "takes effect at once\n"},
		{"set web stopwaitsecs=5", 0, "web  stopwaitsecs: 5, as it was      " + conf + "web.conf:6\n", "nothing has changed\n"},
		{"diff", 0, "nothing differs: what runs is what is configured\n", ""},
		{"set web 'env.A=50% x ; y'", 0, "web  env.A: (none) → …      " + conf + "web.conf:7\n", waits},
		{"diff", 0, "~ web  environment +A   restart needed\n", "config: 1 changed.  1 restart.   upkeep apply\n"},
		{"show web --env", 0, "A\nTOKEN\n", ""},
		{"set web --unset env.A --now", 0, "web  env.A: … → (default)      " + conf + "web.conf:7\n", "changes nothing that runs\n"},
		{"set web --unset env.A", 0, "web  env.A is not set in its definition\n", "nothing has changed\n"},
		{"set web command='sleep 2000' --now", 2, "", "\"sleep 2000\" is no KEY=VALUE; upkeep set NAME --unset KEY takes a key out\n"},
		{"set web 'command=sleep 2000' --now", 0, "web  command: sleep 1000 → sleep 2000      " + conf + "web.conf:3\n✓ web is restarted with its new settings\n", ""},
		{"set old 'command=sleep 2000'", 0, "old  command: sleep 1000 → sleep 2000      " + conf + "old.conf:2\n", "takes effect at its next start\n"},
		{"off web", 0, "✓ web is off: it does not start with upkeep   it runs until it is stopped:  upkeep stop web\n", ""},
		{"off web", 0, "✓ web is off already\n", ""},
		{"on old web", 0, "✓ old is on: it starts with upkeep   start it now:  upkeep start old\n✓ web is on: it starts with upkeep\n", ""},
		{"on", 2, "", "on what? There is mine, old and web; \"all\" stands for everything\n"},
		{"on mine", 6, "", "mine is defined in a file of yours, which upkeep does not touch: edit ~/config/upkeep/upkeep.conf:1, then  upkeep apply\n"},
		{"diff", 0, "nothing differs: what runs is what is configured\n", ""},
		{"status -q", 3, "mine\nold\nweb\n", ""},
		{"rm old web", 2, "", "Stop and forget old and web?  Nobody can be asked here: say --yes\n"},
		{"rm web", 0, "✓ web is stopped and forgotten   its logs stay: ~/logs/web.stdout.log, web.stderr.log\n", ""},
		{"rm web", 5, "", "no program named \"web\".   All names: upkeep status -q\n"},
		{"rm mine", 6, "", "mine is defined in a file of yours, which upkeep does not touch: edit ~/config/upkeep/upkeep.conf:1, then  upkeep apply\n"},
	})
	if stdout, _, _ := u.call("export", "-f", "json"); strings.Contains(stdout, "secret") {
		t.Error("a secret is in the JSON")
	}
	u.tty, u.in = true, "n\n"
	u.program("two", "[program:two]\ncommand = sleep 1000\n")
	u.play([]step{
		{"rm old two", 1, "", "Stop and forget old and two? [y/N] nothing was done\n"},
		{"apply", 0, "✓ two is there\n", ""},
	})
	u.program("two", "[program:two]\ncommand = sleep 1001\n")
	u.program("bad", "[program:bad]\ncommand = sleep 1\nstopsignal = TREM\nstartsecs = x\n")
	const wrong = conf + "bad.conf:3: stopsignal=TREM is not the name or number of a signal (did you mean TERM?)\n" +
		conf + "bad.conf:4: startsecs=x is not a whole number of seconds\n" +
		"2 problems. What those files define is left as it is.\n"
	u.play([]step{
		{"apply", 1, "", "~ two  command sleep 1000 → sleep 1001   restart needed\nconfig: 1 changed.  1 restart.  Apply? [y/N] nothing was done\n"},
		{"apply --yes", 6, "✓ two is restarted with its new settings\n", wrong},
		{"check", 6, "", strings.Replace(wrong, ". What those files define is left as it is", "", 1)},
	})
}

// TestNumbers changes how many processes a definition has: more of them come at once, those that are too many wait.
func TestNumbers(t *testing.T) {
	u := newUser(t)
	u.program("w", "[program:w]\ncommand = sleep 1000\nstartsecs = 0\nprocess_name = %(process_num)d\n")
	u.start()
	u.program("later", "[program:later]\ncommand = sleep 1000\n")
	u.play([]step{
		{"set w numprocs=2", 0, "w  numprocs: 1 → 2      " + conf + "w.conf:5\n✓ w:1 is there\n", ""},
		{"set w numprocs=1", 0, "w  numprocs: 2 → 1      " + conf + "w.conf:5\n", "takes effect when it is applied:   upkeep apply w\n"},
		{"status -q", 0, "w:0\nw:1\n", ""},
		{"set w --now numprocs=1", 0, "w  numprocs: 1, as it was      " + conf + "w.conf:5\n✓ w:1 is gone\n", "nothing has changed\n"},
		{"set later startsecs=0", 0, "later  startsecs: 1 → 0      " + conf + "later.conf:3\n", "takes effect when it is applied:   upkeep apply later\n"},
		{"off later", 0, "✓ later is off: it does not start with upkeep\n", ""},
		{"diff", 0, "+ later  it is new and does not start by itself\n", "config: 1 new.   upkeep apply\n"},
		{"show w", 0, "w   " + conf + "w.conf:1   upkeep set and edit change it\n  KEY           VALUE       FROM\n  command       sleep 1000  line 2\n" +
			"  process_name  0           line 4\n  numprocs      1           line 5\n  startsecs     0           line 3\n", ""},
	})
}

// TestResting edits programs of an instance that does not run: nothing is started for it.
func TestResting(t *testing.T) {
	u := newUser(t)
	file := u.program("web", "# mine\n[program:web]\n\ncommand = sleep 1000\nenvironment = A=\"1\",B=\"2\"\n")
	u.play([]step{
		{"show", 2, "", "show which program? upkeep show NAME   All names: upkeep status -q\n"},
		{
			"show web", 0, "web   " + conf + "web.conf:2   upkeep set and edit change it\n  KEY          VALUE       FROM\n" +
				"  command      sleep 1000  line 4\n  environment  (A,B)       line 5\n", "no daemon runs; this is what it would use\n",
		},
		{"show web --text", 0, "# mine\n[program:web]\n\ncommand = sleep 1000\nenvironment = A=\"1\",B=\"2\"\n", ""},
		{"show web -q", 0, "command\nenvironment\n", ""},
		{"show wbe", 5, "", "no program named \"wbe\". Close: web.   All names: upkeep status -q\n"},
		{"set web startsecs=3", 0, "web  startsecs: 1 → 3      " + conf + "web.conf:6\n", "takes effect when the daemon starts\n"},
		{"set web startsecs=x", 6, "", conf + "web.conf:6: startsecs=x is not a whole number of seconds\nnothing was changed\n"},
		{"off web", 0, "✓ web is off: it does not start with upkeep\n", ""},
		{"check", 0, "✓ 1 program, no mistakes\n", ""},
		{"diff", 7, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n  1 program is defined. Start the daemon:  upkeep daemon start\n"},
		{"apply", 7, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n  1 program is defined. Start the daemon:  upkeep daemon start\n"},
		{"daemon status", 7, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n  1 program is defined. Start the daemon:  upkeep daemon start\n"},
	})
	want := "# mine\n[program:web]\n\ncommand = sleep 1000\nenvironment = A=\"1\",B=\"2\"\nstartsecs = 3\nautostart = false\n"
	if got := u.read(strings.TrimPrefix(file, u.root)); got != want {
		t.Errorf("%q", got)
	}
	u.play([]step{{"rm web", 0, "✓ web is forgotten\n", ""}})
}

// TestEdit has a script for an editor.
func TestEdit(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand = sleep 1000\n")
	u.play([]step{{"edit web", 2, "", "no editor is known here: set EDITOR, or use  upkeep set NAME KEY=VALUE\n"}})
	for _, c := range []struct {
		editor, in     string
		tty            bool
		status         int
		stdout, stderr string
	}{
		{editor: "true", stderr: "nothing has changed\n"},
		{editor: "false", status: 1, stderr: "the editor false: exit status 1; nothing was changed\n"},
		{
			editor: "sh -c 'echo x >>\"$1\"; exit 3' sh", status: 1,
			stderr: "What you wrote is in ~/upkeep-edit-N/web.conf\nthe editor sh: exit status 3; nothing was changed\n",
		},
		{editor: "'unclosed", status: 2, stderr: "EDITOR is no command: 'unclosed\n"},
		{
			editor: "sed -i s/1000/2000/", stdout: "✓ web is stored   " + conf + "web.conf\n", stderr: "takes effect when the daemon starts\n",
		},
		{
			editor: "sed -i s/command/comand/", tty: true, in: "n\n", status: 6,
			stderr: "~/upkeep-edit-N/web.conf:1: program section program:web does not specify a command\n~/upkeep-edit-N/web.conf:2: unknown key \"comand\" (did you mean command?)\n" +
				"2 problems.\nEdit again? [Y/n] The definition is as it was. What you wrote is in ~/upkeep-edit-N/web.conf\n",
		},
	} {
		u.vars["EDITOR"], u.tty, u.in = c.editor, c.tty, c.in
		u.play([]step{{"edit web", c.status, c.stdout, c.stderr}})
	}
	// The second time the editor mends what it has broken.
	script := u.write("ed", "#!/bin/sh\nif grep -q TREM \"$1\"; then sed -i s/TREM/TERM/ \"$1\"; else echo stopsignal = TREM >>\"$1\"; fi\n")
	u.vars["EDITOR"], u.tty, u.in = "sh "+script, true, "y\n"
	if stdout, stderr, status := u.call("edit", "web"); status != 0 || !strings.Contains(stderr, "TREM") || !strings.Contains(stdout, "is stored") {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	if text := u.read("config/upkeep/programs/web.conf"); text != "[program:web]\ncommand = sleep 2000\nstopsignal = TERM\n" {
		t.Errorf("%q", text)
	}
	u.tty, u.in = false, ""
	u.start()
	u.vars["VISUAL"] = "sed -i s/2000/3000/"
	u.play([]step{
		{
			"edit web", 0, "✓ web is stored   " + conf + "web.conf\n~ web  command sleep 2000 → sleep 3000   restart needed\n",
			"takes effect when it is applied, which restarts it:   upkeep apply web\n",
		},
	})
	u.vars["VISUAL"] = "sed -i s/3000/4000/"
	u.play([]step{
		{
			"edit web --yes", 0, "✓ web is stored   " + conf + "web.conf\n~ web  command sleep 2000 → sleep 4000   restart needed\n" +
				"✓ web is restarted with its new settings\n", "",
		},
	})
}
