package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// asCaller tells the test binary to connect to a socket, and to say what comes of it.
const asCaller = "APP_TEST_CONNECT"

func connect(socket string) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Print(err)
		return
	}
	c.Close()
	fmt.Print("connected")
}

// problemOf is the code of the problem that an answer is.
func problemOf(t *testing.T, a answer) string {
	t.Helper()
	var p upkeep.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status {
		t.Fatalf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	return p.Code
}

// TestUsers: an instance belongs to its user and to root; two users with the same names do not meet.
func TestUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be several users")
	}
	var all []*daemon
	for _, uid := range []int{65534, 65533} {
		root := shortDir(t)
		if err := os.Chown(root, uid, uid); err != nil {
			t.Fatal(err)
		}
		d := native(t, root, uint32(uid))
		d.define("web", sleeper)
		s, err := d.api.System(t.Context())
		if err != nil || s.UID != uid {
			t.Errorf("%+v %v", s, err)
		}
		if who, err := d.api.Whoami(t.Context()); err != nil || who.UID != 0 || who.User != "root" {
			t.Errorf("%+v %v", who, err)
		}
		info, err := os.Stat(d.socket)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		all = append(all, d)
	}
	if o, err := all[0].api.Do(t.Context(), upkeep.Action{Action: "stop", Select: []string{"all"}}, patience); err != nil || o.State != "done" {
		t.Errorf("%+v %v", o, err)
	}
	if p := all[1].process("web"); p.State != "RUNNING" {
		t.Errorf("a stop of another user's: %+v", p)
	}
	// The directories let others through: what protects is the socket.
	for dir := filepath.Dir(all[0].socket); len(dir) >= len(all[0].root); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	for uid, want := range map[uint32]string{65533: "permission denied", 65534: "connected", 0: "connected"} {
		cmd := exec.Command(filepath.Join(all[0].root, "daemon"))
		cmd.Env = append(os.Environ(), asCaller+"="+all[0].socket)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("user %d: %q %v, want %q", uid, out, err, want)
		}
	}
}

// TestForeignPages: a page of another site orders nothing. Source: spec/reliability S2.
func TestForeignPages(t *testing.T) {
	d := native(t, shortDir(t), 0)
	d.define("web", sleeper)
	for _, header := range []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Referer: http://evil.example/x"} {
		for method, path := range map[string]string{
			"POST": "/v1/processes/web/stop?wait=30", "DELETE": "/v1/programs/web", "PUT": "/v1/programs/x",
		} {
			if a := d.request(method, path, "", header, "If-None-Match: *"); a.status != 403 || problemOf(t, a) != "forbidden" {
				t.Errorf("%s %s: %d %s", header, method, a.status, a.body)
			}
		}
	}
	if a := d.request("POST", "/v1/config/diff", "", "Origin: http://upkeep"); a.status != 200 {
		t.Errorf("our own page: %d %s", a.status, a.body)
	}
	if p := d.process("web"); p.State != "RUNNING" {
		t.Errorf("%+v", p)
	}
}

// TestSupervisordInstance: /v1 is on the unix socket of a supervisord.conf, with its credentials, and not on TCP.
func TestSupervisordInstance(t *testing.T) {
	root := shortDir(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp := l.Addr().String()
	l.Close()
	conf := filepath.Join(root, "s.conf")
	text := fmt.Sprintf("[supervisord]\nlogfile=%[1]s/log\npidfile=%[1]s/pid\nchildlogdir=%[1]s\n"+
		"[unix_http_server]\nfile=%[1]s/sock\nusername=ann\npassword=secret\n[inet_http_server]\nport=%[2]s\n[program:web]\n%[3]s", root, tcp, sleeper)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, root: root, socket: filepath.Join(root, "sock")}
	d.start(conf, 0)
	basic := func(text string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text))
	}
	for header, want := range map[string]int{"X: y": 401, basic("ann:wrong"): 401, "Authorization: Basic !": 400, basic("ann:secret"): 200} {
		a := d.request("GET", "/v1/processes/web", "", header)
		if a.status != want || want == 401 && problemOf(t, a) != "unauthenticated" || want == 400 && problemOf(t, a) != "bad_request" {
			t.Errorf("%s: %d %s", header, a.status, a.body)
		}
	}
	if a := d.request("PUT", "/v1/programs/new", "[program:new]\n"+sleeper, basic("ann:secret"), "If-None-Match: *"); a.status != 409 || problemOf(t, a) != "not_managed" {
		t.Errorf("%d %s", a.status, a.body)
	}
	c := upkeep.New(upkeep.Options{Socket: d.socket, Username: "ann", Password: "secret"})
	defer c.Close()
	s, err := c.System(t.Context())
	if err != nil || s.Native || s.Config != conf || s.Programs != "" {
		t.Errorf("%+v %v", s, err)
	}
	if def, err := c.Program(t.Context(), "web"); err != nil || def.Origin.Managed || def.Text != "" || def.Origin.File != conf || len(def.Values) == 0 {
		t.Errorf("%+v %v", def, err)
	}
	d.socket = tcp
	d.http.CloseIdleConnections()
	conn, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/system HTTP/1.0\r\nHost: %s\r\n\r\n", tcp)
	reply := make([]byte, 64)
	if n, err := conn.Read(reply); err != nil || !strings.Contains(string(reply[:n]), " 404 ") {
		t.Errorf("over TCP: %q %v", reply[:n], err)
	}
}
