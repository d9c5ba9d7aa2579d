package manager

import (
	"context"
	"errors"
	"io"

	"github.com/upkeep-project/upkeep/internal/engine/history"
	"github.com/upkeep-project/upkeep/internal/service"
)

// Logs reads lines of several logs in the order of their times.
func (m *Manager) Logs(ctx context.Context, q service.LogQuery) (service.LogReader, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	if len(q.Logs) == 0 || q.Run > 0 || q.Run != 0 && q.Follow {
		return nil, &service.Error{Code: service.CodeBadArguments}
	}
	r := &logReader{}
	h := history.Query{
		Since: q.Since, Until: q.Until, Tail: q.Tail, Run: q.Run, Match: q.Match, Follow: q.Follow,
	}
	taken := map[string]bool{}
	for _, ref := range q.Logs {
		path, err := m.logPath(ref)
		if err != nil {
			return nil, err
		}
		if path == "" || taken[path] {
			continue
		}
		taken[path] = true
		name := ""
		if !ref.Main {
			name = ref.ID.Namespec()
		}
		h.Logs = append(h.Logs, history.Source{Path: path, Name: name})
		r.refs = append(r.refs, ref)
	}
	if len(h.Logs) == 0 {
		return nil, &service.Error{Code: service.CodeNoFile}
	}
	var err error
	if r.r, err = history.Open(ctx, h); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &service.Error{Code: service.CodeFailed, Text: err.Error()}
	}
	return r, nil
}

// logReader is a reader of the history under the service's names.
type logReader struct {
	r    *history.Reader
	refs []service.LogRef
}

// Next is the next line.
func (r *logReader) Next(ctx context.Context) (service.LogLine, error) {
	l, err := r.r.Next(ctx)
	switch {
	case errors.Is(err, io.EOF):
		return service.LogLine{}, io.EOF
	case err != nil && ctx.Err() != nil:
		return service.LogLine{}, ctx.Err()
	case err != nil:
		return service.LogLine{}, &service.Error{Code: service.CodeFailed, Text: err.Error()}
	}
	return service.LogLine{Log: r.refs[l.Source], Time: l.Time, Run: l.Run, Text: l.Text, Mark: l.Mark}, nil
}

// Close lets go of the files.
func (r *logReader) Close() error { return r.r.Close() }
