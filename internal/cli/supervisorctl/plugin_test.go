//go:build unix

package supervisorctl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pluginSite is a configuration with plugins whose program tells how it was called.
func pluginSite(t *testing.T, url string) (conf string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$0 $* $SUPERVISOR_SERVER_URL $SUPERVISOR_USERNAME $SUPERVISOR_PASSWORD\"\necho said >&2\nexit ${1#status}\n"
	if err := os.WriteFile(filepath.Join(dir, "tell"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	conf = filepath.Join(dir, "c.conf")
	text := `[supervisorctl]
serverurl=` + url + `
username=me
password=secret
[ctlplugin:tell]
upkeep.ctl_command=%(here)s/tell
upkeep.ctl_help=tell <status>	Tell and end
upkeep.ctl_complete=groups
[ctlplugin:gone]
supervisor.ctl_factory=a.b:c
[ctlplugin:hang]
upkeep.ctl_command=sh -c 'echo begun; exec sleep 1000'
upkeep.ctl_complete=nothing
[ctlplugin:status]
upkeep.ctl_command=%(here)s/tell
`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return conf
}

func TestPlugin(t *testing.T) {
	_, url := newFake(t, map[string][]any{"getAllProcessInfo": {[]any{}}})
	conf := pluginSite(t, url)
	dir := filepath.Dir(conf)
	for _, c := range []struct {
		args   []string
		out    string
		status int
	}{
		{[]string{"tell", "status0", "b"}, dir + "/tell status0 b " + url + " me secret\nsaid\n", 0},
		{[]string{"tell", "status7"}, dir + "/tell status7 " + url + " me secret\nsaid\n", 7},
		{[]string{"gone"}, "*** gone: there is no program supervisorctl-gone\n", 1},
		{[]string{"status"}, "", 0}, // ours, not the plugin's
		{[]string{"nobody"}, "*** Unknown syntax: nobody\n", 1},
		{[]string{"help", "tell"}, "tell <status>\tTell and end\n", 0},
		{[]string{"help", "gone"}, "gone [...]\tRuns supervisorctl-gone\n", 0},
		{[]string{"help"}, overview() + "\ntell commands (type help <topic>):\n==================================\ntell\n\n" +
			"\ngone commands (type help <topic>):\n==================================\ngone\n\n" +
			"\nhang commands (type help <topic>):\n==================================\nhang\n\n", 0},
	} {
		var out bytes.Buffer
		status := Run("ctl", append([]string{"-c", conf}, c.args...), Streams{strings.NewReader(""), &out, &out}, plainEnviron())
		if d := cmp.Diff(c.out, out.String()); d != "" || status != c.status {
			t.Errorf("%v: status %d\n%s", c.args, status, d)
		}
	}
}

func TestPluginIsInterrupted(t *testing.T) {
	_, url := newFake(t, nil)
	l := begin(t, plainEnviron(), "-c", pluginSite(t, url), "hang")
	l.out.await(t, "begun")
	l.ctrlC <- syscall.SIGINT
	if status := l.end(t); status != statusGeneric {
		t.Errorf("status %d", status)
	}
}

func TestPluginCompletion(t *testing.T) {
	_, url := newFake(t, map[string][]any{"getAllProcessInfo": {[]any{program("g", "a", 20, "RUNNING", 8, "")}}})
	env := plainEnviron()
	o, err := parse("ctl", []string{"-c", pluginSite(t, url)}, &env)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(o, Streams{strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}}, env, newOutput(Streams{Stdout: &bytes.Buffer{}}, false))
	defer s.close()
	w := &words{session: s}
	for line, want := range map[string]string{
		"te": "tell ", "tell ": "g ", "gone ": "g:* g:a ", "hang ": "", "serialr": "serialrestart ", "quickstop g:": "g:* g:a ",
	} {
		_, got, _ := w.complete(line, len(line))
		if strings.Join(got, "") != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
