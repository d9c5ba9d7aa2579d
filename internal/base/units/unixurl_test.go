package units

import (
	"strings"
	"testing"
)

func TestUnixURL(t *testing.T) {
	for _, c := range []struct {
		in, socket, page string
	}{
		{"http+unix:///run/web.sock:/health?x=1", "/run/web.sock", "/health?x=1"},
		{"http+unix:///run/web.sock", "/run/web.sock", "/"},
		{"http+unix:///run/web.sock:/", "/run/web.sock", "/"},
		{"http+unix:///a:/b:c", "/a", "/b:c"},
		{in: "http+unix://run/web.sock:/health"},
		{in: "http+unix:///run/web.sock:health"},
		{in: "http+unix:///run/web.sock:"},
		{in: "http+unix:///"},
		{in: "http+unix://"},
		{in: "http+unix:///run/my web.sock"},
		{in: "http:///run/web.sock:/health"},
		{in: ""},
	} {
		socket, page, ok := UnixURL(c.in)
		if socket != c.socket || page != c.page || ok != (c.socket != "") {
			t.Errorf("%q: %q, %q, %t", c.in, socket, page, ok)
		}
	}
}

func FuzzUnixURL(f *testing.F) {
	f.Add("http+unix:///run/web.sock:/health")
	f.Fuzz(func(t *testing.T, s string) {
		socket, page, ok := UnixURL(s)
		if !ok && (socket != "" || page != "") {
			t.Errorf("%q is none, and has %q and %q", s, socket, page)
		}
		if ok && (!strings.HasPrefix(socket, "/") || !strings.HasPrefix(page, "/") || strings.Contains(socket, ":") ||
			strings.TrimSuffix(unixURL+socket+":"+page, ":/") != strings.TrimSuffix(s, ":/")) {
			t.Errorf("%q is %q and %q", s, socket, page)
		}
	})
}
