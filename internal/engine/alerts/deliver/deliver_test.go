package deliver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/wire/mail/smtptest"
)

// canary is in every secret, and must come out nowhere.
const canary = "c4n4ry"

func sample() *report.Report {
	return &report.Report{
		ID: "01JDTEST", Kind: "fatal", State: "FATAL", Host: "web-3", Notifier: "ops", Group: "shop", Time: time.Unix(1700000000, 0),
		Items: []report.Item{{Name: "shop:worker", Headline: "exit 3", Lead: "is down."}},
	}
}

// secretFile makes a file that holds one.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// deliver delivers, and looks for the canary in everything that comes back.
func deliver(t *testing.T, n *model.Notifier, to string) ([]string, error) {
	t.Helper()
	n.Name = "ops"
	lines, err := New(Options{}).Deliver(t.Context(), n, to, sample())
	if all := fmt.Sprint(lines, err, Shown(to), ShownVia(n.Via)); strings.Contains(all, canary) {
		t.Errorf("a secret is told: %s", all)
	}
	return lines, err
}

func TestMailByServer(t *testing.T) {
	for name, c := range map[string]struct {
		server *smtptest.Server
		n      model.Notifier
		login  string
		err    string
	}{
		"plain":          {server: &smtptest.Server{}},
		"encrypted":      {server: &smtptest.Server{TLS: true}},
		"login":          {server: &smtptest.Server{TLS: true, Auth: "PLAIN LOGIN", User: "me", Password: canary}, n: model.Notifier{Username: "me"}, login: "PLAIN me"},
		"wrong password": {server: &smtptest.Server{TLS: true, Auth: "PLAIN", User: "me", Password: "other"}, n: model.Notifier{Username: "me"}, err: "login"},
		"refused":        {server: &smtptest.Server{Refuse: []string{"ops@x"}}, err: "nobody here"},
		"no login":       {server: &smtptest.Server{TLS: true, Auth: "GSSAPI"}, n: model.Notifier{Username: "me"}, err: "no way that is known"},
	} {
		t.Run(name, func(t *testing.T) {
			server := c.server.Start(t)
			n := c.n
			n.Via, n.From = "smtp://"+server.Addr, "upkeep@web-3"
			if n.Username != "" {
				n.Password = secretFile(t, canary)
			}
			lines, err := deliver(t, &n, "mailto:ops@x")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || len(lines) < 3 || errors.Is(err, ErrRefused) != (name == "refused") {
					t.Errorf("%v, %q", err, lines)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := server.Mails()
			if len(got) != 1 || got[0].From != "upkeep@web-3" || got[0].To[0] != "ops@x" || got[0].Login != c.login || got[0].Encrypted != c.server.TLS ||
				!strings.Contains(got[0].Text, "Subject: [web-3] FATAL shop:worker, exit 3\n") || !strings.Contains(got[0].Text, "Message-ID: <01JDTEST@") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestServersThatHang: a server that refuses, that says nothing, or that greets and goes away costs an error, and no more time
// than it is given.
func TestServersThatHang(t *testing.T) {
	serve := func(greet string, hold bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var conns sync.WaitGroup
		conns.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, greet)
				if hold {
					conns.Go(func() { io.Copy(io.Discard, c); c.Close() })
				} else {
					c.Close()
				}
			}
		})
		t.Cleanup(func() { l.Close(); conns.Wait() })
		return "smtp://" + l.Addr().String()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, via := range map[string]string{"silent": serve("", true), "greets and hangs": serve("220 here\r\n", true), "greets and goes": serve("220 here\r\n", false)} {
		begin := time.Now()
		if _, err := New(Options{}).Deliver(ctx, &model.Notifier{Via: via, From: "a@x"}, "mailto:b@x", sample()); err == nil {
			t.Errorf("%s: it is delivered", name)
		}
		if d := time.Since(begin); d > 30*time.Second {
			t.Errorf("%s: it took %v", name, d)
		}
	}
}

// script makes an executable file.
func script(t *testing.T, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMailBySendmail(t *testing.T) {
	out := filepath.Join(t.TempDir(), "mail")
	path := script(t, `echo "$@" > `+out+`; cat >> `+out+"\n")
	if lines, err := deliver(t, &model.Notifier{Via: "sendmail:" + path, From: "upkeep@web-3"}, "mailto:ops@x"); err != nil {
		t.Fatalf("%v: %q", err, lines)
	}
	b, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(b), "-i -f upkeep@web-3 ops@x\nFrom: upkeep@web-3\nTo: ops@x\n") || strings.Contains(string(b), "\r") {
		t.Errorf("%v: %s", err, b)
	}
	lines, err := deliver(t, &model.Notifier{Via: "sendmail:" + script(t, "echo no route; exit 75\n")}, "mailto:ops@x")
	if err == nil || !strings.Contains(strings.Join(lines, "\n"), "no route") {
		t.Errorf("%v: %q", err, lines)
	}
	if _, err := deliver(t, &model.Notifier{Via: "sendmail:" + path}, "mailto:-oQ/tmp@x"); err == nil {
		t.Error("an address is taken for an option")
	}
	c := New(Options{Sendmail: func() (string, error) { return path, nil }})
	if _, err := c.Deliver(t.Context(), &model.Notifier{}, "mailto:x@y", sample()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Deliver(ctx, &model.Notifier{Via: "sendmail:" + script(t, "sleep 1000\n")}, "mailto:x@y", sample()); err == nil || !strings.Contains(err.Error(), errand.ErrLate.Error()) {
		t.Error(err)
	}
}

func TestWebhook(t *testing.T) {
	var got *http.Request
	var body []byte
	status := 204
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		if status == 302 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		if status >= 300 {
			io.WriteString(w, "you sent "+r.URL.Path+" "+r.Header.Get(SignatureHeader)+"\n"+path.Base(r.URL.Path)+" is no hook, nor is "+r.URL.Query().Get("key"))
		}
	}))
	defer server.Close()
	n := &model.Notifier{Secret: secretFile(t, canary)}
	to := server.URL + "/hook/" + canary + "?key=" + canary + "%2B%20x"
	if lines, err := deliver(t, n, to); err != nil {
		t.Fatalf("%v: %q", err, lines)
	}
	var e struct{ ID, Type string }
	if err := json.Unmarshal(body, &e); err != nil || e.ID != "01JDTEST" || e.Type != "alert.fatal" ||
		got.Header.Get(EventHeader) != "alert.fatal" || got.Header.Get(DeliveryHeader) != "01JDTEST" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v: %s %v", err, body, got.Header)
	}
	at, sum, _ := strings.Cut(strings.TrimPrefix(got.Header.Get(SignatureHeader), "t="), ",v1=")
	h := hmac.New(sha256.New, []byte(canary))
	h.Write([]byte(at + "." + string(body)))
	if sum != hex.EncodeToString(h.Sum(nil)) {
		t.Errorf("the signature is %s", got.Header.Get(SignatureHeader))
	}
	for _, status = range []int{302, 400, 404, 413, 422, 500} {
		path := got.URL.Path
		lines, err := deliver(t, n, to)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) || got.URL.Path != path || errors.Is(err, ErrRefused) != (status == 400 || status == 413 || status == 422) {
			t.Errorf("%d: %v %q, %s", status, err, lines, got.URL.Path)
		}
		if all := strings.Join(lines, "\n"); strings.Contains(all, got.Header.Get(SignatureHeader)) {
			t.Errorf("the signature is told: %s", all)
		}
		if _, err := deliver(t, &model.Notifier{}, to); err == nil { // nor is a part of the address
			t.Errorf("%d is a success", status)
		}
	}
	server.Close()
	if _, err := deliver(t, n, to); err == nil {
		t.Error("nobody listens, and it is delivered")
	}
}

func TestChat(t *testing.T) {
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		if !strings.HasSuffix(r.URL.Path, canary) {
			w.WriteHeader(403)
		}
	}))
	defer server.Close()
	for _, to := range []string{"slack+" + server.URL + "/services/T0/" + canary, "slack:" + secretFile(t, server.URL+"/services/T0/"+canary)} {
		if lines, err := deliver(t, &model.Notifier{}, to); err != nil || !strings.Contains(string(body), `"text":"[web-3] FATAL shop:worker, exit 3"`) {
			t.Errorf("%v: %q: %s", err, lines, body)
		}
		body = nil
	}
	if _, err := deliver(t, &model.Notifier{}, "slack:"+filepath.Join(t.TempDir(), "none")); !strings.Contains(fmt.Sprint(err), "no such file") && runtime.GOOS != "windows" {
		t.Error(err)
	}
	if _, err := deliver(t, &model.Notifier{}, "slack:"+secretFile(t, "no address "+canary)); err == nil {
		t.Error("what is no address works")
	}
}

func TestCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	path := script(t, `cat > "$1"; echo said; echo "unknown option $3"; exit "$2"`+"\n")
	if lines, err := deliver(t, &model.Notifier{}, "exec:"+path+" "+out+" 0"); err != nil {
		t.Fatalf("%v: %q", err, lines)
	}
	var e struct{ Subject string }
	if b, err := os.ReadFile(out); err != nil || json.Unmarshal(b, &e) != nil || e.Subject != sample().Subject() {
		t.Errorf("%v: %s", err, b)
	}
	lines, err := deliver(t, &model.Notifier{}, "exec:"+path+" "+out+" 4 --token="+canary)
	if err == nil || !strings.Contains(strings.Join(lines, "\n"), "< said") || !strings.Contains(strings.Join(lines, "\n"), "--token=[hidden]") {
		t.Errorf("%v: %q", err, lines)
	}
	for _, bad := range []string{"exec:", "exec:'", "ftp://x", "", "mailto"} {
		if _, err := deliver(t, &model.Notifier{}, bad); err == nil {
			t.Errorf("%q is a destination", bad)
		}
	}
}

// TestLongWords: what others say becomes short lines that neither a terminal nor a log takes for something else.
func TestLongWords(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		for range 1000 {
			if _, err := io.WriteString(w, strings.Repeat("\x1b[31mx\xff\r\u65e5", 200)+"\n"); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	path := script(t, `printf 'a\033[31mb\rc\n'; head -c 1000000 /dev/zero | tr '\0' x; cat >/dev/null; exit 1`+"\n")
	for _, to := range []string{server.URL, "exec:" + path} {
		lines, err := deliver(t, &model.Notifier{}, to)
		if err == nil || len(lines) > maxDialogue {
			t.Errorf("%d lines, %v", len(lines), err)
		}
		for _, l := range append(lines, fmt.Sprint(err)) {
			if len(l) > 400 || strings.ContainsAny(l, "\x1b\r\n") || !utf8.ValidString(l) {
				t.Errorf("%d bytes: %q", len(l), l)
			}
		}
	}
}

// TestSlowAnswer: an answer that never ends is a success when its head says so, and costs no more than the time that is given.
func TestSlowAnswer(t *testing.T) {
	for status, want := range map[int]bool{200: true, 503: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := New(Options{}).Deliver(ctx, &model.Notifier{}, server.URL, sample()); (err == nil) != want {
			t.Errorf("%d: %v", status, err)
		}
		cancel()
		server.Close()
	}
}

// TestBadCertificate: nothing is posted to a server that nobody vouches for, nor a password given to one.
func TestBadCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	if _, err := deliver(t, &model.Notifier{}, server.URL+"/"+canary); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

// TestSecretFiles: what is no file, or has nothing in it, is an error that says which file.
func TestSecretFiles(t *testing.T) {
	n := &model.Notifier{Secret: t.TempDir()}
	if _, err := deliver(t, n, "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), n.Secret) {
		t.Error(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n.Secret = range []string{secretFile(t, ""), empty} {
		if _, err := deliver(t, n, "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), n.Secret+" is empty") {
			t.Error(err)
		}
	}
}
