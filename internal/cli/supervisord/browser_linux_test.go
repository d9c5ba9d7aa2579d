package supervisord

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// webConf is a daemon with a page and a few programs; one has a name full of signs that mean something. No other
// test uses these names: what those leave behind is not taken for ours.
const webConf = standard + `[inet_http_server]
port=127.0.0.1:PORT
[program:purr]
command=/bin/sh -c 'echo ready; echo trouble >&2; exec cat'
startsecs=0
[program:doze]
command=/bin/cat
autostart=false
startsecs=0
[program:a<b>&"c']
command=/bin/cat
startsecs=0
stdout_logfile=NONE
[program:an_unusually_long_name_of_a_program_that_nobody_would_like_to_type_twice]
command=/bin/nothing-of-the-kind
startsecs=0
`

// webSite starts a daemon with a page and returns its address without the host.
func webSite(t *testing.T) (s *site, c *supervisor.Client, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	s = newSite(t, strings.ReplaceAll(webConf, "PORT", fmt.Sprint(port)))
	c = s.start()
	s.running(c, "purr")
	return s, c, port
}

func (s *site) pid(c *supervisor.Client, name string) int {
	s.t.Helper()
	return s.info(c, name).PID
}

const row = `Array.from(document.querySelectorAll("tr")).find(r => r.dataset.name === %q)`

// TestBrowserActions does everything that the page offers, with the keyboard alone.
func TestBrowserActions(t *testing.T) {
	s, c, port := webSite(t)
	b := newBrowser(t)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	b.open(url)
	message := func(want string) {
		t.Helper()
		b.until(fmt.Sprintf("(document.querySelector('.status_msg') || {}).textContent === %q", want))
	}
	begins := func(want string) {
		t.Helper()
		b.until(fmt.Sprintf("((document.querySelector('.status_msg') || {}).textContent || '').startsWith(%q)", want))
	}
	do := func(selector, key string) {
		t.Helper()
		b.tabTo(selector)
		b.press(key)
	}

	do(`button[aria-label="Stop purr"]`, "Enter")
	message("Process purr stopped")
	if p := s.pid(c, "purr"); p != 0 {
		t.Errorf("purr has pid %d", p)
	}
	do(`button[aria-label="Start purr"]`, "Space")
	message("Process purr started")
	before := s.pid(c, "purr")
	do(`button[aria-label="Restart purr"]`, "Enter")
	message("Process purr restarted")
	if now := s.pid(c, "purr"); now == 0 || now == before {
		t.Errorf("purr had pid %d and has %d", before, now)
	}

	do(`a[href="tail.html?processname=purr"]`, "Enter") // opens a page of its own
	b.open(url + "tail.html?processname=purr")
	b.until(`document.getElementById("log").textContent === "ready\nready\nready\n"`)
	do(`a[href$="channel=stderr"]`, "Enter")
	b.until(`document.getElementById("log").textContent.startsWith("trouble\n")`)
	do(`a[href="index.html"]`, "Enter")
	b.until("document.title === 'Supervisor Status'")

	do(`a[aria-label="Clear Log purr"]`, "Enter")
	b.until(`document.querySelector("form.confirm button").textContent === "Clear Log"`)
	do("form.confirm button", "Enter")
	message("Log for purr cleared")
	if log, err := c.ReadProcessStdoutLog(t.Context(), "purr", 0, 0); err != nil || log != "" {
		t.Errorf("the log has %q, %v", log, err)
	}

	odd := fmt.Sprintf(row, `a<b>&"c'`)
	b.until(odd + `.cells[2].textContent.trim() === 'a<b>&"c\''`)
	before = s.pid(c, `a<b>&"c'`)
	if _, err := b.eval(odd + `.querySelector("button").focus()`); err != nil {
		t.Error(err)
	}
	b.press("Enter")
	message(`Process a<b>&"c' restarted`)
	if now := s.pid(c, `a<b>&"c'`); now == 0 || now == before {
		t.Errorf("it had pid %d and has %d", before, now)
	}

	before = s.pid(c, "purr")
	do(`a[href="index.html?action=restartall"]`, "Enter")
	b.until("document.title === 'Supervisor: Restart All'")
	do("form.confirm button", "Enter")
	begins("All restarted at ")
	if now := s.pid(c, "purr"); now == 0 || now == before || s.pid(c, "doze") == 0 {
		t.Errorf("purr had pid %d and has %d", before, now)
	}
	do(`a[href="index.html?action=stopall"]`, "Enter")
	b.until("document.title === 'Supervisor: Stop All'")
	do(`a[href="index.html"]`, "Enter") // thought better of it
	b.until("document.title === 'Supervisor Status'")
	if s.pid(c, "purr") == 0 {
		t.Error("purr was stopped")
	}
	do(`a[href="index.html?action=refresh"]`, "Enter")
	begins("Page refreshed at ")
	if list := b.troubles(); len(list) > 0 {
		t.Errorf("the browser reports %s", list)
	}
}

// TestBrowserKeepsUpToDate: changes come by themselves, the focus stays, and the switch holds.
func TestBrowserKeepsUpToDate(t *testing.T) {
	_, c, port := webSite(t)
	b := newBrowser(t)
	b.open(fmt.Sprintf("http://127.0.0.1:%d/", port))
	mark := "window.stayed"
	if _, err := b.eval(mark + " = true"); err != nil {
		t.Fatal(err)
	}
	b.tabTo(`button[aria-label="Stop purr"]`)
	if err := c.StopProcess(t.Context(), "purr", true); err != nil {
		t.Fatal(err)
	}
	b.until(mark + ` && document.activeElement.getAttribute("aria-label") === "Start purr"`)
	b.until(fmt.Sprintf(row, "purr") + `.cells[0].textContent === "stopped"`)
	b.until(`document.getElementById("news").textContent.includes("purr is stopped")`)

	b.tabTo("#auto input")
	b.press("Space")
	b.until(`document.getElementById("news").textContent === "The page stays as it is."`)
	b.open(fmt.Sprintf("http://127.0.0.1:%d/", port))
	b.until(`!document.querySelector("#auto").hidden && !document.querySelector("#auto input").checked`)
	b.tabTo("#auto input")
	b.press("Space") // on again: it asks at once
	if err := c.StartProcess(t.Context(), "purr", true); err != nil {
		t.Fatal(err)
	}
	b.until(fmt.Sprintf(row, "purr") + `.cells[0].textContent === "running"`)

	b.open(fmt.Sprintf("http://127.0.0.1:%d/tail.html?processname=purr", port))
	if err := c.SendProcessStdin(t.Context(), "purr", "fresh line\n"); err != nil {
		t.Fatal(err)
	}
	b.until(`document.getElementById("log").textContent.endsWith("fresh line\n")`)
	if list := b.troubles(); len(list) > 0 {
		t.Errorf("the browser reports %s", list)
	}
}

// TestBrowserLooks: the pages fit a phone and a wide screen, in both colours, and hold no barrier that can be
// found by a program.
func TestBrowserLooks(t *testing.T) {
	_, c, port := webSite(t)
	if err := c.SendProcessStdin(t.Context(), "purr", strings.Repeat("a long line ", 100)+strings.Repeat("x", 500)+"\n"); err != nil {
		t.Fatal(err)
	}
	axe, err := os.ReadFile(os.Getenv("UPKEEP_AXE"))
	if err != nil {
		t.Log("accessibility is not checked: UPKEEP_AXE does not name axe.min.js of the npm package axe-core")
	}
	b := newBrowser(t)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	shots := os.Getenv("UPKEEP_SCREENSHOTS") // a folder for people to look at
	for i, path := range []string{
		"", "index.html?message=Process+purr+started", "index.html?action=restart&processname=purr", "index.html?action=stopall", "tail.html?processname=purr",
		"tail.html?processname=purr&channel=stderr&limit=10240", "tail.html", "tail.html?processname=nope",
	} {
		for _, view := range []struct {
			width   int
			colours string
		}{{390, "light"}, {390, "dark"}, {800, "light"}, {1000, "dark"}, {1280, "light"}, {1280, "dark"}} {
			width, colours := view.width, view.colours
			b.size(width, colours)
			b.open(url + path)
			name := fmt.Sprintf("/%s, %d, %s", path, width, colours)
			if v := b.text("document.documentElement.scrollWidth"); v != fmt.Sprint(width) {
				t.Errorf("%s: %s pixels wide", name, v)
			}
			small := `Array.from(document.querySelectorAll("button, .action-button a, td.action a")).filter(e => e.getClientRects().length > 0 &&
				(e.getBoundingClientRect().height < %d)).map(e => e.textContent).join()`
			least := 24
			if width < 500 {
				least = 44
			}
			if v := b.text(fmt.Sprintf(small, least)); v != "" {
				t.Errorf("%s: too small to press: %s", name, v)
			}
			if list := b.troubles(); len(list) > 0 {
				t.Errorf("%s: the browser reports %s", name, list)
			}
			if shots != "" {
				var r struct{ Data string }
				b.into(&r, b.call("Page.captureScreenshot", nil))
				png, _ := base64.StdEncoding.DecodeString(r.Data)
				if err := os.WriteFile(fmt.Sprintf("%s/%d-%d-%s.png", shots, i, width, colours), png, 0o644); err != nil {
					t.Error(err)
				}
			}
			if axe != nil {
				b.accessible(name, string(axe))
			}
		}
	}
}

// accessible lets axe judge the page.
func (b *browser) accessible(name, axe string) {
	b.t.Helper()
	if _, err := b.eval(axe); err != nil {
		b.t.Fatal(err)
	}
	found := b.text(`axe.run(document, {resultTypes: ["violations", "passes"]}).then(r => JSON.stringify({
		Passes: r.passes.length, Violations: r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html).slice(0, 3).join(" "))}))`)
	var r struct {
		Passes     int
		Violations []string
	}
	b.into(&r, json.RawMessage(found))
	if len(r.Violations) > 0 || r.Passes < 15 {
		b.t.Errorf("%s: %d rules hold; violated: %s", name, r.Passes, strings.Join(r.Violations, "\n"))
	}
	b.troubles() // the checker's own
}

// TestBrowserAttacks: pages of others, in the very browser of somebody who may use ours, change nothing and
// read nothing. Source: spec/reliability S2, S3.
func TestBrowserAttacks(t *testing.T) {
	s, c, port := webSite(t)
	me, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, "evil.test", strings.ToLower(me))
	home := fmt.Sprintf("http://127.0.0.1:%d/", port)
	var page string
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(page))
	}))
	defer attacker.Close()
	_, evilPort, _ := net.SplitHostPort(strings.TrimPrefix(attacker.URL, "http://"))

	b.open(home) // somebody uses it
	pid := s.pid(c, "purr")
	form := func(target, referrer string) string {
		return fmt.Sprintf(`<meta name="referrer" content="%s"><form method="post" action="%sindex.html"><input name="action" value="stopall"></form><script>document.forms[0].submit()</script>`, referrer, target)
	}
	for _, host := range []string{"evil.test", "127.0.0.1", "localhost"} {
		at := fmt.Sprintf("http://%s:%s/", host, evilPort)
		for _, referrer := range []string{"unsafe-url", "no-referrer"} {
			page = form(home, referrer)
			b.call("Page.navigate", map[string]any{"url": at})
			b.until(`document.body.innerText.includes("Error code 403.")`)
		}
		page = "<p>attacker</p>"
		b.open(at)
		for _, script := range []string{
			`fetch(%q + "?action=stop&processname=purr", {method: "POST", mode: "no-cors", body: "x=y"}).then(() => "sent", e => "failed")`,
			`fetch(%q + "?action=stop&processname=purr", {method: "POST", mode: "no-cors", credentials: "include", referrerPolicy: "no-referrer"}).then(() => "sent", e => "failed")`,
			`fetch(%q + "?action=stop&processname=purr", {mode: "no-cors"}).then(() => "sent", e => "failed")`,
			`fetch(%q + "RPC2", {method: "POST", mode: "no-cors", body: "<?xml version='1.0'?><methodCall><methodName>supervisor.stopAllProcesses</methodName></methodCall>"}).then(() => "sent", e => "failed")`,
			`fetch(%q).then(r => r.text(), e => "failed").then(t => t.includes("purr") ? "READ" : "sent")`,
		} {
			if v := b.text(fmt.Sprintf(script, home)); v != "sent" && v != "failed" {
				t.Errorf("%s: %s: %s", host, script, v)
			}
		}
		// Our page in a frame of theirs stays empty.
		page = fmt.Sprintf(`<iframe src="%s" onload="document.title='loaded'"></iframe>`, home)
		b.open(at)
		b.until("document.title === 'loaded'")
	}
	// The attacker's name leads to us.
	b.open(fmt.Sprintf("http://evil.test:%d/", port))
	b.until(`!document.body.innerText.includes("purr")`)
	if v := b.text(`fetch("/?action=stop&processname=purr", {method: "POST"}).then(r => r.status)`); v != "421" {
		t.Errorf("under a foreign name: %s", v)
	}
	if now := s.pid(c, "purr"); now != pid || s.info(c, "purr").State != 20 {
		t.Errorf("purr had pid %d and has %d", pid, now)
	}

	// The machine's own name is no secure place for browsers: they send less. The page works all the same.
	b.open(fmt.Sprintf("http://%s:%d/", strings.ToLower(me), port))
	b.tabTo(`button[aria-label="Stop purr"]`)
	b.press("Enter")
	b.until(`document.querySelector(".status_msg").textContent === "Process purr stopped"`)
}
