package rpc2

import (
	"context"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/piece"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// done is the answer of a method that returns true.
func done(err error, subject string) (any, error) {
	if err != nil {
		return nil, toFault(err, subject)
	}
	return true, nil
}

func getState(c *caller, _ args) (any, error) {
	st := c.o.Service.Info().State
	return xmlrpc.Struct{{Name: "statecode", Value: int(st)}, {Name: "statename", Value: st.String()}}, nil
}

// reloadConfig wraps its result twice. Source: spec/supervisor K3.
func reloadConfig(c *caller, _ args) (any, error) {
	ch, err := c.o.Service.Reread(c.ctx)
	if err != nil {
		return nil, toFault(err, "")
	}
	return []any{[]any{ch.Added, ch.Changed, ch.Removed}}, nil
}

func onGroup(f func(service.Service, context.Context, string) error) func(*caller, args) (any, error) {
	return func(c *caller, a args) (any, error) {
		name, err := a.name(0)
		if err != nil {
			return nil, err
		}
		return done(f(c.o.Service, c.ctx, name), name)
	}
}

// verb is Start or Stop.
type verb func(service.Service, context.Context, service.Selector, service.Wait) ([]service.Result, error)

// order is startProcess or stopProcess: true for one program, an array for group:*.
// Source: spec/supervisor 5.6.
func order(f verb) func(*caller, args) (any, error) {
	return func(c *caller, a args) (any, error) {
		name, err := a.name(0)
		if err != nil {
			return nil, err
		}
		sel, single := selector(name)
		rs, err := f(c.o.Service, c.ctx, sel, service.Wait(a.truth(1)))
		return answer(rs, err, name, single)
	}
}

func orderGroup(f verb) func(*caller, args) (any, error) {
	return func(c *caller, a args) (any, error) {
		name, err := a.name(0)
		if err != nil {
			return nil, err
		}
		rs, err := f(c.o.Service, c.ctx, service.Selector{Group: name}, service.Wait(a.truth(1)))
		return answer(rs, err, name, false)
	}
}

func orderAll(f verb) func(*caller, args) (any, error) {
	return func(c *caller, a args) (any, error) {
		rs, err := f(c.o.Service, c.ctx, service.Selector{All: true}, service.Wait(a.truth(0)))
		return answer(rs, err, "", false)
	}
}

// selector reads a namespec that may stand for a group.
func selector(name string) (sel service.Selector, single bool) {
	id, single := model.SplitNamespec(name)
	if single {
		return service.One(id), true
	}
	return service.Selector{Group: id.Group}, false
}

// answer is the answer of a verb. For a single program the only result decides.
func answer(rs []service.Result, err error, name string, single bool) (any, error) {
	if err != nil {
		return nil, toFault(err, name)
	}
	if !single {
		return results(rs), nil
	}
	for _, r := range rs {
		if r.Err != nil {
			return nil, toFault(r.Err, name)
		}
	}
	return true, nil
}

func signalProcess(c *caller, a args) (any, error) {
	name, err := a.name(0)
	if err != nil {
		return nil, err
	}
	sel, single := selector(name)
	return c.signal(sel, a, 1, name, single)
}

func signalGroup(c *caller, a args) (any, error) {
	name, err := a.name(0)
	if err != nil {
		return nil, err
	}
	return c.signal(service.Selector{Group: name}, a, 1, name, false)
}

func signalAll(c *caller, a args) (any, error) {
	return c.signal(service.Selector{All: true}, a, 0, "", false)
}

// signal sends the signal in parameter i. A bad one is shown as the caller wrote it.
func (c *caller) signal(sel service.Selector, a args, i int, name string, single bool) (any, error) {
	sig, err := a.signal(i)
	if err != nil {
		return nil, err
	}
	rs, err := c.o.Service.Signal(c.ctx, sel, sig)
	shown := func(err error) error {
		if service.CodeOf(err) == service.CodeBadSignal {
			return &service.Error{Code: service.CodeBadSignal, Text: sig}
		}
		return err
	}
	for i := range rs {
		rs[i].Err = shown(rs[i].Err)
	}
	if service.CodeOf(err) == service.CodeBadSignal {
		return nil, detailed(supervisor.FaultBadSignal, sig)
	}
	if single && err == nil && len(rs) == 1 && service.CodeOf(rs[0].Err) == service.CodeBadSignal {
		return nil, detailed(supervisor.FaultBadSignal, sig)
	}
	return answer(rs, err, name, single)
}

// one reads the parameter that names exactly one program.
func (c *caller) one(a args) (id model.ID, name string, err error) {
	name, err = a.name(0)
	if err != nil {
		return id, name, err
	}
	id, single := model.SplitNamespec(name)
	if !single {
		return id, name, detailed(supervisor.FaultBadName, name)
	}
	return id, name, nil
}

func sendStdin(c *caller, a args) (any, error) {
	chars, ok := a[1].(string)
	if b, isBytes := a[1].([]byte); isBytes {
		chars, ok = string(b), true
	}
	if !ok {
		return nil, detailed(supervisor.FaultIncorrectParameters, pyStr(a[1]))
	}
	id, name, err := c.one(a)
	if err != nil {
		return nil, err
	}
	err = c.o.Service.WriteStdin(c.ctx, id, []byte(chars))
	if service.CodeOf(err) == service.CodeNoFile {
		return nil, detailed(supervisor.FaultNoFile, name)
	}
	return done(err, name)
}

func getProcessInfo(c *caller, a args) (any, error) {
	id, name, err := c.one(a)
	if err != nil {
		return nil, err
	}
	st, err := c.o.Service.Get(c.ctx, id)
	if err != nil {
		return nil, toFault(err, name)
	}
	return &processInfos{list: []model.Status{st}, now: c.o.Now(), single: true}, nil
}

func getAllProcessInfo(c *caller, _ args) (any, error) {
	list, err := c.o.Service.List(c.ctx)
	if err != nil {
		return nil, toFault(err, "")
	}
	return &processInfos{list: list, now: c.o.Now()}, nil
}

func getAllConfigInfo(c *caller, _ args) (any, error) {
	list, err := c.o.Service.Configured(c.ctx)
	if err != nil {
		return nil, toFault(err, "")
	}
	return configInfos(list), nil
}

// span reads offset and length from parameters i and i+1. One answer carries at most maxLog bytes,
// counted from where it begins, so that no request can make the daemon hold a log of any size in memory.
func span(a args, i int) (offset, length int64, err error) {
	if offset, err = a.number(i); err != nil {
		return 0, 0, err
	}
	if length, err = a.number(i + 1); err != nil {
		return 0, 0, err
	}
	switch {
	case offset < 0 && length == 0:
		offset = max(offset, -maxLog)
	case offset >= 0 && (length == 0 || length > maxLog):
		length = maxLog
	}
	return offset, length, nil
}

func (c *caller) read(ref service.LogRef, offset, length int64, name string) (any, error) {
	data, err := c.o.Service.ReadLog(c.ctx, ref, offset, length)
	if err != nil {
		return nil, toFault(err, name)
	}
	return logText(piece.Trim(data, offset != 0)), nil
}

func readLog(ch service.Channel) func(*caller, args) (any, error) {
	return func(c *caller, a args) (any, error) {
		offset, length, err := span(a, 1)
		if err != nil {
			return nil, err
		}
		id, name, err := c.one(a)
		if err != nil {
			return nil, err
		}
		return c.read(service.LogRef{ID: id, Channel: ch}, offset, length, name)
	}
}

func readMainLog(c *caller, a args) (any, error) {
	offset, length, err := span(a, 0)
	if err != nil {
		return nil, err
	}
	return c.read(service.LogRef{Main: true}, offset, length, "")
}

func tailLog(ch service.Channel) func(*caller, args) (any, error) {
	return func(c *caller, a args) (any, error) {
		offset, err := a.number(1)
		if err != nil {
			return nil, err
		}
		length, err := a.number(2)
		if err != nil {
			return nil, err
		}
		id, name, err := c.one(a)
		if err != nil {
			return nil, err
		}
		// Both halves of offset+length stay far from the end of the numbers.
		offset, length = max(min(offset, 1<<61), -1<<61), max(min(length, maxLog), -1<<61)
		ref := service.LogRef{ID: id, Channel: ch}
		data, end, overflow, err := c.o.Service.TailLog(c.ctx, ref, offset, length)
		switch {
		case service.CodeOf(err) == service.CodeNoFile:
			data, end, overflow = nil, 0, false
		case err != nil:
			return nil, toFault(err, name)
		}
		return []any{logText(piece.Trim(data, int64(len(data)) < end)), end, overflow}, nil
	}
}

// logText is a piece of a log in an answer.
type logText []byte

// AppendXMLRPC appends it as a string.
func (t logText) AppendXMLRPC(b []byte) []byte { return xmlrpc.AppendString(b, t) }

func clearLogs(c *caller, a args) (any, error) {
	id, name, err := c.one(a)
	if err != nil {
		return nil, err
	}
	rs, err := c.o.Service.ClearLogs(c.ctx, service.One(id))
	for _, r := range rs {
		if err == nil {
			err = r.Err
		}
	}
	if service.CodeOf(err) == service.CodeFailed {
		return nil, detailed(supervisor.FaultFailed, name)
	}
	return done(err, name)
}

func clearAllLogs(c *caller, _ args) (any, error) {
	rs, err := c.o.Service.ClearLogs(c.ctx, service.Selector{All: true})
	return answer(rs, err, "", false)
}

// clearMainLog shows no path when there is no log. Source: spec/supervisor 5.6.
func clearMainLog(c *caller, _ args) (any, error) {
	err := c.o.Service.ClearMainLog(c.ctx)
	if service.CodeOf(err) == service.CodeNoFile {
		return nil, bare(supervisor.FaultNoFile)
	}
	return done(err, "")
}
