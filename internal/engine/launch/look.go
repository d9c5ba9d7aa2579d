package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
)

// Find is the process that would be taken in the place of a start of a program: the one that its pid file names, else the one
// that fits its command or its pattern. Nothing is taken and nothing changed. nil and no error: there is none; *SeekError:
// several fit, or nobody can tell.
func (h *Host) Find(ctx context.Context, p *model.Program) (*find.Process, error) {
	fits, err := h.fitting(p)
	if err != nil {
		return nil, err
	}
	if p.Attach.PIDFile != "" {
		if q, _ := h.named(p, fits); q != nil && !h.Known(q.PID) {
			return q, nil
		}
	}
	if !p.Attach.Scan {
		return nil, nil
	}
	all, err := h.crowd.since(ctx, h.Now()-crowdAge, h.Now)
	if errors.Is(err, find.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, &SeekError{"cannot look for a process that runs already: " + err.Error()}
	}
	return h.scan(p, fits, all)
}

// Fits makes the test of whether a process is what a program's definition says: the one that its pid file names, and when that
// names none that is to be believed, one of the program's user that fits its pattern or its command. Errors: *CommandError,
// *SeekError.
func (h *Host) Fits(p *model.Program) (func(*find.Process) bool, error) {
	fits, err := h.fitting(p)
	if err != nil {
		return nil, err
	}
	if p.Attach.PIDFile != "" {
		if named, _ := h.named(p, fits); named != nil {
			return func(q *find.Process) bool { return q.PID == named.PID && q.StartTicks == named.StartTicks }, nil
		}
	}
	uid := h.uidOf(p)
	return func(q *find.Process) bool { return q.Of(uid) && fits(q, false) }, nil
}

// FindOf is what Find of a daemon would find that runs as a user in an environment and knows of no process.
func FindOf(ctx context.Context, p *model.Program, environ []string, uid int) (*find.Process, error) {
	h := &Host{env: newEnvironment(environ, ""), o: Options{UID: uid}}
	return h.Find(ctx, p)
}

// named is the process that a program's pid file names; nil when there is none, or when that is not to be believed: then why
// is not empty.
func (h *Host) named(p *model.Program, fits func(*find.Process, bool) bool) (q *find.Process, why string) {
	path := p.Attach.PIDFile
	f, err := pidfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	if err != nil {
		return nil, fmt.Sprintf("its pid file is not used: %v", err)
	}
	found, err := find.Read(f.PID)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return nil, "" // a stale one
	case err != nil:
		return nil, fmt.Sprintf("its pid file is not used: pid %d: %v", f.PID, err)
	}
	if err := f.Believe(path, found.UID, found.EUID, h.o.UID, h.uidOf(p)); err != nil {
		return nil, fmt.Sprintf("its pid file is not used: %v", err)
	}
	if h.own(found.Stat) || !fits(&found, true) {
		return nil, fmt.Sprintf("its pid file %s names another program: %s", path, Named([]*find.Process{&found}))
	}
	return &found, ""
}

// scan is the one of all processes that fits a program; several are an error that names them.
func (h *Host) scan(p *model.Program, fits func(*find.Process, bool) bool, all *find.Crowd) (*find.Process, error) {
	uid, skip := h.uidOf(p), h.off(all)
	var asks map[int]bool // only when somebody fits: it takes a look at everybody
	found := all.Eldest(func(q *find.Process) bool {
		if !q.Of(uid) || !fits(q, false) || skip(q) {
			return false
		}
		if asks == nil {
			asks = askers(all)
		}
		return !asks[q.PID]
	})
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, &SeekError{"several processes fit, none was taken or started: " + Named(found)}
}

// askers are those who run this executable, with all above them: a command line that names a program is not the program.
func askers(all *find.Crowd) map[int]bool {
	asks := map[int]bool{}
	self, err := os.Executable()
	if err != nil {
		return asks
	}
	list := all.All()
	for k := range list {
		if find.Exe(list[k].PID) == self {
			all.Below(&list[k], func(q *find.Process) bool {
				asks[q.PID] = true
				return false
			})
		}
	}
	return asks
}
