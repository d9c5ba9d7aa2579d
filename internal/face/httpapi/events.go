package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

const (
	// heartbeat is how often a stream says that it is alive when nothing happens.
	heartbeat = 15 * time.Second
	// burst is how many events are written at once.
	burst = 256
	// streamWrite is how long a client may take for what it is sent.
	streamWrite = time.Minute
)

// event is an event as clients see it; nil for those that are not for them: output and ticks.
func event(e *model.Event) *upkeep.Event {
	v := &upkeep.Event{Seq: e.Seq, Time: e.Time, Type: string(e.Type), PID: e.PID, Tries: e.Tries}
	if e.ID.Name != "" {
		v.ID = e.ID.String()
	}
	v.Group = e.ID.Group
	switch {
	case strings.HasPrefix(v.Type, "PROCESS_STATE_"):
		v.From = e.From.String()
		state := strings.ToLower(strings.TrimPrefix(v.Type, "PROCESS_STATE_"))
		v.Text = state
		switch e.Type {
		case model.EventProcessStarting:
			if e.Tries > 0 {
				v.Text = "started, " + words.Count(e.Tries, "attempt", "attempts") + " failed before"
			} else {
				v.Text = "started"
			}
		case model.EventProcessRunning:
			v.Text = "running, pid " + strconv.Itoa(e.PID)
		case model.EventProcessExited:
			v.Expected = &e.Expected
			v.Text = "ended unexpectedly"
			if e.Expected {
				v.Text = "ended as expected"
			}
		case model.EventProcessBackoff:
			v.Text = "did not stay up, tried again in " + words.Duration(time.Duration(e.Tries)*time.Second)
		case model.EventProcessFatal:
			v.Text = "given up"
		case model.EventProcessStopping:
			v.Text = "asked to end"
		}
	case e.Type == model.EventGroupAdded, e.Type == model.EventGroupRemoved:
		v.Text = strings.ToLower(strings.TrimPrefix(v.Type, "PROCESS_GROUP_"))
	case e.Type == model.EventRemote:
		v.Text = "message of type " + words.Quote(e.Kind)
	case e.Type == model.EventDaemonRunning:
		v.Text = "the daemon runs"
	case e.Type == model.EventDaemonStopping:
		v.Text = "the daemon ends"
	default:
		return nil
	}
	return v
}

// events lists what has happened: after=N from that number on, since=TIME, select=… of some programs, limit=N the last
// ones. As text/event-stream it goes on with what happens; Last-Event-ID continues where another stream has ended.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	after, err := number(r, "after", 0)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", 0)
	if err != nil {
		return err
	}
	since, err := moment(r, "since")
	if err != nil {
		return err
	}
	var want func(model.ID) bool
	if sel := q["select"]; len(sel) > 0 {
		want = func(id model.ID) bool {
			found, _ := service.Select([]model.Status{{ID: id}}, sel)
			return len(found) > 0
		}
	}
	keep := func(e *model.Event) *upkeep.Event {
		if e.Time.Before(since) || want != nil && (e.ID.Name == "" || !want(e.ID)) {
			return nil
		}
		return event(e)
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			if after, err = strconv.Atoi(id); err != nil {
				return badRequest("Last-Event-ID is no number")
			}
		} else if q.Get("after") == "" {
			after = int(a.o.Service.LastEvent())
		}
		return a.streamEvents(w, r, uint64(after), keep)
	}
	list, _, err := a.o.Service.Events(r.Context(), uint64(after), 0)
	if err != nil {
		return err
	}
	var out []upkeep.Event
	for i := range list {
		if e := keep(&list[i]); e != nil {
			out = append(out, *e)
		}
	}
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}

// streamEvents sends events as they happen. Who is too slow for them is told how many are missing.
func (a *API) streamEvents(w http.ResponseWriter, r *http.Request, after uint64, keep func(*model.Event) *upkeep.Event) error {
	s := newStream(w)
	for {
		list, lost, err := a.o.Service.Events(r.Context(), after, burst)
		if err != nil {
			return s.end(err)
		}
		if lost > 0 {
			s.frame(after+lost, "gap", map[string]uint64{"dropped": lost})
			after += lost
		}
		for i := range list {
			after = list[i].Seq
			if e := keep(&list[i]); e != nil {
				s.frame(e.Seq, "event", e)
			}
		}
		if s.err != nil {
			return s.err
		}
		if len(list) == 0 && lost == 0 {
			if err := s.wait(r, func(r *http.Request) error { return a.o.Service.WaitEvent(r.Context(), after) }); err != nil {
				return s.end(err)
			}
		}
	}
}

// stream is an answer in server-sent events.
type stream struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	err error
}

func newStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	s := &stream{w: w, c: http.NewResponseController(w)}
	s.write("retry: 2000\n\n")
	return s
}

func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, s.err = fmt.Fprint(s.w, text); s.err == nil {
		s.err = s.c.Flush()
	}
}

// frame sends one event.
func (s *stream) frame(id uint64, name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.err = err
		return
	}
	s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, name, data))
}

// end is the error of a stream that has begun: it can only break off.
func (s *stream) end(error) error { panic(http.ErrAbortHandler) }

// wait waits for something, and shows meanwhile that the stream is alive.
func (s *stream) wait(r *http.Request, f func(*http.Request) error) error {
	for {
		ctx, cancel := context.WithTimeout(r.Context(), heartbeat)
		err := f(r.WithContext(ctx))
		timedOut := ctx.Err() != nil && r.Context().Err() == nil
		cancel()
		if !timedOut {
			return err
		}
		s.write(": alive\n\n")
		if s.err != nil {
			return s.err
		}
	}
}
