package native

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletion: keys and their values are completed without a daemon, and none is started.
func TestCompletion(t *testing.T) {
	u := newUser(t)
	for args, want := range map[string]string{
		"set web auto":         "\nautostart=\tyes or no (true, yes, on, 1; false, no, off, 0), default true\n",
		"set web autorestart=": "autorestart=true\nautorestart=false\nautorestart=unexpected\n",
		"explain start":        "\nstartsecs\n",
		"import p":             "procfile\ta Procfile\n",
		"export -f s":          "supervisord\n",
		"help exit":            "\nexit-codes\twhat the exit status says\n",
	} {
		stdout, _, status := u.call(append([]string{"__complete"}, strings.Fields(args)...)...)
		if status != 0 || !strings.Contains("\n"+stdout, want) {
			t.Errorf("%s: %d\n%s", args, status, stdout)
		}
	}
	u.play([]step{{"daemon status", 7, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n"}})
}

// TestNothingThatLooksStartsADaemon types every kind of line that changes nothing where no daemon runs, and looks afterwards
// whether there is a trace of one.
func TestNothingThatLooksStartsADaemon(t *testing.T) {
	u := newUser(t)
	lines := []string{"", "help", "help all", "status", "logs", "why", "events", "tree", "show web", "check", "diff", "explain", "doctor", "version", "daemon status", "--help"}
	root := (&command{environ: func(string) string { return "" }}).root()
	root.InitDefaultHelpCmd()
	for _, v := range verbs(root) {
		lines = append(lines, v.Name()+" --help", "__complete "+v.Name()+" w", "__completeNoDesc "+v.Name()+" w")
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		lines = append(lines, "completion "+shell)
		out, errs, status := u.call("completion", shell)
		if status != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("%s: %d %s\n%.200s", shell, status, errs, out)
		}
	}
	for _, l := range lines {
		u.call(strings.Fields(l)...)
	}
	_ = filepath.WalkDir(u.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() { // a socket, a log, a lock: a daemon has all of them
			t.Errorf("somebody has been here: %s %v", u.plain(path), err)
		}
		return nil
	})
	u.play([]step{{"daemon status", 7, "", "no upkeep daemon is running for sam (looked at ~/run/upkeep/upkeep.sock)\n"}})
}

// TestCompletionKnowsPrograms: where a daemon runs, its programs are completed with what they are doing.
func TestCompletionKnowsPrograms(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand=sleep 1000\nstartsecs=0\n")
	u.start()
	for _, verb := range []string{"start", "stop", "restart", "reload", "rm", "on", "off", "status", "logs", "why", "events", "tree", "wait", "show", "edit", "exec", "attach", "apply", "export"} {
		out, _, status := u.call("__complete", verb, "w")
		if status != 0 || !strings.Contains("\n"+out, "\nweb\t") && !strings.Contains("\n"+out, "\nweb\n") {
			t.Errorf("%s: %d\n%s", verb, status, out)
		}
	}
}
