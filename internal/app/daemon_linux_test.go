package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/cli/supervisord"
)

// asDaemon tells the test binary what daemon to be: "native", or the path of a supervisord.conf.
const asDaemon = "APP_TEST_DAEMON"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	app.Role()
	if socket := os.Getenv(asCaller); socket != "" {
		connect(socket)
		os.Exit(0)
	}
	if dir := os.Getenv(asNotifier); dir != "" {
		notifier(dir)
	}
	switch what := os.Getenv(asDaemon); what {
	case "":
		os.Exit(m.Run())
	case "native":
		i, err := instance.Native(false)
		status := 1
		if err == nil {
			status, err = i.Serve("1.2.3", false)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status)
	default:
		os.Exit(supervisord.Command{Version: "1.2.3"}.Main("supervisord", []string{"-n", "-c", what}))
	}
}

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// until polls for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s has not come", what)
		}
	}
}

// daemon is a real one, in a process of its own.
type daemon struct {
	t      *testing.T
	root   string
	socket string
	cmd    *exec.Cmd
	ended  chan struct{}
	said   *bytes.Buffer // valid when it has ended
	api    *upkeep.Client
	http   *http.Client
}

// native starts a native instance that keeps everything below root; as another user when uid is not 0.
func native(t *testing.T, root string, uid uint32) *daemon {
	t.Helper()
	d := &daemon{t: t, root: root, socket: filepath.Join(root, "run", "upkeep", "upkeep.sock")}
	d.start("native", uid)
	return d
}

// shortDir is a directory whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "u")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (d *daemon) start(what string, uid uint32) {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	if uid != 0 { // the test's own directory may be closed to others
		self = d.copy(self)
	}
	d.said = &bytes.Buffer{}
	d.cmd = exec.Command(self)
	d.cmd.Dir = d.root
	d.cmd.Env = append(os.Environ(), asDaemon+"="+what, "UPKEEP_ROOT="+d.root)
	d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
	d.cmd.SysProcAttr = &syscall.SysProcAttr{}
	if uid != 0 {
		d.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	d.ended = ended
	cmd := d.cmd
	go func() { _ = cmd.Wait(); close(ended) }()
	d.t.Cleanup(d.stop)
	d.api = upkeep.New(upkeep.Options{Socket: d.socket})
	d.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var n net.Dialer
		return n.DialContext(ctx, "unix", d.socket)
	}}}
	until(d.t, "the daemon", func() bool {
		select {
		case <-d.ended:
			d.t.Fatalf("the daemon has ended: %s", d.said)
		default:
		}
		_, err := d.api.System(d.t.Context())
		return err == nil || !isAbsent(err)
	})
}

func (d *daemon) copy(file string) string {
	d.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	to := filepath.Join(d.root, "daemon")
	if err := os.WriteFile(to, data, 0o755); err != nil {
		d.t.Fatal(err)
	}
	return to
}

// stop ends the daemon and its programs.
func (d *daemon) stop() {
	d.api.Close()
	d.http.CloseIdleConnections()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		d.t.Errorf("the daemon does not end")
	}
}

// answer is an answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// request sends one; headers are "Name: value".
func (d *daemon) request(method, path, body string, headers ...string) answer {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://upkeep"+path, in)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := d.http.Do(r)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// define adds a program and applies it.
func (d *daemon) define(name, keys string) {
	d.t.Helper()
	text := "[program:" + name + "]\n" + keys
	if _, err := d.api.Define(d.t.Context(), name, []byte(text), ""); err != nil {
		d.t.Fatalf("%v %+v", err, err)
	}
	if _, err := d.api.Apply(d.t.Context(), name); err != nil {
		d.t.Fatal(err)
	}
}

// process is the status of a program.
func (d *daemon) process(name string) upkeep.Process {
	d.t.Helper()
	p, err := d.api.Process(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}
