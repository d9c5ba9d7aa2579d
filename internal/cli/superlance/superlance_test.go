package superlance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/listener"
	"github.com/upkeep-project/upkeep/client/listener/listenertest"
	"github.com/upkeep-project/upkeep/client/supervisor"
)

func TestParse(t *testing.T) {
	type got struct {
		Name  string
		Words []string
		Flag  bool
		Rest  []string
	}
	for _, c := range []struct {
		args string
		want got
		err  string
	}{
		{"", got{}, ""},
		{"-n x -p a -p b -f", got{"x", []string{"a", "b"}, true, nil}, ""},
		{"--name=x --program a --fl -- -n", got{"x", []string{"a"}, true, []string{"-n"}}, ""},
		{"-fnx url -p a", got{"x", nil, true, []string{"url", "-p", "a"}}, ""},
		{"-x", got{}, "option -x not recognized"},
		{"-n", got{}, "option -n requires argument"},
		{"-n bad", got{}, "-n is bad"},
		{"--name bad", got{}, "--name is bad"},
		{"-n bad -h", got{}, ErrHelp.Error()},
		{"--help", got{}, ErrHelp.Error()},
	} {
		var g got
		rest, err := Parse([]Opt{
			{Short: 'n', Long: "name", Set: func(value, spelling string) error {
				if value == "bad" {
					return errors.New(spelling + " is bad")
				}
				return Text(&g.Name)(value, spelling)
			}},
			{Short: 'p', Long: "program", Set: Words(&g.Words)},
			{Short: 'f', Long: "flag", Flag: func() { g.Flag = true }},
		}, strings.Fields(c.args))
		if err != nil || c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: %v, want %s", c.args, err, c.err)
			}
			continue
		}
		if len(rest) > 0 {
			g.Rest = rest
		}
		if diff := cmp.Diff(c.want, g); diff != "" {
			t.Errorf("%q:\n%s", c.args, diff)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		err       error
		status    int
		out, errs string
	}{
		{nil, 0, "help\n", ""},
		{errors.New("so not"), 255, "help\n", "so not\n"},
		{errors.New(""), 255, "help\n", ""},
	} {
		var out, errs bytes.Buffer
		e := &Env{Out: &out, Err: &errs}
		if got := e.Usage("help", c.err); got != c.status || out.String() != c.out || errs.String() != c.errs {
			t.Errorf("%v: %d %q %q", c.err, got, out.String(), errs.String())
		}
	}
}

// TestServe: an error ends the command without an answer, so that the event is sent again.
func TestServe(t *testing.T) {
	status := -1
	var errs bytes.Buffer
	d := listenertest.Start(t, func(in io.Reader, out io.Writer) {
		e := &Env{In: in, Out: out, Err: &errs}
		status = e.Serve(func(ev *listener.Event) error {
			if ev.Fields["when"] == "2" {
				return errors.New("not this one")
			}
			return nil
		})
	})
	if got := d.Send("TICK_5", "when:1"); got != "OK" {
		t.Errorf("%q", got)
	}
	d.Ready()
	d.Write("eventname:TICK_5 len:6\nwhen:2")
	if rest := d.Leave(); rest != "" || status != 1 || errs.String() != "not this one\n" {
		t.Errorf("%q, status %d, %q", rest, status, errs.String())
	}

	if got := (&Env{In: strings.NewReader(""), Out: io.Discard, Err: &errs}).Serve(nil); got != 0 {
		t.Errorf("without events: status %d", got)
	}
	if got := (&Env{In: strings.NewReader("nonsense\n"), Out: io.Discard, Err: &errs}).Serve(nil); got != 1 {
		t.Errorf("with nonsense: status %d", got)
	}
}

func TestListening(t *testing.T) {
	var errs bytes.Buffer
	url := ""
	e := &Env{Err: &errs, Getenv: func(string) string { return url }}
	if e.Listening("httpok") || errs.String() != "httpok must be run as a supervisor event listener\n" {
		t.Errorf("%q", errs.String())
	}
	url = "unix:///x"
	if !e.Listening("httpok") {
		t.Error("the variable is set")
	}
}

func TestTexts(t *testing.T) {
	if got := ErrorText(fmt.Errorf("x: %w", &supervisor.Fault{Code: 70, Text: "NOT_RUNNING: it's"})); got != `<Fault 70: "NOT_RUNNING: it's">` {
		t.Error(got)
	}
	if got := ErrorText(io.EOF); got != "EOF" {
		t.Error(got)
	}
	if got := Asctime(time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC)); got != "2026-02-03 04:05:06,007" {
		t.Error(got)
	}
	if a, b := Namespec("x", "x"), Namespec("g", "x"); a != "x" || b != "g:x" {
		t.Error(a, b)
	}
}

func TestShell(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no shell: ", err)
	}
	dir := t.TempDir()
	for _, c := range []struct {
		command, text string
		words         []string
		want          string
		fails         bool
	}{
		{"tr a-z A-Z", "text", nil, "TEXT", false},
		{`echo "$@"`, "", []string{"a  b", "$(echo oops)", "`echo oops`"}, "a  b $(echo oops) `echo oops`\n", false},
		{"echo out; exit 3", "", nil, "out\n", true},
		{"no-such-command 2>/dev/null", "unread", nil, "", true},
		{"true", strings.Repeat("never read ", 100000), nil, "", false},
	} {
		got, err := Shell(c.command, c.text, c.words...)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%q: %q, %v", c.command, got, err)
		}
	}
	if got, err := Shell("yes | head -c 3000000", ""); err != nil || len(got) != outputLimit {
		t.Errorf("%d bytes are kept, %v", len(got), err)
	}
	file := filepath.Join(dir, "mail")
	message, err := Sendmail("cat >"+file, "me@x", "broken", "a\nb")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != message || message != "To: me@x\nSubject: broken\n\na\nb" {
		t.Errorf("%q, given %q, %v", message, text, err)
	}
}
