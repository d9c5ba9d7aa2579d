package script

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
)

// show goes on after a difference, for who writes a script.
var show = flag.Bool("show", false, "show what comes where it is not what a script wants, and go on")

// patience is how long something may take that comes by itself.
const patience = time.Minute

// TestScripts plays the scripts of testdata.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the binary")
	}
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("the programs of the scripts need python3")
	}
	binary := build(t)
	users := &numbers{}
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: func(e *testscript.Env) error { return setup(e, binary, users) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"play": play, "await": await, "gone": gone, "page": page, "login": login,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("there is no condition %q", cond)
		},
		RequireUniqueNames: true,
	})
}

// build makes the binary, in a folder that everybody can read.
func build(t *testing.T) string {
	dir, err := os.MkdirTemp("", "upkeep-script")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "upkeep")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/upkeep")
	cmd.Dir, cmd.Env = pagetest.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// numbers gives users that nobody else is.
type numbers struct{ last atomic.Uint32 }

func (n *numbers) next() uint32 { return 1<<30 + uint32(os.Getpid())<<6 + n.last.Add(1) }

// user is somebody who types: one of their own where root plays, else whoever plays.
type user struct {
	uid           uint32 // 0 = whoever plays
	home, runtime string
	env           []string
	ports         map[string]string // the ports that scripts speak of, and those that are free here
}

// current is the user of a script at the moment.
type current struct{ *user }

// userKey is where a script keeps its current user, usersKey where all of its users by name.
type (
	userKey  struct{}
	usersKey struct{}
)

// spoken are the ports that scripts speak of.
func spoken() []string { return []string{"8000", "5432"} }

func setup(e *testscript.Env, binary string, users *numbers) error {
	all := map[string]*user{}
	for _, name := range []string{"sam", "ann"} {
		u := &user{home: filepath.Join(e.WorkDir, name), runtime: filepath.Join(e.WorkDir, "run", name), ports: map[string]string{}}
		if err := u.setup(e, name, binary, users); err != nil {
			return err
		}
		all[name] = u
	}
	e.Values[userKey{}], e.Values[usersKey{}] = &current{all["sam"]}, all
	return nil
}

// setup gives a user a home directory, and the files that a script has for it.
func (u *user) setup(e *testscript.Env, name, binary string, users *numbers) error {
	for _, dir := range []string{u.home, u.runtime} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	u.env = []string{
		"HOME=" + u.home, "USER=" + name, "LANG=C.UTF-8", "XDG_RUNTIME_DIR=" + u.runtime,
		"PATH=" + filepath.Dir(binary) + ":/usr/local/bin:/usr/bin:/bin",
	}
	for _, p := range spoken() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		u.ports[p] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		if err := l.Close(); err != nil {
			return err
		}
	}
	if err := u.rewrite(u.home); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		u.uid = users.next()
		for dir := filepath.Dir(u.runtime); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) { // the way there
			if err := os.Chmod(dir, 0o755); err != nil {
				return err
			}
		}
		if err := errors.Join(chown(u.home, u.uid), chown(u.runtime, u.uid)); err != nil {
			return err
		}
	}
	e.Defer(func() {
		_, _ = u.run(u.home, "upkeep daemon stop --yes")
		for _, pid := range u.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // of a script that has failed
		}
	})
	return nil
}

// rewrite puts the ports that are free into the files of a folder.
func (u *user) rewrite(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if strings.HasPrefix(string(text), "#!") {
			mode = 0o700
		}
		return errors.Join(os.WriteFile(path, []byte(u.here(string(text))), mode), os.Chmod(path, mode))
	})
}

// here puts the ports that are free in place of those that scripts speak of.
func (u *user) here(text string) string {
	for p, free := range u.ports {
		text = regexp.MustCompile(`\b`+p+`\b`).ReplaceAllString(text, free)
	}
	return text
}

// there is the way back, with the home directory as people write it.
func (u *user) there(text string) string {
	for p, free := range u.ports {
		text = regexp.MustCompile(`\b`+free+`\b`).ReplaceAllString(text, p)
	}
	return strings.NewReplacer(u.home, "~", u.runtime, "/run/user/1000").Replace(text)
}

// chown gives a folder and all in it to a user.
func chown(dir string, uid uint32) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(uid))
	})
}

// run runs a line as the user types it, without a terminal: what it says, and its exit status.
func (u *user) run(dir, line string) (string, int) {
	cmd := exec.Command("/bin/sh", "-c", u.here(line))
	cmd.Dir, cmd.Env = dir, append(u.env, "PWD="+dir)
	if u.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.uid, Gid: u.uid}}
	}
	out, err := cmd.CombinedOutput()
	text := u.there(string(out))
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return text, exit.ExitCode()
	case err != nil:
		return text + err.Error() + "\n", -1
	}
	return text, 0
}

// processes are the processes of the user: all of an own one, else those with its home directory.
func (u *user) processes() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		owner := info.Sys().(*syscall.Stat_t).Uid
		if u.uid != 0 && owner == u.uid || strings.Contains("\x00"+string(environ), "\x00HOME="+u.home+"\x00") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// who is the user of a script.
func who(ts *testscript.TestScript) *user { return ts.Value(userKey{}).(*current).user }

// login NAME goes on as that user, sam or ann, in their home directory.
func login(ts *testscript.TestScript, _ bool, args []string) {
	u, ok := ts.Value(usersKey{}).(map[string]*user)[strings.Join(args, " ")]
	if !ok {
		ts.Fatalf("usage: login sam|ann")
	}
	ts.Value(userKey{}).(*current).user = u
	ts.Check(ts.Chdir(u.home))
}

// play FILE plays a transcript: lines after "$ " are typed, and what follows is what must come of it. "[exit N]" ends what
// has a status other than 0. What differs from run to run may be anything of its kind, and what only looks may look again.
func play(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: play FILE")
	}
	transcript(ts, args[0], ts.ReadFile(filepath.Join(ts.Getenv("WORK"), args[0])))
}

// page NAME plays the transcripts of a page of the documentation.
func page(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: page NAME")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(args[0])))
	ts.Check(err)
	for _, block := range blocks(string(text)) {
		transcript(ts, args[0], block)
	}
}

// blocks are the transcripts in a page.
func blocks(text string) (found []string) {
	for i, part := range strings.Split(text, "\n```") {
		if block, ok := strings.CutPrefix(part, "console\n"); ok && i%2 == 1 {
			found = append(found, block+"\n")
		}
	}
	return found
}

// transcript plays a text.
func transcript(ts *testscript.TestScript, name, text string) {
	u, dir := who(ts), ts.MkAbs(".")
	for _, s := range steps(text) {
		deadline := time.Now().Add(patience)
		for {
			out, status := u.run(dir, s.line)
			if status != 0 {
				out += fmt.Sprintf("[exit %d]\n", status)
			}
			d := cmp.Diff(plain(s.want), plain(out))
			if d == "" {
				break
			}
			if !*show && looks.MatchString(s.line) && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			ts.Logf("$ %s\n%s", s.line, out)
			if *show {
				break
			}
			ts.Fatalf("%s: $ %s (-want +got)\n%s", name, s.line, d)
		}
	}
}

// looks are the lines that change nothing: they may be typed again until they show what is on its way.
var looks = regexp.MustCompile(`^upkeep( (status|logs|why|events|tree)\b[^;&|]*)?$`)

// step is a line that is typed, and what must come of it.
type step struct{ line, want string }

// steps takes a transcript apart. A line that ends with a backslash goes on in the next one.
func steps(text string) (all []step) {
	typing := false
	for line := range strings.Lines(text) {
		typed, ok := strings.CutPrefix(line, "$ ")
		switch {
		case ok:
			all = append(all, step{line: strings.TrimSuffix(typed, "\n")})
		case typing:
			all[len(all)-1].line += "\n" + strings.TrimSuffix(line, "\n")
		case len(all) > 0:
			all[len(all)-1].want += line
		}
		typing = (ok || typing) && strings.HasSuffix(line, "\\\n")
	}
	return all
}

// plain takes out of a text what differs from run to run: pids, times, figures, the columns that they take, and empty lines
// at the end.
func plain(text string) string {
	for _, r := range differing {
		text = r.what.ReplaceAllString(text, r.by)
	}
	return strings.TrimRight(text, "\n") + "\n"
}

// differing is what may be anything of its kind.
var differing = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\]`), "[CTIME]"},
	{regexp.MustCompile(`"pid":\d+`), `"pid":N`},
	{regexp.MustCompile(`([a-zA-Z]) \[\d+\]`), "$1 [N]"},
	{regexp.MustCompile(`pid \d+`), "pid N"},
	{regexp.MustCompile(`(?m)^upkeep \d+\.\d+\.\S+ keeps`), "upkeep VERSION keeps"},
	{regexp.MustCompile(`\bkill \d+`), "kill N"},
	{regexp.MustCompile(`, user [^ ,]+,`), ", user sam,"},
	{regexp.MustCompile(`\b\d+\.\d%`), ""},
	{regexp.MustCompile(`\b\d+(\.\d+)? [kMG]?B\b`), ""},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "CLOCK"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s|m)\b( \d+s\b)?`), "TIME"},
	{regexp.MustCompile(`, next now\)`), ", next in TIME)"},
	{regexp.MustCompile(`each time, after TIME(?:, TIME)*(?: and TIME)?|after TIME, (?:once|twice|\d+ times)`), "after TIMES"},
	{regexp.MustCompile(`\b\d+ restarts?\b`), "N restarts"},
	{regexp.MustCompile(`(?m)(\S)[ \t]{2,}`), "$1  "},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
}

// await LINE... types a line until it ends with the status 0.
func await(ts *testscript.TestScript, neg bool, args []string) {
	u, dir := who(ts), ts.MkAbs(".")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		out, status := u.run(dir, strings.Join(args, " "))
		if status == 0 != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: status %d\n%s", strings.Join(args, " "), status, out)
		}
	}
}

// gone makes sure that nothing is left of what the user has started.
func gone(ts *testscript.TestScript, _ bool, _ []string) {
	u := who(ts)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left := u.processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, pid := range left {
				line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				ts.Logf("%d %s", pid, strings.ReplaceAll(string(line), "\x00", " "))
			}
			ts.Fatalf("%d processes are left", len(left))
		}
	}
}
