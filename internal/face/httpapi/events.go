package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
			if e.Tries > 0 { // it may still have to wait for others
				v.Text += ", " + words.Count(e.Tries, "attempt", "attempts") + " failed before"
			}
		case model.EventProcessRunning:
			v.Text = "running, pid " + strconv.Itoa(e.PID)
			if e.Adopted {
				v.Text += ", adopted"
			}
		case model.EventProcessExited:
			v.Expected = &e.Expected
			v.Text = "ended unexpectedly"
			if e.Expected {
				v.Text = "ended as expected"
			}
		case model.EventProcessBackoff:
			v.Text = "waits for its restart_delay"
			if e.Tries > 0 { // it may have been the last attempt
				v.Text = "did not stay up, attempt " + strconv.Itoa(e.Tries)
			}
		case model.EventProcessFatal:
			v.Text = "given up"
		case model.EventProcessStopping:
			v.Text = "asked to end"
		}
	case e.Type == model.EventGroupAdded, e.Type == model.EventGroupRemoved:
		v.Text = strings.ToLower(strings.TrimPrefix(v.Type, "PROCESS_GROUP_"))
	case e.Type == model.EventRemote:
		v.Text = "message of type " + words.Quote(e.Kind)
	case e.Type == model.EventCheckFailed, e.Type == model.EventCheckPassed, e.Type == model.EventCheckAction:
		v.Check = e.Kind
		v.Text = "check " + e.Kind + " " + map[model.EventType]string{
			model.EventCheckFailed: "fails: ", model.EventCheckPassed: "passes: ", model.EventCheckAction: "has it started anew: ",
		}[e.Type] + string(e.Data)
	case e.Type == model.EventReleased:
		v.Text = "let go of, pid " + strconv.Itoa(e.PID)
	case e.Type == model.EventDaemonRunning:
		v.Text = "the daemon runs"
	case e.Type == model.EventDaemonStopping:
		v.Text = "the daemon ends"
	default:
		return nil
	}
	return v
}

// events lists what has happened: after=N what comes after that number, since=TIME, select=… of some programs, limit=N
// the last ones. As text/event-stream it goes on with what happens; Last-Event-ID continues where another stream has
// ended. Numbers begin again with each daemon: one that it has not come to yet is of another daemon, and counts as 0.
func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	n, err := number(r, "after", 0)
	if err != nil {
		return err
	}
	after, restarted := uint64(n), false
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
	live := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if id := r.Header.Get("Last-Event-ID"); live && id != "" {
		if after, restarted, err = a.resumed(id); err != nil {
			return err
		}
	} else if after > a.o.Service.LastEvent() {
		after, restarted = 0, true
	} else if live && q.Get("after") == "" && limit == 0 && since.IsZero() {
		after = a.o.Service.LastEvent()
	}
	if live && limit == 0 {
		return a.streamEvents(w, r, after, restarted, keep)
	}
	list, _, err := a.o.Service.Events(r.Context(), after, 0)
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
	if live {
		if after = a.o.Service.LastEvent(); len(out) > 0 {
			after = out[0].Seq - 1
		} else if len(list) > 0 {
			after = list[len(list)-1].Seq
		}
		return a.streamEvents(w, r, after, restarted, keep)
	}
	return reply(w, http.StatusOK, upkeep.List(out))
}

// eventID is the name of an event in a stream: its number, and whose number it is.
func (a *API) eventID(seq uint64) string { return strconv.FormatUint(seq, 10) + "-" + a.life }

// resumed is the number after which a stream goes on for one who has seen the event of that name; restarted says that it
// was of an earlier daemon, so that everything is new.
func (a *API) resumed(id string) (after uint64, restarted bool, err error) {
	number, life, named := strings.Cut(id, "-")
	if after, err = strconv.ParseUint(number, 10, 64); err != nil {
		return 0, false, badRequest("Last-Event-ID is none that was given out: " + strconv.Quote(id))
	}
	if named && life != a.life || after > a.o.Service.LastEvent() {
		return 0, true, nil
	}
	return after, false, nil
}

// gap says in a stream that events are missing.
type gap struct {
	Dropped   uint64 `json:"dropped"`             // how many are missing; of an earlier daemon nobody knows
	Restarted bool   `json:"restarted,omitempty"` // the numbers begin again: what follows is of another daemon
}

// streamEvents sends events as they happen. Who is too slow for them is told how many are missing.
func (a *API) streamEvents(w http.ResponseWriter, r *http.Request, after uint64, restarted bool, keep func(*model.Event) *upkeep.Event) error {
	s := newStream(w)
	if restarted {
		s.frame(a.eventID(after), "gap", gap{Restarted: true})
	}
	s.flush()
	for {
		list, lost, err := a.o.Service.Events(r.Context(), after, burst)
		if err != nil {
			return s.end(err)
		}
		if lost > 0 {
			after += lost
			s.frame(a.eventID(after), "gap", gap{Dropped: lost})
		}
		for i := range list {
			after = list[i].Seq
			if e := keep(&list[i]); e != nil {
				s.frame(a.eventID(e.Seq), "event", e)
			}
		}
		s.flush()
		if s.err != nil {
			return s.end(s.err)
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
	s.flush()
	return s
}

func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(streamWrite))
	_, s.err = io.WriteString(s.w, text)
}

// flush sends what was written.
func (s *stream) flush() {
	if s.err == nil {
		s.err = s.c.Flush()
	}
}

// frame sends one event.
func (s *stream) frame(id, name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.err = err
		return
	}
	s.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", id, name, data))
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
		s.flush()
		if s.err != nil {
			return s.err
		}
	}
}
