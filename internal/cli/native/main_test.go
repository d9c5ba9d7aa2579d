package native

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/app"
)

// called tells the test binary to be the product: a daemon that a command starts is this binary again.
const called = "NATIVE_TEST_CALLED"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	app.Role()
	if os.Getenv(called) != "" {
		os.Exit(Main("1.2.3", os.Args[1:]))
	}
	os.Exit(m.Run())
}

// user is somebody with an instance of their own.
type user struct {
	t    *testing.T
	root string
	vars map[string]string
	tty  bool   // somebody can be asked
	in   string // what is answered
}

// newUser makes a user; a daemon that is running at the end is stopped, with its programs.
func newUser(t *testing.T) *user {
	t.Helper()
	root, err := os.MkdirTemp("", "uk") // short: there is a socket in it
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, root: root, vars: map[string]string{"HOME": root, "USER": "sam", "LANG": "C.UTF-8"}}
	t.Setenv(called, "1")
	t.Setenv("UPKEEP_ROOT", root)
	t.Setenv("HOME", root)
	t.Setenv("TMPDIR", root)
	t.Cleanup(func() {
		u.call("daemon", "stop", "--yes")
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return u
}

// start starts the daemon, from a process that ends: otherwise it would be our child.
func (u *user) start() {
	u.t.Helper()
	self, err := os.Executable()
	if err != nil {
		u.t.Fatal(err)
	}
	if out, err := exec.Command(self, "daemon", "start").CombinedOutput(); err != nil {
		u.t.Fatalf("%v: %s", err, out)
	}
}

// call runs one command.
func (u *user) call(args ...string) (stdout, stderr string, status int) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in, answers, err := os.Pipe() // a file, as the editor is given it
	if err != nil {
		u.t.Fatal(err)
	}
	defer in.Close()
	if _, err := answers.WriteString(u.in); err != nil {
		u.t.Fatal(err)
	}
	answers.Close()
	var out, errs bytes.Buffer
	c := &command{
		version: "1.2.3", in: in, out: &out, err: &errs, inTTY: u.tty, now: time.Now,
		environ: func(name string) string { return u.vars[name] },
	}
	status = c.run(ctx, args)
	return u.plain(out.String()), u.plain(errs.String()), status
}

// plain takes out of a text what differs from run to run.
func (u *user) plain(text string) string {
	text = strings.ReplaceAll(text, u.root, "~")
	for _, r := range [][2]string{
		{`pid \d+`, "pid N"},
		{`\b\d+(\.\d+)?m?s\b`, "TIME"},
		{`upkeep-edit-\d+`, "upkeep-edit-N"},
		{"(?m)[ \t]+$", ""},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return text
}

// step is one command of a script with what is to come of it.
type step struct {
	args           string // words; '…' quotes
	status         int
	stdout, stderr string
}

// play runs a script.
func (u *user) play(steps []step) {
	u.t.Helper()
	for _, s := range steps {
		stdout, stderr, status := u.call(split(s.args)...)
		if status != s.status {
			u.t.Errorf("%s: status %d, want %d", s.args, status, s.status)
		}
		if d := cmp.Diff(s.stdout, stdout); d != "" {
			u.t.Errorf("%s: stdout (-want +got):\n%s", s.args, d)
		}
		if d := cmp.Diff(s.stderr, stderr); d != "" {
			u.t.Errorf("%s: stderr (-want +got):\n%s", s.args, d)
		}
	}
}

// split takes a command line apart at blanks outside of single quotes.
func split(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

// write writes a file below the user's root.
func (u *user) write(path, text string) string {
	u.t.Helper()
	path = filepath.Join(u.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// program writes the definition of a program.
func (u *user) program(name, text string) string {
	return u.write("config/upkeep/programs/"+name+".conf", text)
}

// read is the text of a file below the user's root.
func (u *user) read(path string) string {
	u.t.Helper()
	b, err := os.ReadFile(filepath.Join(u.root, path))
	if err != nil {
		u.t.Fatal(err)
	}
	return string(b)
}
