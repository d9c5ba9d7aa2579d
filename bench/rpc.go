//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// The calls that are measured.
const (
	methodInfo  = "supervisor.getAllProcessInfo"
	methodStart = "supervisor.startProcess"
	methodStop  = "supervisor.stopProcess"
)

// client is the least XML-RPC client: it builds calls of strings and booleans and returns answers as text.
type client struct{ http http.Client }

// newClient talks to a unix socket; keep = one connection for all calls.
func newClient(sock string, keep bool) *client {
	return &client{http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DisableKeepAlives: !keep, DisableCompression: true, MaxIdleConnsPerHost: 4,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", sock)
			},
		},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// call returns the body of the answer. A fault is an error.
func (c *client) call(method string, params ...string) ([]byte, error) {
	resp, err := c.http.Post("http://localhost/RPC2", "text/xml", strings.NewReader(request(method, params...)))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %s", resp.Status)
	}
	if head := string(body[:min(len(body), 200)]); strings.Contains(head, "<fault>") {
		return nil, fmt.Errorf("fault: %s", strings.Join(strings.Fields(string(body[:min(len(body), 400)])), ""))
	}
	return body, nil
}

// request is the XML of a call; params are finished values ("<string>x</string>").
func request(method string, params ...string) string {
	var t strings.Builder
	t.WriteString("<?xml version='1.0'?>\n<methodCall>\n<methodName>" + method + "</methodName>\n<params>\n")
	for _, p := range params {
		t.WriteString("<param>\n<value>" + p + "</value>\n</param>\n")
	}
	t.WriteString("</params>\n</methodCall>\n")
	return t.String()
}
