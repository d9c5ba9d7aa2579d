package supervisord

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// responder is the command of a FastCGI program in a site.
func (s *site) responder() string {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, responderName)
	if err := os.Symlink(self, path); err != nil && !errors.Is(err, fs.ErrExist) {
		s.t.Fatal(err)
	}
	return path
}

// fastCGI is the section of four responders.
const fastCGI = `[fcgi-program:app]
command=%(here)s/` + responderName + `
socket=unix://%(here)s/app.sock
socket_mode=0770
numprocs=4
process_name=%(process_num)d
startsecs=0
autorestart=true
`

// answers reports whether the responders answer.
func answers(path string) bool {
	body, err := askFastCGI("unix", path, "")
	return err == nil && strings.HasPrefix(body, "pid ")
}

// The socket is there with the first process and goes with the last; stopping some of them is not noticed.
func TestFastCGISocket(t *testing.T) {
	s := newSite(t, standard+strings.ReplaceAll(fastCGI, "startsecs=0", "startsecs=0\nautostart=false")+
		"[fcgi-program:tcp]\ncommand=%(here)s/"+responderName+"\nsocket=tcp://127.0.0.1:0\n"+
		"[group:g]\nprograms=tcp\n")
	s.responder()
	c, ctx := s.start(), context.Background()
	sock := filepath.Join(s.dir, "app.sock")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.running(c, "g:tcp") // a member of a group has its socket too
	if fd, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", s.info(c, "g:tcp").PID)); err != nil || !strings.HasPrefix(fd, "socket:") {
		t.Errorf("descriptor 0 of a member of a group is %s, %v", fd, err)
	}
	if _, err := os.Lstat(sock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is there too early: %v", err)
	}
	must(c.StartProcess(ctx, "app:0", true))
	must(c.StartProcess(ctx, "app:3", true))
	if info, err := os.Lstat(sock); err != nil || info.Mode() != fs.ModeSocket|0o770 {
		t.Errorf("%v, %v", info, err)
	}
	if !answers(sock) {
		t.Error("no answer")
	}
	var fault *supervisor.Fault
	if err := c.SendProcessStdin(ctx, "app:0", "x"); !errors.As(err, &fault) || fault.Text != "NO_FILE: app:0" {
		t.Errorf("writing to the standard input: %v", err)
	}
	must(c.StopProcess(ctx, "app:0", true))
	if !answers(sock) {
		t.Error("no answer after the first was stopped")
	}
	must(c.StopProcess(ctx, "app:3", true))
	s.until("the socket is gone", func() bool {
		_, err := os.Lstat(sock)
		return errors.Is(err, fs.ErrNotExist)
	})
	must(c.StartProcess(ctx, "app:1", true))
	if !answers(sock) {
		t.Error("no answer after another start")
	}
	s.logged(`INFO Creating socket unix://` + sock + `\n(?s:.*)INFO Closing socket unix://` + sock + `\n(?s:.*)INFO Creating socket unix://`)
	s.end()
	if _, err := os.Lstat(sock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket outlives the daemon: %v", err)
	}
}

// A socket that cannot be had concerns its own programs alone.
func TestFastCGINoSocket(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	url := "tcp://" + taken.Addr().String()
	s := newSite(t, standard+"[fcgi-program:file]\ncommand=cat\nsocket=unix://%(here)s/d.conf\nstartretries=0\n"+
		"[fcgi-program:tcp]\ncommand=cat\nsocket="+url+"\n"+
		"[fcgi-program:one]\ncommand=sleep 1000\nsocket=unix://%(here)s/one.sock\nstartsecs=0\n"+
		"[fcgi-program:two]\ncommand=sleep 1000\nsocket=unix://%(here)s/one.sock\nstartretries=0\npriority=1000\n"+
		"[program:cat]\ncommand=cat\n")
	c := s.start()
	s.running(c, "cat")
	s.running(c, "one")
	for name, want := range map[string]string{
		"file": "Could not create FastCGI socket unix://" + s.dir + "/d.conf: " + s.dir + "/d.conf exists and is not a socket",
		"tcp":  "Could not create FastCGI socket " + url + ": address already in use",
		"two":  "Could not create FastCGI socket unix://" + s.dir + "/one.sock: it belongs to [fcgi-program:one]",
	} {
		s.until(name+" has failed", func() bool {
			st := s.info(c, name).StateName
			return st == "FATAL" || st == "BACKOFF"
		})
		if got := s.info(c, name).SpawnErr; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(s.read("d.conf"), "fcgi-program") {
		t.Error("the file that was in the way is gone")
	}
	taken.Close()
	if err := c.StopProcess(context.Background(), "tcp", true); err != nil {
		var fault *supervisor.Fault
		if !errors.As(err, &fault) {
			t.Fatal(err)
		}
	}
}

// A change of the socket is a change of the group, and is applied without a moment in which nobody listens.
func TestFastCGIChange(t *testing.T) {
	s := newSite(t, standard+fastCGI)
	s.responder()
	c, ctx := s.start(), context.Background()
	sock := filepath.Join(s.dir, "app.sock")
	pid := s.running(c, "app:0").PID
	s.write("d.conf", standard+strings.Replace(fastCGI, "0770", "0707\nsocket_backlog=7", 1))
	changes, err := c.ReloadConfig(ctx)
	if err != nil || len(changes.Changed) != 1 || changes.Changed[0] != "app" {
		t.Fatalf("%+v, %v", changes, err)
	}
	steps, err := c.Plan(ctx)
	if err != nil || len(steps) != 4 || steps[0].Action != "restart" || len(steps[0].Fields) != 2 {
		t.Fatalf("%+v, %v", steps, err)
	}
	if _, err := c.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	if now := s.running(c, "app:0").PID; now == pid {
		t.Error("it was not restarted")
	}
	if info, err := os.Lstat(sock); err != nil || info.Mode() != fs.ModeSocket|0o707 {
		t.Errorf("%v, %v", info, err)
	}
	if strings.Contains(s.read("d.log"), "Closing socket") {
		t.Error("the socket was closed meanwhile")
	}
	s.write("d.conf", standard+strings.Replace(fastCGI, "app.sock", "new.sock", 1))
	if _, err := c.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	s.running(c, "app:3")
	if !answers(filepath.Join(s.dir, "new.sock")) {
		t.Error("nobody answers at the new address")
	}
	if _, err := os.Lstat(sock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old socket stays: %v", err)
	}
}

// requestsVariable is how many requests the tests make that nothing may disturb.
const requestsVariable = "UPKEEP_TEST_REQUESTS"

// undisturbed makes requests from several clients for as long as trouble lasts, and at least as many as asked for.
// Between two strokes trouble calls calm, which waits for some answers: who tries again four times is not to be
// struck each time.
func (h *hardy) undisturbed(ask func() (string, error), trouble func(calm func())) {
	t := h.t
	t.Helper()
	want, err := strconv.ParseInt(os.Getenv(requestsVariable), 10, 64)
	if err != nil {
		want = 2000
	}
	var made, failed, over atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for over.Load() == 0 || made.Load() < want {
				if body, err := ask(); err != nil || !strings.HasPrefix(body, "pid ") {
					if failed.Add(1) < 5 {
						t.Errorf("a request failed: %q, %v", body, err)
					}
				}
				made.Add(1)
			}
		})
	}
	defer func() {
		over.Store(1)
		clients.Wait()
		t.Logf("%d requests, %d failed", made.Load(), failed.Load())
	}()
	trouble(func() {
		until := made.Load() + 25
		h.until("requests are answered", func() bool { return made.Load() > until })
	})
}

// again restarts a member and waits until another process runs.
func (h *hardy) again(name string, how func(pid int)) {
	h.t.Helper()
	old := h.running(h.c, name).PID
	how(old)
	h.until(name+" runs anew", func() bool {
		p, err := h.c.GetProcessInfo(context.Background(), name)
		return err == nil && p.StateName == "RUNNING" && p.PID != old
	})
}

// crisis ends what can be ended, one after the other: members as end does it, then the manager, then it upgrades.
func (h *hardy) crisis(before supervisor.Info, calm func(), end func(pid int)) {
	h.t.Helper()
	for k := range 8 {
		calm()
		h.again(fmt.Sprintf("app:%d", k%4), end)
	}
	h.kill(before.Manager)
	killed := h.await("another manager answers", func(i supervisor.Info) bool { return i.Manager != before.Manager })
	h.again("app:1", end)
	calm()
	h.signal(syscall.SIGUSR1)
	h.await("an upgraded manager answers", func(i supervisor.Info) bool { return i.Manager != killed.Manager })
	h.again("app:2", end)
	calm()
	h.again("app:3", func(int) {
		ctx := context.Background()
		if err := errors.Join(h.c.StopProcess(ctx, "app:3", true), h.c.StartProcess(ctx, "app:3", true)); err != nil {
			h.t.Error(err)
		}
	})
}

// No request fails while members end in an orderly way and the daemon's own processes do not.
func TestFastCGIUndisturbed(t *testing.T) {
	h := newHardy(t, fastCGI)
	h.responder()
	before := h.begin()
	sock := filepath.Join(h.dir, "app.sock")
	h.until("somebody answers", func() bool { return answers(sock) })
	h.undisturbed(func() (string, error) { return askFastCGI("unix", sock, "slow") }, func(calm func()) {
		h.crisis(before, calm, func(pid int) { _ = syscall.Kill(pid, syscall.SIGTERM) })
	})
	if strings.Contains(h.read("d.log"), "Closing socket") {
		t.Error("the socket was closed")
	}
	h.down()
	if _, err := os.Lstat(sock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket outlives the daemon: %v", err)
	}
}

// TestFastCGIKeeperIsKilled: whoever takes the keeper's place has the socket, and so has who is started when all
// are gone.
func TestFastCGIKeeperIsKilled(t *testing.T) {
	h := newHardy(t, fastCGI)
	h.responder()
	before := h.begin()
	sock := filepath.Join(h.dir, "app.sock")
	h.until("somebody answers", func() bool { return answers(sock) })
	end := func(pid int) { _ = syscall.Kill(pid, syscall.SIGTERM) }
	h.undisturbed(func() (string, error) { return askFastCGI("unix", sock, "slow") }, func(calm func()) {
		h.kill(before.PID)
		now := h.await("somebody else is the keeper", func(i supervisor.Info) bool { return i.PID != before.PID && i.Manager != before.Manager })
		for k := range 4 {
			h.again(fmt.Sprintf("app:%d", k), end)
		}
		calm()
		h.kill(now.PID, now.Manager)
		h.begin()
		for k := range 4 {
			h.again(fmt.Sprintf("app:%d", k), end)
		}
	})
	h.times(1, "Creating socket unix://"+sock)
	h.down()
}

// TestFastCGIBehindNginx: a web server in front tries again what a killed member has not answered.
func TestFastCGIBehindNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Skip("nginx is not installed")
		}
	}
	h := newHardy(t, fastCGI+"[program:nginx]\ncommand="+nginx+" -p %(here)s -c %(here)s/nginx.conf -e stderr\n"+
		"stderr_logfile=%(here)s/nginx.log\n")
	h.responder()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(h.read("nginx.log"))
		}
	})
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	upstream := strings.Repeat("server unix:"+h.dir+"/app.sock max_fails=0;\n", 4)
	h.write("nginx.conf", user+`
daemon off;
pid nginx.pid;
worker_processes 1;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
	upstream app {
		`+upstream+`
	}
	server {
		listen unix:`+h.dir+`/n.sock;
		location / {
			fastcgi_pass app;
			fastcgi_next_upstream error timeout;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param REQUEST_URI $request_uri;
		}
	}
}
`)
	before := h.begin()
	web := &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", h.dir+"/n.sock")
		},
	}}
	defer web.CloseIdleConnections()
	ask := func() (string, error) {
		resp, err := web.Get("http://app/?slow")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		return string(b), err
	}
	h.until("nginx answers", func() bool {
		body, err := ask()
		return err == nil && regexp.MustCompile(`^pid \d+$`).MatchString(body)
	})
	h.undisturbed(ask, func(calm func()) {
		h.crisis(before, calm, func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) })
	})
	h.down()
}
