package systemd

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// who has an instance in the guest.
type who struct {
	name  string
	argv  []string // runs a command as them, without a session, as after su
	words []string // options of upkeep that select the instance
	ctl   []string // systemctl of the daemon's unit
	entry string   // the name of the entry; found when it is made
	unit  string   // its file, in the guest
	secs  string   // how long its programs sleep, by which they are told from those of others
	logs  string   // where the output of its programs goes
}

// noSession runs a command as sam.
func noSession(words ...string) []string {
	return append([]string{
		"setpriv", "--reuid", "sam", "--regid", "sam", "--init-groups", "--inh-caps=-all", "env", "-i", "HOME=/home/sam", "USER=sam", "LOGNAME=sam",
		"PATH=/usr/bin:/bin",
	}, words...)
}

func root() *who {
	return &who{
		name: "root", argv: []string{"env"}, ctl: []string{"systemctl"}, secs: "1000",
		entry: "upkeep", unit: "etc/systemd/system/upkeep.service", logs: "var/log/upkeep",
	}
}

func sam() *who {
	return &who{
		name: "sam", argv: noSession(), ctl: noSession("XDG_RUNTIME_DIR=/run/user/1000", "systemctl", "--user"), secs: "1001",
		entry: "upkeep", unit: "home/sam/.config/systemd/user/upkeep.service", logs: "home/sam/.local/state/upkeep/logs",
	}
}

// oddRoot has everything in its name that the text of an entry could stumble over.
const oddRoot = `/var/lib/a b%c$d\e"f'g`

// odd is an instance of root with a place of its own.
func odd() *who {
	return &who{name: "odd", argv: []string{"env", "UPKEEP_ROOT=" + oddRoot}, ctl: []string{"systemctl"}, secs: "1002", logs: oddRoot + "/logs"}
}

// counting writes numbers, so that a line that is lost or written twice is seen.
const counting = `i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done`

// shop is a configuration of Supervisor's with the programs that the others are given.
const shop = `[unix_http_server]
file=/run/shop.sock
[supervisord]
logfile=/var/log/shop.log
pidfile=/run/shop.pid
childlogdir=/var/log
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/shop.sock
[program:on]
command=sleep 1003
[program:off]
command=sleep 1003
autostart=false
[program:count]
command=sh -c '` + counting + `'
stdout_logfile=/var/log/count.stdout.log
`

// ofConfig is the instance of a supervisord.conf of root's.
func ofConfig() *who {
	return &who{
		name: "shop", argv: []string{"env"}, words: []string{"-c", "/etc/shop.conf"}, ctl: []string{"systemctl"}, secs: "1003", logs: "var/log",
	}
}

// command is a command to the instance as it is typed.
func (w *who) command(words string) string {
	return strings.Join(append(append([]string{"upkeep"}, w.words...), words), " ")
}

// native reports whether the instance is the native one of a user.
func (w *who) native() bool { return len(w.words) == 0 }

// find learns which entry was made for an instance whose entry has a name that was made up.
func (g *bootable) find(w *who) {
	g.t.Helper()
	if w.entry != "" {
		return
	}
	kind := "upkeep-a-*"
	if !w.native() {
		kind = "supervisord-shop-*"
	}
	for _, pattern := range []string{"etc/systemd/system/" + kind + ".service", "etc/init.d/" + kind} {
		found, _ := filepath.Glob(filepath.Join(g.root, pattern))
		for _, f := range found {
			w.unit, w.entry = strings.TrimPrefix(f, g.root+"/"), strings.TrimSuffix(filepath.Base(f), ".service")
		}
	}
	if w.entry == "" {
		g.t.Fatalf("%s has no entry", w.name)
	}
}

// as runs a command as somebody.
func (g *bootable) as(w *who, argv ...string) (string, error) {
	all := append(w.argv[1:len(w.argv):len(w.argv)], argv...)
	return g.do(w.argv[0], all...)
}

// upkeep is a command that somebody gives to their instance.
func (g *bootable) upkeep(w *who, words ...string) (string, error) {
	return g.as(w, append(append([]string{"/opt/bin/upkeep"}, w.words...), words...)...)
}

// ok is upkeep for what has to succeed.
func (g *bootable) ok(w *who, words ...string) string {
	g.t.Helper()
	out, err := g.upkeep(w, words...)
	if err != nil {
		g.t.Fatalf("%s: upkeep %v: %v\n%s", w.name, words, err, out)
	}
	return out
}

// furnished gives an instance its programs: on and count are on, off is not.
func (g *bootable) furnished(w *who) {
	g.t.Helper()
	if w.native() {
		g.ok(w, "add", "on", "--", "sleep", w.secs)
		g.ok(w, "add", "off", "--", "sleep", w.secs)
		g.ok(w, "off", "off")
		g.ok(w, "stop", "off")
		g.ok(w, "add", "count", "--", "sh", "-c", counting)
	} else if out, err := g.as(w, append([]string{"/opt/bin/upkeep", "supervisord"}, w.words...)...); err != nil {
		g.t.Fatalf("%s: %v %s", w.name, err, out)
	}
	g.runs(w, "when they were added")
}

// program is what the daemon says of one.
type program struct {
	Name, State string
	PID         *int
}

// programs are those of an instance by their names; nil when no daemon answers.
func (g *bootable) programs(w *who) map[string]program {
	out, _ := g.upkeep(w, "status", "--json") // its exit status tells whether all run
	var list []program
	if json.Unmarshal([]byte(out), &list) != nil {
		return nil
	}
	all := map[string]program{}
	for _, p := range list {
		all[p.Name] = p
	}
	return all
}

// wanted is what runs when what is on runs.
const wanted = "count RUNNING, off STOPPED, on RUNNING"

// sleepers are the processes of somebody's programs on and off.
func (g *bootable) sleepers(w *who) string {
	out, _ := g.do("pgrep", "-f", "^sleep "+w.secs+"$")
	return strings.TrimSpace(out)
}

// runs checks that the programs that are on run, once, and that those that are off do not.
func (g *bootable) runs(w *who, when string) {
	g.t.Helper()
	last := ""
	defer func() {
		if g.t.Failed() {
			g.t.Logf("%s, %s: %s", w.name, when, last)
		}
	}()
	g.until(w.name+": the programs that are on run, "+when, func() bool {
		all := g.programs(w)
		last = "count " + all["count"].State + ", off " + all["off"].State + ", on " + all["on"].State
		return last == wanted
	})
	if got := g.sleepers(w); strings.Contains(got, "\n") || got == "" {
		g.t.Errorf("%s: processes %q, %s", w.name, got, when)
	}
}

// pids are the processes of the programs that run.
func (g *bootable) pids(w *who) map[string]int {
	out := map[string]int{}
	for name, p := range g.programs(w) {
		if p.PID != nil {
			out[name] = *p.PID
		}
	}
	return out
}

// same checks that the same processes run, and that the numbers that one of them writes are all there.
func (g *bootable) same(w *who, before map[string]int, when string) {
	g.t.Helper()
	if d := cmp.Diff(before, g.pids(w)); d != "" {
		g.t.Errorf("%s: the programs are not as they were, %s: %s", w.name, when, d)
	}
	log := w.logs + "/count.stdout.log"
	begin := strings.Count(g.read(log), "\n")
	g.until(w.name+": the count goes on, "+when, func() bool { return strings.Count(g.read(log), "\n") >= begin+3 })
	lines := strings.Split(g.read(log), "\n")
	for i := 1; i < len(lines)-1; i++ {
		was, _ := strconv.Atoi(lines[i-1])
		if now, err := strconv.Atoi(lines[i]); err != nil || now != was+1 && now != 0 {
			g.t.Fatalf("%s: line %d of the count is %q after %q, %s", w.name, i, lines[i], lines[i-1], when)
		}
	}
}

// daemon is what a daemon says of itself.
type daemon struct {
	PID, Manager int
	Version      string
}

// asked is a daemon's answer; zero when none answers.
func (g *bootable) asked(w *who) (d daemon) {
	out, _ := g.upkeep(w, "daemon", "status", "--json")
	_ = json.Unmarshal([]byte(out), &d) // what is no JSON says that none answers
	return d
}

// daemon waits until it answers.
func (g *bootable) daemon(w *who) (d daemon) {
	g.t.Helper()
	defer func() {
		if d.PID == 0 {
			out, err := g.upkeep(w, "daemon", "status")
			g.t.Logf("%s: %v %s", w.name, err, out)
		}
	}()
	g.until(w.name+": the daemon answers", func() bool {
		d = g.asked(w)
		return d.PID != 0
	})
	return d
}

// spawner is the process of a daemon that forks.
func (g *bootable) spawner(w *who) (pid int) {
	g.t.Helper()
	g.until(w.name+": there is a spawner", func() bool {
		pid = child(g.inside("proc"), g.asked(w).Manager, "upkeep-spawner")
		return pid != 0
	})
	return pid
}
