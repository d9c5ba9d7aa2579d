package listener

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/listener/listenertest"
)

func Example() {
	// What the daemon sends; a real listener takes os.Stdin and os.Stdout.
	payload := "processname:cat groupname:pets from_state:RUNNING expected:0 pid:2766"
	in := strings.NewReader(fmt.Sprintf(
		"ver:3.0 server:supervisor serial:21 pool:watch poolserial:10 eventname:PROCESS_STATE_EXITED len:%d\n%s", len(payload), payload))

	err := Serve(in, io.Discard, func(ev *Event) error {
		fmt.Println(ev.Name, ev.Process(), "was", ev.Fields["from_state"])
		return nil
	})
	fmt.Println(err)
	// Output:
	// PROCESS_STATE_EXITED pets:cat was RUNNING
	// <nil>
}

// TestPayloads sends what the original was seen to send, counted either way.
// Source: spec/supervisor 4.3.
func TestPayloads(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		fields        map[string]string
		data, process string
	}{
		{
			"PROCESS_STATE_EXITED", "processname:env groupname:env from_state:RUNNING expected:1 pid:21819",
			map[string]string{"processname": "env", "groupname": "env", "from_state": "RUNNING", "expected": "1", "pid": "21819"},
			"", "env",
		},
		{
			"PROCESS_LOG_STDOUT", "processname:cat groupname:pets pid:22020 channel:stdout\nh\u00e9 \U0001f600\n\nx",
			map[string]string{"processname": "cat", "groupname": "pets", "pid": "22020", "channel": "stdout"},
			"h\u00e9 \U0001f600\n\nx", "pets:cat",
		},
		{
			"PROCESS_COMMUNICATION_STDOUT", "processname:cap groupname:cap pid:21817\n\u65e5\u672c\u8a9e",
			map[string]string{"processname": "cap", "groupname": "cap", "pid": "21817"},
			"\u65e5\u672c\u8a9e", "cap",
		},
		{"PROCESS_GROUP_ADDED", "groupname:lst\n", map[string]string{"groupname": "lst"}, "", ""},
		{"SUPERVISOR_STATE_CHANGE_RUNNING", "", map[string]string{}, "", ""},
		{"TICK_5", "when:1795194960", map[string]string{"when": "1795194960"}, "", ""},
		{"REMOTE_COMMUNICATION", "type:two words\nd\u00e0ta", map[string]string{"type": "two words"}, "d\u00e0ta", ""},
	} {
		for _, bytes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/bytes=%v", c.name, bytes), func(t *testing.T) {
				d := listenertest.Start(t, func(in io.Reader, out io.Writer) {
					l := New(in, out)
					l.Bytes = bytes
					for serial := range uint64(2) { // the second shows that the first was read to its end and no further
						ev, err := l.Next()
						if err != nil {
							t.Error(err)
							return
						}
						want := &Event{
							Name: c.name, Version: "3.0", Server: "supervisor", Pool: "tested",
							Serial: serial, PoolSerial: serial, Payload: c.payload, Fields: c.fields, Data: c.data,
						}
						if diff := cmp.Diff(want, ev); diff != "" {
							t.Errorf("-want +got:\n%s", diff)
						}
						if ev.Process() != c.process {
							t.Errorf("process %q, want %q", ev.Process(), c.process)
						}
						if err := l.OK(); err != nil {
							t.Error(err)
						}
					}
				})
				d.Bytes = bytes
				for range 2 {
					if got := d.Send(c.name, c.payload); got != "OK" {
						t.Fatalf("answer %q", got)
					}
				}
				if rest := d.Leave(); rest != "" {
					t.Errorf("and then %q", rest)
				}
			})
		}
	}
}

// TestServe: the handler's error is the answer, and the daemon's end is the end.
func TestServe(t *testing.T) {
	var seen []string
	d := listenertest.Start(t, func(in io.Reader, out io.Writer) {
		err := Serve(in, out, func(ev *Event) error {
			seen = append(seen, ev.Name)
			if ev.Fields["when"] == "2" {
				return errors.New("not today")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	for when, want := range []string{"OK", "OK", "FAIL", "OK"} {
		if got := d.Send("TICK_5", fmt.Sprint("when:", when)); got != want {
			t.Errorf("event %d: %q, want %q", when, got, want)
		}
	}
	if rest := d.Leave(); rest != "READY\n" {
		t.Errorf("last words %q", rest)
	}
	if diff := cmp.Diff([]string{"TICK_5", "TICK_5", "TICK_5", "TICK_5"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestResult(t *testing.T) {
	d := listenertest.Start(t, func(in io.Reader, out io.Writer) {
		l := New(in, out)
		if _, err := l.Next(); err != nil {
			t.Error(err)
		}
		if err := l.Result("h\u00e9"); err != nil { // its length is in bytes
			t.Error(err)
		}
	})
	if got := d.Send("TICK_5", "when:5"); got != "h\u00e9" {
		t.Errorf("answer %q", got)
	}
}

func TestBadStreams(t *testing.T) {
	const rest = "eventname:TICK_5 poolserial:1 serial:1 "
	for _, c := range []struct {
		name, stream string
		want         error
	}{
		{"nothing", "", nil},
		{"half a header", "ver:3.0 len:4", io.ErrUnexpectedEOF},
		{"half a payload", rest + "len:4\nabc", io.ErrUnexpectedEOF},
		{"no payload", rest + "len:4\n", io.ErrUnexpectedEOF},
		{"half a character", rest + "len:3\na\xc3", io.ErrUnexpectedEOF},
		{"empty line", "\n", &ProtocolError{"", "no eventname"}},
		{"no len", "eventname:TICK_5\n", &ProtocolError{"eventname:TICK_5", "no len"}},
		{"no number", "eventname:X len:a\n", &ProtocolError{"eventname:X len:a", "len is out of range"}},
		{"negative", "eventname:X len:-1\n", &ProtocolError{"eventname:X len:-1", "len is out of range"}},
		{"enormous", "eventname:X len:999999999999\n", &ProtocolError{"eventname:X len:999999999999", "len is out of range"}},
		{"serial", "eventname:X len:0 serial:x\n", &ProtocolError{"eventname:X len:0 serial:x", "serial is no number"}},
		{"endless", strings.Repeat("x", MaxHeader+1), &ProtocolError{strings.Repeat("x", 200), fmt.Sprintf("longer than %d bytes", MaxHeader)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			called := false
			err := Serve(strings.NewReader(c.stream), io.Discard, func(*Event) error { called = true; return nil })
			var got, want *ProtocolError
			if errors.As(c.want, &want) {
				if !errors.As(err, &got) || *got != *want {
					t.Errorf("%v, want %v", err, want)
				}
				if !strings.Contains(err.Error(), want.Reason) {
					t.Errorf("%v does not say why", err)
				}
			} else if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if called {
				t.Error("the handler was called")
			}
		})
	}
}

// TestBrokenOutput: a daemon that does not listen any more ends the listener.
func TestBrokenOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	if err := Serve(strings.NewReader(""), w, nil); err == nil || !strings.Contains(err.Error(), "readiness") {
		t.Errorf("%v", err)
	}
	l := New(strings.NewReader(""), w)
	if err := l.OK(); err == nil || !strings.Contains(err.Error(), "answering") {
		t.Errorf("%v", err)
	}
}

func TestDaemon(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	if _, err := Daemon(env()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("%v, want %v", err, ErrNoDaemon)
	}
	if _, err := Daemon(env("SUPERVISOR_SERVER_URL", "gopher://x")); err == nil {
		t.Error("a strange address is accepted")
	}
	c, err := Daemon(env("SUPERVISOR_SERVER_URL", "http://127.0.0.1:1", "SUPERVISOR_USERNAME", "u", "SUPERVISOR_PASSWORD", "p"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// FuzzNext: no stream makes it panic, and what it accepts is the announced number of bytes or characters behind the header.
func FuzzNext(f *testing.F) {
	f.Add("ver:3.0 server:s serial:0 pool:p poolserial:0 eventname:TICK_5 len:6\nwhen:5", false)
	f.Add("eventname:A len:3\n\xff\xc3\xa9z", false)
	f.Add("eventname:A len:3\n\xff\xc3\xa9z", true)
	f.Add("eventname:A:B len:0 x y:\n", true)
	f.Add("eventname:A len:+02\n\u20ac\xe2\x82", false)
	f.Fuzz(func(t *testing.T, stream string, bytes bool) {
		l := New(strings.NewReader(stream), io.Discard)
		l.Bytes = bytes
		ev, err := l.Next()
		if err != nil {
			return
		}
		header, rest, _ := strings.Cut(stream, "\n")
		n, err := strconv.Atoi(ParseFields(header)["len"])
		end := n
		if !bytes {
			end = 0
			for range n {
				_, size := utf8.DecodeRuneInString(rest[end:])
				end += size
			}
		}
		if err != nil || ev.Payload != rest[:end] {
			t.Fatalf("payload %q of %q, want %d: %v", ev.Payload, rest, n, err)
		}
	})
}

// TestDocumentation: the page shows the example that is compiled.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/write-a-listener.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../../examples/listener/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, ok := strings.Cut(string(code), "package main\n")
	if !ok || !strings.Contains(string(page), "```go\npackage main\n"+program+"```\n") {
		t.Error("docs/how-to/write-a-listener.md does not show examples/listener/main.go")
	}
}

// TestPayloadInPieces: characters that are cut wherever a read or the buffer ends.
func TestPayloadInPieces(t *testing.T) {
	for _, text := range []string{"abcdefgh", "\u00e9", "a\u20acb", "\U0001F600\U0001F600", "\xff\xc3", "a\xe2\x82", "\xe2\x82z"} {
		for _, n := range []int{1, 7, MaxHeader} {
			payload := strings.Repeat(text, n)
			stream := fmt.Sprintf("eventname:A len:%d\n%s", utf8.RuneCountInString(payload), payload)
			for name, in := range map[string]io.Reader{"whole": strings.NewReader(stream), "bytes": iotest.OneByteReader(strings.NewReader(stream))} {
				ev, err := New(in, io.Discard).Next()
				if err != nil || ev.Payload != payload {
					t.Errorf("%q %d times, %s: %v", text, n, name, err)
				}
			}
		}
	}
}
