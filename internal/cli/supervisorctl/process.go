package supervisorctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// spec is a name as commands take it: "process", "group:process", or "group:*" and "group:" for a whole
// group. Source: spec/supervisor 5.5.
type spec struct {
	group, process string
	whole          bool
}

func parseSpec(s string) spec {
	group, process, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return spec{group: s, process: s}
	case process == "" || process == "*":
		return spec{group: group, whole: true}
	}
	return spec{group: group, process: process}
}

// display is a program as people know it. Source: spec/supervisor K7.
func display(group, process string) string {
	if group == process {
		return process
	}
	return group + ":" + process
}

// outcome is how a result code shows: its words, and the status it sets (0 = none).
type outcome struct {
	words  string
	status int
}

// verb is what start, stop, signal and clear have in common: they act on all, on groups or on programs,
// and the results are shown one per line.
type verb struct {
	done          string // what a success is called
	outcomes      map[int]outcome
	unknownGroup  int // status for a group that does not exist
	all           func(context.Context) ([]supervisor.Result, error)
	group         func(context.Context, string) ([]supervisor.Result, error)
	one           func(context.Context, string) error
	plainFailures bool // a failure's text stands alone
}

// act applies a verb to names. An unforeseen code ends it. Source: spec/supervisor 6.4.
func (s *session) act(ctx context.Context, v *verb, names []string) error {
	if slices.Contains(names, "all") {
		results, err := v.all(ctx)
		if err != nil {
			return err
		}
		return s.results(v, results)
	}
	for _, name := range names {
		if err := s.actOn(ctx, v, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) actOn(ctx context.Context, v *verb, name string) error {
	_ = s.out.flush()
	sp := parseSpec(name)
	if sp.whole {
		results, err := v.group(ctx, sp.group)
		switch {
		case faultCode(err) == supervisor.FaultBadName:
			s.fail(v.unknownGroup, "%s: ERROR (no such group)", sp.group)
			return nil
		case err != nil:
			return err
		}
		return s.results(v, results)
	}
	r := supervisor.Result{Name: sp.process, Group: sp.group, Status: supervisor.StatusSuccess}
	if err := v.one(ctx, name); err != nil {
		var fault *supervisor.Fault
		if !errors.As(err, &fault) {
			return err
		}
		r.Status, r.Description = fault.Code, fault.Text
	}
	return s.results(v, []supervisor.Result{r})
}

func (s *session) results(v *verb, results []supervisor.Result) error {
	for _, r := range results {
		name := display(r.Group, r.Name)
		o, known := v.outcomes[r.Status]
		switch {
		case r.Status == supervisor.StatusSuccess:
			s.out.say("%s: %s", name, v.done)
		case v.plainFailures && r.Status == supervisor.FaultFailed:
			s.fail(statusGeneric, "%s", r.Description)
		case !known:
			return message(fmt.Sprintf("Unknown result code %d for %s", r.Status, name))
		default:
			s.out.say("%s: ERROR (%s)", name, o.words)
			if o.status != 0 {
				s.status = o.status
			}
		}
	}
	return nil
}

// starting is the verb of start; with wait it is done when the outcome is known.
func starting(c *supervisor.Client, wait bool) *verb {
	return &verb{
		done: "started",
		outcomes: map[int]outcome{
			supervisor.FaultBadName:             {"no such process", statusGeneric},
			supervisor.FaultNoFile:              {"no such file", statusGeneric},
			supervisor.FaultNotExecutable:       {"file is not executable", statusGeneric},
			supervisor.FaultAlreadyStarted:      {"already started", 0},
			supervisor.FaultSpawnError:          {"spawn error", statusNotRunning},
			supervisor.FaultAbnormalTermination: {"abnormal termination", statusNotRunning},
		},
		unknownGroup: statusInvalidArgs,
		all: func(ctx context.Context) ([]supervisor.Result, error) {
			return c.StartAllProcesses(ctx, wait)
		},
		group: func(ctx context.Context, group string) ([]supervisor.Result, error) {
			return c.StartProcessGroup(ctx, group, wait)
		},
		one: func(ctx context.Context, name string) error { return c.StartProcess(ctx, name, wait) },
	}
}

// stopping is the verb of stop.
func stopping(c *supervisor.Client, wait bool) *verb {
	return &verb{
		done: "stopped",
		outcomes: map[int]outcome{
			supervisor.FaultBadName:    {"no such process", statusGeneric},
			supervisor.FaultNotRunning: {"not running", 0},
		},
		plainFailures: true,
		unknownGroup:  statusGeneric,
		all: func(ctx context.Context) ([]supervisor.Result, error) {
			return c.StopAllProcesses(ctx, wait)
		},
		group: func(ctx context.Context, group string) ([]supervisor.Result, error) {
			return c.StopProcessGroup(ctx, group, wait)
		},
		one: func(ctx context.Context, name string) error { return c.StopProcess(ctx, name, wait) },
	}
}

func (s *session) start(ctx context.Context, arg string) error {
	return s.act(ctx, starting(s.rpc(), true), strings.Fields(arg))
}

func (s *session) stop(ctx context.Context, arg string) error {
	return s.act(ctx, stopping(s.rpc(), true), strings.Fields(arg))
}

func (s *session) restart(ctx context.Context, arg string) error {
	if err := s.stop(ctx, arg); err != nil {
		return err
	}
	return s.start(ctx, arg)
}

func (s *session) signal(ctx context.Context, arg string) error {
	c, words := s.rpc(), strings.Fields(arg)
	sig := words[0]
	return s.act(ctx, &verb{
		done: "signalled",
		outcomes: map[int]outcome{
			supervisor.FaultBadName:    {"no such process", statusGeneric},
			supervisor.FaultBadSignal:  {"bad signal name", statusGeneric},
			supervisor.FaultNotRunning: {"not running", statusNotRunning},
		},
		unknownGroup: statusGeneric,
		all: func(ctx context.Context) ([]supervisor.Result, error) {
			return c.SignalAllProcesses(ctx, sig)
		},
		group: func(ctx context.Context, group string) ([]supervisor.Result, error) {
			return c.SignalProcessGroup(ctx, group, sig)
		},
		one: func(ctx context.Context, name string) error { return c.SignalProcess(ctx, name, sig) },
	}, words[1:])
}

// clear empties logs. A group is cleared program by program, since the interface has no call for it.
// Source: spec/supervisor 6.4, F22.
func (s *session) clear(ctx context.Context, arg string) error {
	c := s.rpc()
	return s.act(ctx, &verb{
		done: "cleared",
		outcomes: map[int]outcome{
			supervisor.FaultBadName: {"no such process", statusGeneric},
			supervisor.FaultFailed:  {"failed", statusGeneric},
		},
		unknownGroup: statusGeneric,
		all:          c.ClearAllProcessLogs,
		group:        s.clearGroup,
		one:          c.ClearProcessLogs,
	}, strings.Fields(arg))
}

func (s *session) clearGroup(ctx context.Context, group string) ([]supervisor.Result, error) {
	infos, err := s.client.GetAllProcessInfo(ctx)
	if err != nil {
		return nil, err
	}
	var results []supervisor.Result
	for _, p := range infos {
		if p.Group != group {
			continue
		}
		r := supervisor.Result{Name: p.Name, Group: p.Group, Status: supervisor.StatusSuccess}
		if err := s.client.ClearProcessLogs(ctx, p.Group+":"+p.Name); err != nil {
			var fault *supervisor.Fault
			if !errors.As(err, &fault) {
				return nil, err
			}
			r.Status, r.Description = fault.Code, fault.Text
		}
		results = append(results, r)
	}
	if results == nil {
		return nil, &supervisor.Fault{Code: supervisor.FaultBadName, Text: group}
	}
	return results, nil
}

// showStatus prints the table of programs. Source: spec/supervisor 6.4, K5–K7.
func (s *session) showStatus(ctx context.Context, arg string) error {
	infos, err := s.rpc().GetAllProcessInfo(ctx)
	if err != nil {
		return err
	}
	names := strings.Fields(arg)
	if len(names) == 0 || slices.Contains(names, "all") {
		s.table(infos)
		return nil
	}
	var shown []supervisor.ProcessInfo
	for _, name := range names {
		sp := parseSpec(name)
		before := len(shown)
		for i := range infos {
			if p := &infos[i]; p.Group == sp.group && (sp.whole || p.Name == sp.process) {
				shown = append(shown, *p)
			}
		}
		switch {
		case len(shown) > before:
		case sp.whole:
			s.fail(statusProgramUnknown, "%s: ERROR (no such group)", sp.group)
		default:
			s.fail(statusProgramUnknown, "%s: ERROR (no such process)", name)
		}
	}
	s.table(shown)
	return nil
}

func (s *session) table(infos []supervisor.ProcessInfo) {
	const least, gap, stateWidth = 30, 3, 10
	width := least
	for i := range infos {
		width = max(width, utf8.RuneCountInString(display(infos[i].Group, infos[i].Name)))
	}
	var b strings.Builder
	for i := range infos {
		p := &infos[i]
		pad(&b, display(p.Group, p.Name), width+gap)
		pad(&b, p.StateName, stateWidth)
		b.WriteString(p.Description)
		b.WriteByte('\n')
		switch p.State {
		case stateStopped, stateExited, stateFatal, stateUnknown:
			s.status = statusProgramDown
		}
	}
	s.out.text(b.String())
}

// pad appends a text and blanks up to a width in characters.
func pad(b *strings.Builder, text string, width int) {
	b.WriteString(text)
	for n := utf8.RuneCountInString(text); n < width; n++ {
		b.WriteByte(' ')
	}
}

// pid prints process numbers: the daemon's, one program's or everybody's.
func (s *session) pid(ctx context.Context, arg string) error {
	names := strings.Fields(arg)
	switch {
	case len(names) == 0:
		n, err := s.rpc().GetPID(ctx)
		if err != nil {
			return err
		}
		s.out.say("%d", n)
		return nil
	case slices.Contains(names, "all"):
		infos, err := s.rpc().GetAllProcessInfo(ctx)
		if err != nil {
			return err
		}
		for i := range infos {
			s.out.say("%d", infos[i].PID)
		}
		return nil
	}
	for _, name := range names {
		info, err := s.rpc().GetProcessInfo(ctx, name)
		switch {
		case faultCode(err) == supervisor.FaultBadName:
			s.fail(statusGeneric, "No such process %s", name)
			continue
		case err != nil:
			return err
		}
		s.out.say("%d", info.PID)
		if info.PID == 0 {
			s.status = statusNotRunning
		}
	}
	return nil
}
