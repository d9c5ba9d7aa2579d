package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// soon is a context for looks that are to succeed.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// late is a context for looks at what does not answer.
func late(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func want(t *testing.T, what string, r Result, err error, ok bool, text string) {
	t.Helper()
	if err != nil || r.OK != ok || !strings.Contains(r.Text, text) {
		t.Errorf("%s: %+v, %v, want %t, %q", what, r, err, ok, text)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	r, err := TCP(soon(t), address)
	want(t, "a listener", r, err, true, "accepts connections")
	l.Close()
	r, err = TCP(soon(t), address)
	want(t, "nobody", r, err, false, "refused")
}

func socket(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such sockets on this system")
	}
	dir, err := os.MkdirTemp("", "prb") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestUnix(t *testing.T) {
	path := socket(t)
	r, err := Unix(soon(t), path)
	want(t, "no socket", r, err, false, "no such file")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	r, err = Unix(soon(t), path)
	want(t, "a listener", r, err, true, "accepts connections")
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	r, err = Unix(soon(t), path)
	want(t, "one that is gone", r, err, false, "refused")
}

// pages is a server with a page for each case.
func pages(hang <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "status: well, said %s", r.UserAgent())
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/busy", http.StatusFound) })
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-hang })
	mux.HandleFunc("/drip", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "status: ")
		w.(http.Flusher).Flush()
		<-hang
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		for range 2 * maxBody / 16 {
			fmt.Fprint(w, "0123456789abcdef")
		}
		fmt.Fprint(w, "status: well")
	})
	return mux
}

func TestGet(t *testing.T) {
	hang := make(chan struct{})
	plain := httptest.NewServer(pages(hang))
	secret := httptest.NewTLSServer(pages(hang))
	path := socket(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	behind := &http.Server{Handler: pages(hang)}
	go func() { _ = behind.Serve(l) }()
	t.Cleanup(func() {
		close(hang)
		behind.Close()
		plain.Close()
		secret.Close()
	})
	well := regexp.MustCompile("status: (well|fine)")
	for _, c := range []struct {
		url    string
		status string
		body   *regexp.Regexp
		late   bool
		ok     bool
		text   string
	}{
		{"/ok", "", nil, false, true, "200 OK"},
		{"/ok", "", well, false, true, "as expected"},
		{"/ok", "", regexp.MustCompile("upkeep-check"), false, true, "200 OK"},
		{"/ok", "", regexp.MustCompile("^ill"), false, false, "does not have"},
		{"/ok", "204,301-302", nil, false, false, "200 OK"},
		{"/busy", "", nil, false, false, "503 Service Unavailable"},
		{"/busy", "500-599", nil, false, true, "503"},
		{"/away", "", nil, false, true, "302 Found"},
		{"/away", "200", nil, false, false, "302 Found"},
		{"/none", "", nil, false, false, "404"},
		{"/hang", "", nil, true, false, "no answer in time"},
		{"/drip", "", well, true, false, "did not come"},
		{"/drip", "", regexp.MustCompile("^status"), true, true, ""},
		{"/huge", "", well, false, false, "does not have"},
		{"/huge", "", nil, false, true, "200 OK"},
	} {
		codes, err := ParseCodes(c.status)
		if err != nil {
			t.Fatal(err)
		}
		for _, base := range []string{plain.URL, secret.URL, "http+unix://" + path + ":"} {
			t.Run(base+c.url, func(t *testing.T) {
				t.Parallel() // some take as long as they may
				ctx := soon(t)
				switch {
				case c.url == "/drip": // its head comes
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(context.Background(), 5*time.Second)
					defer cancel()
				case c.late:
					ctx = late(t)
				}
				r, err := Get(ctx, Page{URL: base + c.url, Status: codes, Body: c.body})
				want(t, base+c.url, r, err, c.ok, c.text)
			})
		}
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	r, err := Get(soon(t), Page{URL: gone.URL})
	want(t, "nobody", r, err, false, "refused")
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		text    string
		in, out []int
	}{
		{"", []int{200, 204, 302, 399}, []int{199, 400, 503}},
		{"200", []int{200}, []int{201, 302}},
		{"200,204", []int{200, 204}, []int{201}},
		{" 200-299, 404 ", []int{200, 299, 404}, []int{300, 403}},
	} {
		codes, err := ParseCodes(c.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range c.in {
			if !codes.Has(n) {
				t.Errorf("%q does not have %d", c.text, n)
			}
		}
		for _, n := range c.out {
			if codes.Has(n) {
				t.Errorf("%q has %d", c.text, n)
			}
		}
	}
	for _, text := range []string{"x", "99", "600", "300-200", "200-", "-200", "200,", ",", "2 0", "1e2", "99999999999999999999"} {
		if codes, err := ParseCodes(text); err == nil {
			t.Errorf("%q: %v", text, codes)
		}
	}
}

func FuzzCodes(f *testing.F) {
	for _, s := range []string{"200-399", "200,204", "", "x-y", "100-599"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		codes, err := ParseCodes(s)
		if err != nil {
			return
		}
		for _, r := range codes {
			if r.First < 100 || r.Last > 599 || r.First > r.Last || !codes.Has(r.First) || !codes.Has(r.Last) {
				t.Errorf("%q: %v", s, codes)
			}
		}
	})
}

func TestActivity(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	touch := func(name string, age time.Duration) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := touch("deep/er/file", 10*time.Second)
	touch("deep/er", time.Hour)
	touch("deep", time.Hour)
	touch("old/file", 2*time.Hour)
	touch("old", time.Hour)
	for _, c := range []struct {
		path string
		deep bool
		ago  time.Duration
	}{
		{file, false, 10 * time.Second},
		{file, true, 10 * time.Second},
		{filepath.Join(dir, "deep"), false, time.Hour},
		{filepath.Join(dir, "deep"), true, 10 * time.Second},
		{filepath.Join(dir, "old"), true, time.Hour},
	} {
		change, err := Changed(soon(t), c.path, c.deep, now)
		if ago := change.Ago(now); err != nil || ago != c.ago || !change.Ahead.IsZero() {
			t.Errorf("%s: %v, %v, want %v ago", c.path, change, err, c.ago)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "none", "below")} {
		if _, err := Changed(soon(t), path, false, now); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	before, err := Changed(soon(t), dir, true, now)
	if err != nil {
		t.Fatal(err)
	}
	touch("old/file", -time.Hour) // the clock was set back
	ahead, err := Changed(soon(t), filepath.Join(dir, "old"), true, now)
	if err != nil || ahead.Ago(now) != 0 || ahead.Ahead.IsZero() || ahead.Ahead.Equal(before.Last) {
		t.Errorf("the future: %v, %v", ahead, err)
	}
	touch("old/new", 0)
	if after, err := Changed(soon(t), filepath.Join(dir, "old"), true, now); err != nil || after == ahead {
		t.Errorf("a change beside one in the future is not seen: %v, %v", after, err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Changed(ended, filepath.Join(dir, "deep"), true, now); err == nil {
		t.Error("a walk went on after its time")
	}
}

// TestSwapped: what has become something else since its directory was read is not opened, so that nothing is waited for and
// no device is touched.
func TestSwapped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is nothing to be waited for on this system")
	}
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Skip("there is no mkfifo: ", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, link} {
		done := make(chan error, 1)
		go func() {
			w := walker{ctx: context.Background(), now: time.Now()}
			err := w.walk(path, 1)
			if w.seen != 0 {
				err = fmt.Errorf("%d entries", w.seen)
			}
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
		case <-soon(t).Done():
			t.Fatalf("%s is waited for", path)
		}
	}
}

// TestManyFiles: a walk ends.
func TestManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 20,000 files")
	}
	dir := t.TempDir()
	for n := range maxEntries + 1 {
		if err := os.Symlink("nowhere", filepath.Join(dir, fmt.Sprint(n))); err != nil {
			t.Skip("there are no symbolic links: ", err)
		}
	}
	_, err := Changed(soon(t), dir, true, time.Now())
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}
