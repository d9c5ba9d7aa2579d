package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestAssets(t *testing.T) {
	s := site(t, newFake())
	for path, kind := range assets {
		r := ask(t, s, http.MethodGet, path, "")
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != kind || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
		if body := text(t, r); len(body) < 100 {
			t.Errorf("%s: %q", path, body)
		}
		again := httptest.NewRequest(http.MethodGet, path, nil)
		again.Header.Set("If-None-Match", r.Header.Get("ETag"))
		w := httptest.NewRecorder()
		s.Handlers()[path].ServeHTTP(w, again)
		if w.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", path, w.Code)
		}
		if r := ask(t, s, http.MethodHead, path, ""); r.StatusCode != 200 || text(t, r) != "" {
			t.Errorf("%s: HEAD %d", path, r.StatusCode)
		}
		if r := ask(t, s, http.MethodPost, path, "a=b"); r.StatusCode != 400 || text(t, r) != "error 400" {
			t.Errorf("%s: POST %d", path, r.StatusCode)
		}
	}
}

// pages are requests that show every template in all its parts.
var pages = []string{
	"/", "/index.html?message=hello", "/index.html?action=stop&processname=g:a", "/?action=stopall", "/tail.html",
	"/tail.html?processname=cat", "/tail.html?processname=cat&channel=stderr", "/tail.html?processname=nope",
}

func TestHeaders(t *testing.T) {
	s := site(t, newFake())
	for _, target := range pages {
		r := ask(t, s, http.MethodGet, target, "")
		want := map[string]string{
			"Content-Type": "text/html;charset=utf-8", "Pragma": "no-cache", "Cache-Control": "no-cache", "Expires": "Thu, 01 Jan 1970 00:00:00 GMT",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Content-Security-Policy": policy,
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Content-Length": r.Header.Get("Content-Length"),
		}
		got := map[string]string{}
		for name, v := range r.Header {
			got[name] = strings.Join(v, "|")
		}
		if d := cmp.Diff(want, got); d != "" || r.StatusCode != 200 || r.ContentLength == 0 {
			t.Errorf("%s: %d %s", target, r.StatusCode, d)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || !strings.Contains(policy, "frame-ancestors 'none'") || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Error(policy)
	}
}

// TestNothingRunsInAPage looks for what the policy forbids, for what comes from elsewhere, and for addresses
// that are not relative: behind a proxy the pages may stand under any path.
func TestNothingRunsInAPage(t *testing.T) {
	s := site(t, newFake())
	scripts := 0
	for _, target := range pages {
		for _, e := range elements(t, text(t, ask(t, s, http.MethodGet, target, ""))) {
			if e.name == "style" || e.name == "iframe" || e.name == "base" || e.name == "script" && (e.attrs["src"] != "scripts/refresh.js" || e.text != "") {
				t.Errorf("%s: %v", target, e)
			}
			if e.name == "script" {
				scripts++
			}
			for name, v := range e.attrs {
				if strings.HasPrefix(name, "on") || name == "style" || name == "http-equiv" {
					t.Errorf("%s: %s in %v", target, name, e)
				}
				address := name == "href" || name == "src" || name == "action" || name == "formaction" || name == "data-source"
				if address && v != "http://supervisord.org" && !regexp.MustCompile(`^(index\.html|tail\.html|logtail/|stylesheets/|images/|scripts/|#)`).MatchString(v) {
					t.Errorf("%s: %s leads to %q", target, name, v)
				}
			}
		}
	}
	if scripts == 0 {
		t.Error("no page loads the script")
	}
}

// payloads are texts that have been code somewhere.
func payloads() []string {
	list := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`, `</title><script>`,
		`</pre><script>alert(1)</script>`, `-->`, `]]>`, `<!--`, `{{.}}`, `{{template "status"}}`, `&lt;script&gt;`, `&#60;b&#62;`, `%3Cscript%3E`,
		"a\x00b", "\x1b[31mred\x1b]0;title\x07", "\u202egnp.exe", "\xff\xfe<", "+ADw-script+AD4-", "`${alert(1)}`", `\u003cscript\u003e`,
		"\r\n\r\n<html>", "data:text/html,<script>", `x" formaction="http://evil.example/`, `x&action=stopall`, `x#`, `../../etc/passwd`,
		`<svg/onload=alert(1)>`, `<a href="//evil.example">`, "\u2028alert(1)", strings.Repeat("<b>", 500), `'"<>&=/\`,
	}
	for _, a := range []string{"<", `"`, "'", "&", "/"} {
		for _, b := range []string{"script", "img", "on=", "\x01", "\u00a0"} {
			for _, c := range []string{">", "=", "'", `"`, "--", "]]"} {
				list = append(list, a+b+c)
			}
		}
	}
	return list
}

// TestNothingShownBecomesCode puts hostile text into everything that reaches a page, and compares the
// elements and attributes with those of a page about harmless text. Source: spec/reliability S4.
func TestNothingShownBecomesCode(t *testing.T) {
	world := func(word string) *fake {
		f := newFake()
		f.list = []model.Status{program(word, word, model.Running), program("g", word, model.Fatal)}
		f.list[1].SpawnErr = word
		f.log = word
		return f
	}
	targets := func(word string) []string {
		q := quote(word)
		return []string{
			"/", "/?message=" + q, "/?action=stop&processname=" + q + "%3A" + q, "/?action=clearlog&processname=g%3A" + q,
			"/tail.html?processname=" + q + "%3A" + q, "/tail.html?processname=g%3A" + q + "&limit=" + q + "&channel=" + q, "/tail.html?processname=nope" + q,
		}
	}
	count := 0
	for _, p := range payloads() {
		good, bad := site(t, world("word")), site(t, world(p))
		harmless, hostile := targets("word"), targets(p)
		for i := range harmless {
			if i > 1 && i < 6 && (strings.Contains(p, ":") || strings.ToValidUTF8(p, "") != p) {
				continue // no name of a program
			}
			count++
			want := skeleton(t, text(t, ask(t, good, http.MethodGet, harmless[i], "")))
			page := text(t, ask(t, bad, http.MethodGet, hostile[i], ""))
			if d := cmp.Diff(want, skeleton(t, page)); d != "" {
				t.Errorf("%q at %s: %s", p, harmless[i], d)
			}
		}
	}
	if count < 1000 {
		t.Errorf("only %d pages", count)
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n": "plain\ttext\n", "\x1b[1m": "␛[1m", "\x00\x7f": "␀␡", "a\xffb": "a\uFFFDb", "\u202ex\u2066": "\uFFFDx\uFFFD", "\u0085": "\uFFFD", "é\U0001F600": "é\U0001F600",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestWithoutAnAnswer: a service that is ending is told of, not hidden.
func TestWithoutAnAnswer(t *testing.T) {
	f := newFake()
	f.list, f.down = nil, errors.New("shutting down")
	r := ask(t, site(t, f), http.MethodGet, "/", "")
	if body := text(t, r); r.StatusCode != 503 || !strings.Contains(body, `<div class="status_msg" role="status">unexpected rpc fault [1] FAULT: </div>`) {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("too large") }

func TestBodyThatCannotBeRead(t *testing.T) {
	f := newFake()
	s := site(t, f)
	for _, path := range []string{"/", "/tail.html"} {
		w := httptest.NewRecorder()
		s.Handlers()[path].ServeHTTP(w, httptest.NewRequest(http.MethodPost, path+"?action=stopall", io.MultiReader(broken{})))
		if w.Code != 400 || len(f.calls) != 0 {
			t.Errorf("%s: %d %v", path, w.Code, f.calls)
		}
	}
}

// timed remembers the deadline that was in force when the answer began.
type timed struct {
	*httptest.ResponseRecorder
	deadline, began time.Time
}

func (w *timed) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }

func (w *timed) WriteHeader(status int) {
	w.began = w.deadline
	w.ResponseRecorder.WriteHeader(status)
}

// TestClientsHaveTheirTime: an action may take longer than an answer; the time of that counts from its end.
func TestClientsHaveTheirTime(t *testing.T) {
	for _, target := range append([]string{"/?action=stop&processname=cat"}, pages...) {
		w := &timed{ResponseRecorder: httptest.NewRecorder(), deadline: time.Unix(1, 0)}
		r := httptest.NewRequest(http.MethodPost, target, nil)
		site(t, newFake()).Handlers()[r.URL.Path].ServeHTTP(w, r)
		if left := time.Until(w.began); left < time.Second || left > writeTime {
			t.Errorf("%s: %v", target, left)
		}
	}
}
