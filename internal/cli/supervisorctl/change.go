package supervisorctl

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// The commands plan and apply are ours. The list that help prints is the original's; see the reference of
// differences.

const (
	planHelp  = "plan\t\t\tReload config and show what apply would do to each program. Nothing is changed"
	applyHelp = "apply\t\t\tReload config and change, restart, add and remove only the programs that differ\n" +
		"apply all\t\tThe same\n" +
		"apply <gname> [...]\tApply the config of specific groups\n" +
		"Note: what can take effect in a running process does; update restarts whole groups."
)

// plan shows what an apply would do, program by program.
func (s *session) plan(ctx context.Context, _ string) error {
	steps, err := s.rpc().Plan(ctx)
	if err != nil {
		return s.changeFailure(err, "supervisor shutting down")
	}
	for _, st := range steps {
		name := member(st.Group, st.Name)
		s.out.say("%s: %s (%s)", name, st.Action, st.Reason)
		for _, f := range st.Fields {
			s.out.say("  %s: %s", f.Field, difference(f))
		}
		if st.Refused != "" {
			s.fail(statusGeneric, "%s: ERROR (apply would refuse: %s)", name, st.Refused)
		}
	}
	if len(steps) == 0 {
		s.out.say("No config updates to processes")
	}
	return nil
}

// difference shows one value before and after. Of the environment names alone are known.
func difference(f supervisor.FieldChange) string {
	if f.Field == "environment" {
		words := strings.FieldsFunc(f.Old+","+f.New, func(r rune) bool { return r == ',' })
		slices.SortStableFunc(words, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
		return strings.Join(slices.Compact(words), " ")
	}
	or := func(v string) string {
		if v == "" {
			return "(empty)"
		}
		return v
	}
	return or(f.Old) + " -> " + or(f.New)
}

// apply makes the configured programs the running ones and touches only what differs.
func (s *session) apply(ctx context.Context, arg string) error {
	wanted := strings.Fields(arg)
	if slices.Contains(wanted, "all") {
		wanted = nil
	}
	done, err := s.rpc().Apply(ctx, wanted...)
	if err != nil {
		return s.changeFailure(err, "already shutting down")
	}
	s.sayApplied(done)
	if len(done) == 0 {
		s.out.say("No config updates to processes")
	}
	return nil
}

// takeOver puts into force what has changed outside of programs, as [notify:x]: where groups are added or removed, that does it. The
// original has no such settings, and does not know the method.
func (s *session) takeOver(ctx context.Context) error {
	done, err := s.rpc().Apply(ctx)
	if faultCode(err) == supervisor.FaultUnknownMethod {
		return nil
	}
	if err != nil {
		return s.changeFailure(err, "already shutting down")
	}
	s.sayApplied(done) // nothing, unless the files have changed since they were read
	return nil
}

// sayApplied says what has become of each program.
func (s *session) sayApplied(done []supervisor.Applied) {
	past := map[string]string{"change": "changed", "restart": "restarted", "add": "added", "remove": "removed"}
	words := map[int]string{
		supervisor.FaultSpawnError: "spawn error", supervisor.FaultAbnormalTermination: "abnormal termination", supervisor.FaultBadName: "removed meanwhile",
		supervisor.FaultShutdownState: "shutting down",
	}
	for _, d := range done {
		name := member(d.Group, d.Name)
		switch word := words[d.Status]; {
		case d.OK():
			s.out.say("%s: %s", name, past[d.Action])
		case word != "":
			s.fail(statusNotRunning, "%s: ERROR (%s)", name, word)
		default:
			s.fail(statusGeneric, "%s: ERROR (%s)", name, d.Description)
		}
	}
}

// member is a program as people know it, or a group alone.
func member(group, name string) string {
	if name == "" {
		return group
	}
	return display(group, name)
}

// changeFailure says why nothing was planned or changed.
func (s *session) changeFailure(err error, shuttingDown string) error {
	var fault *supervisor.Fault
	if !errors.As(err, &fault) {
		return err
	}
	_, detail, _ := strings.Cut(fault.Text, ": ")
	switch fault.Code {
	case supervisor.FaultUnknownMethod:
		s.fail(statusUnimplemented, "ERROR: this server cannot do that, reread and update are the way")
	case supervisor.FaultShutdownState:
		s.fail(statusGeneric, "ERROR: %s", shuttingDown)
	case supervisor.FaultCannotReread:
		s.fail(statusGeneric, "ERROR: %s", fault.Text)
	case supervisor.FaultBadName:
		s.fail(statusGeneric, "ERROR: no such group: %s", detail)
	case supervisor.FaultNoFile, supervisor.FaultNotExecutable:
		s.fail(statusGeneric, "ERROR: nothing is changed, %s", detail)
	default:
		return err
	}
	return nil
}
