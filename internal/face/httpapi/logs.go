package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// processLogs are the logs of one program.
func (a *API) processLogs(w http.ResponseWriter, r *http.Request) error {
	st, err := a.one(r)
	if err != nil {
		return err
	}
	return a.lines(w, r, []model.Status{st})
}

// logs are those of several programs, merged by time: select=… and what lines says; or with daemon=1 the activity log of
// the daemon itself.
func (a *API) logs(w http.ResponseWriter, r *http.Request) error {
	if set(r, "daemon") {
		return a.lines(w, r, nil)
	}
	list, err := a.selected(r.Context(), r.URL.Query()["select"], nil)
	if err != nil {
		return err
	}
	return a.lines(w, r, list)
}

// query reads what is wanted of logs: stream=stdout|stderr, since, until, tail=N, run=-N, grep=REGEXP, follow=1.
func (a *API) query(r *http.Request, list []model.Status) (service.LogQuery, error) {
	p := r.URL.Query()
	var q service.LogQuery
	var err error
	if q.Since, err = moment(r, "since"); err != nil {
		return q, err
	}
	if q.Until, err = moment(r, "until"); err != nil {
		return q, err
	}
	if text := p.Get("tail"); text != "" {
		if q.Tail, err = number(r, "tail", 0); err != nil {
			return q, err
		}
		if q.Tail == 0 {
			q.Tail = -1
		}
	}
	if text := p.Get("run"); text != "" {
		if q.Run, err = strconv.Atoi(text); err != nil || q.Run > 0 {
			return q, badRequest("run is 0 for all, -1 for the previous one, -2 for the one before it: " + strconv.Quote(text))
		}
	}
	if text := p.Get("grep"); text != "" {
		if q.Match, err = regexp.Compile(text); err != nil {
			return q, badRequest(err.Error())
		}
	}
	q.Follow = set(r, "follow")
	if q.Follow && q.Run != 0 {
		return q, badRequest("a run that is over cannot be followed")
	}
	stream := p.Get("stream")
	if stream != "" && stream != "stdout" && stream != "stderr" {
		return q, badRequest("stream is stdout or stderr: " + strconv.Quote(stream))
	}
	if set(r, "daemon") {
		q.Logs = []service.LogRef{{Main: true}}
		return q, nil
	}
	for _, st := range list {
		for _, c := range []service.Channel{service.Stdout, service.Stderr} {
			if stream == "" || stream == channelName(c) {
				q.Logs = append(q.Logs, service.LogRef{ID: st.ID, Channel: c})
			}
		}
	}
	return q, nil
}

// set reports whether a parameter that is a switch is on.
func set(r *http.Request, name string) bool {
	v := r.URL.Query().Get(name)
	return v != "" && v != "0"
}

func channelName(c service.Channel) string {
	if c == service.Stderr {
		return "stderr"
	}
	return "stdout"
}

// lines answers with the lines of logs: as JSON, one line each (application/x-ndjson), as events
// (text/event-stream) or, in any other case, as plain text, which is what the programs wrote.
func (a *API) lines(w http.ResponseWriter, r *http.Request, list []model.Status) error {
	q, err := a.query(r, list)
	if err != nil {
		return err
	}
	var reader service.LogReader = noLines{}
	if len(q.Logs) > 0 {
		if reader, err = a.o.Service.Logs(r.Context(), q); err != nil {
			return err
		}
	}
	defer reader.Close()
	accept := r.Header.Get("Accept")
	var put func(service.LogLine) error
	var flush func(idle bool) error
	switch {
	case strings.Contains(accept, "text/event-stream"):
		s := newStream(w)
		n := uint64(0)
		put = func(l service.LogLine) error { n++; s.frame(strconv.FormatUint(n, 10), "log", line(l)); return s.err }
		flush = func(idle bool) error {
			if idle {
				s.write(": alive\n\n")
			}
			s.flush()
			return s.err
		}
	default:
		form, render := "text/plain; charset=utf-8", plain
		if strings.Contains(accept, "ndjson") {
			form, render = "application/x-ndjson", ndjson
		}
		w.Header().Set("Content-Type", form)
		t := &textStream{w: w, c: http.NewResponseController(w)}
		put = func(l service.LogLine) error { return t.put(render(l)) }
		flush = func(bool) error { return t.flush() }
	}
	if q.Follow { // that it is followed is known before the first line
		if err := flush(false); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	return a.copyLines(r, reader, put, flush)
}

// noLines are the logs of no programs.
type noLines struct{}

func (noLines) Next(context.Context) (service.LogLine, error) { return service.LogLine{}, io.EOF }
func (noLines) Close() error                                  { return nil }

// lineWait is how long written lines may wait for more of them.
const lineWait = 20 * time.Millisecond

// copyLines gives out lines as they come, and flushes when none follows at once.
func (a *API) copyLines(r *http.Request, reader service.LogReader, put func(service.LogLine) error, flush func(idle bool) error) error {
	written := false
	for {
		ctx, cancel := context.WithTimeout(r.Context(), lineWait)
		if !written {
			cancel()
			ctx, cancel = context.WithTimeout(r.Context(), heartbeat)
		}
		l, err := reader.Next(ctx)
		cancel()
		switch {
		case err == nil:
			err = put(l)
			written = true
		case errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil:
			err = flush(!written)
			written = false
		case errors.Is(err, io.EOF):
			_ = flush(false)
			return nil
		}
		if err != nil { // half an answer is out: only its breaking off can tell
			panic(http.ErrAbortHandler)
		}
	}
}

// textStream is an answer in pieces of text.
type textStream struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	set time.Time // when its deadline was put off
}

func (t *textStream) put(b []byte) error {
	if now := time.Now(); now.Sub(t.set) > streamWrite/2 {
		t.set = now
		_ = t.c.SetWriteDeadline(now.Add(streamWrite))
	}
	_, err := t.w.Write(b)
	return err
}

func (t *textStream) flush() error {
	_ = t.c.SetWriteDeadline(time.Now().Add(streamWrite))
	t.set = time.Time{}
	return t.c.Flush()
}

func line(l service.LogLine) upkeep.LogLine {
	out := upkeep.LogLine{Time: l.Time, Run: l.Run, Text: strings.ToValidUTF8(string(l.Text), "\uFFFD"), Mark: l.Mark}
	if !l.Log.Main {
		out.ID, out.Stream = l.Log.ID.String(), channelName(l.Log.Channel)
	}
	return out
}

func ndjson(l service.LogLine) []byte {
	b, _ := json.Marshal(line(l)) // texts and numbers always can be
	return append(b, '\n')
}

func plain(l service.LogLine) []byte {
	if l.Mark != "" {
		return []byte("-- " + l.Log.ID.String() + " " + l.Mark + " --\n")
	}
	return append(append([]byte{}, l.Text...), '\n')
}
