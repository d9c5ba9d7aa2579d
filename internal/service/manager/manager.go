// Package manager is the service over the engine: it resolves names to programs, checks what can be
// checked before an order is given, and turns outcomes into the service's typed errors.
package manager

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/domain/plan"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/definitions"
	"github.com/upkeep-project/upkeep/internal/engine/events"
	"github.com/upkeep-project/upkeep/internal/engine/explain"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/tally"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/find"
)

// Programs is what the manager needs to know of the programs' surroundings; package launch has it.
type Programs interface {
	// Check says why a program's command cannot be started, as *launch.CommandError; nil when it can.
	Check(*model.Program) error
	// Environ is the environment that a program gets: NAME=VALUE.
	Environ(*model.Program) []string
	// MakeLogs resolves a program's log files and creates the automatic ones.
	MakeLogs(*model.Program) (core.LogPaths, error)
	// Candidate finds a process that is to become an instance; its errors are those of package launch.
	Candidate(pid int) (launch.Candidate, error)
	// CandidateAt is Candidate of a process that was seen, and Adoptable tells which ones could become an instance.
	CandidateAt(*find.Process) (launch.Candidate, error)
	Adoptable(context.Context) (*find.Crowd, func(*find.Process) bool, error)
	// Fits makes the test of whether a process is what a program's definition says.
	Fits(*model.Program) (func(*find.Process) bool, error)
	// DropLogs deletes the automatic log files of a program that is no longer wanted.
	DropLogs(*model.Program, core.LogPaths)
}

// Options are the parts of a Manager.
type Options struct {
	Core     *core.Core
	Programs Programs
	Log      *activity.Logger
	Ring     *events.Ring
	Checks   Checks // nil = nothing is checked
	Alerts   Alerts // nil = nobody is told
	Files    *logs.Store
	MainLog  string // path of the activity log; empty = none
	PID      int
	// Version, Manager and RolledBack are as in service.Info.
	Version    string
	Manager    int
	RolledBack string
	// Identifier is the instance's name in events and answers.
	Identifier string
	// Place is as in service.Insight. Environ is what programs inherit.
	Place   service.Place
	Environ []string
	// Definitions is the directory of the managed definitions; nil = there is none. Values are those in force of a program,
	// Invalid what was wrong with files of definitions at the last reading; nil = nobody can tell.
	Definitions *definitions.Store
	Values      func(*model.Program) []service.Value
	Invalid     func() []service.Mistake
	// FilesLimit is how many descriptors programs may have; nil = that is not known. It is asked when something is explained.
	FilesLimit func() uint64
	// Gentle has Apply let go of the programs that are not configured any more, instead of stopping them. The core restarts
	// nothing for a changed definition then (core.Options.Gentle).
	Gentle bool
	// Tally has the counts of what happened; nil = nobody counts. Waiting is how many events wait for listeners, by pool.
	Tally   *tally.Tally
	Waiting func() map[string]int
	// Changed is called when the set of groups or a definition has become another one; nil = nobody wants to know.
	Changed func()
	// Load reads the configuration without side effects; its error says section, file and line.
	Load func() (*model.Config, error)
}

// Checks knows what the checks of programs have found; package checks has it.
type Checks interface {
	States(ids []model.ID) map[model.ID][]model.CheckState
}

// Manager implements service.Service.
type Manager struct {
	o Options

	mu     sync.Mutex
	latest *model.Config // the most recently read configuration
	change sync.Mutex    // one change of the set of groups at a time
	// reading makes what was read last the latest. It comes after change.
	reading sync.Mutex

	started time.Time
	applied atomic.Pointer[service.Attempt] // nil = there was none
	unread  atomic.Pointer[service.Attempt] // the last reading, if it has failed
	sampler *sampler
	machine explain.Machine
}

var _ service.Service = (*Manager)(nil)

// New makes a manager without programs. Activate brings in the first configuration.
func New(o Options) *Manager {
	return &Manager{o: o, latest: &model.Config{}, started: time.Now(), sampler: newSampler(), machine: explain.ThisMachine()}
}

// changed tells who wants to know that the set of groups is another one.
func (m *Manager) changed() {
	if m.o.Changed != nil {
		m.o.Changed()
	}
}

// Prepare makes the logs of the first configuration's programs, for Activate, without those of groups that
// are active already. After an error there are none.
func (m *Manager) Prepare(c *model.Config, active func(group string) bool) ([]core.NewGroup, error) {
	var add []core.NewGroup
	for _, g := range c.Groups {
		if active(g.Name) {
			continue
		}
		n, err := m.prepare(g)
		if err != nil {
			for _, n := range add {
				m.drop(n)
			}
			return nil, err
		}
		add = append(add, n)
	}
	m.setLatest(c)
	return add, nil
}

// Activate makes the prepared groups active.
func (m *Manager) Activate(ctx context.Context, first []core.NewGroup) error {
	err := m.o.Core.AddGroups(ctx, first)
	m.attempted(err)
	return err
}

func (m *Manager) prepare(g *model.Group) (core.NewGroup, error) {
	n := core.NewGroup{Spec: g}
	for _, p := range g.Programs {
		l, err := m.o.Programs.MakeLogs(p)
		if err != nil {
			m.drop(n)
			return core.NewGroup{}, err
		}
		n.Logs = append(n.Logs, l)
	}
	return n, nil
}

// drop takes back what prepare has made, be it in part.
func (m *Manager) drop(n core.NewGroup) {
	for i, l := range n.Logs {
		m.o.Programs.DropLogs(n.Spec.Programs[i], l)
	}
}

func (m *Manager) setLatest(c *model.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = c
}

func (m *Manager) read() *model.Config {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

// open fails while the daemon ends.
func (m *Manager) open() error {
	if m.o.Core.State() != model.DaemonRunning {
		return &service.Error{Code: service.CodeShuttingDown}
	}
	return nil
}

// Info describes the daemon.
func (m *Manager) Info() service.Info {
	return service.Info{
		Identifier: m.o.Identifier, PID: m.o.PID, State: m.o.Core.State(),
		Version: m.o.Version, Manager: m.o.Manager, RolledBack: m.o.RolledBack,
	}
}

// List returns every program, sorted by (group, name).
func (m *Manager) List(context.Context) ([]model.Status, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	t := m.o.Core.Table()
	out := make([]model.Status, len(t.Sorted))
	for i, s := range t.Sorted {
		out[i] = s.Status()
	}
	return out, nil
}

// Get returns one program.
func (m *Manager) Get(_ context.Context, id model.ID) (model.Status, error) {
	s, err := m.slot(id)
	if err != nil {
		return model.Status{}, err
	}
	return s.Status(), nil
}

func (m *Manager) slot(id model.ID) (*core.Slot, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	if s := m.o.Core.Table().Slot(id); s != nil {
		return s, nil
	}
	return nil, &service.Error{Code: service.CodeNoSuchProgram, Text: id.String()}
}

// slots resolves a selector, in the order in which orders reach the programs.
func (m *Manager) slots(sel service.Selector) ([]*core.Slot, core.Mode, error) {
	if err := m.open(); err != nil {
		return nil, 0, err
	}
	t := m.o.Core.Table()
	switch {
	case sel.All:
		return t.ByPriority(), core.Needed, nil
	case sel.Group != "":
		g := t.Group(sel.Group)
		if g == nil {
			return nil, 0, &service.Error{Code: service.CodeNoSuchProgram, Text: sel.Group}
		}
		return g.ByPriority(), core.Needed, nil
	}
	s, err := m.slot(sel.ID)
	return []*core.Slot{s}, core.Each, err
}

// Configured lists the most recently read configuration, sorted by program name.
func (m *Manager) Configured(context.Context) ([]service.Configured, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	t := m.o.Core.Table()
	var out []service.Configured
	for _, g := range m.read().Groups {
		inUse := t.Group(g.Name) != nil
		for _, p := range g.Programs {
			c := service.Configured{Program: p, GroupPriority: g.Priority, InUse: inUse}
			if s := t.Slot(p.ID); s != nil && s.Program() == p {
				c.StdoutLog, c.StderrLog = s.Logs().Stdout, s.Logs().Stderr
			} else {
				c.StdoutLog = configuredLog(p.IO.Stdout)
				if !p.IO.MergeStderr {
					c.StderrLog = configuredLog(p.IO.Stderr)
				}
			}
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b service.Configured) int {
		return strings.Compare(a.Program.ID.Name, b.Program.ID.Name)
	})
	return out, nil
}

func configuredLog(s model.Stream) string {
	if s.Log == model.LogAuto {
		return "auto"
	}
	return s.Path
}

// Reread reads the configuration and says what an update would do.
func (m *Manager) Reread(context.Context) (service.Changes, error) {
	if err := m.open(); err != nil {
		return service.Changes{}, err
	}
	c, err := m.load()
	if err != nil {
		return service.Changes{}, err
	}
	p := plan.Make(active(m.o.Core.Table()), c)
	return service.Changes{Added: names(p.Added), Changed: names(p.Changed), Removed: names(p.Removed)}, nil
}

func names(changes []plan.Change) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.Name
	}
	return out
}

// load reads the configuration and makes it the latest.
func (m *Manager) load() (*model.Config, error) {
	m.reading.Lock()
	defer m.reading.Unlock()
	c, err := m.reread()
	if err != nil {
		return nil, err
	}
	m.setLatest(c)
	return c, nil
}

// reread reads the configuration, and remembers whether it can be read. CodeCannotReread.
func (m *Manager) reread() (*model.Config, error) {
	c, err := m.o.Load()
	if err != nil {
		m.unread.Store(&service.Attempt{At: time.Now()})
		return nil, &service.Error{Code: service.CodeCannotReread, Text: err.Error()}
	}
	m.unread.Store(nil)
	return c, nil
}

// active are the definitions of the active groups.
func active(t *core.Table) []*model.Group {
	var out []*model.Group
	for _, g := range t.Groups {
		out = append(out, g.Spec)
	}
	return out
}

// AddGroup activates a group of the most recently read configuration.
func (m *Manager) AddGroup(ctx context.Context, name string) error {
	if err := m.open(); err != nil {
		return err
	}
	m.change.Lock()
	defer m.change.Unlock()
	g := m.read().Group(name)
	if g == nil {
		return &service.Error{Code: service.CodeNoSuchProgram, Text: name}
	}
	if m.o.Core.Table().Group(name) != nil {
		return &service.Error{Code: service.CodeAlreadyAdded, Text: name}
	}
	n, err := m.prepare(g)
	if err != nil {
		return &service.Error{Code: service.CodeFailed, Text: err.Error()}
	}
	m.told(m.read())
	// The order is carried out to the end, even when nobody waits for the answer any more.
	if err := m.o.Core.AddGroups(context.WithoutCancel(ctx), []core.NewGroup{n}); err != nil {
		m.drop(n)
		return failure(err, name)
	}
	m.changed()
	return nil
}

// RemoveGroup deactivates a group of which nothing runs.
func (m *Manager) RemoveGroup(ctx context.Context, name string) error {
	if err := m.open(); err != nil {
		return err
	}
	m.change.Lock()
	defer m.change.Unlock()
	g := m.o.Core.Table().Group(name)
	if err := m.o.Core.RemoveGroup(context.WithoutCancel(ctx), name); err != nil {
		return failure(err, name)
	}
	for _, s := range g.Slots {
		m.o.Programs.DropLogs(s.Program(), s.Logs())
	}
	m.told(m.read())
	m.changed()
	return nil
}

// Shutdown orders everything to stop, and the daemon to end.
func (m *Manager) Shutdown(context.Context) error {
	if err := m.open(); err != nil {
		return err
	}
	m.o.Core.BeginEnd(model.DaemonShutdown)
	return nil
}

// Restart orders everything to stop and to begin again with the configuration as it is now. A bad
// configuration stops nothing (F4).
func (m *Manager) Restart(context.Context) error {
	if err := m.open(); err != nil {
		return err
	}
	if _, err := m.o.Load(); err != nil {
		return &service.Error{Code: service.CodeCannotReread, Text: err.Error()}
	}
	m.o.Core.BeginEnd(model.DaemonRestarting)
	return nil
}

// Publish emits a REMOTE_COMMUNICATION event.
func (m *Manager) Publish(_ context.Context, kind, data string) error {
	m.o.Ring.Append(model.Event{Time: time.Now(), Type: model.EventRemote, Kind: kind, Data: []byte(data)})
	return nil
}

// failure translates the engine's errors; text names what they are about.
func failure(err error, text string) error {
	if err == nil {
		return nil
	}
	var typed *service.Error
	if errors.As(err, &typed) {
		return typed
	}
	var unmet *core.DependencyError
	if errors.As(err, &unmet) {
		return &service.Error{Code: service.CodeDependency, Text: unmet.Text}
	}
	for _, t := range failures {
		if errors.Is(err, t.err) {
			return &service.Error{Code: t.code, Text: text}
		}
	}
	switch {
	case errors.Is(err, core.ErrUnknownState):
		return &service.Error{Code: service.CodeFailed, Text: text + " is in an unknown process state"}
	case errors.Is(err, core.ErrEnding):
		return &service.Error{Code: service.CodeShuttingDown}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err // who asked has gone, which is no answer
	}
	return &service.Error{Code: service.CodeFailed, Text: err.Error()}
}

var failures = []struct {
	err  error
	code service.Code
}{
	{core.ErrAlreadyStarted, service.CodeAlreadyStarted},
	{core.ErrNotRunning, service.CodeNotRunning},
	{core.ErrSpawn, service.CodeSpawnError},
	{core.ErrAbnormal, service.CodeAbnormalTermination},
	{core.ErrStillRunning, service.CodeStillRunning},
	{core.ErrAlreadyAdded, service.CodeAlreadyAdded},
	{core.ErrNoGroup, service.CodeNoSuchProgram},
	{core.ErrDisabled, service.CodeDisabled},
	{core.ErrDependency, service.CodeDependency},
}
