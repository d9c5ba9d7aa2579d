package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

// original is Supervisor's own daemon.
const original = "/usr/bin/supervisord"

// helpersConf has every helper at work. {dir}, {smtp} and {url} are filled in.
const helpersConf = `
[unix_http_server]
file={dir}/s

[supervisord]
logfile={dir}/d.log
pidfile={dir}/d.pid
childlogdir={dir}
nodaemon=true
loglevel=debug

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{dir}/s

[eventlistener:crashmail]
command={dir}/crashmail -o host1 -m me@x.example -s "cat >>{dir}/mails"
events=PROCESS_STATE
buffer_size=100

[eventlistener:crashmailbatch]
command={dir}/crashmailbatch -t a@x.example -f up@x.example -H {smtp} -e TICK_5 -i 0.05
events=PROCESS_STATE,TICK_5
buffer_size=100

[eventlistener:fatalmailbatch]
command={dir}/upkeep fatalmailbatch -t a@x.example -f up@x.example -H {smtp} -e TICK_5 -i 0.05
events=PROCESS_STATE,TICK_5
buffer_size=100

[eventlistener:crashsms]
command={dir}/crashsms -t a@x.example -f up@x.example -H {smtp} -e TICK_5 -i 0.05
events=PROCESS_STATE,TICK_5
buffer_size=100

[eventlistener:memmon]
command={dir}/memmon -p hog=1KB
events=TICK_5

[eventlistener:httpok]
command={dir}/httpok -p web {url}
events=TICK_5

[program:crash]
command=/bin/sh -c "exit 3"
startsecs=0
autorestart=false

[program:nostart]
command={dir}/nothing
startretries=0

[program:hog]
command=/bin/sh -c "echo $$ >>{dir}/hog.pids; exec sleep 1000"
startsecs=0

[program:web]
command=/bin/sh -c "echo $$ >>{dir}/web.pids; exec sleep 1000"
startsecs=0

[program:behind]
command={dir}/pidproxy {dir}/behind.pid /bin/sh -c "sleep 1000 & echo $! >{dir}/behind.pid; wait; echo over >{dir}/behind.over"
startsecs=0
`

// TestHelpers runs every helper program in the places for which it was made: as a child of the original's
// daemon, and of ours.
func TestHelpers(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some ticks of five seconds")
	}
	t.Run("original", func(t *testing.T) {
		t.Parallel()
		if _, err := os.Stat(original); err != nil {
			t.Skip("the original is not installed: ", err)
		}
		testHelpers(t, func(string) string { return original })
	})
	t.Run("ours", func(t *testing.T) {
		t.Parallel()
		testHelpers(t, func(dir string) string { return filepath.Join(dir, "supervisord") })
	})
}

func testHelpers(t *testing.T, find func(dir string) string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "helpers") // short: it holds a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"upkeep", "supervisord", "crashmail", "crashmailbatch", "crashsms", "memmon", "httpok", "pidproxy"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	smtp := (&smtptest.Server{}).Start(t)
	var asked atomic.Int32
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no", http.StatusInternalServerError)
	}))
	defer site.Close()
	conf := strings.NewReplacer("{dir}", dir, "{smtp}", smtp.Addr, "{url}", site.URL).Replace(helpersConf)
	file := filepath.Join(dir, "c.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(find(dir), "-c", file)
	daemon.Env = append(os.Environ(), called+"=1", "UPKEEP_ROOT="+dir)
	var out bytes.Buffer
	daemon.Stdout, daemon.Stderr, daemon.WaitDelay = &out, &out, time.Second
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	over := false
	end := func() {
		if over {
			return
		}
		over = true
		_ = daemon.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(time.Minute, func() { _ = daemon.Process.Kill() })
		defer kill.Stop()
		_ = daemon.Wait()
	}
	defer end()

	text := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		return string(b)
	}
	mailed := func(parts ...string) bool {
		for _, m := range smtp.Mails() {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(m.Text, p)
			}
			if all {
				return true
			}
		}
		return false
	}
	limit := time.Now().Add(time.Minute)
	for what, done := range map[string]func() bool{
		"crashmail": func() bool {
			mails := text("mails")
			return strings.Contains(mails, "Subject: host1: crash crashed at ") && strings.Contains(mails, "Process crash in group crash exited unexpectedly (pid ")
		},
		"crashmailbatch": func() bool { return mailed("Subject: Crash alert", "-- Process crash:crash (pid ") },
		"fatalmailbatch": func() bool {
			return mailed("Subject: Fatal start alert", "-- Process nostart:nostart failed to start too many times")
		},
		"crashsms": func() bool { return mailed("[crash:crash](", ") exited unexpectedly ") },
		"memmon":   func() bool { return strings.Count(text("hog.pids"), "\n") >= 2 },
		"httpok":   func() bool { return strings.Count(text("web.pids"), "\n") >= 2 && asked.Load() > 0 },
		"pidproxy": func() bool { return text("behind.pid") != "" },
	} {
		for ; !done(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Errorf("%s has not done its work", what)
				break
			}
		}
	}
	end()
	if got := text("behind.over"); got != "over\n" {
		t.Error("pidproxy did not wait for its command")
	}
	log := text("d.log")
	for _, bad := range []string{"-> UNKNOWN", "bad result line", "event was rejected", "killing 'behind'"} {
		if strings.Contains(log, bad) {
			t.Errorf("the daemon's log has %q", bad)
		}
	}
	// A daemon that ends refuses what a listener asks of it in that moment, and memmon ends then as the original's does.
	until, _, ends := strings.Cut(log, " indicating exit request")
	for _, bad := range []string{"exited: memmon", "exited: httpok", "exited: crash" + "mail"} {
		if strings.Contains(until, bad) || !ends {
			t.Errorf("the daemon's log has %q, or does not end", bad)
		}
	}
	if t.Failed() {
		t.Log(fmt.Sprint(smtp.Mails()), "\n", text("mails"), "\n", log)
	}
}
