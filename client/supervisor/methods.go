package supervisor

import (
	"context"
	"fmt"
)

// State is the state of the daemon. Source: spec/supervisor 2.1.
type State struct {
	Code int
	Name string
}

// ProcessInfo is what getProcessInfo tells of one program. Source: spec/supervisor 5.7.
type ProcessInfo struct {
	Name, Group      string
	Start, Stop, Now int // seconds since 1970; 0 = never
	State            int
	StateName        string
	SpawnErr         string
	ExitStatus       int // -1 after a signal
	LogFile          string
	StdoutLogFile    string
	StderrLogFile    string
	PID              int // 0 = no process
	Description      string
}

// Result is the outcome for one program of a call on many. Source: spec/supervisor 5.6.
type Result struct {
	Name, Group string
	Status      int // 80 on success, else a fault code
	Description string
}

// OK reports whether it succeeded.
func (r Result) OK() bool { return r.Status == StatusSuccess }

// Changes is what an update would do, by group name.
type Changes struct{ Added, Changed, Removed []string }

// Tail is the answer of the tail methods. Source: spec/supervisor 5.9.
type Tail struct {
	Data     string
	Offset   int // size of the log: where to go on
	Overflow bool
}

// TypeError is an answer that is not of the documented type.
type TypeError struct {
	Method string
	Value  any
}

// Error names method and type.
func (e *TypeError) Error() string { return fmt.Sprintf("%s answered with a %T", e.Method, e.Value) }

const prefix = "supervisor."

// call is Call with the type of the answer checked.
func call[T any](ctx context.Context, c *Client, method string, params ...any) (T, error) {
	v, err := c.Call(ctx, method, params...)
	if err != nil {
		var zero T
		return zero, err
	}
	return as[T](method, v)
}

func as[T any](method string, v any) (T, error) {
	t, ok := v.(T)
	if !ok {
		return t, &TypeError{method, v}
	}
	return t, nil
}

// list is Call for an array whose items are converted one by one.
func list[T any](ctx context.Context, c *Client, item func(string, any) (T, error), method string, params ...any) ([]T, error) {
	a, err := call[[]any](ctx, c, method, params...)
	if err != nil {
		return nil, err
	}
	return convert(method, a, item)
}

func convert[T any](method string, a []any, item func(string, any) (T, error)) ([]T, error) {
	out := make([]T, len(a))
	for i, v := range a {
		var err error
		if out[i], err = item(method, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Client) done(ctx context.Context, method string, params ...any) error {
	_, err := call[bool](ctx, c, prefix+method, params...)
	return err
}

// GetAPIVersion is the version of the interface, "3.0".
func (c *Client) GetAPIVersion(ctx context.Context) (string, error) {
	return call[string](ctx, c, prefix+"getAPIVersion")
}

// GetVersion is GetAPIVersion under its old name.
func (c *Client) GetVersion(ctx context.Context) (string, error) {
	return call[string](ctx, c, prefix+"getVersion")
}

// GetSupervisorVersion is the release whose behaviour the daemon has.
func (c *Client) GetSupervisorVersion(ctx context.Context) (string, error) {
	return call[string](ctx, c, prefix+"getSupervisorVersion")
}

// GetIdentification is the configured identifier.
func (c *Client) GetIdentification(ctx context.Context) (string, error) {
	return call[string](ctx, c, prefix+"getIdentification")
}

// GetState is the state of the daemon.
func (c *Client) GetState(ctx context.Context) (State, error) {
	s, err := call[Struct](ctx, c, prefix+"getState")
	return State{Code: s.Int("statecode"), Name: s.Str("statename")}, err
}

// GetPID is the pid of the daemon.
func (c *Client) GetPID(ctx context.Context) (int, error) { return call[int](ctx, c, prefix+"getPID") }

// ReadLog reads from the daemon's log; offset and length as in spec/supervisor 5.9.
func (c *Client) ReadLog(ctx context.Context, offset, length int) (string, error) {
	return call[string](ctx, c, prefix+"readLog", offset, length)
}

// ReadMainLog is ReadLog under its old name.
func (c *Client) ReadMainLog(ctx context.Context, offset, length int) (string, error) {
	return call[string](ctx, c, prefix+"readMainLog", offset, length)
}

// ClearLog empties the daemon's log.
func (c *Client) ClearLog(ctx context.Context) error { return c.done(ctx, "clearLog") }

// Shutdown orders the daemon to end.
func (c *Client) Shutdown(ctx context.Context) error { return c.done(ctx, "shutdown") }

// Restart orders the daemon to start anew.
func (c *Client) Restart(ctx context.Context) error { return c.done(ctx, "restart") }

// ReloadConfig has the configuration read and tells what an update would do.
func (c *Client) ReloadConfig(ctx context.Context) (Changes, error) {
	const method = prefix + "reloadConfig"
	outer, err := call[[]any](ctx, c, method)
	if err != nil {
		return Changes{}, err
	}
	var ch Changes
	if len(outer) != 1 {
		return ch, &TypeError{method, outer}
	}
	inner, _ := outer[0].([]any)
	if len(inner) != 3 {
		return ch, &TypeError{method, outer[0]}
	}
	for i, dst := range []*[]string{&ch.Added, &ch.Changed, &ch.Removed} {
		a, err := as[[]any](method, inner[i])
		if err != nil {
			return Changes{}, err
		}
		if *dst, err = convert(method, a, as[string]); err != nil {
			return Changes{}, err
		}
	}
	return ch, nil
}

// AddProcessGroup activates a configured group.
func (c *Client) AddProcessGroup(ctx context.Context, group string) error {
	return c.done(ctx, "addProcessGroup", group)
}

// RemoveProcessGroup deactivates a group whose programs are all down.
func (c *Client) RemoveProcessGroup(ctx context.Context, group string) error {
	return c.done(ctx, "removeProcessGroup", group)
}

// StartProcess starts one program; with wait it returns when the outcome is known.
func (c *Client) StartProcess(ctx context.Context, name string, wait bool) error {
	return c.done(ctx, "startProcess", name, wait)
}

// StartProcessGroup starts the programs of a group that are down.
func (c *Client) StartProcessGroup(ctx context.Context, group string, wait bool) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"startProcessGroup", group, wait)
}

// StartAllProcesses starts every program that is down.
func (c *Client) StartAllProcesses(ctx context.Context, wait bool) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"startAllProcesses", wait)
}

// StopProcess stops one program; with wait it returns when the program has ended.
func (c *Client) StopProcess(ctx context.Context, name string, wait bool) error {
	return c.done(ctx, "stopProcess", name, wait)
}

// StopProcessGroup stops the programs of a group that are up.
func (c *Client) StopProcessGroup(ctx context.Context, group string, wait bool) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"stopProcessGroup", group, wait)
}

// StopAllProcesses stops every program that is up.
func (c *Client) StopAllProcesses(ctx context.Context, wait bool) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"stopAllProcesses", wait)
}

// SignalProcess sends a signal, by name or number, to one program.
func (c *Client) SignalProcess(ctx context.Context, name, signal string) error {
	return c.done(ctx, "signalProcess", name, signal)
}

// SignalProcessGroup sends a signal to the live programs of a group.
func (c *Client) SignalProcessGroup(ctx context.Context, group, signal string) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"signalProcessGroup", group, signal)
}

// SignalAllProcesses sends a signal to every live program.
func (c *Client) SignalAllProcesses(ctx context.Context, signal string) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"signalAllProcesses", signal)
}

// GetProcessInfo describes one program.
func (c *Client) GetProcessInfo(ctx context.Context, name string) (ProcessInfo, error) {
	s, err := call[Struct](ctx, c, prefix+"getProcessInfo", name)
	return processInfo(s), err
}

// GetAllProcessInfo describes every program, sorted by group and name.
func (c *Client) GetAllProcessInfo(ctx context.Context) ([]ProcessInfo, error) {
	return list(ctx, c, toProcessInfo, prefix+"getAllProcessInfo")
}

// GetAllConfigInfo describes the most recently read configuration; the members are those of
// spec/supervisor 5.8.
func (c *Client) GetAllConfigInfo(ctx context.Context) ([]Struct, error) {
	return list(ctx, c, as[Struct], prefix+"getAllConfigInfo")
}

// ReadProcessStdoutLog reads from a program's stdout log; offset and length as in spec/supervisor 5.9.
func (c *Client) ReadProcessStdoutLog(ctx context.Context, name string, offset, length int) (string, error) {
	return call[string](ctx, c, prefix+"readProcessStdoutLog", name, offset, length)
}

// ReadProcessLog is ReadProcessStdoutLog under its old name.
func (c *Client) ReadProcessLog(ctx context.Context, name string, offset, length int) (string, error) {
	return call[string](ctx, c, prefix+"readProcessLog", name, offset, length)
}

// ReadProcessStderrLog reads from a program's stderr log.
func (c *Client) ReadProcessStderrLog(ctx context.Context, name string, offset, length int) (string, error) {
	return call[string](ctx, c, prefix+"readProcessStderrLog", name, offset, length)
}

// TailProcessStdoutLog reads the end of a program's stdout log.
func (c *Client) TailProcessStdoutLog(ctx context.Context, name string, offset, length int) (Tail, error) {
	return c.tail(ctx, prefix+"tailProcessStdoutLog", name, offset, length)
}

// TailProcessLog is TailProcessStdoutLog under its old name.
func (c *Client) TailProcessLog(ctx context.Context, name string, offset, length int) (Tail, error) {
	return c.tail(ctx, prefix+"tailProcessLog", name, offset, length)
}

// TailProcessStderrLog reads the end of a program's stderr log.
func (c *Client) TailProcessStderrLog(ctx context.Context, name string, offset, length int) (Tail, error) {
	return c.tail(ctx, prefix+"tailProcessStderrLog", name, offset, length)
}

func (c *Client) tail(ctx context.Context, method, name string, offset, length int) (Tail, error) {
	a, err := call[[]any](ctx, c, method, name, offset, length)
	if err != nil {
		return Tail{}, err
	}
	if len(a) == 3 {
		data, ok1 := a[0].(string)
		end, ok2 := a[1].(int)
		overflow, ok3 := a[2].(bool)
		if ok1 && ok2 && ok3 {
			return Tail{data, end, overflow}, nil
		}
	}
	return Tail{}, &TypeError{method, a}
}

// ClearProcessLogs empties the logs of one program.
func (c *Client) ClearProcessLogs(ctx context.Context, name string) error {
	return c.done(ctx, "clearProcessLogs", name)
}

// ClearProcessLog is ClearProcessLogs under its old name.
func (c *Client) ClearProcessLog(ctx context.Context, name string) error {
	return c.done(ctx, "clearProcessLog", name)
}

// ClearAllProcessLogs empties the logs of every program.
func (c *Client) ClearAllProcessLogs(ctx context.Context) ([]Result, error) {
	return list(ctx, c, toResult, prefix+"clearAllProcessLogs")
}

// SendProcessStdin writes to a program's standard input.
func (c *Client) SendProcessStdin(ctx context.Context, name, chars string) error {
	return c.done(ctx, "sendProcessStdin", name, chars)
}

// SendRemoteCommEvent emits a REMOTE_COMMUNICATION event.
func (c *Client) SendRemoteCommEvent(ctx context.Context, kind, data string) error {
	return c.done(ctx, "sendRemoteCommEvent", kind, data)
}

// ListMethods is every method that the daemon offers, sorted.
func (c *Client) ListMethods(ctx context.Context) ([]string, error) {
	return list(ctx, c, as[string], "system.listMethods")
}

// MethodHelp is the description of a method.
func (c *Client) MethodHelp(ctx context.Context, method string) (string, error) {
	return call[string](ctx, c, "system.methodHelp", method)
}

// MethodSignature is the type of a method's result, followed by those of its parameters.
func (c *Client) MethodSignature(ctx context.Context, method string) ([]string, error) {
	return list(ctx, c, as[string], "system.methodSignature", method)
}

// MethodCall is one entry of a Multicall.
type MethodCall struct {
	Method string
	Params []any
}

// Multicall makes several calls in one request, one after the other. Each result is the bare value, or
// a *Fault.
func (c *Client) Multicall(ctx context.Context, calls ...MethodCall) ([]any, error) {
	entries := make([]Struct, len(calls))
	for i, m := range calls {
		if m.Params == nil {
			m.Params = []any{}
		}
		entries[i] = Struct{{Name: "methodName", Value: m.Method}, {Name: "params", Value: m.Params}}
	}
	results, err := call[[]any](ctx, c, "system.multicall", entries)
	for i, v := range results {
		s, ok := v.(Struct)
		if ok && len(s) == 2 && s.Has("faultCode") && s.Has("faultString") {
			results[i] = &Fault{Code: s.Int("faultCode"), Text: s.Str("faultString")}
		}
	}
	return results, err
}

func toResult(method string, v any) (Result, error) {
	s, err := as[Struct](method, v)
	return Result{
		Name: s.Str("name"), Group: s.Str("group"), Status: s.Int("status"), Description: s.Str("description"),
	}, err
}

func toProcessInfo(method string, v any) (ProcessInfo, error) {
	s, err := as[Struct](method, v)
	return processInfo(s), err
}

func processInfo(s Struct) ProcessInfo {
	return ProcessInfo{
		Name: s.Str("name"), Group: s.Str("group"),
		Start: s.Int("start"), Stop: s.Int("stop"), Now: s.Int("now"),
		State: s.Int("state"), StateName: s.Str("statename"),
		SpawnErr: s.Str("spawnerr"), ExitStatus: s.Int("exitstatus"),
		LogFile: s.Str("logfile"), StdoutLogFile: s.Str("stdout_logfile"), StderrLogFile: s.Str("stderr_logfile"),
		PID: s.Int("pid"), Description: s.Str("description"),
	}
}
