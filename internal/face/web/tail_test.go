package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/service"
)

// shown is the title and the text of a log's page.
func shown(t *testing.T, s *Site, query string) (title, text1 string, addresses []string) {
	t.Helper()
	r := ask(t, s, http.MethodGet, "/tail.html?"+query, "")
	if r.StatusCode != 200 {
		t.Errorf("%s: %d", query, r.StatusCode)
	}
	for _, e := range elements(t, text(t, r)) {
		switch {
		case e.name == "title":
			title = e.text
		case e.name == "pre":
			text1 = strings.TrimPrefix(e.text, "\n") // as browsers do
		case e.name == "a":
			addresses = append(addresses, e.attrs["href"])
		}
	}
	return title, text1, addresses
}

func TestTail(t *testing.T) {
	tests := []struct {
		query, log, title, text string
	}{
		{"processname=cat", "one\ntwo\n", "cat", "one\ntwo\n"},
		{"processname=cat&limit=4", "one\ntwo\n", "cat", "two\n"},
		{"processname=cat&limit=0", strings.Repeat("x", 2000), "cat", strings.Repeat("x", 1024)},
		{"processname=cat&limit=-5", strings.Repeat("x", 2000), "cat", strings.Repeat("x", 1024)},
		{"processname=cat&limit=abc", strings.Repeat("x", 2000), "cat", strings.Repeat("x", 1024)},
		{"processname=cat&limit=1500", strings.Repeat("x", 2000), "cat", strings.Repeat("x", 1500)},
		{"processname=cat&limit=99999999999999999999", strings.Repeat("x", 2000), "cat", strings.Repeat("x", 1024)},
		{"processname=cat&limit=999999999", strings.Repeat("x", 2<<20), "cat", strings.Repeat("x", 1<<20)},
		{"processname=g%3Aa", "", "g:a", ""},
		{"processname=cat", "\nfirst line is empty\n", "cat", "\nfirst line is empty\n"},
		{"processname=cat&limit=5", "é\U0001F600a", "cat", "\U0001F600a"},
		{"processname=cat&limit=4", "é\U0001F600a", "cat", "a"},
		{"processname=cat", "ends in a half \xf0\x9f", "cat", "ends in a half "},
		{"processname=cat", "\x1b[1mbold\x1b[0m\r\nnext\rover", "cat", "␛[1mbold␛[0m\nnext\nover"},
		{"processname=cat", "<b>&amp;</pre>", "cat", "<b>&amp;</pre>"},
		{"processname=cat&channel=stderr", "x", "cat", "No file for cat"},
		{"processname=cat&channel=other", "x", "cat", "x"},
		{"", "x", "None", "No process name found"},
		{"processname=&limit=10", "x", "None", "No process name found"},
		{"processname=nope", "x", "nope", "ERROR: unexpected rpc fault [3] FAULT: nope"},
		{"processname=g:*", "x", "g:*", "ERROR: unexpected rpc fault [3] FAULT: g:*"},
	}
	for _, tt := range tests {
		f := newFake()
		f.log = tt.log
		title, got, _ := shown(t, site(t, f), tt.query)
		if title != "Supervisor tail of process "+tt.title || got != tt.text {
			t.Errorf("%s: %q, %d bytes %.200q, want %d bytes", tt.query, title, len(got), got, len(tt.text))
		}
	}
}

func TestTailFails(t *testing.T) {
	f := newFake()
	f.down = errors.New("x")
	if _, got, _ := shown(t, site(t, f), "processname=cat"); got != "ERROR: unexpected rpc fault [1] FAULT: cat" {
		t.Errorf("%q", got)
	}
	if n := service.CodeOf(f.down); n != service.CodeFailed {
		t.Error(n)
	}
}

// TestTailLinks: refreshing keeps what was chosen.
func TestTailLinks(t *testing.T) {
	s := site(t, newFake())
	for _, channel := range []string{"stdout", "stderr"} {
		end, stream := "", "logtail/g%3Aa"
		if channel == "stderr" {
			end, stream = "&channel=stderr", stream+"/stderr"
		}
		_, _, got := shown(t, s, "processname=g:a&limit=77&channel="+channel)
		all := strings.Join(got, "\n") + "\n"
		for _, want := range []string{
			"index.html", stream, "tail.html?processname=g%3Aa&limit=77" + end, "tail.html?processname=g%3Aa&limit=77", "tail.html?processname=g%3Aa&limit=77&channel=stderr",
			fmt.Sprintf("tail.html?processname=g%%3Aa&limit=%d%s", 10<<10, end),
		} {
			if !strings.Contains(all, want+"\n") {
				t.Errorf("%s: no %s in\n%s", channel, want, all)
			}
		}
	}
	if _, _, got := shown(t, s, ""); len(got) != 3 { // skip, all programs, foot
		t.Error(got)
	}
}
