package supervisorctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// screen is an output that tests can wait on.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
	seen int // how far expect has come
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await returns once the screen shows a text.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("%q never appeared in\n%s", text, s.String())
		}
	}
}

// expect is await for what comes after the texts expected before.
func (s *screen) expect(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		if i := strings.Index(s.String()[s.seen:], text); i >= 0 {
			s.seen += i + len(text)
			return
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("%q never appeared in\n%q\nbehind\n%q", text, s.String()[s.seen:], s.String()[:s.seen])
		}
	}
}

// live is a run in progress.
type live struct {
	out, errs *screen
	in        *os.File
	ctrlC     chan os.Signal
	status    chan int
}

// begin starts a run with a pipe for its input.
func begin(t *testing.T, env Environ, args ...string) *live {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &live{newScreen(), newScreen(), w, make(chan os.Signal, 1), make(chan int, 1)}
	env.Interrupts = func() (<-chan os.Signal, func()) { return l.ctrlC, func() {} }
	go func() { l.status <- Run("ctl", args, Streams{r, l.out, l.errs}, env) }()
	t.Cleanup(func() {
		w.Close()
		r.Close()
	})
	return l
}

func (l *live) kind(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(l.in, text); err != nil {
		t.Fatal(err)
	}
}

// end waits for the end and returns the status.
func (l *live) end(t *testing.T) int {
	t.Helper()
	select {
	case s := <-l.status:
		return s
	case <-time.After(2 * time.Minute):
		t.Fatalf("the run never ended; it said\n%s%s", l.out, l.errs)
		return -1
	}
}

func running(name string) supervisor.Struct { return program(name, name, 20, "RUNNING", 7, "pid 7") }

func TestFollow(t *testing.T) {
	const header = "==> Press Ctrl-C to exit <==\n"
	for _, c := range []struct {
		name, args, stream, want, wantErr string
		hold                              bool
		shown                             string // before Ctrl-C
	}{
		{name: "to the end", args: "tail -f x", stream: "one\n|two\n", want: header + "one\ntwo\n"},
		{name: "cut character", args: "tail -f x", stream: "h\xc3|\xa9!\n", want: header + "hé!\n"},
		{name: "cut at the end", args: "tail -f x", stream: "h\xc3", want: header + `hUndecodable: b'\xc3'`},
		{name: "not UTF-8", args: "tail -f x", stream: "bad \x88\n", want: header + `Undecodable: b'bad \x88\n'`},
		{name: "colours", args: "maintail -f", stream: "\x1b[31mred\x1b[0m\n", want: header + "\x1b[31mred\x1b[0m\n"},
		{name: "interrupted", args: "tail -f x", stream: "one\n", hold: true, shown: "one\n", want: header + "one\n\n"},
		{name: "main interrupted", args: "maintail -f", stream: "m\n", hold: true, shown: "m\n", want: header + "m\n\n"},
		{name: "no such log", args: "tail -f y stderr", want: header, wantErr: "{url}/logtail/y/stderr Cannot read, status code 404\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, url := newFake(t, nil)
			f.hold = c.hold
			if c.stream != "" {
				f.streams = map[string]string{"/logtail/x/stdout": c.stream, "/mainlogtail": c.stream}
			}
			env := plainEnviron()
			env.StdoutTerminal = true // log bytes stay as they are even there
			l := begin(t, env, "-s", url, c.args)
			if c.hold {
				l.out.await(t, c.shown)
				l.ctrlC <- os.Interrupt
			}
			if got := l.end(t); got != 0 {
				t.Errorf("status %d", got)
			}
			if diff := cmp.Diff(c.want, l.out.String()); diff != "" {
				t.Errorf("stdout:\n%s", diff)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.wantErr, "{url}", url), l.errs.String()); diff != "" {
				t.Errorf("stderr:\n%s", diff)
			}
		})
	}
}

func TestForeground(t *testing.T) {
	const header = "==> Press Ctrl-C to exit <==\n"
	up, down := running("x"), program("x", "x", 100, "EXITED", 0, "")
	for _, c := range []struct {
		name, input string
		answers     map[string][]any
		want        string
		calls       []string
		status      int
	}{
		{
			name: "end of input", input: "a\nb", answers: map[string][]any{"getProcessInfo": {up}, "sendProcessStdin": {true}},
			want:  header + "Exiting foreground\n",
			calls: []string{"sendProcessStdin x a\n", "getProcessInfo x", "sendProcessStdin x b\n", "getProcessInfo x"},
		},
		{
			name: "killed", input: "a\nb\n", answers: map[string][]any{"getProcessInfo": {up, down}, "sendProcessStdin": {true}},
			want:  header + "Process got killed\nExiting foreground\n",
			calls: []string{"sendProcessStdin x a\n", "getProcessInfo x"},
		},
		{
			name: "gone", input: "a\nb\n", answers: map[string][]any{"getProcessInfo": {up}, "sendProcessStdin": {fault(70, "NOT_RUNNING")}},
			want: header + "Process got killed\nExiting foreground\n", calls: []string{"sendProcessStdin x a\n"},
		},
		{
			name: "no stdin", input: "a\n", answers: map[string][]any{"getProcessInfo": {up}, "sendProcessStdin": {fault(20, "NO_FILE: x")}},
			want: header + "ERROR: NO_FILE: x (fault 20)\nExiting foreground\n", calls: []string{"sendProcessStdin x a\n"},
		},
		{
			name: "server trouble", input: "a\n", answers: map[string][]any{"getProcessInfo": {up}, "sendProcessStdin": {httpError(500)}},
			want:   header + "Exiting foreground\nerror: {url} answered 500 Internal Server Error\n",
			status: 1, calls: []string{"sendProcessStdin x a\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, url := newFake(t, c.answers)
			f.streams, f.hold = map[string]string{"/logtail/x/stdout": "", "/logtail/x/stderr": ""}, true
			l := begin(t, plainEnviron(), "-s", url, "fg", "x")
			l.kind(t, c.input)
			l.in.Close()
			if got := l.end(t); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.want, "{url}", url), l.out.String()); diff != "" {
				t.Errorf("output:\n%s", diff)
			}
			if diff := cmp.Diff(append([]string{"getVersion", "getProcessInfo x"}, c.calls...), f.taken()); diff != "" {
				t.Errorf("calls:\n%s", diff)
			}
		})
	}
}

// Both logs come together with what is typed, and Ctrl-C leaves fg but not the shell.
func TestForegroundInShell(t *testing.T) {
	f, url := newFake(t, map[string][]any{
		"getAllProcessInfo": {[]any{running("x")}}, "getProcessInfo": {running("x")}, "sendProcessStdin": {true},
		"getSupervisorVersion": {"4.3.0"},
	})
	f.streams, f.hold = map[string]string{"/logtail/x/stdout": "from stdout\n", "/logtail/x/stderr": "from stderr\n"}, true
	l := begin(t, plainEnviron(), "-s", url)
	l.kind(t, "fg x\n")
	l.out.await(t, "from stdout\n")
	l.out.await(t, "from stderr\n")
	l.kind(t, "hello\n")
	for deadline := time.Now().Add(2 * time.Minute); !slices.Contains(f.noted(), "sendProcessStdin x hello\n"); {
		if time.Now().After(deadline) {
			t.Fatalf("the line was never sent: %q", f.noted())
		}
		time.Sleep(5 * time.Millisecond)
	}
	l.ctrlC <- os.Interrupt
	l.out.await(t, "Exiting foreground\nsupervisor> ")
	l.kind(t, "version\n")
	l.out.await(t, "supervisor> 4.3.0\nsupervisor> ")
	l.ctrlC <- os.Interrupt
	if got := l.end(t); got != 0 {
		t.Errorf("status %d", got)
	}
	if !strings.HasSuffix(l.out.String(), "4.3.0\nsupervisor> \n") {
		t.Errorf("output %q", l.out)
	}
}

// Ctrl-C during an ordinary command of the shell ends the shell with an empty line.
func TestShellInterruptedCommand(t *testing.T) {
	block, answered := make(chan struct{}), make(chan struct{}, 1)
	f, url := newFake(t, map[string][]any{"getAllProcessInfo": {[]any{}}})
	f.before = func(method string) {
		if method == "startProcess" {
			answered <- struct{}{}
			<-block
		}
	}
	defer close(block)
	l := begin(t, plainEnviron(), "-s", url)
	l.kind(t, "start x\n")
	<-answered
	l.ctrlC <- os.Interrupt
	if got := l.end(t); got != 0 {
		t.Errorf("status %d", got)
	}
	if got := l.out.String(); got != "supervisor> \n" {
		t.Errorf("output %q", got)
	}
}

func TestLogin(t *testing.T) {
	f, url := newFake(t, map[string][]any{"getAllProcessInfo": {[]any{running("x")}}, "getSupervisorVersion": {"4.3.0"}})
	f.lock("u:p")
	const table = "x                                RUNNING   pid 7\n"
	for _, c := range []struct {
		name, input, want string
		args              []string
		status            int
	}{
		{name: "once", input: "u\np\nversion\n", want: "Server requires authentication\nUsername:Password:\n" + table + "supervisor> 4.3.0\nsupervisor> \n"},
		{
			name: "second try", input: "u\nwrong\nu\np\n",
			want: "Server requires authentication\nUsername:Password:\nServer requires authentication\nUsername:Password:\n" + table + "supervisor> \n",
		},
		{
			name: "end of input", input: "u\n",
			want: "Server requires authentication\nUsername:Password:error: the input ended\nsupervisor> \n",
		},
		{name: "action", args: []string{"version"}, want: "Server requires authentication\n", status: 1},
		{
			name: "action and shell", args: []string{"-i", "version"}, input: "u\np\n",
			want: "Server requires authentication\nUsername:Password:\n4.3.0\n" + table + "supervisor> \n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			got := Run("ctl", append([]string{"-s", url}, c.args...), Streams{strings.NewReader(c.input), &out, &errs}, plainEnviron())
			if got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			if diff := cmp.Diff(c.want, out.String()+errs.String()); diff != "" {
				t.Errorf("output:\n%s", diff)
			}
		})
	}
}

func TestConfirmation(t *testing.T) {
	for _, c := range []struct {
		input, want string
		calls       []string
	}{
		{"shutdown\nyes\n", "supervisor> Really shut the remote supervisord process down y/N? Shut down\nsupervisor> \n", []string{"shutdown"}},
		{"reload\nY\n", "supervisor> Really restart the remote supervisord process y/N? Restarted supervisord\nsupervisor> \n", []string{"restart"}},
		{"reload\nno\n", "supervisor> Really restart the remote supervisord process y/N? supervisor> \n", nil},
	} {
		f, url := newFake(t, map[string][]any{"getAllProcessInfo": {[]any{}}, "shutdown": {true}, "restart": {true}})
		var out bytes.Buffer
		if got := Run("ctl", []string{"-s", url}, Streams{strings.NewReader(c.input), &out, &out}, plainEnviron()); got != 0 {
			t.Errorf("%q: status %d", c.input, got)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%q:\n%s", c.input, diff)
		}
		want := append([]string{"getVersion", "getAllProcessInfo"}, c.calls...)
		if diff := cmp.Diff(want, f.taken()); diff != "" {
			t.Errorf("%q: calls\n%s", c.input, diff)
		}
	}
}

// On a terminal nothing foreign but log bytes can give orders to it; a pipe gets everything as it is.
func TestTerminalSafety(t *testing.T) {
	evil := "x\x1b]0;title\x07\u009b1m\u202e"
	_, url := newFake(t, map[string][]any{
		"getAllProcessInfo": {[]any{program(evil, evil, 20, "RUN\x1b", 7, "d\x1b[2J")}},
		"startProcess":      {fault(6, "X")}, "readProcessStdoutLog": {"\u009b31mred"}, "reloadConfig": {fault(92, "CANT_REREAD: \u009b2J")},
	})
	for _, args := range []string{"status", "start \x1b[2J", "reread", "tail -\x1b x", "foo\x1b"} {
		for _, terminal := range []bool{true, false} {
			var out bytes.Buffer
			env := plainEnviron()
			env.StdoutTerminal = terminal
			Run("ctl", []string{"-s", url, args}, Streams{nil, &out, &out}, env)
			if got := strings.ContainsAny(out.String(), "\x1b\x07\u009b\u202e"); got == terminal {
				t.Errorf("%q, terminal %t: %q", args, terminal, out.String())
			}
		}
	}
	var out bytes.Buffer
	env := plainEnviron()
	env.StdoutTerminal = true
	Run("ctl", []string{"-s", url, "tail", "x"}, Streams{nil, &out, &out}, env)
	if out.String() != "\u009b31mred\n" {
		t.Errorf("tail: %q", out.String())
	}
}

func TestDescribe(t *testing.T) {
	s := &session{url: "unix:///s"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&supervisor.Fault{Code: 6, Text: "SHUTDOWN_STATE"}, "SHUTDOWN_STATE (fault 6)"},
		{fmt.Errorf("dial: %w", os.NewSyscallError("connect", syscall.EACCES)), "unix:///s permission denied"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "unix:///s refused connection"},
		{&net.OpError{Op: "dial", Err: syscall.ENOENT}, "unix:///s no such file"},
		{&supervisor.ProtocolError{Host: "h/RPC2", Code: 500, Status: "Oh"}, "unix:///s answered 500 Oh"},
		{errNoInput, "the input ended"},
		{io.EOF, "unix:///s closed the connection"},
		{fmt.Errorf("reading the answer: %w", io.ErrUnexpectedEOF), "unix:///s closed the connection"},
		{errors.New("other"), "other"},
	} {
		if got := s.describe(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// A file in the current directory is found, and none at all means the default server.
func TestConfigurationSearch(t *testing.T) {
	_, url := newFake(t, map[string][]any{"getSupervisorVersion": {"4.3.0"}})
	dir := t.TempDir()
	text := "[supervisorctl]\nserverurl=" + url + "\n[ctlplugin:x]\nsupervisor.ctl_factory=a.b:c\n"
	if err := os.WriteFile(filepath.Join(dir, "supervisord.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := plainEnviron()
	env.Conf.Cwd = dir
	var out bytes.Buffer
	// The name has no directory that could contain a configuration.
	if got := Run(filepath.Join(dir, "bin", "ctl"), []string{"version"}, Streams{nil, &out, &out}, env); got != 0 || out.String() != "4.3.0\n" {
		t.Errorf("status %d, output %q", got, out.String())
	}
	o, err := parse("ctl", []string{"-r", "h", "status", "x"}, &env)
	if err != nil || o.url != url || o.historyFile != "h" || o.interactive || *o.action != "status x" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestLinesGiveUpWithoutLoss(t *testing.T) {
	r, w := io.Pipe()
	l := newLines(r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.read(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	go func() {
		io.WriteString(w, "first\r\nsecond\nlast")
		w.Close()
	}()
	for _, want := range []string{"first", "second", "last"} {
		if got, err := l.read(t.Context()); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	if _, err := l.read(t.Context()); err != io.EOF {
		t.Errorf("error %v", err)
	}
}

// BenchmarkStatus is a whole run for a thousand programs, server included.
func BenchmarkStatus(b *testing.B) {
	var infos []any
	for i := range 1000 {
		infos = append(infos, program("web", fmt.Sprintf("web_%04d", i), 20, "RUNNING", 1000+i, fmt.Sprintf("pid %d, uptime 1:02:03", 1000+i)))
	}
	_, url := newFake(b, map[string][]any{"getAllProcessInfo": {xmlrpc.AppendResponse(nil, infos)}})
	for b.Loop() {
		if got := Run("ctl", []string{"-s", url, "status"}, Streams{nil, io.Discard, io.Discard}, plainEnviron()); got != 0 {
			b.Fatal(got)
		}
	}
}

func TestNeutral(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\n":       "plain\ttext\n",
		"é ü \ufffd 漢 \u200b": "é ü \ufffd 漢 \u200b",
		"\x1b[2J":             `\x1b[2J`,
		"a\rb\x00\x7f":        `a\x0db\x00\x7f`,
		"\u009b1m":            `\x9b1m`,
		"\x9b1m":              `\x9b1m`,
		"\u202egpj.exe":       `\u202egpj.exe`,
		"l\u2028p":            `l\u2028p`,
	} {
		if got := neutral(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
