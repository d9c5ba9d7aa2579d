package echoconf

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/upkeep-project/upkeep/internal/base/units"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// off is a line that shows a section or an option without setting it.
var off = regexp.MustCompile(`(?m)^;(\[[^\]]+\]|[a-z_.]+ ?=)`)

// examples are options whose line shows an example because there is no default to be written down.
var examples = regexp.MustCompile(`^(user|directory|umask|environment|strict) ?=`)

// switched is the sample with the lines switched on for which on answers true.
func switched(on func(line string) bool) string {
	return off.ReplaceAllStringFunc(sample, func(line string) string {
		if on(line[1:]) {
			return line[1:]
		}
		return line
	})
}

func everything(string) bool { return true }

func load(t *testing.T, text string) *conf.Config {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"conf.d/a.conf", "conf.d/a.ini"} { // for [include]
		if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "supervisord.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args, err := conf.ParseArgs("supervisord", []string{"-c", file})
	if err != nil {
		t.Fatal(err)
	}
	env, err := conf.SystemEnviron()
	if err != nil {
		t.Fatal(err)
	}
	c, err := conf.Load(args, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Messages {
		if strings.Contains(m.Text, "running as root") {
			continue // which is a matter of who runs the test
		}
		if m.Level >= units.LevelWarn || strings.Contains(m.Text, "unknown") {
			t.Errorf("message about the sample: %s", m.Text)
		}
	}
	return c
}

// TestSampleIsRead as it is: nothing runs, and there is one server.
func TestSampleIsRead(t *testing.T) {
	c := load(t, sample)
	if len(c.Servers) != 1 || len(c.Model.Groups) != 0 || len(c.RPCInterfaces) != 1 {
		t.Errorf("%d servers, %d groups, %d interfaces", len(c.Servers), len(c.Model.Groups), len(c.RPCInterfaces))
	}
}

// TestEverythingIsRead: with all lines switched on there is no mistake and, strict as it then is, no
// option that does not exist.
func TestEverythingIsRead(t *testing.T) {
	text := strings.Replace(switched(everything), "strict=false", "strict=true ", 1)
	c := load(t, text)
	if !c.Strict || len(c.Servers) != 2 || len(c.Model.Groups) != 4 {
		t.Errorf("strict %v, %d servers, %d groups", c.Strict, len(c.Servers), len(c.Model.Groups))
	}
}

// TestDefaults: switching on the lines that show defaults changes nothing.
func TestDefaults(t *testing.T) {
	defaults := load(t, switched(func(line string) bool {
		return strings.HasPrefix(line, "[") && line != "[include]" || regexp.MustCompile(`^(command|events|socket|port|programs) ?=`).MatchString(line)
	}))
	shown := load(t, switched(func(line string) bool {
		// These have a default that depends on the system or is another option's value.
		return !examples.MatchString(line) && !regexp.MustCompile(`^(socket_owner|socket_backlog|username|password|childlogdir|chown|serverurl) ?=`).MatchString(line)
	}))
	ignore := cmp.Options{
		cmpopts.IgnoreTypes(model.Origin{}), cmpopts.IgnoreFields(conf.Config{}, "Location", "Files", "Messages"),
		cmpopts.IgnoreFields(conf.Settings{}, "ConfigFile", "Here"), cmpopts.EquateEmpty(),
		cmp.Exporter(func(reflect.Type) bool { return true }),
	}
	if diff := cmp.Diff(defaults.Settings, shown.Settings, ignore); diff != "" {
		t.Errorf("[supervisord] -default +shown:\n%s", diff)
	}
	if diff := cmp.Diff(defaults.Servers, shown.Servers, ignore); diff != "" {
		t.Errorf("servers -default +shown:\n%s", diff)
	}
	for _, g := range slices.Concat(defaults.Model.Groups, shown.Model.Groups) {
		if g.Priority == -1 { // the default is that of the group; its programs' own has no meaning
			g.Programs[0].Priority = 0
		}
	}
	if diff := cmp.Diff(defaults.Model.Groups, shown.Model.Groups, ignore); diff != "" {
		t.Errorf("groups -default +shown:\n%s", diff)
	}
}

const python = "/usr/bin/python3"

// original skips the test where the original is not installed.
func original(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import supervisor.options").CombinedOutput(); err != nil {
		t.Skipf("the original is not installed: %v\n%s", err, out)
	}
}

// TestOriginalReadsIt: the sample serves both daemons and both clients.
func TestOriginalReadsIt(t *testing.T) {
	original(t)
	const script = `
import sys
from supervisor.options import ServerOptions, ClientOptions
o = ServerOptions()
o.realize(["-c", sys.argv[1]])
c = ClientOptions()
c.realize(["-c", sys.argv[1]])
print(len(o.process_group_configs), len(o.server_configs), c.serverurl)
`
	for want, text := range map[string]string{
		"0 1 unix:///tmp/supervisor.sock\n": sample,
		"4 2 unix:///tmp/supervisor.sock\n": switched(everything),
	} {
		file := filepath.Join(t.TempDir(), "c.conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "-c", script, file).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%v: %q, want %q", err, out, want)
		}
	}
}

// options lists "section key" of a sample, whether switched on or off.
func options(text string) []string {
	var out []string
	section := ""
	for line := range strings.Lines(text) {
		if m := regexp.MustCompile(`^;?\[([a-z_-]+)[:\]]`).FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if m := regexp.MustCompile(`^;?([a-z_.]+) ?=`).FindStringSubmatch(line); m != nil && section != "" {
			out = append(out, section+" "+m[1])
		}
	}
	return out
}

// TestComplete: it shows what the original's sample shows, and what is ours.
func TestComplete(t *testing.T) {
	ours := options(sample)
	want := strings.Split("inet_http_server insecure_http,upkeep strict,program stop_reach,program child_sigpipe,program log_full,program stdin,"+
		"program numprocs_start,eventlistener event_len,eventlistener event_timeout,eventlistener result_handler,fcgi-program socket,fcgi-program socket_owner,"+
		"fcgi-program socket_mode,fcgi-program socket_backlog", ",")
	if out, err := exec.Command("/usr/bin/echo_supervisord_conf").Output(); err != nil {
		t.Log("the original is not installed: ", err)
	} else {
		theirs := options(string(out))
		if len(theirs) < 90 {
			t.Errorf("the original shows %d options: the test looks in the wrong place", len(theirs))
		}
		want = append(want, theirs...)
	}
	for _, o := range want {
		if !slices.Contains(ours, o) {
			t.Errorf("not shown: %s", o)
		}
	}
}

func TestLines(t *testing.T) {
	if !strings.HasPrefix(sample, "; Sample supervisor config file.\n") {
		t.Error("the first line is one that scripts look for")
	}
	for i, line := range strings.Split(sample, "\n") {
		if n := len([]rune(line)); n > 112 {
			t.Errorf("line %d has %d characters", i+1, n)
		}
	}
}
