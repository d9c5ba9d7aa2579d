package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/command"
	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Watched is what those who look after programs want to know of their instances. Its functions may be nil.
type Watched struct {
	// Begin is told right before an instance begins, when the files that the program writes itself are there.
	Begin func(i core.Instance, p *model.Program)
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

// errandPrefix begins the journal's keys of what Aside has started and has not ended.
const errandPrefix = "errand/"

// Aside starts a process that is no instance and is not to be taken for a stranger. When this process is killed, the next one
// ends it (endErrands), unless that happens before its record is written, right after its start.
func (h *Host) Aside(start func() (pid int, err error)) (over func(), err error) {
	pid, one, err := h.aside(start)
	if err != nil {
		return nil, err
	}
	key := h.noteErrand(pid)
	return func() {
		h.pids.remove(pid, one)
		if key != "" {
			h.o.Journal.Put(key, nil) // with the next flush: a record too many does no harm
		}
	}, nil
}

func (h *Host) aside(start func() (int, error)) (int, *instance, error) {
	h.births.RLock()
	defer h.births.RUnlock()
	pid, err := start()
	if err != nil {
		return 0, nil, err
	}
	one := &instance{}
	h.pids.set(pid, one)
	return pid, one, nil
}

// noteErrand has the journal know of a process; the key of the record, empty = there is none.
func (h *Host) noteErrand(pid int) string {
	if h.o.Journal == nil {
		return ""
	}
	id, err := procfd.Identify(pid)
	if err != nil { // it has been waited for
		return ""
	}
	value, err := json.Marshal(id)
	if err != nil {
		return "" // impossible: it is plain data
	}
	key := fmt.Sprintf("%s%d.%d", errandPrefix, pid, id.StartTicks)
	h.o.Journal.Put(key, value)
	_ = h.o.Journal.Flush() // the journal reports its own trouble
	return key
}

// endErrands ends, with all they have started, the processes that were started by Aside of an earlier process which was killed:
// nobody waits for what they have to say. What has the number of one by now is left alone.
func (h *Host) endErrands(journal map[string][]byte) {
	for key, value := range journal {
		if !strings.HasPrefix(key, errandPrefix) {
			continue
		}
		var id procfd.Identity
		if err := json.Unmarshal(value, &id); err != nil {
			h.o.Log.Logf(activity.Error, "journal: %s: %v", key, err)
		} else if p, err := procfd.Adopt(id); err == nil {
			if err := p.Signal(int(syscall.SIGKILL), model.ReachTree); err != nil && !errors.Is(err, syscall.ESRCH) {
				h.o.Log.Logf(activity.Warn, "pid %d, a command of an earlier process of this daemon, cannot be ended: %v", id.PID, err)
			} else {
				h.o.Log.Logf(activity.Info, "ended pid %d, a command that an earlier process of this daemon did not wait for any more", id.PID)
			}
			p.Close()
		}
		h.o.Journal.Put(key, nil)
	}
}
