package supervisord

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium with one page, steered through a pair of pipes.
type browser struct {
	t       *testing.T
	w       io.Writer
	session string

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	gone    error
	trouble []string // errors that the page or the browser has reported
}

type reply struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// newBrowser starts a Chromium in which the given names lead to this machine, or skips the test.
func newBrowser(t *testing.T, names ...string) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on this machine: the package of that name has it")
	}
	fromUs, toIt, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromIt, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, n := range names {
		rules = append(rules, "MAP "+n+" 127.0.0.1")
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(),
		"--host-resolver-rules="+strings.Join(rules, ","), "about:blank")
	cmd.ExtraFiles = []*os.File{fromUs, toUs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fromUs.Close()
	toUs.Close()
	b := &browser{t: t, w: toIt, waiting: map[int]chan reply{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.listen(fromIt)
	}()
	t.Cleanup(func() {
		over := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer over.Stop()
		_, _ = b.try("Browser.close", nil)
		toIt.Close()
		cmd.Wait()
		<-done
		fromIt.Close()
	})
	var target struct{ TargetID, SessionID string }
	b.into(&target, b.call("Target.createTarget", map[string]any{"url": "about:blank"}))
	b.into(&target, b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}))
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil)
	}
	return b
}

// listen hands out the answers until the browser is gone.
func (b *browser) listen(r io.Reader) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes(0)
		b.mu.Lock()
		if err != nil {
			b.gone = err
			for _, c := range b.waiting {
				close(c)
			}
			b.waiting = map[int]chan reply{}
			b.mu.Unlock()
			return
		}
		var m reply
		if json.Unmarshal(line[:len(line)-1], &m) == nil {
			switch {
			case m.ID != 0:
				if c := b.waiting[m.ID]; c != nil {
					c <- m
					delete(b.waiting, m.ID)
				}
			case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`):
				b.trouble = append(b.trouble, string(m.Params))
			}
		}
		b.mu.Unlock()
	}
}

// troubles returns what has been reported since the last call.
func (b *browser) troubles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.trouble
	b.trouble = nil
	return list
}

func (b *browser) try(method string, params any) (json.RawMessage, error) {
	b.mu.Lock()
	if b.gone != nil {
		b.mu.Unlock()
		return nil, b.gone
	}
	b.last++
	c := make(chan reply, 1)
	b.waiting[b.last] = c
	m := map[string]any{"id": b.last, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" && !strings.HasPrefix(method, "Browser.") {
		m["sessionId"] = b.session
	}
	b.mu.Unlock()
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if _, err := b.w.Write(append(data, 0)); err != nil {
		return nil, err
	}
	select {
	case r, ok := <-c:
		switch {
		case !ok:
			return nil, errors.New("the browser is gone")
		case r.Error != nil:
			return nil, errors.New(r.Error.Message)
		}
		return r.Result, nil
	case <-time.After(patience):
		return nil, errors.New("no answer from the browser")
	}
}

func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	r, err := b.try(method, params)
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	return r
}

func (b *browser) into(v any, data json.RawMessage) {
	b.t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		b.t.Fatalf("%s: %v", data, err)
	}
}

// eval is the value of an expression in the page, a promise's outcome included.
func (b *browser) eval(expression string) (any, error) {
	data, err := b.try("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true})
	if err != nil {
		return nil, err
	}
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if e := r.ExceptionDetails; e != nil {
		return nil, fmt.Errorf("%s %s", e.Text, e.Exception.Description)
	}
	return r.Result.Value, nil
}

// until waits for an expression to be true; while the page changes it has no value.
func (b *browser) until(expression string) {
	b.t.Helper()
	var v any
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if v, err = b.eval(expression); err == nil && v == true {
			return
		}
	}
	page, _ := b.eval("location.href + '\\n' + document.body.innerText")
	b.t.Fatalf("never true: %s (%v, %v)\n%v", expression, v, err, page)
}

// text is the value of an expression as a string.
func (b *browser) text(expression string) string {
	b.t.Helper()
	v, err := b.eval(expression)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return fmt.Sprint(v)
}

// open goes to a page and waits until it is there.
func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url})
	b.until("document.readyState === 'complete' && location.href !== 'about:blank'")
}

// press types one key: Tab, Enter or Space.
func (b *browser) press(key string) {
	b.t.Helper()
	e := map[string]any{"key": key, "code": key, "windowsVirtualKeyCode": map[string]int{"Tab": 9, "Enter": 13, "Space": 32}[key]}
	switch key {
	case "Enter":
		e["text"] = "\r"
	case "Space":
		e["text"], e["key"] = " ", " "
	}
	for _, kind := range []string{"keyDown", "keyUp"} {
		e["type"] = kind
		b.call("Input.dispatchKeyEvent", e)
		delete(e, "text")
	}
}

// tabTo moves the focus with the keyboard alone to the element that the selector finds.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	for range 100 {
		if v, _ := b.eval("document.activeElement === document.querySelector(" + string(quoted) + ")"); v == true {
			return
		}
		b.press("Tab")
	}
	b.t.Fatalf("the keyboard does not reach %s", selector)
}

// size makes the page that wide, in the given colours.
func (b *browser) size(width int, colours string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500})
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": colours}}})
}
