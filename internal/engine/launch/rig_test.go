//go:build unix

package launch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/events"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

func TestMain(m *testing.M) {
	if spawn.ShimMain() || spawn.MakerMain() {
		return
	}
	os.Exit(m.Run())
}

const patience = 30 * time.Second

// until polls until f holds.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// report is one answer of the host.
type report struct {
	name   string
	what   string // launched, failed, ended
	text   string
	proc   core.Process
	exit   model.Exit
	stdout string // ended: what the first channel's log had at that moment
}

// rig is a real host on real parts, whose reports are recorded instead of going to a core.
type rig struct {
	t     testing.TB
	dir   string
	host  *Host
	store *logs.Store
	log   *activity.Logger
	keep  bool // ended instances are not released

	mu      sync.Mutex
	reports []report
	procs   map[core.Instance]core.Process
	gen     uint64
	aways   int
}

// newRig makes a rig. set changes the options, with the spawner to be used by wrap.
func newRig(t testing.TB, set func(*Options), wrap func(spawn.Spawner) spawn.Spawner) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), store: logs.NewStore(), procs: map[core.Instance]core.Process{}}
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	r.log, err = activity.New(activity.Options{Level: activity.Debug, Path: r.path("activity"), Files: r.store})
	fatal(err)
	w, err := procfd.NewWatcher()
	fatal(err)
	p, err := streams.NewPump(streams.Options{Log: r.log})
	fatal(err)
	o := Options{
		Watcher: w, Pump: p, Files: r.store, Log: r.log, Environ: os.Environ(), UID: os.Getuid(), AutoDir: r.dir,
		Identifier: "supervisor",
	}
	if set != nil {
		set(&o)
	}
	r.host = New(o)
	r.host.order = patience
	direct, err := spawn.NewDirect(spawn.Options{})
	fatal(err)
	var s spawn.Spawner = direct
	if wrap != nil {
		s = wrap(s)
	}
	r.host.Tell(r)
	r.host.Serve(s)
	t.Cleanup(func() {
		r.host.Close()
		r.killAll()
		w.Close()
		p.Close()
		direct.Close()
		r.log.Close()
	})
	return r
}

// killAll ends what is left and waits for it.
func (r *rig) killAll() {
	r.mu.Lock()
	for _, p := range r.procs {
		_ = p.Signal(9, model.ReachGroup)
	}
	r.mu.Unlock()
	until(r.t, "no process is left", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.procs) == 0
	})
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) read(name string) string {
	b, _ := os.ReadFile(r.path(name))
	return string(b)
}

// activity is the activity log so far, without times.
func (r *rig) activity() string {
	r.log.Flush()
	var out strings.Builder
	for line := range strings.Lines(r.read("activity")) {
		if len(line) > 24 && line[0] == '2' {
			line = line[24:]
		}
		out.WriteString(line)
	}
	return out.String()
}

// Launched, LaunchFailed and Ended make the rig the host's core.
func (r *rig) Launched(i core.Instance, p core.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, report{name: i.Slot.Program().ID.Name, what: "launched", proc: p})
	r.procs[i] = p
}

// LaunchedFound makes the rig the core of what was found.
func (r *rig) LaunchedFound(i core.Instance, p core.Process, _ time.Duration) {
	r.Launched(i, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports[len(r.reports)-1].what = "found"
}

// Away counts.
func (r *rig) Away(core.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aways++
}

// Moved lets go of the one before.
func (r *rig) Moved(i core.Instance, p core.Process) {
	r.mu.Lock()
	old := r.procs[i]
	r.reports = append(r.reports, report{name: i.Slot.Program().ID.Name, what: "moved", proc: p})
	r.procs[i] = p
	r.mu.Unlock()
	old.Release()
}

func (r *rig) LaunchFailed(i core.Instance, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, report{name: i.Slot.Program().ID.Name, what: "failed", text: text})
}

func (r *rig) Ended(i core.Instance, e model.Exit) {
	seen, _ := os.ReadFile(i.Slot.Logs().Stdout)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.procs[i]
	r.reports = append(r.reports, report{name: i.Slot.Program().ID.Name, what: "ended", exit: e, proc: p, stdout: string(seen)})
	if p == nil {
		r.t.Errorf("the end of an instance that does not run: %v", i)
		return
	}
	delete(r.procs, i)
	if !r.keep {
		p.Release()
	}
}

// all is the reports of a kind so far, of one program or ("") of all.
func (r *rig) all(what, name string) []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []report
	for _, x := range r.reports {
		if x.what == what && (name == "" || x.name == name) {
			out = append(out, x)
		}
	}
	return out
}

// program is a definition with logs NAME.out and NAME.err in the rig's directory.
func (r *rig) program(name, line string) *model.Program {
	return &model.Program{
		ID:      model.ID{Group: name, Name: name},
		Command: model.Command{Line: line, Umask: -1, UID: -1},
		IO: model.IOSpec{
			Stdout: model.Stream{Log: model.LogFile, Path: r.path(name + ".out")},
			Stderr: model.Stream{Log: model.LogFile, Path: r.path(name + ".err")},
		},
	}
}

// slots makes the places of programs, as a core has them.
func (r *rig) slots(ps ...*model.Program) []*core.Slot {
	r.t.Helper()
	c := core.New(core.Options{Host: inert{}, Log: inert{}, Ring: events.New(10)})
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.Run(ctx)
	}()
	defer func() {
		cancel()
		<-over
	}()
	for _, p := range ps {
		l, err := r.host.MakeLogs(p)
		if err != nil {
			r.t.Fatal(err)
		}
		g := &model.Group{Name: p.ID.Group, Programs: []*model.Program{p}}
		if err := c.AddGroups(ctx, []core.NewGroup{{Spec: g, Logs: []core.LogPaths{l}}}); err != nil {
			r.t.Fatal(err)
		}
	}
	out := make([]*core.Slot, len(ps))
	for i, p := range ps {
		out[i] = c.Table().Slot(p.ID)
	}
	return out
}

// launch orders one more instance.
func (r *rig) launch(s *core.Slot) core.Instance {
	r.mu.Lock()
	r.gen++
	i := core.Instance{Slot: s, Gen: r.gen}
	r.mu.Unlock()
	r.host.Launch(i)
	return i
}

// run runs a program to its end.
func (r *rig) run(p *model.Program) report {
	r.t.Helper()
	r.launch(r.slots(p)[0])
	return r.outcome(p.ID.Name)
}

// outcome is the end of a program, or why it could not be started.
func (r *rig) outcome(name string) report {
	r.t.Helper()
	var out []report
	until(r.t, name+" has ended", func() bool {
		out = append(r.all("ended", name), r.all("failed", name)...)
		return len(out) > 0
	})
	return out[len(out)-1]
}

// started waits until a program runs.
func (r *rig) started(name string) core.Process {
	r.t.Helper()
	until(r.t, name+" runs", func() bool { return len(r.all("launched", name)) > 0 })
	return r.all("launched", name)[0].proc
}

// inert is a world in which nothing happens.
type inert struct{}

func (inert) Now() time.Duration                      { return time.Hour }
func (inert) Wall() time.Time                         { return time.Unix(1, 0) }
func (inert) Launch(core.Instance)                    {}
func (inert) Resume(core.Instance, bool) core.Resumed { return core.Resumed{} }
func (inert) Logf(activity.Level, string, ...any)     {}
