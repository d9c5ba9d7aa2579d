package rpc2

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/piece"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// backlog is how many bytes of the past a stream begins with. Source: spec/supervisor 5.11.
const backlog = 1024

// serveLogTail streams /logtail/NAMESPEC[/CHANNEL].
func (s *Server) serveLogTail(w *recorder, r *http.Request) {
	if r.Method != http.MethodGet {
		s.fail(w, http.StatusBadRequest)
		return
	}
	_, rest, ok := strings.Cut(strings.TrimLeft(r.URL.Path, "/"), "/")
	name, channel, given := strings.Cut(rest, "/")
	ref := service.LogRef{Channel: service.Stdout}
	switch {
	case !given || channel == "stdout":
	case channel == "stderr":
		ref.Channel = service.Stderr
	default:
		ok = false
	}
	id, single := model.SplitNamespec(name)
	if !ok || !single {
		s.fail(w, http.StatusNotFound)
		return
	}
	ref.ID = id
	s.stream(w, r, ref)
}

// serveMainLogTail streams /mainlogtail.
func (s *Server) serveMainLogTail(w *recorder, r *http.Request) {
	if r.Method != http.MethodGet {
		s.fail(w, http.StatusBadRequest)
		return
	}
	s.stream(w, r, service.LogRef{Main: true})
}

// stream sends a log as it grows, until the client goes away, the server ends or the log is closed.
func (s *Server) stream(w *recorder, r *http.Request, ref service.LogRef) {
	f, err := s.o.Service.FollowLog(r.Context(), ref, backlog)
	if err != nil {
		switch service.CodeOf(err) {
		case service.CodeNoFile, service.CodeNoSuchProgram:
			s.fail(w, http.StatusNotFound)
		case service.CodeShuttingDown:
			s.fail(w, http.StatusServiceUnavailable)
		default:
			s.o.Log.Error(peer(r) + ":Server Error: " + oneLine(err.Error(), 512))
			s.fail(w, http.StatusInternalServerError)
		}
		return
	}
	defer f.Close()
	h := w.Header()
	if t := f.ModTime(); !t.IsZero() {
		h.Set("Last-Modified", t.UTC().Format(http.TimeFormat))
	}
	h.Set("Content-Type", "text/plain;charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if !ref.Main {
		h.Set("X-Accel-Buffering", "no")
	}
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	if rc.Flush() != nil {
		return
	}
	buf := make([]byte, 32<<10)
	held := 0 // bytes at the start of buf that wait for the rest of their character
	for first := true; ; first = false {
		n, err := f.Read(buf[held:])
		data := buf[:held+n]
		if first {
			data = data[piece.Start(data):]
		}
		rest := 0
		if err == nil {
			rest = piece.End(data)
		}
		if len(data) > rest {
			// A client that does not read is let go; the log is on the disk and loses nothing.
			_ = rc.SetWriteDeadline(time.Now().Add(writeTime))
			if _, werr := w.Write(data[:len(data)-rest]); werr != nil || rc.Flush() != nil {
				return
			}
		}
		held = copy(buf, data[len(data)-rest:])
		if errors.Is(err, io.EOF) || r.Context().Err() != nil {
			return
		}
		if err != nil {
			// Without a last chunk the client sees that there would have been more.
			panic(http.ErrAbortHandler)
		}
	}
}
