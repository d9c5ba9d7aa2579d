package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/accounts"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Adoptable lists processes that could become an instance.
func (m *Manager) Adoptable(ctx context.Context, q service.AdoptQuery) ([]service.Adoptable, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	found, err := m.matching(ctx, q)
	if err != nil {
		return nil, err
	}
	us := os.Geteuid()
	slices.SortStableFunc(found, func(a, b *find.Process) int {
		if own := a.UID == us; own != (b.UID == us) {
			if own {
				return -1
			}
			return 1
		}
		return find.Older(a, b)
	})
	users := map[int]string{}
	out := make([]service.Adoptable, 0, len(found))
	for k, p := range found {
		a := describe(p, users)
		if k < manyPrograms {
			a.Listen = addresses(ctx, p.PID)
		}
		out = append(out, a)
	}
	return out, nil
}

// AdoptAs is Adopt of the one process that a query is about.
func (m *Manager) AdoptAs(ctx context.Context, id model.ID, q service.AdoptQuery) (model.Status, error) {
	s, err := m.slot(id)
	if err != nil {
		return model.Status{}, err
	}
	if q == (service.AdoptQuery{}) {
		return model.Status{}, &service.Error{Code: service.CodeBadArguments, Text: "nothing says which process is meant"}
	}
	if q == (service.AdoptQuery{PID: q.PID}) {
		return m.Adopt(ctx, id, q.PID)
	}
	found, err := m.matching(ctx, q)
	if err != nil {
		return model.Status{}, err
	}
	switch len(found) {
	case 0:
		return model.Status{}, &service.Error{Code: service.CodeNoProcess, Text: "none that could be adopted fits"}
	case 1:
	default:
		return model.Status{}, &service.Error{Code: service.CodeAmbiguous, Text: launch.Named(found)}
	}
	c, err := m.o.Programs.CandidateAt(found[0])
	if err != nil {
		return model.Status{}, notAdopted(err, id)
	}
	return m.adopt(ctx, s, c)
}

// Release lets programs go.
func (m *Manager) Release(ctx context.Context, sel service.Selector) ([]service.Result, error) {
	slots, mode, err := m.slots(sel)
	if err != nil {
		return nil, err
	}
	return results(m.o.Core.Release(ctx, slots, mode))
}

// matching are the processes that could become an instance and of which all holds that a query says. Of what is looked for by
// its command line, a process whose parent fits too is left out. When the one that a number or a port means could not become
// one, it is the error that says why.
func (m *Manager) matching(ctx context.Context, q service.AdoptQuery) ([]*find.Process, error) {
	all, could, err := m.o.Programs.Adoptable(ctx)
	if err != nil {
		return nil, &service.Error{Code: service.CodeFailed, Text: err.Error()}
	}
	tests := []func(*find.Process) bool{could}
	var unbelieved error
	if q.PID > 0 {
		tests = append(tests, func(p *find.Process) bool { return p.PID == q.PID })
	}
	if !q.Start.IsZero() {
		tests = append(tests, func(p *find.Process) bool { return sameStart(q.Start, p) })
	}
	if q.PIDFile != "" {
		f, err := believed(q.PIDFile)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(p *find.Process) bool {
			if p.PID == f.PID {
				unbelieved = f.Believe(q.PIDFile, p.UID, p.EUID, os.Geteuid(), p.UID)
			}
			return p.PID == f.PID && unbelieved == nil
		})
		q.PID = cmp.Or(q.PID, f.PID)
	}
	if q.Port > 0 {
		pids, err := listeners(ctx, all, q.Port)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(p *find.Process) bool { return slices.Contains(pids, p.PID) })
	}
	byLine := q.Title != "" || q.Command != "" || q.Program != (model.ID{})
	if q.Title != "" {
		re, err := find.NewPattern(q.Title)
		if err != nil {
			return nil, &service.Error{Code: service.CodeBadArguments, Text: err.Error()}
		}
		tests = append(tests, re.Fits)
	}
	if q.Command != "" {
		c, err := launch.CommandOf(q.Command, "", m.o.Environ)
		if err != nil {
			return nil, commandFailure(err)
		}
		tests = append(tests, c.Fits)
	}
	if q.Program != (model.ID{}) {
		fits, err := m.fits(q.Program)
		if err != nil {
			return nil, err
		}
		tests = append(tests, fits)
	}
	fits := func(p *find.Process) bool {
		return !slices.ContainsFunc(tests, func(test func(*find.Process) bool) bool { return !test(p) })
	}
	var out []*find.Process
	if byLine {
		out = all.Eldest(fits)
	} else {
		list := all.All()
		for i := range list {
			if fits(&list[i]) {
				out = append(out, &list[i])
			}
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case unbelieved != nil:
		return nil, &service.Error{Code: service.CodeBadArguments, Text: unbelieved.Error()}
	}
	return nil, m.barred(ctx, q, all, could)
}

// barred is why the process that a query means by its number or its port could not become an instance; nil when it could,
// and when neither is said.
func (m *Manager) barred(ctx context.Context, q service.AdoptQuery, all *find.Crowd, could func(*find.Process) bool) error {
	pid := q.PID
	if pid == 0 && q.Port > 0 {
		pids, err := listeners(ctx, all, q.Port)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return &service.Error{Code: service.CodeNoProcess, Text: fmt.Sprintf("none that may be looked at listens on port %d", q.Port)}
		}
		pid = pids[0]
	}
	if pid <= 0 {
		return nil
	}
	for p := all.Get(pid); p != nil; p = all.Parent(p) {
		for _, s := range m.o.Core.Table().Sorted {
			if st := s.Status(); st.PID == p.PID {
				return &service.Error{Code: service.CodeTaken, Text: fmt.Sprintf("pid %d belongs to the program %s", pid, st.ID)}
			}
		}
	}
	c, err := m.o.Programs.Candidate(pid)
	if err != nil {
		return notAdopted(err, model.ID{})
	}
	c.Close()
	if p := all.Get(pid); p == nil || could(p) {
		return nil
	}
	return &service.Error{Code: service.CodeNotAdoptable, Text: fmt.Sprintf("pid %d is the command that asks, or what has started it", pid)}
}

// fits is the test of a program's own definition.
func (m *Manager) fits(id model.ID) (func(*find.Process) bool, error) {
	s, err := m.slot(id)
	if err != nil {
		return nil, err
	}
	fits, err := m.o.Programs.Fits(s.Program())
	if err != nil {
		return nil, commandFailure(err)
	}
	return fits, nil
}

// believed reads a pid file for a person.
func believed(path string) (pidfile.File, error) {
	if !filepath.IsAbs(path) {
		return pidfile.File{}, &service.Error{Code: service.CodeBadArguments, Text: "the path of a pid file begins with /"}
	}
	f, err := pidfile.Read(path)
	if err == nil {
		return f, nil
	}
	code := service.CodeBadArguments
	if errors.Is(err, fs.ErrNotExist) {
		code = service.CodeNoFile
	}
	return f, &service.Error{Code: code, Text: err.Error()}
}

// startTolerance is how far two statements of when a process began may lie apart: the system counts in hundredths of a second.
const startTolerance = 20 * time.Millisecond

func sameStart(t time.Time, p *find.Process) bool {
	d := t.Sub(startOf(p))
	return d <= startTolerance && d >= -startTolerance
}

// startOf is when a process began; zero when that is not known.
func startOf(p *find.Process) time.Time {
	age, err := procstat.Age(p.StartTicks)
	if err != nil {
		return time.Time{}
	}
	return time.Now().Add(-age).Round(time.Millisecond)
}

// listeners are the processes that listen on a port; of those that share a socket with one above them, the eldest.
func listeners(ctx context.Context, all *find.Crowd, port int) ([]int, error) {
	if port > 1<<16-1 {
		return nil, &service.Error{Code: service.CodeBadArguments, Text: strconv.Itoa(port) + " is no port"}
	}
	var out []int
	for _, network := range []string{"tcp", "udp"} {
		holders, err := procnet.Holders(ctx, network, port)
		if err != nil {
			return nil, &service.Error{Code: service.CodeFailed, Text: err.Error()}
		}
		for _, h := range holders {
			eldest := h.PID
			for p := all.Get(h.PID); p != nil; p = all.Parent(p) {
				if !listensOn(ctx, p.PID, port) {
					break
				}
				eldest = p.PID
			}
			if eldest > 0 && !slices.Contains(out, eldest) {
				out = append(out, eldest)
			}
		}
	}
	return out, nil
}

func listensOn(ctx context.Context, pid, port int) bool {
	addrs, err := procnet.Listening(ctx, pid)
	return err == nil && slices.ContainsFunc(addrs, func(a procnet.Addr) bool { return int(a.AddrPort.Port()) == port })
}

// addresses are those at which one process listens.
func addresses(ctx context.Context, pid int) []string {
	addrs, _ := procnet.Listening(ctx, pid) // what cannot be found out is not shown
	out := []string{}
	for _, a := range addrs {
		if text := a.String(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// untitled are arguments without the empty ones that a process leaves behind a title that it has given itself.
func untitled(args []string) []string {
	if len(args) > 1 && strings.Contains(args[0], " ") && strings.Join(args[1:], "") == "" {
		return args[:1]
	}
	return args
}

// describe is a process for people.
func describe(p *find.Process, users map[int]string) service.Adoptable {
	args := untitled(p.Args)
	a := service.Adoptable{
		PID: p.PID, Parent: p.PPID, UID: p.UID, Start: startOf(p), Listen: []string{}, Args: args, Dir: find.Dir(p.PID),
		Name: nameOf(args), Ignores: launch.Deaf(p),
	}
	name, ok := users[p.UID]
	if !ok {
		name = strconv.Itoa(p.UID)
		if u, err := accounts.System().ByUID(p.UID); err == nil {
			name = u.Name
		}
		users[p.UID] = name
	}
	a.User = name
	if u, err := procstat.Usage(p.PID); err == nil {
		a.CPU, a.Memory = percent(u), u.Memory
	}
	return a
}

// nameOf is the name that a program made of a process could have: that of its command, or of the script that it runs.
func nameOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	command := args[0]
	if words := strings.Fields(command); len(args) == 1 && len(words) > 1 { // a title: "nginx: master process"
		command = strings.TrimSuffix(words[0], ":")
	}
	if interpreter(filepath.Base(command)) {
		// Behind an option anything may stand.
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			command = args[1]
		}
	}
	return managed.NameOf(command)
}

// interpreter reports whether a command says little of what it runs.
func interpreter(name string) bool {
	name = strings.TrimRight(name, "0123456789.")
	return slices.Contains([]string{"python", "node", "ruby", "perl", "php", "sh", "bash", "dash", "zsh", "env"}, name)
}
