package mail

import (
	"bytes"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
)

// read is what a reader of mail makes of one.
func read(t *testing.T, text []byte) (subject, body string, header mail.Header) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatalf("subject: %v in %q", err, text)
	}
	in := m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		in = quotedprintable.NewReader(in)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("body: %v in %q", err, text)
	}
	return subject, strings.ReplaceAll(string(b), "\r\n", "\n"), m.Header
}

// FuzzMail: whatever subject and text are, there is one mail with just the headers that it is to have, that subject and
// that text.
func FuzzMail(f *testing.F) {
	f.Add("it broke", "one\n.two\n..\nthree\n")
	f.Add("x\r\nBcc: all@example.com\r\n\r\nbody", "\r\n.\r\nMAIL FROM:<a>\n")
	f.Add("=?utf-8?q?looks_like_one?=", "=20 \xff\x00")
	f.Add(" blanks ", strings.Repeat("long ", 400))
	f.Add(strings.Repeat("\u65e5", 500)+"\xe6", "caf\u00e9 \n\t\n ")
	f.Fuzz(func(t *testing.T, subject, text string) {
		encoded, err := (&Message{From: "a@x.example", To: []string{"b@x.example"}, Subject: subject, Text: text, ID: "1", Automatic: true}).Encode(now())
		if err != nil {
			t.Fatal(err)
		}
		gotSubject, gotText, header := read(t, encoded)
		if want := strings.ToValidUTF8(subject, "\ufffd"); gotSubject != want {
			t.Errorf("subject %q, want %q", gotSubject, want)
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\ufffd"))
		if gotText != want {
			t.Errorf("text %q, want %q", gotText, want)
		}
		known := map[string]bool{
			"From": true, "To": true, "Date": true, "Message-Id": true, "Auto-Submitted": true, "Mime-Version": true,
			"Subject": true, "Content-Type": true, "Content-Transfer-Encoding": true,
		}
		for name, values := range header {
			if !known[name] || len(values) != 1 {
				t.Errorf("header %s: %q", name, values)
			}
		}
		for line := range bytes.Lines(encoded) {
			if len(line) > longestLine+1 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	})
}
