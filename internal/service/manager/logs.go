package manager

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/service"
)

// logPath finds a log's file; empty when there is none.
func (m *Manager) logPath(ref service.LogRef) (string, error) {
	if ref.Main {
		if err := m.open(); err != nil {
			return "", err
		}
		m.o.Log.Flush()
		return m.o.MainLog, nil
	}
	s, err := m.slot(ref.ID)
	if err != nil {
		return "", err
	}
	if ref.Channel == service.Stderr {
		return s.Logs().Stderr, nil
	}
	return s.Logs().Stdout, nil
}

// ReadLog reads a part of a log. Source: spec/supervisor 5.9.
func (m *Manager) ReadLog(_ context.Context, ref service.LogRef, offset, length int64) ([]byte, error) {
	path, err := m.logPath(ref)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, &service.Error{Code: service.CodeNoFile}
	}
	data, err := logs.Read(path, offset, length)
	return data, logFailure(err, path)
}

// TailLog reads the end of a log. Source: spec/supervisor 5.9.
func (m *Manager) TailLog(_ context.Context, ref service.LogRef, offset, length int64) ([]byte, int64, bool, error) {
	path, err := m.logPath(ref)
	if err != nil || path == "" {
		return nil, 0, false, err
	}
	data, end, overflow, err := logs.Tail(path, offset, length)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, false, nil
	}
	return data, end, overflow, logFailure(err, path)
}

// FollowLog follows a log across rotation, truncation and clearing.
func (m *Manager) FollowLog(ctx context.Context, ref service.LogRef, backlog int64) (service.Follower, error) {
	path, err := m.logPath(ref)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, &service.Error{Code: service.CodeNoFile}
	}
	f, err := m.o.Files.Follow(ctx, path, backlog)
	if err != nil {
		return nil, logFailure(err, path)
	}
	return f, nil
}

// ClearLogs empties the logs of programs, running or not (F12).
func (m *Manager) ClearLogs(_ context.Context, sel service.Selector) ([]service.Result, error) {
	slots, _, err := m.slots(sel)
	if err != nil {
		return nil, err
	}
	var rs []service.Result
	for _, s := range slots {
		rs = append(rs, service.Result{ID: s.Program().ID, Err: m.clear(s)})
	}
	return rs, nil
}

func (m *Manager) clear(s *core.Slot) error {
	for _, path := range []string{s.Logs().Stdout, s.Logs().Stderr} {
		if path == "" {
			continue
		}
		if err := m.o.Files.Clear(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &service.Error{Code: service.CodeFailed, Text: s.Program().ID.String()}
		}
	}
	return nil
}

// ClearMainLog empties the activity log.
func (m *Manager) ClearMainLog(context.Context) error {
	if err := m.open(); err != nil {
		return err
	}
	if m.o.MainLog == "" {
		return &service.Error{Code: service.CodeNoFile}
	}
	if _, err := os.Stat(m.o.MainLog); errors.Is(err, fs.ErrNotExist) {
		return &service.Error{Code: service.CodeNoFile}
	}
	return failure(m.o.Log.Clear(), "")
}

func logFailure(err error, path string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logs.ErrBadArguments):
		return &service.Error{Code: service.CodeBadArguments}
	case errors.Is(err, fs.ErrNotExist):
		return &service.Error{Code: service.CodeNoFile, Text: path}
	}
	return &service.Error{Code: service.CodeFailed, Text: path}
}
