package rpc2

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlines remembers the write deadline in force when the answer began.
type deadlines struct {
	*httptest.ResponseRecorder
	set, began time.Time
}

func (w *deadlines) SetWriteDeadline(t time.Time) error { w.set = t; return nil }

func (w *deadlines) WriteHeader(status int) {
	w.began = w.set
	w.ResponseRecorder.WriteHeader(status)
}

func (w *deadlines) Write(p []byte) (int, error) {
	if w.began.IsZero() {
		w.began = w.set
	}
	return w.ResponseRecorder.Write(p)
}

// TestDeadlineOfTheAnswerBefore: a connection that has been quiet for long is as good as a new one.
func TestDeadlineOfTheAnswerBefore(t *testing.T) {
	e := serve(t, Options{Namespace: true})
	for _, target := range []string{"/ok.html", "/nope", "/RPC2", "/logtail/nope"} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder(), set: time.Unix(1, 0)}
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+target, nil))
		if left := time.Until(w.began); left < time.Second || left > writeTime {
			t.Errorf("%s: %v", target, left)
		}
	}
}
