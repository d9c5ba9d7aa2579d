package boot

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fake is a machine in a folder. Its commands do what the real ones do with files, so that what the product
// reads back is not what it assumes.
type fake struct {
	*Host
	t     *testing.T
	calls []string
	fail  string            // the beginning of a command that fails
	table map[string]string // crontabs
	up    map[string]bool   // what runs
}

func newFake(t *testing.T, uid int, files ...string) *fake {
	t.Helper()
	f := &fake{t: t, table: map[string]string{}, up: map[string]bool{}}
	f.Host = &Host{OS: "linux", Root: t.TempDir(), UID: uid, User: "sam", Home: "/home/sam", Exec: f.exec}
	if uid == 0 {
		f.User, f.Home = "root", "/root"
	}
	f.Account = func(_ context.Context, name string) (int, bool) {
		uid, known := map[string]int{"root": 0, "sam": 1000, "alice": 1001}[name]
		return uid, known
	}
	for _, name := range files {
		text := ""
		name, text, _ = strings.Cut(name, "=")
		f.put(name, text)
	}
	return f
}

func (f *fake) put(name, text string) {
	f.t.Helper()
	path := f.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) exec(_ context.Context, c Command) (string, error) {
	line := strings.Join(c.Argv, " ")
	if f.fail != "" && strings.HasPrefix(line, f.fail) {
		f.calls = append(f.calls, line+" (fails)")
		return "it is broken", &CommandError{c.Argv, "it is broken", errors.New("exit status 1")}
	}
	switch {
	case strings.Contains(line, " show") || strings.HasSuffix(line, "is-system-running") || strings.HasSuffix(line, "-l"):
	default:
		f.calls = append(f.calls, line)
	}
	words, name := c.Argv[1:], c.Argv[len(c.Argv)-1]
	switch c.Argv[0] {
	case "systemctl":
		dir, wants := "/etc/systemd/system", "multi-user.target.wants"
		if words[0] == "--user" {
			dir, wants, words = "/home/sam/.config/systemd/user", "default.target.wants", words[1:]
		}
		return f.systemctl(words, f.path(dir, name+".service"), f.path(dir, wants, name+".service"), name)
	case "loginctl":
		path := f.path("/var/lib/systemd/linger", name)
		if words[0] == "enable-linger" {
			f.put("/var/lib/systemd/linger/"+name, "")
			f.put("/run/user/1000/systemd/private", "")
		} else if words[0] == "disable-linger" {
			return "", os.Remove(path)
		}
		return "Sessions=3\n", nil
	case "update-rc.d":
		link := f.path("/etc/rc2.d/S01" + words[len(words)-2])
		if words[0] == "-f" {
			return "", os.Remove(f.path("/etc/rc2.d/S01" + words[1]))
		}
		_ = os.MkdirAll(filepath.Dir(link), 0o755)
		if err := os.Symlink("../init.d/"+words[0], link); !errors.Is(err, os.ErrExist) {
			return "", err
		}
	case "crontab":
		return f.crontab(words, c.Input)
	}
	return "", nil
}

func (f *fake) systemctl(words []string, unit, link, name string) (string, error) {
	switch words[0] {
	case "is-system-running":
		return "running\n", nil
	case "enable":
		if _, err := os.Stat(unit); err != nil {
			return "", err
		}
		f.up[name] = f.up[name] || slices.Contains(words, "--now")
		_ = os.MkdirAll(filepath.Dir(link), 0o755)
		if err := os.Symlink(unit, link); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	case "disable":
		if slices.Contains(words, "--now") {
			f.up[name] = false
		}
		return "", os.Remove(link)
	case "show":
		state := map[bool]string{true: "active", false: "inactive"}[f.up[name]]
		enabled := "disabled"
		if _, err := os.Lstat(link); err == nil {
			enabled = "enabled"
		}
		return "LoadState=loaded\nUnitFileState=" + enabled + "\nActiveState=" + state + "\n", nil
	}
	return "", nil
}

func (f *fake) crontab(words []string, input string) (string, error) {
	user := ""
	if words[0] == "-u" {
		user, words = words[1], words[2:]
	}
	switch words[0] {
	case "-":
		f.table[user] = input
	case "-r":
		delete(f.table, user)
	case "-l":
		table, ok := f.table[user]
		if !ok {
			text := "no crontab for sam\n"
			return text, &CommandError{[]string{"crontab", "-l"}, text, errors.New("exit status 1")}
		}
		return table, nil
	}
	return "", nil
}

// tree is every file and link of the machine with its content, to see what a change has left behind.
func (f *fake) tree() map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(f.Root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, f.Root)
		if d.Type()&os.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			out[name] = "-> " + to
			return err
		}
		b, err := os.ReadFile(path)
		out[name] = string(b)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for user, table := range f.table {
		out["crontab of "+user] = table
	}
	return out
}

func plain() Target {
	return Target{Name: "upkeep", Command: []string{"/usr/local/bin/upkeep", "daemon"}, Description: "upkeep: programs of this machine"}
}

// rich has everything that a text could stumble over.
func rich() Target {
	return Target{
		Name: "upkeep-alice", User: "alice",
		Command: []string{"/opt/up keep/upkeep", "supervisord", "-n", "-c", `/home/alice/50% "x"/$HOME's\conf`, ""},
		Stop:    []string{"/opt/up keep/upkeep", "daemon", "stop"}, Reload: []string{"/opt/up keep/upkeep", "daemon", "reload"},
		Status: []string{"/opt/up keep/upkeep", "daemon", "status"}, PidFile: "/home/alice/a b.pid",
		Env: []string{"UPKEEP_ROOT=/srv/a b", `ODD=100%<&>$x"'\`}, Description: `100% of "alice"`,
	}
}

// TestTexts compares every text with a golden file and has it checked by whoever understands it.
func TestTexts(t *testing.T) {
	root := newFake(t, 0)
	sam := newFake(t, 1000)
	for _, target := range []Target{plain(), rich()} {
		texts := map[string]func() (string, error){
			"service":      func() (string, error) { return systemd{root.Host, false}.content(context.Background(), target, false) },
			"user.service": func() (string, error) { return systemd{sam.Host, true}.content(context.Background(), target, true) },
			"openrc":       openrc{root.Host}.whole(target).text,
			"sysv":         sysv{root.Host}.whole(target).text,
			"upstart":      upstart{root.Host}.whole(target).text,
			"plist":        func() (string, error) { return launchd{root.Host, false}.content(target) },
			"crontab":      func() (string, error) { return cron{root.Host}.line(target) + "\n", nil },
		}
		for kind, text := range texts {
			name := target.Name + "." + kind
			t.Run(name, func(t *testing.T) {
				got, err := text()
				if err != nil {
					t.Fatal(err)
				}
				golden := filepath.Join("testdata", name)
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), got); d != "" {
					t.Error(d)
				}
				if strings.Contains(got, "<no value>") || kind != "crontab" && !strings.Contains(got, marker) {
					t.Error("it is not complete")
				}
				check(t, kind, got)
			})
		}
	}
}

// check has a text read by the program it is for, or by one that knows its format.
func check(t *testing.T, kind, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.service")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var argv []string
	switch kind {
	case "sysv", "openrc":
		argv = []string{"sh", "-n", file}
	case "plist":
		argv = []string{"python3", "-c", "import plistlib,sys; d=plistlib.load(open(sys.argv[1],'rb')); print('\\0'.join(d['ProgramArguments']+[k+'='+v for k,v in d.get('EnvironmentVariables',{}).items()]))", file}
	case "service", "user.service":
		// The binary need not be there.
		argv = []string{"systemd-analyze", "verify", file}
		if kind == "user.service" {
			argv = []string{"systemd-analyze", "--user", "verify", file}
		}
	default:
		return
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Logf("not checked: %v", err)
		return
	}
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(l string) bool {
		return !strings.Contains(l, file) || strings.Contains(l, "is not executable")
	})
	switch kind {
	case "sysv", "openrc":
		if err != nil {
			t.Errorf("%v %s", err, out)
		}
	case "plist":
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if strings.Contains(text, "alice") {
			r := rich()
			if want := strings.Join(append(r.Command, r.Env...), "\x00") + "\n"; string(out) != want {
				t.Errorf("%q, want %q", out, want)
			}
		}
	default:
		if len(lines) > 0 {
			t.Errorf("%q", lines)
		}
	}
}

// TestShellWords: what the shell of cron makes of the line is what was meant.
func TestShellWords(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	words := rich().Command[1:]
	out, err := exec.Command("sh", "-c", "printf '%s\\0' "+strings.Join(quoteAll(words), " ")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(words, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")); d != "" {
		t.Error(d)
	}
}

func TestTargetCheck(t *testing.T) {
	cases := []struct {
		name  string
		edit  func(*Target)
		field string
	}{
		{"plain", func(*Target) {}, ""},
		{"rich", func(t *Target) { *t = rich() }, ""},
		{"Windows", func(t *Target) { t.Command = []string{`C:\x\upkeep.exe`} }, ""},
		{"no name", func(t *Target) { t.Name = "" }, "name"},
		{"a path as name", func(t *Target) { t.Name = "../x" }, "name"},
		{"an option as name", func(t *Target) { t.Name = "-x" }, "name"},
		{"a line as name", func(t *Target) { t.Name = "x\n" }, "name"},
		{"an odd user", func(t *Target) { t.User = "a b" }, "user"},
		{"an odd time", func(t *Target) { t.At = "noon" }, "at"},
		{"no command", func(t *Target) { t.Command = nil }, "command"},
		{"a relative command", func(t *Target) { t.Command = []string{"upkeep"} }, "command"},
		{"a second line in an argument", func(t *Target) { t.Command = append(t.Command, "a\nUser=root") }, "text"},
		{"a second line in the description", func(t *Target) { t.Description = "a\n[Service]" }, "text"},
		{"a second line in a pidfile", func(t *Target) { t.PidFile = "/x\ny" }, "text"},
		{"no variable", func(t *Target) { t.Env = []string{"x"} }, "environment"},
		{"an odd variable", func(t *Target) { t.Env = []string{"a;b=x"} }, "environment"},
		{"a second line in a variable", func(t *Target) { t.Env = []string{"a=x\ny"} }, "text"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target := plain()
			c.edit(&target)
			err := target.Check()
			var wrong *TargetError
			switch {
			case c.field == "" && err != nil:
				t.Error(err)
			case c.field != "" && (!errors.As(err, &wrong) || wrong.Field != c.field):
				t.Errorf("%v, want a mistake in %s", err, c.field)
			}
		})
	}
}

// machines are by the files that tell which init runs.
var machines = map[string][]string{
	"systemd": {"/run/systemd/system/x", "/usr/bin/systemctl", "/usr/bin/loginctl", "/usr/bin/crontab", "/proc/1/comm=systemd", "/proc/9/comm=cron"},
	"openrc":  {"/run/openrc/softlevel", "/sbin/rc-update", "/usr/sbin/update-rc.d", "/etc/inittab", "/usr/bin/crontab", "/proc/1/comm=init", "/proc/9/comm=crond"},
	"sysv":    {"/etc/inittab", "/usr/sbin/update-rc.d", "/usr/bin/crontab", "/proc/1/comm=init", "/proc/9/comm=cron"},
	"runit":   {"/usr/bin/crontab", "/proc/1/comm=runit", "/proc/9/comm=cron"},
	"chroot":  {"/usr/bin/systemctl", "/usr/bin/crontab", "/proc/1/comm=sh"},
}

func TestChoose(t *testing.T) {
	cases := []struct {
		machine        string
		uid            int
		user, at, over string
		want           string // "" = ErrNone, "!why" = *UnusableError
	}{
		{"systemd", 0, "", "", "", "systemd"},
		{"systemd", 0, "alice", "", "", "systemd"},
		{"systemd", 1000, "", "", "", "systemd-user"},
		{"systemd", 0, "nobodyatall", "", "", ""},
		{"systemd", 1000, "", AtLogin, "", ""}, // no session
		{"systemd", 1000, "alice", "", "", ""},
		{"systemd", 1000, "", "", "cron", "cron"},
		{"systemd", 1000, "", "", "systemd", "!needs root"},
		{"systemd", 0, "", "", "sysv", "!another init runs here"},
		{"systemd", 0, "", "", "systemv", "!there is no way to start named"},
		{"openrc", 0, "", "", "", "openrc"},
		{"openrc", 1000, "", "", "", "cron"},
		{"sysv", 0, "alice", "", "", "sysv"},
		{"sysv", 0, "", AtLogin, "", ""},
		{"sysv", 1000, "", "", "", "cron"},
		{"runit", 0, "", "", "", "cron"},
		{"chroot", 0, "", "", "", ""},
	}
	for _, c := range cases {
		t.Run(strings.Join([]string{c.machine, c.user, c.at, c.over, c.want}, " "), func(t *testing.T) {
			f := newFake(t, c.uid, machines[c.machine]...)
			target := plain()
			target.User, target.At = c.user, c.at
			b, seen, err := f.Choose(context.Background(), target, c.over)
			var unusable *UnusableError
			switch {
			case strings.HasPrefix(c.want, "!"):
				if !errors.As(err, &unusable) || !strings.Contains(err.Error(), c.want[1:]) {
					t.Errorf("%v, want %s", err, c.want[1:])
				}
			case c.want == "":
				if !errors.Is(err, ErrNone) || len(seen) != len(f.Backends()) {
					t.Errorf("%v, %v", err, seen)
				}
			case err != nil || b.Name() != c.want:
				t.Errorf("%v, %v, considered %v", b, err, seen)
			default:
				if last := seen[len(seen)-1]; last.Name != c.want || !last.Usable || last.Why == "" {
					t.Errorf("considered %v", seen)
				}
			}
		})
	}
}
