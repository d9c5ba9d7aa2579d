package extension

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// serve runs an extension and returns a client of it.
func serve(t *testing.T, methods map[string]Method) (c *supervisor.Client, path string, end func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, methods) }()
	if c, err = supervisor.New(supervisor.Options{URL: "unix://" + path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, path, func() error {
		cancel()
		return <-ended
	}
}

func TestServe(t *testing.T) {
	c, path, end := serve(t, map[string]Method{
		"g.echo": {
			Help: "Echo.\n\n@param string a  something\n@param int b  more\n@return array all  of it",
			Call: func(_ context.Context, params []any) (any, error) { return params, nil },
		},
		"g.fault":  {Call: func(context.Context, []any) (any, error) { return nil, &Fault{Code: 7, Text: "seven"} }},
		"g.failed": {Call: func(context.Context, []any) (any, error) { return nil, errors.New("no luck") }},
		"g.broken": {Call: func(_ context.Context, params []any) (any, error) { return params[3], nil }},
	})
	ctx := t.Context()
	for _, tc := range []struct {
		method string
		params []any
		want   any
		fault  string
	}{
		{"g.echo", []any{"x", 1, true}, []any{"x", 1, true}, ""},
		{"g.fault", nil, nil, "seven"},
		{"g.failed", nil, nil, "FAILED: no luck"},
		{"g.broken", nil, nil, "FAILED: g.broken: runtime error: index out of range [3] with length 0"},
		{"g.none", nil, nil, "UNKNOWN_METHOD"},
		{"system.listMethods", nil, []any{"g.broken", "g.echo", "g.failed", "g.fault"}, ""},
		{"system.methodSignature", []any{"g.echo"}, []any{"array", "string", "int"}, ""},
		{"system.methodSignature", []any{"g.none"}, nil, "SIGNATURE_UNSUPPORTED"},
		{"system.methodHelp", nil, nil, "SIGNATURE_UNSUPPORTED"},
	} {
		got, err := c.Call(ctx, tc.method, tc.params...)
		var f *Fault
		text := ""
		if errors.As(err, &f) {
			text = f.Text
		} else if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tc.want, got); d != "" || text != tc.fault {
			t.Errorf("%s: fault %q, want %q\n%s", tc.method, text, tc.fault, d)
		}
	}
	if help, err := c.MethodHelp(ctx, "g.echo"); err != nil || help[:5] != "Echo." {
		t.Error(help, err)
	}
	raw := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	defer raw.CloseIdleConnections()
	for size, want := range map[int]int{10: http.StatusBadRequest, maxBody + 1: http.StatusRequestEntityTooLarge} {
		resp, err := raw.Post("http://x/RPC2", "text/xml", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes: %s", size, resp.Status)
		}
	}
	if err := end(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

// A call that is under way at the end is answered.
func TestServeFinishes(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	c, _, end := serve(t, map[string]Method{"g.slow": {Call: func(context.Context, []any) (any, error) {
		close(begun)
		<-finish
		return true, nil
	}}})
	answer := make(chan error, 1)
	go func() {
		_, err := c.Call(context.Background(), "g.slow")
		answer <- err
	}()
	<-begun
	over := make(chan error, 1)
	go func() { over <- end() }()
	time.AfterFunc(20*time.Millisecond, func() { close(finish) })
	if err := errors.Join(<-answer, <-over); err != nil {
		t.Error(err)
	}
}

// The guide shows the examples that are built and run.
func TestGuideShowsTheExamples(t *testing.T) {
	guide, err := os.ReadFile("../../docs/how-to/extend.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../../examples/extension/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ = bytes.Cut(code, []byte("package main"))
	if !bytes.Contains(guide, append([]byte("```go\npackage main"), code...)) {
		t.Error("docs/how-to/extend.md does not show examples/extension/main.go")
	}
	python, err := os.ReadFile("../../examples/extension/extension.py")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := bytes.Cut(guide, []byte("```python\n"))
	shown, _, _ = bytes.Cut(shown, []byte("```"))
	if len(shown) == 0 || !bytes.Contains(python, shown) {
		t.Error("docs/how-to/extend.md does not show examples/extension/extension.py")
	}
}
