package usrsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/app"
)

// manage is one run of usrsvcd.
type manage struct {
	*voice
	set      *settings // nil: it cannot be read
	broken   error     // why
	instance instance
	file     string
	// serve is the daemon in this process, in the foreground.
	serve func() (int, error)
}

// orders are what usrsvcd does. Source: spec/usrsvc 8.1.
func orders() []string {
	return []string{"start", "stop", "restart", "reread", "checkconfig", "status", "upgrade"}
}

// run carries out an order: the code.
func (m *manage) run(ctx context.Context, order string, foreground bool) Code {
	do := map[string]func(context.Context) (Code, error){
		"start": m.start, "stop": m.stop, "restart": m.restart, "reread": m.reread,
		"checkconfig": m.check, "status": m.status, "upgrade": m.upgrade,
	}[order]
	if foreground {
		do = m.foreground
	}
	code, err := do(ctx)
	if err != nil {
		err = interrupted(ctx, err)
		code = codeOf(err)
		m.complain("%v", err)
		m.trace("%s", code)
	}
	m.tell(Outcome{Program: "usrsvcd", Action: order, Code: int(code), Name: code.Name(), Text: text(err), Process: m.details(ctx)})
	return code
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// details are those of the daemon, for --json alone; nil = it does not run.
func (m *manage) details(ctx context.Context) *Details {
	if !m.json {
		return nil
	}
	if s, ok, err := m.active(ctx); err == nil && ok {
		return detailsOf(s.PID)
	}
	return nil
}

// active is the daemon's account of itself; ok is false when there is none, or one that only watches.
func (m *manage) active(ctx context.Context) (s upkeep.System, ok bool, err error) {
	s, ok, err = m.instance.running(ctx)
	return s, ok && !s.Passive, err
}

// usable fails when the configuration as a whole cannot be used, and nothing that was in force last takes its place.
func (m *manage) usable() error {
	if m.broken == nil || absent(m.broken) {
		return m.broken
	}
	s, why, err := last(m.instance.Instance, m.broken)
	if err != nil {
		return err
	}
	m.complain("WARNING: %s", why)
	m.set = s
	return nil
}

// faultless fails when there is any mistake in the configuration. Source: spec/usrsvc US-56.
func (m *manage) faultless() error {
	if m.broken != nil {
		return m.broken
	}
	if len(m.set.faults) > 0 {
		return fail(InvalidConfig, "the configuration has mistakes, nothing is changed:\n%s", strings.Join(m.set.faults, "\n"))
	}
	return nil
}

// warn tells of what is wrong with single programs, which concerns no other.
func (m *manage) warn() {
	for _, f := range m.set.faults {
		m.complain("WARNING: %s", f)
	}
}

// start starts the daemon and tells when it works.
func (m *manage) start(ctx context.Context) (Code, error) {
	if err := m.vacate(ctx, false); err != nil {
		return 0, err
	}
	m.warn()
	s, err := m.instance.start(ctx, modeActive, m.file)
	if err != nil {
		return 0, translate(err)
	}
	m.say(detailsOf(s.PID), "Started usrsvcd:")
	return Success, nil
}

// vacate makes sure that a daemon can begin: the configuration can be used, its files can be written, and no other runs. When
// it is to run in this process (here), one that only watches makes room; one that does more may stand in for a daemon that was
// killed, which is found out later.
func (m *manage) vacate(ctx context.Context, here bool) error {
	s, ok, err := m.instance.running(ctx)
	switch {
	case err != nil:
		return translate(err)
	case ok && !s.Passive && !here:
		return fail(UsrsvcdAlreadyRunning, "usrsvcd is already running [%d]:\n\n%s", s.PID, encode(detailsOf(s.PID)))
	}
	if pid := m.instance.lost(ctx); !ok && pid != 0 {
		return m.instance.unasked(pid)
	}
	if err := m.usable(); err != nil {
		return err
	}
	for _, path := range slices.Compact([]string{m.set.stdout, m.set.stderr}) {
		if path == "" {
			continue
		}
		if err := appendable(path); err != nil {
			return fail(InsufficientPermissions, "the log of usrsvcd cannot be written: %v", err)
		}
	}
	if err := creatable(m.set.pidfile); err != nil {
		return fail(InsufficientPermissions, "the pid file of usrsvcd cannot be written: %v", err)
	}
	if ok && s.Passive && here {
		m.trace("the daemon that only watches (pid %d) makes room", s.PID)
		return m.instance.end(ctx, s)
	}
	return nil
}

// foreground is the daemon in this process.
func (m *manage) foreground(ctx context.Context) (Code, error) {
	if _, begun := app.InheritedPlace(); !begun { // a process of a daemon that runs: asking it would be asking itself
		if err := m.vacate(ctx, true); err != nil {
			return 0, err
		}
		m.warn()
	}
	status, err := m.serve()
	if errors.As(err, new(*app.RunsError)) {
		if _, ok, look := m.active(ctx); look == nil && ok {
			return 0, fail(UsrsvcdAlreadyRunning, "usrsvcd: %v", err)
		}
		return 0, fail(TryAgain, "usrsvcd: %v, and is not the one that is wanted", err)
	}
	return Code(status), err
}

// stop ends the daemon; its programs run on.
func (m *manage) stop(ctx context.Context) (Code, error) {
	s, ok, err := m.instance.running(ctx)
	if err != nil {
		return 0, translate(err)
	}
	if !ok {
		if s.PID = m.instance.lost(ctx); s.PID == 0 {
			return Success, nil
		}
	}
	if err := m.instance.end(ctx, s); err != nil {
		return 0, err
	}
	if !s.Passive {
		m.say(nil, "Stopped usrsvcd [%d], the programs run on", s.PID)
	}
	return Success, nil
}

// restart replaces the daemon. While anything is wrong with the configuration, the one that runs is not touched.
func (m *manage) restart(ctx context.Context) (Code, error) {
	if err := m.faultless(); err != nil {
		return 0, err
	}
	if _, err := m.stop(ctx); err != nil {
		return 0, err
	}
	return m.start(ctx)
}

// reread has the daemon apply the configuration, when nothing is wrong with it.
func (m *manage) reread(ctx context.Context) (Code, error) {
	if err := m.faultless(); err != nil {
		return 0, err
	}
	s, ok, err := m.active(ctx)
	if err != nil {
		return 0, translate(err)
	}
	if !ok {
		m.complain("usrsvcd is not running")
		return Success, nil
	}
	c := m.instance.client()
	defer c.Close()
	plan, err := c.Apply(ctx)
	if err != nil {
		return 0, translate(err)
	}
	text := count(len(plan.Steps))
	for i := range plan.Steps {
		step := &plan.Steps[i]
		if step.Error != nil {
			m.complain("WARNING: %s: %s", step.ID, step.Error)
		}
		text += "\n  " + step.ID + ": " + cmp.Or(changes[step.Action], step.Action)
	}
	m.say(nil, "usrsvcd [%d] has applied the configuration: %s", s.PID, text)
	return Success, nil
}

// changes are what became of a program, in words.
var changes = map[string]string{"add": "new", "remove": "not managed any more", "change": "changed, for its next start"}

// count is how many programs changed, in words.
func count(n int) string {
	switch n {
	case 0:
		return "no program has changed"
	case 1:
		return "1 program has changed"
	}
	return fmt.Sprintf("%d programs have changed", n)
}

// check judges the configuration and touches nothing.
func (m *manage) check(ctx context.Context) (Code, error) {
	if m.set != nil {
		for _, w := range m.set.warnings {
			m.complain("WARNING: %s", w)
		}
	}
	if m.broken != nil {
		m.complain("%v", m.broken)
	} else {
		for _, f := range m.set.faults {
			m.complain("%s", f)
		}
	}
	err := m.faultless()
	if err == nil {
		return Success, nil
	}
	if s, ok, _ := m.active(ctx); ok {
		m.complain("usrsvcd [%d] goes on with the last good configuration", s.PID)
	} else if _, _, err := last(m.instance.Instance, err); err == nil && !absent(m.broken) {
		m.complain("where the files cannot be used, a start of usrsvcd takes the last good configuration")
	}
	return InvalidConfig, nil
}

// status tells whether the daemon runs.
func (m *manage) status(ctx context.Context) (Code, error) {
	s, ok, err := m.active(ctx)
	if err != nil {
		return 0, translate(err)
	}
	if !ok {
		if pid := m.instance.lost(ctx); pid != 0 {
			return 0, m.instance.unasked(pid)
		}
		m.say(nil, "usrsvcd is not running")
		return GeneralFailure, nil
	}
	m.say(detailsOf(s.PID), "usrsvcd is running:")
	if m.faultless() != nil {
		m.complain("WARNING: the configuration has mistakes, and what was good last is in force in their place: usrsvcd checkconfig names them")
	}
	m.trace("its log is %s, it answers at %s", s.Log, m.instance.Socket)
	return Success, nil
}

// upgradePatience is how long an upgrade may take.
const upgradePatience = time.Minute

// upgrade replaces the daemon's binary by the one that is there now; the programs run on.
func (m *manage) upgrade(ctx context.Context) (Code, error) {
	before, ok, err := m.instance.running(ctx)
	switch {
	case err != nil:
		return 0, translate(err)
	case !ok:
		return 0, fail(GeneralFailure, "usrsvcd is not running")
	}
	ctx, cancel := context.WithTimeout(ctx, upgradePatience)
	defer cancel()
	c := m.instance.client()
	defer c.Close()
	if err := c.Daemon(ctx, "upgrade"); err != nil {
		return 0, translate(err)
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fail(GeneralFailure, "usrsvcd [%d] has not been replaced in time; its log is %s", before.PID, before.Log)
		}
		now, err := c.System(ctx)
		switch {
		case err != nil || now.Manager == before.Manager && before.Manager != before.PID:
			continue // it is on its way
		case now.RolledBack != "":
			return 0, fail(GeneralFailure, "not upgraded, %s runs on: %s", now.Version, now.RolledBack)
		}
		m.say(nil, "Upgraded usrsvcd [%d] from %s to %s, the programs run on", now.PID, before.Version, now.Version)
		return Success, nil
	}
}
