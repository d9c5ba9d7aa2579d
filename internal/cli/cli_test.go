package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/app"
)

// called tells the test binary to be the product.
const called = "CLI_TEST_CALLED"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	app.Role()
	if os.Getenv(called) != "" {
		os.Exit(Main(os.Args))
	}
	os.Exit(m.Run())
}

// call runs the binary under the name and with the arguments given.
func call(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(self)
	cmd.Args, cmd.Dir = args, t.TempDir()
	cmd.Env = append(os.Environ(), called+"=1")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestPersonalities(t *testing.T) {
	for _, c := range []struct {
		args           string
		status         int
		stdout, stderr string // beginnings
	}{
		{"supervisord -v", 0, "4.3.0\n", ""},
		{"/usr/bin/supervisord --version", 0, "4.3.0\n", ""},
		{"supervisord.exe -v", 0, "4.3.0\n", ""},
		{"upkeep supervisord -v", 0, "4.3.0\n", ""},
		{"supervisord -h", 0, "supervisord -- run a set of applications as daemons.\n\nUsage: supervisord [options]\n", ""},
		{"/x/upkeep supervisord -h", 0, "supervisord -- run a set of applications as daemons.\n\nUsage: /x/upkeep supervisord [options]\n", ""},
		{"supervisord --nope", 2, "", "Error: option --nope not recognized\nFor help, use supervisord -h\n"},
		{"upkeep supervisord --nope", 2, "", "Error: option --nope not recognized\nFor help, use upkeep supervisord -h\n"},
		{"supervisord supervisorctl", 2, "", "Error: positional arguments are not supported: ['supervisorctl']\n"},
		{"supervisorctl -h", 0, "supervisorctl -- control applications run by supervisord", ""},
		{"upkeep supervisorctl -h", 0, "supervisorctl -- control applications run by supervisord", ""},
		{"supervisorctl --nope", 2, "", "Error: option --nope not recognized\n"},
		{"/usr/bin/echo_supervisord_conf whatever", 0, "; Sample supervisor config file.\n", ""},
		{"pidproxy", 1, "\npidproxy -- ", ""},
		{"upkeep pidproxy x.pid", 1, "\npidproxy -- ", ""},
		{"memmon --help", 0, "memmon [-c]", ""},
		{"upkeep httpok -h", 0, "httpok [-p", ""},
		{"crashmail -h", 0, "crashmail [-p", ""},
		{"crashmailbatch -h", 0, "crashmailbatch -t ADDRESS", ""},
		{"fatalmailbatch --help", 0, "fatalmailbatch -t ADDRESS", ""},
		{"upkeep crashsms", 1, "crashsms -t ADDRESS", ""},
		{"chalmers -V", 0, "upkeep " + Version + "\n", ""},
		{"upkeep chalmers --help", 0, "usage: chalmers ", ""},
		{"usrsvc --help", 0, "usage: usrsvc [options] start|stop|restart|status NAME...\n", ""},
		{"upkeep usrsvc --version", 0, "upkeep " + Version + "\n", ""},
		{"/usr/bin/usrsvcd start --readme", 0, "usrsvc and usrsvcd\n", ""},
		{"upkeep usrsvcd -h", 0, "usage: usrsvcd [options] [start|stop|restart|reread|checkconfig|status|upgrade]\n", ""},
		{"upkeep version", 0, "upkeep " + Version + "\n", ""},
		{"upkeep --version", 0, "upkeep " + Version + "\n", ""},
		{"something-else version", 0, "upkeep " + Version + "\n", ""},
		{"upkeep help", 0, "upkeep " + Version + " keeps programs running.\n\nUsage: upkeep COMMAND", ""},
		{"upkeep --help", 0, "upkeep " + Version + " keeps programs running.", ""},
		{"upkeep -h", 0, "upkeep " + Version + " keeps programs running.", ""},
		{"upkeep frobnicate", 2, "", "there is no command \"frobnicate\"."},
		{"upkeep Supervisord", 2, "", "there is no command \"Supervisord\"."},
	} {
		stdout, stderr, status := call(t, strings.Fields(c.args)...)
		if status != c.status || !strings.HasPrefix(stdout, c.stdout) || !strings.HasPrefix(stderr, c.stderr) {
			t.Errorf("%s: status %d\nstdout %q\nstderr %q", c.args, status, stdout, stderr)
		}
		if (stdout != "") != (c.stdout != "") || (stderr != "") != (c.stderr != "") {
			t.Errorf("%s speaks on the wrong stream: stdout %q, stderr %q", c.args, stdout, stderr)
		}
	}
}

// TestHelpNamesEveryCommand: nothing that can be called is missing.
func TestHelpNamesEveryCommand(t *testing.T) {
	stdout, _, _ := call(t, "upkeep", "help", "all")
	for _, name := range []string{
		"supervisord", "supervisorctl", "version", "help", "echo_supervisord_conf", "pidproxy", "memmon", "httpok",
		"crashmail", "crashmailbatch", "fatalmailbatch", "crashsms", "usrsvc", "usrsvcd",
	} {
		if !strings.Contains(stdout, "\n  "+name+" ") {
			t.Errorf("%s is not explained:\n%s", name, stdout)
		}
	}
}
