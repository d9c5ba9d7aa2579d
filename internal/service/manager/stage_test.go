package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/service"
)

const patience = 2 * time.Minute

// stage is a manager over a real core, a real activity log and real log files. The processes are played: the
// command line says what they do.
//
//	stay      runs until TERM
//	mule      runs until KILL
//	deaf      cannot be signalled at all
//	quick     ends at once with status 1
//	broken    cannot be started
//	later     is started when the gate opens
//	full      does not read its input; closed has none
//	missing   is refused beforehand: no such file; noexec: not executable
type stage struct {
	*Manager
	t     *testing.T
	dir   string
	core  *core.Core
	ring  *events.Ring
	gate  chan struct{}
	began time.Time

	mu     sync.Mutex
	pids   int
	config *model.Config
	bad    error
	got    map[string][]int // signals by program
	live   map[string]*actor
	orders []string // launches and signals, in order
	wait   sync.WaitGroup
}

func newStage(t *testing.T, groups ...*model.Group) *stage {
	t.Helper()
	return makeStage(t, false, groups)
}

// newGentle is a stage whose changes end and start nothing.
func newGentle(t *testing.T, groups ...*model.Group) *stage {
	t.Helper()
	return makeStage(t, true, groups)
}

func makeStage(t *testing.T, gentle bool, groups []*model.Group) *stage {
	t.Helper()
	s := &stage{
		t: t, dir: t.TempDir(), ring: events.New(1000), gate: make(chan struct{}), began: time.Now(),
		config: &model.Config{Groups: groups}, got: map[string][]int{}, live: map[string]*actor{},
	}
	for _, g := range groups {
		for _, p := range g.Programs {
			s.place(p)
		}
	}
	files := logs.NewStore()
	log, err := activity.New(activity.Options{Level: activity.Debug, Path: filepath.Join(s.dir, "main"), Files: files})
	if err != nil {
		t.Fatal(err)
	}
	s.core = core.New(core.Options{Host: s, Log: log, Ring: s.ring, Gentle: gentle})
	s.Manager = New(Options{
		Core: s.core, Programs: programs{launch.New(launch.Options{Files: files, Environ: []string{"TOWN=Bremen"}, Log: log, AutoDir: s.dir, Identifier: "me"})},
		Log: log, Ring: s.ring, Files: files, MainLog: filepath.Join(s.dir, "main"), PID: 4711, Identifier: "me", Load: s.load, Gentle: gentle, Environ: []string{"TOWN=Bremen"},
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.wait.Go(func() { s.core.Run(ctx) })
	first, err := s.Prepare(s.config, func(string) bool { return false })
	if err == nil {
		err = s.Activate(ctx, first)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		s.wait.Wait()
		log.Close()
	})
	return s
}

// place puts the log files of a program that names them into the stage's directory.
func (s *stage) place(p *model.Program) {
	for _, st := range []*model.Stream{&p.IO.Stdout, &p.IO.Stderr} {
		if st.Log == model.LogFile {
			st.Path = filepath.Join(s.dir, st.Path)
		}
	}
}

// programs checks by the word of the command; logs are made as always.
type programs struct{ *launch.Host }

func (programs) Check(p *model.Program) error {
	switch p.Command.Line {
	case "missing":
		return &launch.CommandError{Text: "can't find command 'missing'", Missing: true}
	case "noexec":
		return &launch.CommandError{Text: "command at 'noexec' is not executable"}
	}
	return nil
}

func (s *stage) load() (*model.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config, s.bad
}

// reads changes what the next reread finds.
func (s *stage) reads(c *model.Config, bad error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config, s.bad = c, bad
}

// Now, Wall and Launch make the stage the core's world.
func (s *stage) Now() time.Duration { return time.Hour + time.Since(s.began) }
func (s *stage) Wall() time.Time    { return time.Now() }

func (s *stage) Resume(core.Instance, bool) core.Resumed { return core.Resumed{} }

func (s *stage) Launch(i core.Instance) {
	p := i.Slot.Program()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, "start "+p.ID.Name)
	s.pids++
	a := &actor{s: s, i: i, pid: 100 + s.pids, line: p.Command.Line}
	switch p.Command.Line {
	case "broken":
		s.core.LaunchFailed(i, "command is empty")
		return
	case "later":
		s.wait.Go(func() {
			<-s.gate
			s.core.Launched(i, a)
		})
	default:
		s.core.Launched(i, a)
	}
	s.live[p.ID.Name] = a
	if p.Command.Line == "quick" {
		s.core.Ended(i, model.Exit{Known: true, Status: 1})
	}
}

type actor struct {
	s    *stage
	i    core.Instance
	pid  int
	line string
	over bool
}

func (a *actor) PID() int { return a.pid }
func (a *actor) Release() {}

func (a *actor) Signal(sig int, _ model.Reach) error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	name := a.i.Slot.Program().ID.Name
	a.s.got[name] = append(a.s.got[name], sig)
	a.s.orders = append(a.s.orders, fmt.Sprint("signal ", name))
	switch {
	case a.over:
		return syscall.ESRCH
	case a.line == "deaf":
		return syscall.EPERM
	case sig == 9, sig == 15 && a.line != "mule":
		a.over = true
		a.s.core.Ended(a.i, model.Exit{Known: true, Signal: sig})
	}
	return nil
}

func (a *actor) WriteStdin([]byte) error {
	switch a.line {
	case "full":
		return streams.ErrFull
	case "closed":
		return streams.ErrClosed
	}
	return nil
}

// group is a group of programs written "name=command", or of one program with the group's name.
func group(name string, priority int, members ...string) *model.Group {
	g := &model.Group{Name: name, Priority: priority}
	for i, m := range members {
		n, line, ok := strings.Cut(m, "=")
		if !ok {
			n, line = name, m
		}
		g.Programs = append(g.Programs, &model.Program{
			ID: model.ID{Group: name, Name: n}, Priority: 10 - i, Command: model.Command{Line: line, Umask: -1, UID: -1},
			Start: model.StartPolicy{Retries: 0}, Stop: model.StopPolicy{Signal: 15, Wait: time.Hour},
			Exit: model.ExitPolicy{Restart: model.RestartNever, Codes: []int{0}},
		})
	}
	return g
}

func one(name string) service.Selector { return service.One(model.ID{Group: name, Name: name}) }

func member(group, name string) service.Selector {
	return service.One(model.ID{Group: group, Name: name})
}

var everything = service.Selector{All: true}

// is checks an answer: results are written "group:name CODE text", joined by "; ".
func is(t *testing.T, what string, rs []service.Result, err error, want string) {
	t.Helper()
	var parts []string
	if err != nil {
		parts = append(parts, "error "+err.Error())
	}
	for _, r := range rs {
		part := r.ID.Namespec() + " "
		if r.Err == nil {
			part += "ok"
		} else {
			part += r.Err.Error()
		}
		var typed *service.Error
		if r.Err != nil && !errors.As(r.Err, &typed) {
			part += " (untyped)"
		}
		parts = append(parts, part)
	}
	if d := cmp.Diff(want, strings.Join(parts, "; ")); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}

// code checks the code of an error.
func code(t *testing.T, what string, err error, want service.Code) {
	t.Helper()
	if got := service.CodeOf(err); got != want {
		t.Errorf("%s: %v (code %d), want code %d", what, err, got, want)
	}
}

func (s *stage) state(name string, want model.State) {
	s.t.Helper()
	st, err := s.Get(context.Background(), one(name).ID)
	if err != nil || st.State != want {
		s.t.Errorf("%s is %s (%v), want %s", name, st.State, err, want)
	}
}

func (s *stage) until(what string, f func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// took returns what was ordered since the last call.
func (s *stage) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.orders, ", ")
	s.orders = nil
	return out
}
