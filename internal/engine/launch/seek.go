package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/find"
)

// crowd is the last look at all processes, which starts that were asked for before it share: when a thousand programs are
// looked for at once there are not a thousand looks.
type crowd struct {
	mu    sync.Mutex
	of    *find.Crowd
	began time.Duration
}

// crowdAge is how old a shared look may be.
const crowdAge = 2 * time.Second

// since is a look that has begun after the given time.
func (c *crowd) since(ctx context.Context, asked time.Duration, now func() time.Duration) (*find.Crowd, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := now(); c.of != nil && c.began >= asked && at-c.began < crowdAge {
		return c.of, nil
	}
	began := now()
	all, err := find.Everybody(ctx)
	if err != nil {
		return nil, err
	}
	c.of, c.began = all, began
	return all, nil
}

func (c *crowd) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of = nil
}

// SeekError says that a program was not started because it is not certain that it does not run already.
type SeekError struct{ Text string }

func (e *SeekError) Error() string { return e.Text }

// seek looks for a process that runs already and takes it in the place of a start: the one that the pid file names, else
// the one that fits the command or the pattern. nil and no error: there is none. Several are an error that names them, and
// nobody is touched. Source: spec/usrsvc US-40 to US-44, one-model C8.
func (h *Host) seek(i core.Instance, p *model.Program, asked time.Duration) (*instance, error) {
	if !p.Attach.Fits() {
		return nil, nil
	}
	fits, err := h.fitting(p)
	if err != nil {
		return nil, err
	}
	if p.Attach.PIDFile != "" {
		if inst := h.byPIDFile(i, p, fits); inst != nil {
			return inst, nil
		}
	}
	if !p.Attach.Scan {
		return nil, nil
	}
	all, err := h.crowd.since(h.ctx, asked, h.Now)
	if errors.Is(err, find.ErrUnsupported) {
		return nil, nil // nothing can be found here, which the documentation says
	}
	if err != nil {
		return nil, &SeekError{"cannot look for a process that runs already: " + err.Error()}
	}
	found, err := h.scan(p, fits, all)
	if found == nil || err != nil {
		return nil, err
	}
	uid := h.uidOf(p)
	inst, err := h.claim(i, found, func(q *find.Process) bool { return q.Of(uid) && fits(q, false) })
	if errors.Is(err, ErrNoProcess) { // it has just ended, or is another one now
		return nil, nil
	}
	if err != nil {
		return nil, &SeekError{"it runs already, and cannot be taken: " + err.Error()}
	}
	return inst, nil
}

// namedMost is how many candidates a text names.
const namedMost = 10

// shownMost is how much of a command line a text shows, in bytes.
const shownMost = 80

// Named lists processes for people: pid and command.
func Named(list []*find.Process) string {
	var out []string
	for k, p := range list {
		if k == namedMost {
			out = append(out, fmt.Sprintf("and %d more", len(list)-k))
			break
		}
		line := strings.ToValidUTF8(strings.Join(p.Args, " "), "?")
		if len(line) > shownMost {
			line = strings.ToValidUTF8(line[:shownMost], "") + "…"
		}
		out = append(out, fmt.Sprintf("%d (%s)", p.PID, line))
	}
	return strings.Join(out, ", ")
}

// fitting makes the test of whether a process is a program's. The word of a pid file counts for something: of such a process
// it is enough that it executes the program's file under a title of its own.
func (h *Host) fitting(p *model.Program) (func(q *find.Process, named bool) bool, error) {
	if p.Attach.Match != "" {
		re, err := find.NewPattern(p.Attach.Match)
		if err != nil {
			return nil, &SeekError{"match cannot be read: " + err.Error()}
		}
		return func(q *find.Process, _ bool) bool { return re.Fits(q) }, nil
	}
	argv, path, err := h.resolve(p)
	if err != nil {
		return nil, err
	}
	c := find.NewCommand(argv, path, place(p, "."))
	return func(q *find.Process, named bool) bool { return c.Fits(q) || named && c.Titled(q) }, nil
}

// CommandOf is a command line as it would be started by a daemon whose environment is given, to be compared with what runs.
// The error is a *CommandError.
func CommandOf(line, dir string, environ []string) (find.Command, error) {
	h := &Host{env: newEnvironment(environ, "")}
	p := &model.Program{Command: model.Command{Line: line, Dir: dir, UID: -1}}
	argv, path, err := h.resolve(p)
	if err != nil {
		return find.Command{}, err
	}
	return find.NewCommand(argv, path, dir), nil
}

// off makes the test of whether a process is out of question: it is ours, an instance, below one, or in a container.
func (h *Host) off(all *find.Crowd) func(*find.Process) bool {
	return func(p *find.Process) bool {
		return h.own(p.Stat) || all.Below(p, func(q *find.Process) bool { return h.Known(q.PID) }) || !find.SameSpace(p.PID)
	}
}

// claim takes a process that was seen, if it is still the one and still fits.
func (h *Host) claim(i core.Instance, p *find.Process, fits func(*find.Process) bool) (*instance, error) {
	found, err := h.CandidateAt(p)
	if err != nil {
		return nil, err
	}
	c := found.(*candidate)
	defer c.Close()
	now, err := find.Read(p.PID) // what is held cannot change into another one any more
	if err != nil || now.StartTicks != p.StartTicks || !fits(&now) {
		return nil, fmt.Errorf("pid %d: %w", p.PID, ErrNoProcess)
	}
	inst, _, err := c.take(i, &birth{Found: true})
	if err != nil {
		return nil, err
	}
	c.handle = nil
	return inst, nil
}

// byPIDFile takes the process that a program's pid file names; nil when that is not to be believed, which is said.
func (h *Host) byPIDFile(i core.Instance, p *model.Program, fits func(*find.Process, bool) bool) *instance {
	q, why := h.named(p, fits)
	if why != "" {
		h.o.Log.Logf(activity.Warn, "%s: %s", p.ID, why)
	}
	if q == nil {
		return nil
	}
	inst, err := h.claim(i, q, func(q *find.Process) bool { return fits(q, true) })
	if err != nil {
		h.o.Log.Logf(activity.Warn, "%s: its pid file is not used: %v", p.ID, err)
		return nil
	}
	return inst
}

// The signals that ask a process to end, which a process that somebody else has started may have been told to ignore.
var asking = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

// Deaf are the signals among TERM, INT and HUP that a process ignores, by name without SIG. Source: spec/usrsvc US-22.
func Deaf(p *find.Process) []string {
	var out []string
	for _, sig := range asking {
		if p.Ignores(int(sig)) {
			out = append(out, strings.TrimPrefix(units.SignalName(int(sig)), "SIG"))
		}
	}
	return out
}

// tellDeaf says that a process which was taken ignores what would stop it.
func (h *Host) tellDeaf(p *model.Program, pid int) {
	q, err := find.Read(pid)
	if err != nil {
		return
	}
	if deaf := Deaf(&q); len(deaf) > 0 && q.Ignores(p.Stop.Signal) {
		h.o.Log.Logf(activity.Warn, "%s (pid %d) ignores %s: a stop will need KILL, until its next start", p.ID, pid, strings.Join(deaf, " and "))
	}
}

// Adoptable looks at all processes, and tells which of them could become an instance: those of the daemon, of programs, of
// the kernel and of others that may not be signalled could not, nor could who asks, which runs this executable, with all
// above it. find.ErrUnsupported where the system tells nothing of others.
func (h *Host) Adoptable(ctx context.Context) (*find.Crowd, func(*find.Process) bool, error) {
	all, err := find.Everybody(ctx)
	if err != nil {
		return nil, nil, err
	}
	skip, asks := h.off(all), askers(all)
	us := os.Geteuid()
	return all, func(p *find.Process) bool {
		return p.PID > 1 && !p.Kernel && !asks[p.PID] && (us == 0 || p.UID == us) && len(p.Args) > 0 && !skip(p)
	}, nil
}
