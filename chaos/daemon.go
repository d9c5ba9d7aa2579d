//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The names of the daemon's parts in the process table.
const (
	managerName = "upkeep-manager"
	spawnerName = "upkeep-spawner"
	nobody      = 65534
)

// daemon is the system under test.
type daemon struct {
	l       layout
	command string // what is run
	user    bool   // as nobody
	pid1    bool   // in fresh namespaces
	env     []string
	census  *census
	reaper  *reaper
	started int // our child: the daemon, or the command that made its namespaces
}

// start runs the daemon in the foreground, as an init system does.
func (d *daemon) start() error {
	argv := []string{d.command, "-n", "-c", d.l.conf()}
	if d.pid1 {
		unshare, err := exec.LookPath("unshare")
		if err != nil {
			return err
		}
		argv = append([]string{unshare, "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "--"}, argv...)
	}
	console, err := os.OpenFile(d.l.path("console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer console.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	attr := &syscall.SysProcAttr{Setsid: true}
	if d.user {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}
	}
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir: d.l.dir, Env: slices.Concat(os.Environ(), []string{"HOME=" + d.l.dir, "UPKEEP_ROOT=" + d.l.dir + "/upkeep"}, d.env), Files: []*os.File{null, console, console}, Sys: attr,
	})
	if err != nil {
		return err
	}
	d.started = p.Pid
	d.reaper.expect(p.Pid)
	return p.Release()
}

// console is the end of what the daemon said.
func (d *daemon) console() string {
	b, _ := os.ReadFile(d.l.path("console"))
	text := strings.TrimSpace(string(b))
	return text[max(0, len(text)-400):]
}

// top is the process that people know: that of the pidfile.
func (d *daemon) top() (process, bool) {
	if d.pid1 {
		for _, p := range childrenOf(d.started) {
			if !p.dead() {
				return p, true
			}
		}
		return process{}, false
	}
	b, err := os.ReadFile(d.l.pidfile())
	if err != nil {
		return process{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 || d.census.ours(pid) {
		return process{}, false
	}
	p, ok := readStat(pid)
	return p, ok && !p.dead()
}

// below is the child of a part with the given name. Programs may have taken the same name; one that has not been
// executed yet still has its spawner's, but a single thread.
func (d *daemon) below(parent process, name string) (process, bool) {
	for _, p := range childrenOf(parent.pid) {
		if p.name == name && p.threads > 1 && !p.dead() && !d.census.ours(p.pid) {
			return p, true
		}
	}
	return process{}, false
}

// find returns the processes of a role, or false while one of them is missing.
func (d *daemon) find(role string) ([]process, bool) {
	top, ok := d.top()
	if !ok || role == "keeper" || role == "daemon" {
		if role == "keeper" && ok {
			_, ok = d.below(top, managerName) // else it is a manager that has not become keeper yet
		}
		return []process{top}, ok
	}
	manager, ok := d.below(top, managerName)
	if !ok || role == "manager" {
		return []process{manager}, ok
	}
	spawner, ok := d.below(manager, spawnerName)
	if role == "spawner" {
		return []process{spawner}, ok
	}
	return []process{top, manager, spawner}, ok
}

// await waits for the processes of a role.
func (d *daemon) await(role string, limit time.Duration) ([]process, error) {
	var found []process
	ok := until(limit, 2*time.Millisecond, func() (ok bool) {
		found, ok = d.find(role)
		return ok
	})
	if !ok {
		top, is := d.top()
		return nil, fmt.Errorf("no %s after %v (top process %d, %v); %s", role, limit, top.pid, is, d.console())
	}
	return found, nil
}

// family are the daemon's own processes that live.
func (d *daemon) family() []process {
	var out []process
	if top, ok := d.top(); ok {
		out = append(out, top)
		if m, ok := d.below(top, managerName); ok {
			out = append(out, m)
			if s, ok := d.below(m, spawnerName); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// shutdown asks for the ordered end and waits until every process of the daemon is gone.
func (d *daemon) shutdown(limit time.Duration) error {
	family := d.family()
	if len(family) == 0 {
		return errors.New("there is no daemon to shut down")
	}
	if err := strike(family[0], unix.SIGTERM); err != nil {
		return fmt.Errorf("TERM: %w", err)
	}
	gone := until(limit, 5*time.Millisecond, func() bool {
		d.reaper.reap()
		for _, p := range family {
			if same(p) {
				return false
			}
		}
		return true
	})
	if !gone {
		return fmt.Errorf("the daemon is still there %v after TERM", limit)
	}
	return nil
}

// kill ends whatever is left of the daemon.
func (d *daemon) kill() {
	until(10*time.Second, 10*time.Millisecond, func() bool {
		list := d.family()
		for _, p := range list {
			_ = strike(p, unix.SIGKILL) // gone is as good
		}
		if d.started != 0 && d.reaper.ended(d.started) == nil {
			if p, ok := readStat(d.started); ok && !p.dead() {
				_ = strike(p, unix.SIGKILL)
				return false
			}
		}
		return len(list) == 0
	})
}
