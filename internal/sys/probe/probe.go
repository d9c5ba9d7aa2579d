// Package probe takes one look at something that a program offers: a port, a socket, a page, a command, a file. Every look
// ends with its context; a file system that hangs is the one thing that can hold one longer.
//
// What is found is for people, and says whether it is as it should be; an error says that the look could not be taken, which
// means nothing about the program.
//
// Source: spec/usrsvc US-76, US-77, US-80.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

// Result is what a look has found.
type Result struct {
	OK   bool
	Text string // one line, safe for a terminal
}

// maxBody is how much of a page is looked at.
const maxBody = 64 << 10

// maxText bounds what is said about foreign text, in bytes.
const maxText = 200

// TCP looks whether host:port accepts a connection.
func TCP(ctx context.Context, address string) (Result, error) { return dial(ctx, "tcp", address) }

// Unix looks whether a unix socket accepts a connection.
func Unix(ctx context.Context, path string) (Result, error) { return dial(ctx, "unix", path) }

func dial(ctx context.Context, network, address string) (Result, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return failed(ctx, err)
	}
	conn.Close()
	return Result{true, "accepts connections"}, nil
}

// failed says why there was no connection. What is our own trouble is an error.
func failed(ctx context.Context, err error) (Result, error) {
	if ctx.Err() != nil || isTimeout(err) {
		return Result{Text: "no answer in time"}, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Result{Text: "it closed the connection without an answer"}, nil
	}
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, ours) {
			return Result{}, err
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var call interface{ Unwrap() error }
	if errors.As(err, &call) && call.Unwrap() != nil {
		err = call.Unwrap() // without the name of the system call
	}
	return Result{Text: oneLine(err.Error())}, nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// Page is what is expected of an address.
type Page struct {
	URL    string // http://, https://, or http+unix:///path/of/socket:/page
	Status Codes
	Body   *regexp.Regexp // nil = any
}

// Get gets a page. Redirects are not followed, certificates are not verified, proxies are not used: the question is whether
// the program answers.
func Get(ctx context.Context, p Page) (Result, error) {
	target, t := transport(p.URL)
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return Result{}, err
	}
	req.Header.Set("User-Agent", "upkeep-check")
	answer, err := t.RoundTrip(req)
	if err != nil {
		return failed(ctx, err)
	}
	defer answer.Body.Close()
	status := oneLine(strings.TrimSpace(strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode)))
	if !p.Status.Has(answer.StatusCode) {
		return Result{Text: status}, nil
	}
	if p.Body == nil {
		return Result{true, status}, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	switch {
	case p.Body.Match(body):
		return Result{true, status + ", and the text is as expected"}, nil
	case err != nil:
		return Result{Text: status + ", but the text did not come"}, nil
	}
	return Result{Text: status + ", but the text does not have " + words.Quote(oneLine(p.Body.String()))}, nil
}

// transport is how to get an address, and what to ask for.
func transport(address string) (target string, t *http.Transport) {
	t = &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxBody,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
	socket, page, ok := units.UnixURL(address)
	if !ok {
		return address, t
	}
	var d net.Dialer
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) }
	return "http://localhost" + page, t
}

// oneLine is foreign text for one line of ours.
func oneLine(s string) string { return termtext.Line([]byte(s), maxText) }

// Codes are accepted status codes, ranges of them. None = 200 to 399.
type Codes []Range

// Range is from first to last.
type Range struct{ First, Last int }

// ParseCodes reads "200-399" or "200,204".
func ParseCodes(s string) (Codes, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var out Codes
	for _, part := range strings.Split(s, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 10)
		b, errb := strconv.ParseUint(last, 10, 10)
		if err != nil || errb != nil || a < 100 || b > 599 || a > b {
			return nil, fmt.Errorf("%q is no status of HTTP, nor a range of them", part)
		}
		out = append(out, Range{int(a), int(b)})
	}
	return out, nil
}

// Has reports whether a code is among them.
func (c Codes) Has(code int) bool {
	if len(c) == 0 {
		return code >= 200 && code <= 399
	}
	for _, r := range c {
		if code >= r.First && code <= r.Last {
			return true
		}
	}
	return false
}
