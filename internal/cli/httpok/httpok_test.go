package httpok

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/cli/superlance"
	"github.com/upkeep-project/upkeep/internal/cli/superlance/superlancetest"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

func daemon(t *testing.T) *superlancetest.Daemon {
	t.Helper()
	d := &superlancetest.Daemon{Programs: []superlancetest.Program{
		{Group: "web", Name: "a", PID: 10, State: 20},
		{Group: "solo", Name: "solo", PID: 20, State: 20},
		{Group: "web", Name: "off", PID: 0, State: 0},
	}}
	return d.Start(t)
}

func start(t *testing.T, d *superlancetest.Daemon, args ...string) *superlancetest.Session {
	t.Helper()
	return superlancetest.Start(t, d.URL, func(env *superlance.Env) int { return run(env, args, time.Millisecond) })
}

// site answers by the path: /STATUS/BODY, and remembers who asked.
func site(t *testing.T, begin func(http.Handler) *httptest.Server) (*httptest.Server, *http.Request) {
	t.Helper()
	var last http.Request
	s := begin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = *r
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			status = 418
		}
		if status == 302 {
			w.Header().Set("Location", "/200")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(strings.TrimPrefix(r.URL.Path, fmt.Sprintf("/%d/", status))))
	}))
	t.Cleanup(s.Close)
	return s, &last
}

// refused is the address of nobody.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String() + "/"
}

const a, solo = "stopProcess web:a\nstartProcess web:a", "stopProcess solo\nstartProcess solo"

// TestAnswers: what is right and what is not, and who is restarted.
func TestAnswers(t *testing.T) {
	d := daemon(t)
	plain, last := site(t, httptest.NewServer)
	secret, _ := site(t, httptest.NewTLSServer)
	for _, c := range []struct {
		args  string
		calls string
		said  string // part of it
	}{
		{"-p a " + plain.URL + "/200/body", "", ""},
		{"-p a " + secret.URL + "/200/body", "", ""},
		{"-p a -b od " + plain.URL + "/200/body", "", ""},
		{"-p a -c 302 " + plain.URL + "/302/", "", ""}, // it is not followed
		{"-p a -c 404 -c 500 " + plain.URL + "/500/", "", ""},
		{"-p a " + plain.URL + "/500/", a, "Restarting selected processes ['a']\nweb:a is in RUNNING state, restarting\nweb:a restarted\n"},
		{"-p web:a " + secret.URL + "/302/", a, "web:a restarted\n"},
		{"-p a -b other " + plain.URL + "/200/body", a, "web:a restarted\n"},
		{
			"-p a -p solo -p ghost " + plain.URL + "/404/", a + "\n" + solo,
			"solo restarted\nPrograms not restarted because they did not exist: ['ghost']\n",
		},
		{"-p off -p web:a " + plain.URL + "/404/", a, "web:off not in RUNNING state, NOT restarting\n"},
		{"-a -p ghost " + plain.URL + "/404/", a + "\n" + solo, "Restarting all running processes\n"},
		{plain.URL + "/404/", "", "Restarting selected processes []\n"},
		{"-p a -t 1 " + refused(t), a, "web:a restarted\n"},
		{"-p a http://nobody.invalid/", a, "web:a restarted\n"},
		// Without one that runs nothing is asked.
		{"-E -p off " + plain.URL + "/404/", "", ""},
		{"--not-eager -p web:a " + plain.URL + "/404/", a, "web:a restarted\n"},
		{"-E -a " + plain.URL + "/404/", a + "\n" + solo, "Restarting all running processes\n"},
		{"-E -e -p off " + plain.URL + "/404/", "", "web:off not in RUNNING state, NOT restarting\n"},
	} {
		s := start(t, d, strings.Fields(c.args)...)
		if got := s.Send("PROCESS_LOG_STDOUT", "processname:a groupname:web pid:1 channel:stdout\nx"); got != "OK" || s.Said() != "" {
			t.Errorf("%q: not a tick: %q", c.args, got)
		}
		if got := s.Send("TICK_60", "when:60"); got != "OK" {
			t.Errorf("%q: %q", c.args, got)
		}
		if diff := cmp.Diff(c.calls, strings.Join(d.Calls(), "\n")); diff != "" {
			t.Errorf("%q: -want +called:\n%s", c.args, diff)
		}
		if got := s.Said(); !strings.Contains(got, c.said) || c.said == "" && got != "" {
			t.Errorf("%q: says %q", c.args, got)
		}
		if got := s.Status(); got != 0 {
			t.Errorf("%q: status %d", c.args, got)
		}
	}
	if got := last.Header.Get("User-Agent"); got != "httpok" || last.Method != http.MethodGet {
		t.Errorf("asked by %q, %s", got, last.Method)
	}
}

func TestMail(t *testing.T) {
	d := daemon(t)
	command, mails := superlancetest.Mailbox(t)
	site, _ := site(t, httptest.NewServer)
	nobody := refused(t)
	for _, c := range []struct{ args, mail string }{
		{"-p a " + site.URL + "/404/", "Subject: httpok: " + site.URL + "/404/: bad status returned\n\nstatus contacting " + site.URL + "/404/: 404 Not Found\n"},
		{"-n here -p a -b z " + site.URL + "/200/", "Subject: httpok [here]: " + site.URL + "/200/: bad body returned\n\nstatus contacting " + site.URL + "/200/: 200 OK\n"},
		{"-p a -t 1 " + nobody, "Subject: httpok: " + nobody + ": bad status returned\n\nerror contacting " + nobody + ":\n\n "},
		{"-p a " + site.URL + "/200/", ""},
	} {
		s := start(t, d, append([]string{"-m", "me@x.example", "-s", command}, strings.Fields(c.args)...)...)
		s.Send("TICK_60", "when:60")
		got := mails()
		if c.mail == "" {
			if got != "" {
				t.Errorf("%q: mailed %q", c.args, got)
			}
			continue
		}
		const end = "Restarting selected processes ['a']\nweb:a is in RUNNING state, restarting\nweb:a restarted"
		if !strings.HasPrefix(got, "To: me@x.example\n"+c.mail) || !strings.HasSuffix(got, end+"\n--\n") {
			t.Errorf("%q: mailed\n%s", c.args, got)
		}
		if said := s.Said(); !strings.HasPrefix(said, end+"\nMailed:\n\nTo: me@x.example\n") {
			t.Errorf("%q: says\n%s", c.args, said)
		}
	}
	s := start(t, d, "-m", "me@x.example", "-s", "exit 1", "-p", "a", site.URL+"/404/")
	if got := s.Send("TICK_60", "when:60"); got != "OK" || !strings.Contains(s.Said(), "not mailed: ") {
		t.Errorf("a mail command that fails: %q", got)
	}
}

// TestFaults do not end it: other programs are still looked after.
func TestFaults(t *testing.T) {
	site, _ := site(t, httptest.NewServer)
	for call, want := range map[string]string{
		"stopProcess web:a":  "Failed to stop process web:a: <Fault 70: 'NOT_RUNNING: web:a'>\nweb:a restarted\n",
		"startProcess web:a": "Failed to start process web:a: <Fault 70: 'NOT_RUNNING: web:a'>\n",
		"getAllProcessInfo":  "Exception retrieving process info <Fault 70: 'NOT_RUNNING: web:a'>, not acting\n",
	} {
		d := daemon(t)
		d.Faults = map[string]xmlrpc.Fault{call: {Code: 70, Text: "NOT_RUNNING: web:a"}}
		s := start(t, d, "-a", site.URL+"/404/")
		if got := s.Send("TICK_60", "when:60"); got != "OK" {
			t.Errorf("%s: %q", call, got)
		}
		if got := s.Said(); !strings.Contains(got, want) {
			t.Errorf("%s: %q", call, got)
		}
		if restarted := strings.Contains(strings.Join(d.Calls(), " "), "startProcess solo"); restarted != (call != "getAllProcessInfo") {
			t.Errorf("%s: the other program is restarted: %v", call, restarted)
		}
	}
}

func TestCore(t *testing.T) {
	d := daemon(t)
	site, _ := site(t, httptest.NewServer)
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	s := start(t, d, "-d", dir, "-g", `echo made; f() { echo "$2" >"$1"; }; f`, "-p", "a", site.URL+"/404/")
	s.Send("TICK_60", "when:60")
	if got := s.Said(); !strings.Contains(got, "gcore output for web:a:\n\n made\n\nweb:a is in RUNNING state") {
		t.Errorf("%q", got)
	}
	if pid, err := os.ReadFile(filepath.Join(dir, "web:a")); err != nil || string(pid) != "10\n" {
		t.Errorf("core %q, %v", pid, err)
	}
	s = start(t, d, "-d", dir, "-g", "exit 4 #", "-p", "a", site.URL+"/404/")
	s.Send("TICK_60", "when:60")
	if got := s.Said(); !strings.Contains(got, "exit status 4") || !strings.Contains(got, "web:a restarted") {
		t.Errorf("%q", got)
	}
}

// TestRetry: a connection that is refused is tried again within the timeout, and any other mistake is not.
func TestRetry(t *testing.T) {
	url := refused(t)
	began := time.Now()
	p := page{url: url, timeout: 2 * time.Second, retry: 250 * time.Millisecond}
	if _, err := p.get(); err == nil {
		t.Fatal("nobody answers")
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("it has given up after %v", took)
	}

	// The server comes up meanwhile.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	up := make(chan *http.Server, 1)
	go func() {
		time.Sleep(50 * time.Millisecond)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			up <- nil
			return
		}
		s := &http.Server{Handler: http.NotFoundHandler()}
		up <- s
		_ = s.Serve(l)
	}()
	p = page{url: "http://" + addr, timeout: 30 * time.Second, retry: 10 * time.Millisecond}
	got, err := p.get()
	s := <-up
	if s == nil {
		t.Skip("the port was taken meanwhile")
	}
	defer s.Close()
	if err != nil || got.status != 404 || got.reason != "Not Found" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSilence: a server that accepts and says nothing is given up.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := page{url: "http://" + l.Addr().String(), timeout: 200 * time.Millisecond, retry: time.Hour}
	if _, err := p.get(); err == nil || !strings.Contains(err.Error(), "Timeout") && !strings.Contains(err.Error(), "deadline") {
		t.Errorf("%v", err)
	}
}

func TestCommandLine(t *testing.T) {
	const usageStart = "httpok [-p"
	for _, c := range []struct {
		args      string
		url       string
		status    int
		out, errs string
	}{
		{"--help", "", 0, usageStart, ""},
		{"", "", 255, usageStart, "one URL is required\n"},
		{"http://a http://b", "", 255, usageStart, "one URL is required\n"},
		{"http://a -p x", "", 255, usageStart, "one URL is required\n"},
		{"-t soon http://a", "", 255, usageStart, "unparseable number 'soon' for -t\n"},
		{"--code=x http://a", "", 255, usageStart, "unparseable number 'x' for --code\n"},
		{"-q http://a", "", 255, usageStart, "option -q not recognized\n"},
		{"ftp://a", "", 255, usageStart, "bad scheme ftp\n"},
		{"http:///x", "", 255, usageStart, "no host in http:///x\n"},
		{"http://a", "", 0, "", "httpok must be run as a supervisor event listener\n"},
		{"http://a", "ftp://x", 1, "", "httpok: server address \"ftp://x\": the scheme must be http, https or unix\n"},
	} {
		status, out, errs := superlancetest.Once(c.url, func(env *superlance.Env) int { return run(env, strings.Fields(c.args), 0) })
		if status != c.status || !strings.HasPrefix(out, c.out) || errs != c.errs || (out == "") != (c.out == "") {
			t.Errorf("%q: %d %q %q", c.args, status, out, errs)
		}
	}
}
