// Package mail makes mail of plain text and gives it to a mail server. Whatever subject and text are, what a reader of mail
// makes of it is one mail with that subject and that text.
package mail

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is a mail of plain text.
type Message struct {
	From, Subject, Text string // no subject, no such line
	To                  []string
	// ID is what is unique in its Message-ID: the same for every attempt to deliver it, so that a receiver can tell a second copy.
	// Empty = a new one for each.
	ID string
	// Automatic marks it as written by no person, so that nothing answers it. Source: RFC 3834.
	Automatic bool
}

// Encode makes headers and body, lines ended by "\n". Nothing in a header may begin another header: that is an error in
// an address, and is packed in a subject.
func (m *Message) Encode(now time.Time) ([]byte, error) {
	id := m.ID
	if id == "" {
		id = rand.Text()
	}
	automatic := ""
	if m.Automatic {
		automatic = "auto-generated"
	}
	var b bytes.Buffer
	for _, h := range []struct{ name, value string }{
		{"From", m.From},
		{"To", strings.Join(m.To, ", ")},
		{"Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0000")},
		{"Message-ID", "<" + id + "@" + Host() + ">"},
		{"Auto-Submitted", automatic},
		{"MIME-Version", "1.0"},
	} {
		if strings.ContainsAny(h.value, "\r\n") {
			return nil, fmt.Errorf("%s of the mail has several lines: %q", h.name, h.value)
		}
		if h.value != "" {
			b.WriteString(h.name + ": " + h.value + "\n")
		}
	}
	if m.Subject != "" {
		b.WriteString("Subject: " + words(m.Subject) + "\n")
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(m.Text, "\ufffd"))
	if plainText(text) {
		b.WriteString("Content-Type: text/plain; charset=\"us-ascii\"\nContent-Transfer-Encoding: 7bit\n\n" + text)
		return b.Bytes(), nil
	}
	b.WriteString("Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: quoted-printable\n\n")
	var packed bytes.Buffer
	w := quotedprintable.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	b.Write(bytes.ReplaceAll(packed.Bytes(), []byte("\r\n"), []byte("\n")))
	return b.Bytes(), nil
}

const (
	// longestLine is the longest that mail may have, in bytes. Source: RFC 5322, 2.1.1.
	longestLine = 998
	// longestPlain is the longest subject that is left as it is, in bytes.
	longestPlain = 900
	// wordBytes is how much text one encoded word has: 75 characters with all that is around it. Source: RFC 2047, 2.
	wordBytes = 45
)

// words is a header's text: as it is where that is safe, else in encoded words, one in each line. Text that only looks like
// an encoded word, or has blanks that readers strip, is packed too.
func words(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	odd := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
	if !odd && !strings.Contains(s, "=?") && strings.TrimSpace(s) == s && len(s) <= longestPlain {
		return s
	}
	var out []string
	for s != "" {
		n := min(len(s), wordBytes)
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		out = append(out, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(out, "\n ")
}

// plainText reports whether a text can travel as it is.
func plainText(s string) bool {
	for line := range strings.SplitSeq(s, "\n") {
		if len(line) > longestLine {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || r == '\r' || r == 0 })
}

// Host is this machine's name as mail may have it, in addresses and to greet a server: localhost where it is none.
func Host() string {
	name, _ := os.Hostname() // then it is empty
	return domain(name)
}

// domain is a name if it is one that mail takes.
func domain(name string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	}
	if name == "" || name[0] == '-' || strings.ContainsFunc(name, odd) {
		return "localhost"
	}
	return name
}

// Address is the bare address of what may be "Name <address>".
func Address(s string) string {
	if a, err := mail.ParseAddress(s); err == nil {
		return a.Address
	}
	return s
}
