package native

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
)

// TestDryRunOfEverything reads every fixture of the importers: standard output is the definitions and nothing else.
func TestDryRunOfEverything(t *testing.T) {
	u := newUser(t)
	data, err := filepath.Abs("../../conf/imports/testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, path string }{
		{"procfile", "procfile/Procfile"},
		{"procfile", "procfile-formation/Procfile"},
		{"pm2", "pm2-ecosystem/ecosystem.config.json"},
		{"pm2", "pm2-yaml/ecosystem.config.yaml"},
		{"pm2", "pm2-dump/dump.pm2"},
		{"pm2", "pm2-jlist/list.json"},
		{"compose", "compose/compose.yaml"},
		{"systemd", "systemd/units"},
		{"supervisor", "supervisor/supervisord.conf"},
		{"chalmers", "chalmers"},
		{"usrsvc", "usrsvc/usrsvc.cfg"},
	} {
		path := filepath.Join(data, c.path)
		w, err := world()
		if err != nil {
			t.Fatal(err)
		}
		report, err := imports.Read(c.kind, path, w)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range report.Programs {
			want = append(want, string(report.Programs[i].INI()))
		}
		status := 0
		if len(report.Problems) > 0 {
			status = statusInvalid
		}
		stdout, stderr, got := u.call("import", c.kind, path, "--dry-run")
		if got != status || stdout != u.plain(strings.Join(want, "\n")) {
			t.Errorf("%s: status %d, want %d\n%s", c.path, got, status, stdout)
		}
		for i := range report.Programs {
			p := &report.Programs[i]
			if n := len(p.Dropped); !strings.Contains(stderr, "\n"+p.Name) || n > 0 && !strings.Contains(stderr, "  dropped   "+u.plain(p.Dropped[0])) {
				t.Errorf("%s: %s is not reported:\n%s", c.path, p.Name, stderr)
			}
		}
		for _, p := range report.Problems {
			if !strings.Contains(stderr, u.plain(p.String())) {
				t.Errorf("%s: %s is not told:\n%s", c.path, p, stderr)
			}
		}
		stdout, _, _ = u.call("import", path, "--dry-run", "--json")
		var list []imported
		if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != len(want) {
			t.Errorf("%s: %v, %d programs", c.path, err, len(list))
		}
	}
	if _, err := os.Stat(filepath.Join(u.root, "config")); err == nil {
		t.Error("a dry run has made something")
	}
}

// TestImport defines programs, several times.
func TestImport(t *testing.T) {
	u := newUser(t)
	t.Chdir(u.root)
	u.play([]step{
		{"import", 0, "", "nothing to import was found here. If there is something:   upkeep import KIND PATH\n"},
		{"import procfile", 2, "", "nothing of procfile was found here. If there is something:   upkeep import procfile PATH\n"},
		{"import nothing", 2, "", "nothing is neither a kind nor a file that is there.   What there is: upkeep import\n"},
		{"import procfile gone", 6, "", "procfile ~/gone: no such file or directory\n"},
	})
	u.write("Procfile", "web: sleep 1000\nworker: sleep 2000\n")
	u.write("odd.txt", "")
	const about = "  kept      command\n" +
		"  changed   environment: PORT=%d   each process gets a port\n" +
		"            autorestart: true   a process that ends would end all others there\n" +
		"            stopwaitsecs: 5   the time that foreman gives\n" +
		"            redirect_stderr: true   both streams are one there\n" +
		"            stop_reach: tree   the command runs under a shell\n"
	const title = "procfile   ~/Procfile   2 programs\n"
	web, worker := fmt.Sprintf(about, 5000), fmt.Sprintf(about, 5100)
	u.play([]step{
		{"import", 0, "found on this machine\n  procfile   ~/Procfile   2 programs\n", "Import one:  upkeep import procfile      See first: --dry-run\n"},
		{"import odd.txt", 2, "", "it cannot be told what odd.txt is: say  upkeep import KIND odd.txt\n"},
		{"import procfile --take-over", 2, "", "--take-over is for chalmers and usrsvc: programs of other tools end with them, or keep writing into their pipes\n"},
		{"import procfile --as a,b,c", 2, "", "--as has 3 names, and there are 2 programs\n"},
		{"import procfile --as all", 2, "", "\"all\" stands for all programs\n"},
		{
			"import procfile", 0, title + "✓ web is defined   " + conf + "web.conf\n" + web + "✓ worker is defined   " + conf + "worker.conf\n" + worker,
			"nothing was started. Those that are on start with the daemon:   upkeep daemon start\n",
		},
		{"import Procfile", 0, title + "✓ web is defined already, just so\n✓ worker is defined already, just so\n", ""},
		{"off web", 0, "✓ web is off: it does not start with upkeep\n", ""},
		{
			"import Procfile", 0, title + "✕ web is passed over: there is another program of that name (" + conf + "web.conf); --force replaces it, --as gives another name\n" +
				"✓ worker is defined already, just so\n", "",
		},
		{
			"import Procfile --as other", 0, title + "✓ other is defined   " + conf + "other.conf\n" + web + "✓ worker is defined already, just so\n",
			"nothing was started. Those that are on start with the daemon:   upkeep daemon start\n",
		},
		{"import Procfile --force -q", 0, "✓ web is replaced   " + conf + "web.conf\n✓ worker is defined already, just so\n", ""},
		{"check", 0, "✓ 3 programs, no mistakes\n", ""},
	})
	u.start()
	if _, stderr, status := u.call("wait", "all", "--for", "running"); status != 0 {
		t.Fatal(stderr)
	}
	u.play([]step{
		{"rm all --yes", 0, "✓ other is stopped and forgotten   its log stays: ~/logs/other.stdout.log\n✓ web is stopped and forgotten   its log stays: ~/logs/web.stdout.log\n" +
			"✓ worker is stopped and forgotten   its log stays: ~/logs/worker.stdout.log\n", ""},
		{"import Procfile -q", 0, "✓ web is defined   " + conf + "web.conf\n✓ worker is defined   " + conf + "worker.conf\n", ""},
		{"diff", 0, "+ web     it is new and starts by itself\n+ worker  it is new and starts by itself\n", "config: 2 new.   upkeep apply\n"},
		{"rm worker", 0, "✓ worker is forgotten\n", ""},
		{
			"import Procfile --start -q --force", 0, "✓ web is defined already, just so\n✓ worker is defined   " + conf + "worker.conf\n" +
				"✓ worker is running   pid N · TIME\n", "",
		},
	})
	u.write("bad/supervisord.conf", "[supervisord]\n[program:x]\ncommand=nosuchcommand\n[program:y]\ncommand=sleep 1000\n")
	stdout, stderr, status := u.call("import", "bad/supervisord.conf", "--json")
	var list []imported
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v %q", err, stdout)
	}
	if list[0].Result != "failed" || !strings.Contains(list[0].Error, "nosuchcommand") || list[1].Result != "added" || status != 1 {
		t.Errorf("%d %+v %s", status, list, stderr)
	}
}

func TestGuess(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "store", "programs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"Procfile": "procfile", "Procfile.dev": "procfile", "a.service": "systemd", "supervisord.conf": "supervisor", "x.ini": "supervisor",
		"usrsvc.cfg": "usrsvc", "dump.pm2": "pm2", "ecosystem.config.yaml": "pm2", "x.json": "pm2", "docker-compose.yml": "compose", "compose.yaml": "compose",
		"x.yaml": "", "x": "", dir: "systemd", filepath.Join(dir, "store"): "chalmers",
	} {
		if got := guess(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestTakeOver goes on with a process whose monitor leaves it alone when it ends, as those of chalmers do.
func TestTakeOver(t *testing.T) {
	processStart := instance.World("", "", nil).Started
	if _, alive := processStart(os.Getpid()); !alive {
		t.Skip("nobody can tell here what runs")
	}
	u := newUser(t)
	u.start()
	script := u.write("monitor", "trap 'exit 0' TERM\nsleep 1000 >>\"$1/s.log\" 2>&1 &\necho $! >\"$1/child\"\nwait\n")
	monitor := exec.Command("/bin/sh", script, u.root, "chalmers")
	if err := monitor.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- monitor.Wait() }()
	child := 0
	for deadline := time.Now().Add(2 * time.Minute); child == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no child")
		}
		b, _ := os.ReadFile(filepath.Join(u.root, "child")) // it comes
		child, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	began, alive := processStart(child)
	if !alive {
		t.Fatal("the child is gone")
	}
	state := func(began time.Time, monitor int) string {
		return fmt.Sprintf("{pid: %d, child_pid: %d, start_time: %d.5, paused: false}\n", monitor, child, began.Unix())
	}
	u.write("chalmers/programs/s.yaml", "command: [sleep, '1000']\nname: s\nstdout: "+u.root+"/s.log\n")
	store := filepath.Join(u.root, "chalmers")

	// A process that began at another time is not that one: it is left alone, and the program is not started.
	u.write("chalmers/state/s.yaml", state(began.Add(-time.Hour), monitor.Process.Pid))
	if stdout, stderr, status := u.call("import", "chalmers", store, "--take-over", "-q"); status != 0 || strings.Contains(stdout, "managed") {
		t.Errorf("%d %q %q", status, stdout, stderr)
	}
	u.call("rm", "s")
	// One whose parent is somebody else is not touched either.
	u.write("chalmers/state/s.yaml", state(began, os.Getpid()))
	if _, stderr, status := u.call("import", "chalmers", store, "--take-over", "-q"); status != 1 || !strings.Contains(stderr, "is no child of its monitor") {
		t.Errorf("%d %q", status, stderr)
	}
	u.call("rm", "s")

	u.write("chalmers/state/s.yaml", state(began, monitor.Process.Pid))
	u.play([]step{
		{
			"import chalmers '" + store + "' --take-over -q", 0, "✓ s is defined   " + conf + "s.conf\n✓ s is managed: pid N, not restarted\n" +
				"  its output goes to ~/s.log until its next start\n", "",
		},
		{"diff", 0, "nothing differs: what runs is what is configured\n", ""},
	})
	if err := <-ended; err != nil {
		t.Error(err)
	}
	stdout, _, _ := u.call("status", "s", "--json")
	u.t.Log(stdout)
	if now, alive := processStart(child); !alive || now.Sub(began).Abs() > time.Second || !strings.Contains(stdout, fmt.Sprintf(`"pid": %d`, child)) || !strings.Contains(stdout, `"boot": true`) {
		t.Errorf("process %d: %v, %s", child, alive, stdout)
	}
}

// TestTakeOverUsrsvc goes on with processes that usrsvc has left behind, as it does: they ignore TERM and INT, write to their
// logs themselves, and are known by their pid files. The daemon is ended first.
func TestTakeOverUsrsvc(t *testing.T) {
	processStart := instance.World("", "", nil).Started
	if _, alive := processStart(os.Getpid()); !alive {
		t.Skip("nobody can tell here what runs")
	}
	u := newUser(t)
	u.start()
	start := func(name string, args ...string) (pid int, ended chan error) {
		cmd := exec.Command(name, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended = make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
		return cmd.Process.Pid, ended
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	comm := func(pid int) string {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // empty where there is none
		return strings.TrimSpace(string(b))
	}
	daemon, daemonEnded := start("/bin/sh", u.write("usrsvcd", "trap 'exit 0' TERM\n: >\"$1/up\"\nwhile :; do sleep 0.05; done\n"), u.root)
	until("usrsvcd does not run", func() bool { _, err := os.Stat(filepath.Join(u.root, "up")); return err == nil })
	web, _ := start("/bin/sh", "-c", "trap '' TERM INT; exec sleep 1000")
	other, otherEnded := start("sleep", "2000")
	if _, err := os.Stat("/proc/self/comm"); err == nil {
		until("the programs do not run", func() bool { return comm(web) == "sleep" && comm(other) == "sleep" })
	}
	program := func(name, command string, pid int) string {
		u.write(name+".pid", strconv.Itoa(pid)+"\n")
		return "[Program:" + name + "]\ncommand = " + command + "\npidfile = " + u.root + "/" + name + ".pid\nstdout = " + u.root + "/" + name + ".log\nscan_for_process = 0\n"
	}
	u.write("d.pid", strconv.Itoa(daemon))
	cfg := u.write("usrsvc.cfg", "[Main]\npidfile = "+u.root+"/d.pid\n"+program("web", "sleep 1000", web)+program("look", "sleep 3000", other))

	stdout, stderr, status := u.call("import", "usrsvc", cfg, "--take-over", "-q")
	if status != 1 || !strings.Contains(stdout, "✓ usrsvcd (pid N) has ended, its programs run on") ||
		!strings.Contains(stdout, "✓ web is managed: pid N, not restarted") ||
		!strings.Contains(stderr, "look was not taken over") || !strings.Contains(stderr, fmt.Sprintf("process %d, which its pid file names, is not this program", other)) {
		t.Fatalf("%d\n%s\n%s", status, stdout, stderr)
	}
	if err := <-daemonEnded; err != nil {
		t.Errorf("usrsvcd: %v", err)
	}
	if comm(web) != "" && !strings.Contains(stdout, "it ignores TERM and INT: a stop will need KILL, until its next start") { // Linux tells
		t.Error(stdout)
	}
	select {
	case err := <-otherEnded:
		t.Errorf("a process that is not the program has ended: %v", err)
	default:
	}
	stdout, _, _ = u.call("status", "web", "--json")
	if !strings.Contains(stdout, fmt.Sprintf(`"pid": %d`, web)) || !strings.Contains(stdout, `"boot": true`) {
		t.Error(stdout)
	}
	// What is named by the pid file of usrsvcd and is somebody else is left alone.
	u.call("rm", "look", "--yes")
	u.write("d.pid", strconv.Itoa(other))
	if stdout, stderr, status := u.call("import", "usrsvc", cfg, "--take-over", "-q"); status != 1 || !strings.Contains(stderr, "is not usrsvcd: sleep 2000") {
		t.Errorf("%d %s %s", status, stdout, stderr)
	}
}
