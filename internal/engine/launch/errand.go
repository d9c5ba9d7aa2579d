package launch

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/command"
	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Watched is what those who look after programs want to know of their instances. Both functions may be nil.
type Watched struct {
	// Lines gives what is to be called with each line that an instance writes to stdout (0) or stderr (1); nil = nobody
	// wants to know. It is asked before the instance begins, and again by a successor of this process.
	Lines func(i core.Instance, p *model.Program, channel int) func(line []byte)
	// Notify is where a program is told to send its messages; empty = nowhere.
	Notify func(p *model.Program) string
}

// attend has an instance's lines heard by who looks after it.
func (h *Host) attend(i core.Instance, out *outputs) {
	if h.o.Watched.Lines == nil {
		return
	}
	p := i.Slot.Program()
	for channel := range out.of {
		if channel == 1 && p.IO.MergeStderr {
			return
		}
		hear := h.o.Watched.Lines(i, p, channel)
		if hear == nil {
			continue
		}
		if before := out.of[channel].Line; before != nil {
			also := hear
			hear = func(line []byte) {
				before(line)
				also(line)
			}
		}
		out.of[channel].Line = hear
	}
}

// messages are the variables by which a program finds where to send its messages, and how often.
func (e environment) messages(p *model.Program, m map[string]string) {
	if e.notify == nil {
		return
	}
	path, age := e.notify(p), time.Duration(0)
	if path == "" {
		return
	}
	m[notified.Variable] = path
	for n := range p.Checks {
		if k := &p.Checks[n]; k.Kind == model.CheckHeartbeat && (age == 0 || k.Age < age) {
			age = k.Age
		}
	}
	if age > 0 {
		m[notified.WatchdogVariable] = notified.Watchdog(age)
	}
}

// private removes variables that are about this process and nobody else.
func (e environment) private() {
	for _, name := range []string{notified.Variable, notified.WatchdogVariable, "WATCHDOG_PID"} {
		delete(e.base, command.EnvName(name))
	}
}

// Errand makes a command that is executed in the surroundings of a program: with its directory, its environment and the
// rights of its user. It is no instance. *CommandError when it cannot be.
func (h *Host) Errand(p *model.Program, line string) (errand.Errand, error) {
	one := *p
	one.Command.Line = line
	argv, path, err := h.resolve(&one)
	if err != nil {
		return errand.Errand{}, err
	}
	c := errand.Errand{Path: path, Argv: argv, Dir: p.Command.Dir, Begin: h.Aside}
	if uid := p.Command.UID; uid >= 0 && uid != h.o.UID {
		if c.Cred, err = spawn.LookupCred(uid); err != nil {
			return errand.Errand{}, err
		}
	}
	e := h.env
	e.notify = nil
	c.Env = e.of(p, c.Cred != nil)
	return c, nil
}

// Aside starts a process that is no instance and is not to be taken for a stranger.
func (h *Host) Aside(start func() (pid int, err error)) (over func(), err error) {
	h.births.RLock()
	defer h.births.RUnlock()
	pid, err := start()
	if err != nil {
		return nil, err
	}
	one := &instance{}
	h.pids.set(pid, one)
	return func() { h.pids.remove(pid, one) }, nil
}
