package supervisorctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// changes reads the configuration again; ok is false when the server refused, which has been said then.
func (s *session) changes(ctx context.Context, shuttingDown string) (c supervisor.Changes, ok bool, err error) {
	c, err = s.rpc().ReloadConfig(ctx)
	var fault *supervisor.Fault
	if !errors.As(err, &fault) {
		return c, err == nil, err
	}
	switch fault.Code {
	case supervisor.FaultShutdownState:
		s.fail(statusGeneric, "ERROR: %s", shuttingDown)
	case supervisor.FaultCannotReread:
		s.fail(statusGeneric, "ERROR: %s", fault.Text)
	default:
		return c, false, err
	}
	return c, false, nil
}

// reread says what an update would do, by group name.
func (s *session) reread(ctx context.Context, _ string) error {
	c, ok, err := s.changes(ctx, "supervisor shutting down")
	if !ok {
		return err
	}
	type change struct{ group, word string }
	var all []change
	for _, kind := range []struct {
		groups []string
		word   string
	}{{c.Added, "available"}, {c.Changed, "changed"}, {c.Removed, "disappeared"}} {
		for _, g := range kind.groups {
			all = append(all, change{g, kind.word})
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return strings.Compare(a.group, b.group) })
	for _, ch := range all {
		s.out.say("%s: %s", ch.group, ch.word)
	}
	if len(all) == 0 {
		s.out.say("No config updates to processes")
	}
	return nil
}

// update makes the configured groups the running ones: removals, then changes, then additions. Source:
// spec/supervisor 6.4, K31.
func (s *session) update(ctx context.Context, arg string) error {
	ch, ok, err := s.changes(ctx, "already shutting down")
	if !ok {
		return err
	}
	c, wanted := s.rpc(), strings.Fields(arg)
	if slices.Contains(wanted, "all") {
		wanted = nil
	}
	if len(wanted)+len(ch.Removed)+len(ch.Changed)+len(ch.Added) == 0 {
		return s.takeOver(ctx)
	}
	if err := s.complainUnknown(ctx, wanted, ch.Added); err != nil {
		return err
	}
	for _, phase := range []struct {
		groups []string
		apply  func(ctx context.Context, c *supervisor.Client, group string) error
	}{{ch.Removed, s.dropGroup}, {ch.Changed, s.replaceGroup}, {ch.Added, s.addGroup}} {
		for _, g := range phase.groups {
			if len(wanted) > 0 && !slices.Contains(wanted, g) {
				continue
			}
			_ = s.out.flush()
			if err := phase.apply(ctx, c, g); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) dropGroup(ctx context.Context, c *supervisor.Client, g string) error {
	results, err := c.StopProcessGroup(ctx, g, true)
	if err != nil {
		return err
	}
	s.out.say("%s: stopped", g)
	if slices.ContainsFunc(results, func(r supervisor.Result) bool { return r.Status == supervisor.FaultFailed }) {
		s.fail(statusGeneric, "%s: has problems; not removing", g)
		return nil
	}
	if err := c.RemoveProcessGroup(ctx, g); err != nil {
		return err
	}
	s.out.say("%s: removed process group", g)
	return nil
}

func (s *session) replaceGroup(ctx context.Context, c *supervisor.Client, g string) error {
	if _, err := c.StopProcessGroup(ctx, g, true); err != nil {
		return err
	}
	s.out.say("%s: stopped", g)
	if err := c.RemoveProcessGroup(ctx, g); err != nil {
		return err
	}
	if err := c.AddProcessGroup(ctx, g); err != nil {
		return err
	}
	s.out.say("%s: updated process group", g)
	return nil
}

func (s *session) addGroup(ctx context.Context, c *supervisor.Client, g string) error {
	if err := c.AddProcessGroup(ctx, g); err != nil {
		return err
	}
	s.out.say("%s: added process group", g)
	return nil
}

// complainUnknown names the wanted groups that neither run nor are new.
func (s *session) complainUnknown(ctx context.Context, wanted, added []string) error {
	if len(wanted) == 0 {
		return nil
	}
	infos, err := s.client.GetAllProcessInfo(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, g := range added {
		known[g] = true
	}
	for i := range infos {
		known[infos[i].Group] = true
	}
	for _, g := range wanted {
		if !known[g] {
			s.fail(statusGeneric, "ERROR: no such group: %s", g)
			known[g] = true
		}
	}
	return nil
}

// add activates groups of the configuration that was read last.
func (s *session) add(ctx context.Context, arg string) error {
	for _, name := range strings.Fields(arg) {
		err := s.rpc().AddProcessGroup(ctx, name)
		switch {
		case err == nil:
			s.out.say("%s: added process group", name)
		case faultCode(err) == supervisor.FaultShutdownState:
			s.fail(statusGeneric, "ERROR: shutting down")
		case faultCode(err) == supervisor.FaultAlreadyAdded:
			s.out.say("ERROR: process group already active")
		case faultCode(err) == supervisor.FaultBadName:
			s.fail(statusGeneric, "ERROR: no such process/group: %s", name)
		default:
			return err
		}
	}
	return nil
}

// remove deactivates groups whose programs are down.
func (s *session) remove(ctx context.Context, arg string) error {
	for _, name := range strings.Fields(arg) {
		err := s.rpc().RemoveProcessGroup(ctx, name)
		switch {
		case err == nil:
			s.out.say("%s: removed process group", name)
		case faultCode(err) == supervisor.FaultStillRunning:
			s.fail(statusGeneric, "ERROR: process/group still running: %s", name)
		case faultCode(err) == supervisor.FaultBadName:
			s.fail(statusGeneric, "ERROR: no such process/group: %s", name)
		default:
			return err
		}
	}
	return nil
}

// avail lists the configured programs.
func (s *session) avail(ctx context.Context, _ string) error {
	configs, err := s.rpc().GetAllConfigInfo(ctx)
	switch {
	case faultCode(err) == supervisor.FaultShutdownState:
		s.fail(statusGeneric, "ERROR: supervisor shutting down")
		return nil
	case err != nil:
		return err
	}
	choose := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	const nameWidth, wordWidth = 32, 9
	var b strings.Builder
	for _, c := range configs {
		pad(&b, display(c.Str("group"), c.Str("name")), nameWidth)
		b.WriteByte(' ')
		pad(&b, choose(c.Bool("inuse"), "in use", "avail"), wordWidth)
		b.WriteByte(' ')
		pad(&b, choose(c.Bool("autostart"), "auto", "manual"), wordWidth)
		fmt.Fprintf(&b, " %d:%d\n", c.Int("group_prio"), c.Int("process_prio"))
	}
	s.out.text(b.String())
	return nil
}

func (s *session) version(ctx context.Context, _ string) error {
	v, err := s.rpc().GetSupervisorVersion(ctx)
	if err == nil {
		s.out.say("%s", v)
	}
	return err
}

// open turns to another server and shows its programs, whose states do not count.
func (s *session) open(ctx context.Context, arg string) error {
	url := strings.TrimSpace(arg)
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "unix://") {
		s.fail(statusGeneric, "ERROR: url must be http:// or unix://")
		return nil
	}
	s.connect(url)
	s.status = s.aside(func() { s.do(ctx, "status") })
	return nil
}

// aside runs f and returns the status that was before it.
func (s *session) aside(f func()) int {
	before := s.status
	f()
	return before
}

func (s *session) exit(context.Context, string) error {
	s.out.raw("\n")
	s.done = true
	return nil
}

// confirmed asks before something drastic, but only people.
func (s *session) confirmed(ctx context.Context, question string) (bool, error) {
	if !s.opts.interactive {
		return true, nil
	}
	answer, err := s.ask(ctx, question)
	return err == nil && strings.HasPrefix(strings.ToLower(answer), "y"), err
}

func (s *session) shutdown(ctx context.Context, _ string) error {
	if ok, err := s.confirmed(ctx, "Really shut the remote supervisord process down y/N? "); !ok {
		return err
	}
	err := s.rpc().Shutdown(ctx)
	switch {
	case err == nil:
		s.out.say("Shut down")
	case faultCode(err) == supervisor.FaultShutdownState:
		s.out.say("ERROR: already shutting down")
	case errors.Is(err, syscall.ECONNREFUSED):
		s.fail(statusGeneric, "ERROR: %s refused connection (already shut down?)", s.url)
	case errors.Is(err, fs.ErrNotExist):
		s.fail(statusGeneric, "ERROR: %s no such file (already shut down?)", s.url)
	default:
		return err
	}
	return nil
}

// reload restarts the daemon. A configuration that cannot be read stops nothing and is reported. Source:
// spec/supervisor 6.4, F4.
func (s *session) reload(ctx context.Context, _ string) error {
	if ok, err := s.confirmed(ctx, "Really restart the remote supervisord process y/N? "); !ok {
		return err
	}
	err := s.rpc().Restart(ctx)
	var fault *supervisor.Fault
	switch {
	case err == nil:
		s.out.say("Restarted supervisord")
	case faultCode(err) == supervisor.FaultShutdownState:
		s.fail(statusGeneric, "ERROR: already shutting down")
	case errors.As(err, &fault) && fault.Code == supervisor.FaultCannotReread:
		s.fail(statusGeneric, "ERROR: %s", fault.Text)
	default:
		return err
	}
	return nil
}
