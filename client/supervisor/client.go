// Package supervisor is a client of the XML-RPC interface that supervisord offers, over TCP
// (http://host:port) or a unix socket (unix:///path). It speaks to the original as well.
//
//	c, err := supervisor.New(supervisor.Options{URL: "unix:///run/supervisor.sock"})
//	infos, err := c.GetAllProcessInfo(ctx)
//
// A Client is safe for concurrent use. Source: spec/supervisor 5.
package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/local"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// The values of calls and answers; see their package for the mapping of types.
type (
	// Fault is the error of a call that the daemon refused.
	Fault = xmlrpc.Fault
	// Struct is an ordered XML-RPC struct.
	Struct = xmlrpc.Struct
	// Member is one member of a Struct.
	Member = xmlrpc.Member
)

// DefaultURL is where supervisorctl looks when nothing is configured.
const DefaultURL = "http://localhost:9001"

// maxAnswer bounds the size of an answer in bytes, unless Options.MaxAnswer does.
const maxAnswer = 512 << 20

// Options says where the daemon is. The zero value means DefaultURL without credentials.
type Options struct {
	URL                string // http://host[:port][/path], https://… or unix:///path
	Username, Password string // Basic authentication when Username is not empty
	UserAgent          string // default "upkeep"
	MaxAnswer          int    // the most bytes that an answer may have; 0 = 512 MiB
	// Dial replaces the dialling of connections; nil = the system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ProtocolError is an answer that is not 200 OK.
type ProtocolError struct {
	Host   string // host and path of the request, e.g. "127.0.0.1:9001/RPC2"; "127.0.0.1" for unix sockets
	Code   int    // HTTP status code
	Status string // its reason phrase, e.g. "Unauthorized"
}

// Error is where and what.
func (e *ProtocolError) Error() string { return fmt.Sprintf("%s: %d %s", e.Host, e.Code, e.Status) }

// URLError is a server address that cannot be used.
type URLError struct{ URL, Reason string }

// Error names the address and the reason.
func (e *URLError) Error() string { return fmt.Sprintf("server address %q: %s", e.URL, e.Reason) }

// Client is a client of one daemon.
type Client struct {
	base string // scheme and host
	opts Options
	http *http.Client
}

// New makes a client; it does not connect. The error is a *URLError.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	if o.UserAgent == "" {
		o.UserAgent = "upkeep"
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = maxAnswer
	}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	tr := &http.Transport{
		DialContext:         dial,
		TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression:  true,
		// A kept connection that the daemon closes meanwhile (it restarts, say) would leave open whether
		// the next order arrived. A new one costs some 0.1 ms. That is not announced to the daemon: the
		// original holds back the log streams of clients that do.
		MaxIdleConnsPerHost: -1,
	}
	c := &Client{opts: o, http: &http.Client{
		Transport: tr,
		// Credentials must not travel to where somebody else points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if path, ok := strings.CutPrefix(o.URL, "unix://"); ok {
		if path == "" {
			return nil, &URLError{o.URL, "no path"}
		}
		c.base = "http://127.0.0.1"
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			if o.Dial == nil {
				return local.Dial(ctx, path)
			}
			return dial(ctx, "unix", path)
		}
		return c, nil
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, &URLError{o.URL, "malformed"}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &URLError{o.URL, "the scheme must be http, https or unix"}
	case u.Host == "":
		return nil, &URLError{o.URL, "no host"}
	}
	c.base = u.Scheme + "://" + u.Host
	if u.User != nil && o.Username == "" {
		c.opts.Username = u.User.Username()
		c.opts.Password, _ = u.User.Password()
	}
	return c, nil
}

// SetCredentials replaces the credentials. It must not run beside a call.
func (c *Client) SetCredentials(username, password string) {
	c.opts.Username, c.opts.Password = username, password
}

// Close releases what the client holds; calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call calls a method and returns its value: int, bool, string, float64, []any, Struct, []byte,
// time.Time or nil. Errors: *Fault, *ProtocolError, or a connection error that unwraps to its
// syscall.Errno (ECONNREFUSED, ENOENT…) or to the error of ctx.
func (c *Client) Call(ctx context.Context, method string, params ...any) (any, error) {
	body := xmlrpc.AppendCall(nil, method, params...)
	resp, err := c.do(ctx, http.MethodPost, "/RPC2", body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := readAll(resp, int64(c.opts.MaxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	v, err := xmlrpc.ParseResponse(answer, xmlrpc.Limits{})
	var fault *Fault
	if err != nil && !errors.As(err, &fault) {
		return nil, fmt.Errorf("answer to %s: %w", method, err)
	}
	return v, err
}

// readAll reads an answer into one allocation when its length is announced.
func readAll(resp *http.Response, limit int64) ([]byte, error) {
	if n := resp.ContentLength; n > limit {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", n, limit)
	} else if n >= 0 {
		b := make([]byte, n)
		_, err := io.ReadFull(resp.Body, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than the limit of %d bytes", limit)
	}
	return b, err
}

// Stream opens one of the log streams, "/logtail/NAME[/stderr]" or "/mainlogtail", whose bytes come
// until the daemon or ctx ends it or the stream is closed. Names are percent-encoded by the caller
// (LogPath does). Errors as of Call; a log that does not exist is a *ProtocolError with code 404.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// MainLogPath is the path of the daemon's own log for Stream.
const MainLogPath = "/mainlogtail"

// LogPath is the path of a program's log for Stream; channel is "stdout" or "stderr".
func LogPath(name, channel string) string {
	return "/logtail/" + url.PathEscape(name) + "/" + url.PathEscape(channel)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return nil, &URLError{c.base + path, "malformed"}
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "text/xml")
		req.Header.Set("Accept", "text/xml")
	}
	if c.opts.Username != "" {
		req.SetBasicAuth(c.opts.Username, c.opts.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text repeats the request; the cause is what matters
			err = ue.Err
		}
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		status := strings.TrimPrefix(resp.Status, fmt.Sprintf("%d ", resp.StatusCode))
		return nil, &ProtocolError{Host: req.URL.Host + path, Code: resp.StatusCode, Status: status}
	}
	return resp, nil
}
