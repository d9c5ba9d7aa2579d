package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
)

func sample() *Report {
	at := time.Date(2026, 11, 20, 14, 2, 31, 0, time.FixedZone("CET", 3600))
	return &Report{
		ID: "01JD", Kind: "fatal", State: "FATAL", Host: "web-3", Notifier: "ops", Group: "shop", Time: at, Command: "upkeep why",
		Items: []Item{{
			Name: "shop:worker", Process: "worker", Since: at, Headline: "exit 3 after 0.2s, gave up after 4 tries",
			Lead:  "is down since 14:02:31 CET (20 Nov 2026).",
			Facts: []Fact{{"exit", "code 3 after 0.2s; 4 tries in 11s"}, {"checked", "nothing listens on 127.0.0.1:5432, where the program wants to connect to its database, as its output says"}},
			Lines: []string{"Error: connect ECONNREFUSED 127.0.0.1:5432"}, Stream: "stderr",
		}},
	}
}

func TestMessage(t *testing.T) {
	r := sample()
	if diff := cmp.Diff("[web-3] FATAL shop:worker, exit 3 after 0.2s, gave up after 4 tries", r.Subject()); diff != "" {
		t.Error(diff)
	}
	want := `shop:worker on web-3 is down since 14:02:31 CET (20 Nov 2026).

  exit      code 3 after 0.2s; 4 tries in 11s
  checked   nothing listens on 127.0.0.1:5432, where the program wants
            to connect to its database, as its output says

last 1 line of stderr
  Error: connect ECONNREFUSED 127.0.0.1:5432

  upkeep why shop:worker

-- ` + `
upkeep on web-3, notifier ops, message 01JD
`
	if diff := cmp.Diff(want, r.Text()); diff != "" {
		t.Error(diff)
	}
	it := r.Items[0]
	for _, name := range []string{"shop:b", "shop:c", "shop:d", "shop:e", "shop:f", "shop:g"} {
		it.Name = name
		r.Items = append(r.Items, it)
	}
	if diff := cmp.Diff("[web-3] FATAL 7 programs of shop: shop:worker, shop:b, shop:c, shop...", r.Subject()); diff != "" {
		t.Error(diff)
	}
	if text := r.Text(); !strings.Contains(text, "And 2 others:\n  shop:f is down since") || strings.Count(text, "ECONNREFUSED") != Detailed {
		t.Errorf("%s", text)
	}
	r.Items, r.Reminder, r.Group = []Item{{Headline: "safe mode", Lead: "starts nothing by itself."}}, true, ""
	if diff := cmp.Diff("[web-3] STILL FATAL safe mode", r.Subject()); diff != "" {
		t.Error(diff)
	}
}

// TestForms: the forms for programs are JSON that says the same; a chat service cannot be made to ring everybody.
func TestForms(t *testing.T) {
	r := sample()
	r.Items[0].Lines = append(r.Items[0].Lines, "<!channel> ```look```")
	b, err := r.JSON()
	var e envelope
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil || e.Type != "alert.fatal" || e.ID != r.ID || len(e.Programs) != 1 || e.Programs[0].Program != "shop:worker" || e.Programs[0].Log.Stream != "stderr" {
		t.Errorf("%s, %v", b, err)
	}
	b, err = r.Slack()
	var c chat
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Text != r.Subject() || len(c.Attachments) != 1 || strings.Contains(c.Attachments[0].Text, "<!") ||
		strings.Count(c.Attachments[0].Text, "```") != 2 {
		t.Errorf("%s, %v", b, err)
	}
}

func TestHidden(t *testing.T) {
	h := NewHider()
	for text, want := range map[string]string{
		"listening on :8000":                                    "listening on :8000",
		"password=hunter2 user=x":                               "password=[hidden] user=x",
		`{"db_password": "hun ter2", "a": 1}`:                   `{"db_password": [hidden], "a": 1}`,
		"Authorization: Basic dXNlcjpodW50ZXIy":                 "Authorization: [hidden]",
		"curl -H 'X: Bearer abc.def-1'":                         "curl -H 'X: Bearer [hidden]'",
		"dial postgres://app:hunter2@db:5432/x: refused":        "dial postgres://[hidden]@db:5432/x: refused",
		"key AKIAABCDEFGHIJKLMNOP used":                         "key [hidden] used",
		"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG":         "aws_secret_access_key = [hidden]",
		"post https://hooks.slack.com/services/T0/B0/hunter2 x": "post https://hooks.slack.com/[hidden] x",
	} {
		if diff := cmp.Diff(want, h.Line(text)); diff != "" {
			t.Error(diff)
		}
	}
	got := h.Lines([]string{"a", "-----BEGIN RSA PRIVATE KEY-----", "hunter2", "-----END RSA PRIVATE KEY-----", "b"})
	if diff := cmp.Diff([]string{"a", Hidden, "b"}, got); diff != "" {
		t.Error(diff)
	}
	got = h.Lines([]string{"hunter2", "hunter2==", "-----END RSA PRIVATE KEY-----", "b", "-----BEGIN PRIVATE KEY-----", "hunter2"})
	if diff := cmp.Diff([]string{Hidden, "b", Hidden}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzText: a secret that is named does not come through, whatever stands around it, and text stays text.
func FuzzText(f *testing.F) {
	f.Add("GET /?x=1 ", "hunter2hunter2", " 200")
	f.Add(`{"a":"`, "p4ssw0rd-p4ssw0rd", `"}`)
	f.Add("bearer bearer ", "AKIAAKIAAKIA", "://@")
	f.Add("\xc3", "", "\xa9") // one character, were they side by side
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		h := NewHider()
		text := before + "\n" + after
		if once := h.Line(text); utf8.ValidString(text) && !utf8.ValidString(once) {
			t.Errorf("%q is no text any more: %q", text, once)
		}
		if len(secret) < 8 || strings.Trim(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			return
		}
		secret = "zq" + secret + "qz"
		if strings.Contains(before, secret) || strings.Contains(after, secret) {
			return
		}
		got := h.Line(before + " password=" + secret + " " + after)
		if strings.Contains(got, secret) {
			t.Errorf("%q", got)
		}
	})
}

// FuzzCompose: whatever programs say, a subject is one line of at most 70 columns, no line of a text has more than 72, and
// nothing in them controls a terminal; the JSON is JSON.
func FuzzCompose(f *testing.F) {
	f.Add("shop:worker", "exit 3", "is down", "checked", "Error: no\n\x1b[31mred\x1b[0m", true, 1)
	f.Add("\u65e5\u672c\u8a9e", strings.Repeat("x", 300), strings.Repeat("\u65e5", 100), "\u202e", "\r\n\r\n.", false, 9)
	f.Add("", "", "", "", strings.Repeat("a b ", 500), false, 0)
	// Controls, line ends that are none, what turns the direction, and what is not seen.
	unsafe := func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == '\ufeff'
	}
	f.Fuzz(func(t *testing.T, name, headline, lead, factName, output string, reminder bool, n int) {
		r := &Report{ID: "1", Kind: "fatal", State: "FATAL", Host: headline, Notifier: name, Group: name, Reminder: reminder}
		for range n & 7 {
			r.Items = append(r.Items, Item{
				Name: name, Headline: headline, Lead: lead, Facts: []Fact{{factName, output}, {output, lead}},
				Stream: factName, Lines: strings.Split(output, "\n"),
			})
		}
		subject := r.Subject()
		if w := runewidth.StringWidth(subject); w > SubjectColumns || strings.ContainsFunc(subject, unsafe) {
			t.Errorf("subject of %d columns: %q", w, subject)
		}
		text := r.Text()
		if strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), unsafe) || !utf8.ValidString(subject+text) {
			t.Errorf("control characters: %q", text)
		}
		for l := range strings.Lines(text) {
			if w := runewidth.StringWidth(strings.TrimSuffix(l, "\n")); w > Columns {
				t.Errorf("%d columns: %q", w, l)
			}
		}
		for _, form := range []func() ([]byte, error){r.JSON, r.Slack} {
			if b, err := form(); err != nil || !json.Valid(b) {
				t.Errorf("%v: %q", err, b)
			}
		}
	})
}
