package supervisorctl

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// The help of the commands that supervisor-quick and supervisor-serialrestart add to the original.
const (
	quickStartHelp   = "quickstart <name> [...]\tStart processes without waiting for the outcome; name, group:*, all, or a pattern such as web*"
	quickStopHelp    = "quickstop <name> [...]\tStop processes without waiting for the outcome"
	quickRestartHelp = "quickrestart <name> [...]\tRestart processes without waiting for the outcome"
	serialHelp       = "serialrestart <name> [...]\tRestart processes one after the other: the next when the one before runs again.\n" +
		"\t\t\tThe first that does not run again is the last; name, group:*, all, or a pattern such as web*"
)

// matching are the names of the programs that words stand for, each once, in the order of the words. Who is nobody's
// name is complained about, and all is false.
func (s *session) matching(ctx context.Context, arg string) (names []string, all bool, err error) {
	infos, err := s.rpc().GetAllProcessInfo(ctx)
	if err != nil {
		return nil, false, err
	}
	all = true
	for _, word := range strings.Fields(arg) {
		found := false
		for i := range infos {
			p := &infos[i]
			if !matches(word, p) {
				continue
			}
			found = true
			if name := p.Group + ":" + p.Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if !found {
			s.fail(statusGeneric, "%s: ERROR (no such process)", word)
			all = false
		}
	}
	return names, all, nil
}

// matches reports whether a word stands for a program.
func matches(word string, p *supervisor.ProcessInfo) bool {
	if sp := parseSpec(word); word == "all" || sp.group == p.Group && (sp.whole || sp.process == p.Name) {
		return true
	}
	for _, name := range []string{display(p.Group, p.Name), p.Group + ":" + p.Name} {
		if ok, err := path.Match(word, name); ok && err == nil {
			return true
		}
	}
	return false
}

// quickly applies verbs to programs, one verb after the other, without waiting for outcomes.
func (s *session) quickly(ctx context.Context, arg string, verbs ...func(*supervisor.Client, bool) *verb) error {
	names, _, err := s.matching(ctx, arg)
	for _, v := range verbs {
		if err == nil && len(names) > 0 {
			err = s.act(ctx, v(s.rpc(), false), names)
		}
	}
	return err
}

func (s *session) quickStart(ctx context.Context, arg string) error {
	return s.quickly(ctx, arg, starting)
}

func (s *session) quickStop(ctx context.Context, arg string) error {
	return s.quickly(ctx, arg, stopping)
}

func (s *session) quickRestart(ctx context.Context, arg string) error {
	return s.quickly(ctx, arg, stopping, starting)
}

// serialRestart restarts programs one at a time. It ends with the first that does not come back, so that a bad
// release never takes down more than one.
func (s *session) serialRestart(ctx context.Context, arg string) error {
	names, all, err := s.matching(ctx, arg)
	if err != nil || !all {
		return err
	}
	for k, name := range names {
		before := s.status
		s.status = statusOK
		for _, v := range []*verb{stopping(s.rpc(), true), starting(s.rpc(), true)} {
			if err := s.actOn(ctx, v, name); err != nil {
				return err
			}
		}
		if s.status != statusOK {
			if rest := len(names) - k - 1; rest > 0 {
				s.out.say("%d more are left as they are", rest)
			}
			return nil
		}
		s.status = before
	}
	return nil
}
