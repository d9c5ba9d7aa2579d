package units

import "strings"

// unixURL begins the address of a page behind a unix socket.
const unixURL = "http+unix://"

// UnixURL splits the address of a page behind a unix socket, "http+unix:///run/web.sock:/health": the absolute path of the
// socket, which has no colon in it, and the page, "/" when none is said. ok is false for every other text.
func UnixURL(s string) (socket, page string, ok bool) {
	rest, ok := strings.CutPrefix(s, unixURL)
	if !ok || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return "", "", false
	}
	socket, page, said := strings.Cut(rest, ":")
	if !said {
		page = "/"
	}
	if len(socket) < 2 || socket[0] != '/' || !strings.HasPrefix(page, "/") {
		return "", "", false
	}
	return socket, page, true
}
