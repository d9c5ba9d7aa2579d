package rpc2

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestServed: every request that was answered is told of once, with what it asked for and its status, also one that was
// refused and one whose handler has failed.
func TestServed(t *testing.T) {
	var mu sync.Mutex
	var got []string
	e := serve(t, Options{
		Handlers: map[string]http.Handler{
			"/page": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
			"/bad":  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("it fails") }),
		},
		Served: func(path, method string, status int, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			if took < 0 {
				t.Errorf("%s took %v", path, took)
			}
			got = append(got, method+" "+path+" "+http.StatusText(status))
		},
	})
	for _, path := range []string{"/page", "/bad", "/nowhere"} {
		e.raw(t, 1, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	}
	e.raw(t, 1, "POST /page HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	want := "GET /bad Internal Server Error, GET /nowhere Not Found, GET /page OK, POST /page Forbidden"
	eventually(t, want, func() bool {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(got)
		return strings.Join(got, ", ") == want
	})
}
