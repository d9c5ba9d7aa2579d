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
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

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
				if err == nil || !strings.Contains(err.Error(), c.err) || len(lines) < 3 {
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
			io.WriteString(w, "you sent "+r.URL.Path+" "+r.Header.Get(SignatureHeader))
		}
	}))
	defer server.Close()
	n := &model.Notifier{Secret: secretFile(t, canary)}
	to := server.URL + "/hook/" + canary + "?key=" + canary
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
	for _, status = range []int{302, 404, 500} {
		path := got.URL.Path
		lines, err := deliver(t, n, to)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) || got.URL.Path != path {
			t.Errorf("%d: %v %q, %s", status, err, lines, got.URL.Path)
		}
		if all := strings.Join(lines, "\n"); strings.Contains(all, got.Header.Get(SignatureHeader)) {
			t.Errorf("the signature is told: %s", all)
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
	path := script(t, `cat > "$1"; echo said; exit "$2"`+"\n")
	if lines, err := deliver(t, &model.Notifier{}, "exec:"+path+" "+out+" 0"); err != nil {
		t.Fatalf("%v: %q", err, lines)
	}
	var e struct{ Subject string }
	if b, err := os.ReadFile(out); err != nil || json.Unmarshal(b, &e) != nil || e.Subject != sample().Subject() {
		t.Errorf("%v: %s", err, b)
	}
	lines, err := deliver(t, &model.Notifier{}, "exec:"+path+" "+out+" 4 --token="+canary)
	if err == nil || !strings.Contains(strings.Join(lines, "\n"), "< said") {
		t.Errorf("%v: %q", err, lines)
	}
	for _, bad := range []string{"exec:", "exec:'", "ftp://x", "", "mailto"} {
		if _, err := deliver(t, &model.Notifier{}, bad); err == nil {
			t.Errorf("%q is a destination", bad)
		}
	}
}

// TestSecretFiles: what is no file, or has nothing in it, is an error that says which file.
func TestSecretFiles(t *testing.T) {
	n := &model.Notifier{Secret: t.TempDir()}
	if _, err := deliver(t, n, "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), n.Secret) {
		t.Error(err)
	}
	n.Secret = secretFile(t, "")
	if _, err := deliver(t, n, "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), "is empty") && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
