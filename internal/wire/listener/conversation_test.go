package listener

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// talk lets a listener speak in pieces. "!" sends it an event.
func talk(c *Conversation, pieces ...string) string {
	var b strings.Builder
	for _, p := range pieces {
		if p == "!" {
			c.Sent()
			continue
		}
		c.Hear([]byte(p), func(what Said, text []byte) {
			fmt.Fprintf(&b, "%s(%s) ", [...]string{"ready", "result", "line", "noise"}[what], text)
		})
	}
	return b.String() + c.State.String()
}

func TestConversation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"nothing", nil, "ACKNOWLEDGED"},
		{"ready", []string{"READY\n"}, "ready() READY"},
		{"in pieces", []string{"RE", "ADY", "\n"}, "ready() READY"},
		{"short of it", []string{"READY"}, "ACKNOWLEDGED"},
		{"something else, and short", []string{"hello"}, "ACKNOWLEDGED"},
		{"something else", []string{"hello!"}, "noise(hello!) UNKNOWN"},
		{"a carriage return", []string{"READY\r\n"}, "noise(READY\r\n) UNKNOWN"},
		{"blank before", []string{" \r\n\tREADY\n"}, "ready() READY"},
		{"more when ready", []string{"READY\nx"}, "ready() noise(x) UNKNOWN"},
		{"twice ready", []string{"READY\n", "READY\n"}, "ready() noise(READY\n) UNKNOWN"},
		{"result", []string{"READY\n", "!", "RESULT 2\nOK"}, "ready() result(OK) ACKNOWLEDGED"},
		{"result and ready", []string{"READY\n", "!", "RESULT 2\nOKREADY\n"}, "ready() result(OK) ready() READY"},
		{"byte by byte", strings.Split("READY\n!RESULT 4\nFAILREADY\n", ""), "ready() result(FAIL) ready() READY"},
		{"the stray line end", []string{"READY\n", "!", "RESULT 2\nOK\n", "READY\n"}, "ready() result(OK) ready() READY"},
		{"a length with the line end", []string{"READY\n", "!", "RESULT 3\nOK\nREADY\n"}, "ready() result(OK\n) ready() READY"},
		{"the first seven are not read", []string{"READY\n", "!", "ZZZZZZZ2\nOK"}, "ready() result(OK) ACKNOWLEDGED"},
		{"blanks and sign", []string{"READY\n", "!", "RESULT  +2 \r\nOK"}, "ready() result(OK) ACKNOWLEDGED"},
		{"no length", []string{"READY\n", "!", "RESULT\nOK"}, "ready() line(RESULT) UNKNOWN"},
		{"no number", []string{"READY\n", "!", "RESULT x\nOK"}, "ready() line(RESULT x) UNKNOWN"},
		{"negative", []string{"READY\n", "!", "RESULT -2\nOK"}, "ready() line(RESULT -2) UNKNOWN"},
		{"too long a result", []string{"READY\n", "!", "RESULT 1048577\nOK"}, "ready() line(RESULT 1048577) UNKNOWN"},
		{"an empty line", []string{"READY\n", "!", "\n"}, "ready() line() UNKNOWN"},
		{"an empty result", []string{"READY\n", "!", "RESULT 0\n"}, "ready() result() ACKNOWLEDGED"},
		{"an empty result and ready", []string{"READY\n", "!", "RESULT 0\nREADY\n"}, "ready() result() ready() READY"},
		{"nothing counts any more", []string{"hello!", "READY\n"}, "noise(hello!) UNKNOWN"},
		{"nothing counts after a line", []string{"READY\n", "!", "x\nREADY\n"}, "ready() line(x) UNKNOWN"},
	} {
		var c Conversation
		if d := cmp.Diff(tt.want, talk(&c, tt.pieces...)); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
}

func TestConversationIsBounded(t *testing.T) {
	c := Conversation{}
	talk(&c, "READY\n", "!")
	piece := strings.Repeat("x", 1000)
	for range 100 {
		talk(&c, piece)
	}
	if c.State != Unknown || len(c.Rest) != 0 {
		t.Errorf("%s, %d bytes kept", c.State, len(c.Rest))
	}
	c = Conversation{} // it does not depend on the pieces: the end of the line comes with it
	if talk(&c, "READY\n", "!", "RESULT "+strings.Repeat(" ", MaxLine)+"2\nOK"); c.State != Unknown {
		t.Errorf("a line of more than %d bytes announces a result", MaxLine)
	}
}

// FuzzConversation: whatever is said, in whichever pieces, the same is understood, and little is kept.
func FuzzConversation(f *testing.F) {
	for _, s := range []string{"READY\n!RESULT 2\nOKREADY\n", "READY\n!RESULT 0\n\nREADY\n!x\n", " READY\nx", "READY\n!RESULT 1048576\n"} {
		f.Add(s, uint8(1))
	}
	f.Fuzz(func(t *testing.T, said string, size uint8) {
		var whole, parts Conversation
		turns := strings.Split(said, "!")
		var a, b strings.Builder
		for _, turn := range turns {
			hear := func(c *Conversation, p string, to *strings.Builder) {
				c.Hear([]byte(p), func(what Said, text []byte) {
					if what == SaidNoise || what == SaidLine {
						text = nil // as much of it as came at once
					}
					fmt.Fprintf(to, "%d(%s) ", what, text)
				})
				if len(c.Rest) > MaxResult+MaxLine {
					t.Fatalf("%d bytes are kept", len(c.Rest))
				}
			}
			hear(&whole, turn, &a)
			n := int(size)%7 + 1
			for turn != "" {
				k := min(n, len(turn))
				hear(&parts, turn[:k], &b)
				turn = turn[k:]
			}
			if whole.State == Ready {
				whole.Sent()
			}
			if parts.State == Ready {
				parts.Sent()
			}
		}
		if a.String() != b.String() || whole.State != parts.State {
			t.Errorf("%q: %s%s, in pieces %s%s", said, a.String(), whole.State, b.String(), parts.State)
		}
	})
}
