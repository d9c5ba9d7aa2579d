//go:build unix

package supervisord

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/supervisorctl"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// ctl runs a command of supervisorctl against the daemon.
func (s *site) ctl(words ...string) (out string, status int) {
	var b bytes.Buffer
	env := supervisorctl.Environ{Conf: conf.Environ{Cwd: s.dir, TempDir: s.dir}}
	status = supervisorctl.Run("supervisorctl", append([]string{"-s", "unix://" + s.dir + "/s.sock"}, words...), supervisorctl.Streams{
		Stdin: strings.NewReader(""), Stdout: &b, Stderr: &b,
	}, env)
	return b.String(), status
}

func (s *site) ctlSays(want string, status int, words ...string) {
	s.t.Helper()
	if got, code := s.ctl(words...); got != want || code != status {
		s.t.Errorf("%s: status %d, want %d\n%s", strings.Join(words, " "), code, status, cmp.Diff(want, got))
	}
}

func (s *site) pids(c *supervisor.Client, names ...string) (pids []int) {
	s.t.Helper()
	for _, n := range names {
		pids = append(pids, s.running(c, n).PID)
	}
	return pids
}

// web is the section of a program with several processes that tell which signal ended them.
func web(numprocs int, more string) string {
	return fmt.Sprintf(`[program:web]
command=/bin/sh -c 'trap "echo INT; exit 0" INT; trap "echo TERM; exit 0" TERM; echo up; while :; do sleep 0.05; done'
process_name=%%(program_name)s_%%(process_num)02d
numprocs=%d
startsecs=0
stdout_logfile=%%(here)s/%%(program_name)s_%%(process_num)02d.log
%s
`, numprocs, more)
}

const other = "[program:other]\ncommand=sleep 1000\nstartsecs=0\n"

// TestUpdateTakesOverNotifiers, whichever way it has to go; reread takes over nothing.
func TestUpdateTakesOverNotifiers(t *testing.T) {
	notify := func(names ...string) (text string) {
		for _, n := range names {
			text += "[notify:" + n + "]\nto=exec:/bin/true\n"
		}
		return text
	}
	s := newSite(t, standard+web(1, "")+other+notify("a"))
	c := s.start()
	api := upkeep.New(upkeep.Options{Socket: s.dir + "/s.sock"})
	defer api.Close()
	says := func(want string) {
		t.Helper()
		list, err := api.Notifiers(t.Context())
		got := ""
		for i := range list {
			got += list[i].Name + " "
		}
		if got != want || err != nil {
			t.Errorf("in force: %q, want %q, %v", got, want, err)
		}
	}
	pids := s.pids(c, "web:web_00", "other")
	says("a ")
	s.write("d.conf", standard+web(1, "")+other+notify("a", "b"))
	s.ctlSays("No config updates to processes\n", 0, "reread")
	says("a ")
	s.ctlSays("", 0, "update")
	says("a b ")
	if d := cmp.Diff(pids, s.pids(c, "web:web_00", "other")); d != "" {
		t.Error(d)
	}
	s.write("d.conf", standard+other+notify("b")) // a group goes
	s.ctlSays("web: stopped\nweb: removed process group\n", 0, "update")
	says("b ")
	s.write("d.conf", standard+web(1, "")+other+notify("c")) // a group comes
	s.ctlSays("web: added process group\n", 0, "update")
	says("c ")
	if d := cmp.Diff(pids[1:], s.pids(c, "other")); d != "" {
		t.Error(d)
	}
}

// TestApplyTouchesOnlyWhatChanged is the guide, step by step, with real processes.
func TestApplyTouchesOnlyWhatChanged(t *testing.T) {
	s := newSite(t, standard+web(2, "")+other)
	c := s.start()
	pids := s.pids(c, "web:web_00", "web:web_01", "other")
	unchanged := func(names ...string) {
		t.Helper()
		if d := cmp.Diff(pids[:len(names)], s.pids(c, names...)); d != "" {
			t.Errorf("pids of %v: %s", names, d)
		}
	}
	s.ctlSays("No config updates to processes\n", 0, "plan")
	s.ctlSays("No config updates to processes\n", 0, "apply")

	s.write("d.conf", standard+web(4, "")+other)
	s.ctlSays("web:web_02: add (it is new and starts by itself)\nweb:web_03: add (it is new and starts by itself)\n", 0, "plan")
	s.ctlSays("web:web_02: added\nweb:web_03: added\n", 0, "apply")
	s.pids(c, "web:web_02", "web:web_03")
	for _, log := range []string{"web_00.log", "web_03.log"} {
		s.until("its traps are set", func() bool { return s.read(log) == "up\n" })
	}
	unchanged("web:web_00", "web:web_01", "other")

	s.write("d.conf", standard+web(4, "stopsignal=INT\nstdout_logfile_maxbytes=1MB")+other)
	s.ctlSays("web:web_00: changed\nweb:web_01: changed\nweb:web_02: changed\nweb:web_03: changed\n", 0, "apply", "web")
	unchanged("web:web_00", "web:web_01", "other")
	s.ctlSays("web:web_03: stopped\n", 0, "stop", "web:web_03")
	s.until("the new stop signal has come", func() bool { return s.read("web_03.log") == "up\nINT\n" })

	s.write("d.conf", standard+web(3, "stopsignal=INT\nstdout_logfile_maxbytes=1MB\nenvironment=X=\"1\"")+other)
	s.ctlSays("web:web_03: removed\nweb:web_00: restarted\nweb:web_01: restarted\nweb:web_02: restarted\n", 0, "apply")
	now := s.pids(c, "web:web_00", "other")
	if now[0] == pids[0] || now[1] != pids[2] {
		t.Errorf("pids %v, were %v", now, pids)
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", now[0])); err == nil && !bytes.Contains(env, []byte("\x00X=1\x00")) {
		t.Error("the new environment is not there")
	}
	if got := s.read("web_00.log"); !strings.HasPrefix(got, "up\nINT\n") {
		t.Errorf("web_00 was ended with %q, in force was INT", got)
	}

	for _, bad := range []string{"[program:web\n", standard + web(3, "stopsignal=NOPE") + other, standard + web(3, "autostart=maybe")} {
		s.write("d.conf", bad)
		if got, status := s.ctl("apply"); !strings.HasPrefix(got, "ERROR: CANT_REREAD: ") || status != 1 {
			t.Errorf("%d %q", status, got)
		}
	}
	s.write("d.conf", standard+web(3, "stopsignal=INT\nstdout_logfile_maxbytes=1MB\nenvironment=X=\"1\"")+"[program:other]\ncommand=/no/such/thing\nstartsecs=0\n")
	s.ctlSays("ERROR: nothing is changed, other: can't find command '/no/such/thing'\n", 1, "apply")
	s.ctlSays("ERROR: no such group: nobody\n", 1, "apply", "nobody")
	pids = now
	unchanged("web:web_00", "other")

	s.write("d.conf", standard+other)
	s.ctlSays("web:web_00: removed\nweb:web_01: removed\nweb:web_02: removed\n", 0, "apply")
	s.ctlSays("No config updates to processes\n", 0, "reread")
}

// TestReloadStorm: twenty clients apply and update while the file is exchanged for valid, broken and half
// written ones and vanishes. What does not change keeps its process; the last valid one is in force then.
func TestReloadStorm(t *testing.T) {
	s := newSite(t, "")
	change := func(n int) string {
		var b strings.Builder
		b.WriteString(standard + web(2, "") + other)
		for i := range n % 4 {
			fmt.Fprintf(&b, "[program:extra%d]\ncommand=sleep %d\nstartsecs=0\n", i, 1000+n%3)
		}
		return b.String()
	}
	put := func(text string) {
		s.t.Helper()
		tmp := filepath.Join(s.dir, "next")
		if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
		if err := os.Rename(tmp, s.conf); err != nil {
			t.Error(err)
		}
	}
	put(change(0))
	c := s.start()
	pids := s.pids(c, "web:web_00", "web:web_01", "other")
	var stop atomic.Bool
	var writing, clients sync.WaitGroup
	writing.Go(func() {
		dice := rand.New(rand.NewPCG(5, 5))
		for n := 0; !stop.Load(); n++ {
			switch text := change(n); dice.IntN(5) {
			case 0:
				put("[supervisord\n")
			case 1:
				os.WriteFile(s.conf, []byte(text[:len(standard)+dice.IntN(5)]+"["), 0o644)
			case 2:
				os.Remove(s.conf)
			default:
				put(text)
			}
		}
	})
	ctx := context.Background()
	var applied, refused atomic.Int32
	for range 20 {
		clients.Go(func() {
			for range 15 {
				if _, err := c.Apply(ctx); err != nil {
					refused.Add(1)
				} else {
					applied.Add(1)
				}
				c.ReloadConfig(ctx)
			}
		})
	}
	clients.Wait()
	stop.Store(true)
	writing.Wait()
	put(change(7))
	if _, err := c.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(pids, s.pids(c, "web:web_00", "web:web_01", "other")); d != "" {
		t.Errorf("what never changed was touched: %s", d)
	}
	s.pids(c, "extra0", "extra1", "extra2")
	infos, err := c.GetAllProcessInfo(ctx)
	if err != nil || len(infos) != 6 {
		t.Errorf("%d programs, %v", len(infos), err)
	}
	if steps, err := c.Plan(ctx); err != nil || len(steps) > 0 {
		t.Errorf("not in force: %v %v", steps, err)
	}
	t.Logf("%d applied, %d refused", applied.Load(), refused.Load())
	if applied.Load() == 0 || refused.Load() == 0 {
		t.Error("no storm")
	}
}

// TestApplyRotation: the size of a log takes effect in a program that writes to it.
func TestApplyRotation(t *testing.T) {
	program := func(size string) string {
		return standard + "[program:loud]\ncommand=/bin/sh -c 'while :; do echo 0123456789012345678901234567890123456789; sleep 0.01; done'\n" +
			"startsecs=0\nstdout_logfile=%(here)s/loud.log\nstdout_logfile_backups=2\nstdout_logfile_maxbytes=" + size + "\n"
	}
	s := newSite(t, program("0"))
	c := s.start()
	pids := s.pids(c, "loud")
	s.until("the log is larger than the size to come", func() bool { return len(s.read("loud.log")) > 1024 })
	if s.read("loud.log.1") != "" {
		t.Fatal("rotated")
	}
	s.write("d.conf", program("1KB"))
	s.ctlSays("loud: change (takes effect at once)\n  stdout_logfile_maxbytes: 0 -> 1024\n", 0, "plan")
	s.ctlSays("loud: changed\n", 0, "apply")
	s.until("the log is rotated twice", func() bool { return s.read("loud.log.2") != "" })
	if d := cmp.Diff(pids, s.pids(c, "loud")); d != "" {
		t.Error(d)
	}
}
