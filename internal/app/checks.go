package app

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/checks"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/keeper"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/usage"
)

// makeChecks makes what looks after the programs, before the host and the core that need it.
func (a *App) makeChecks(opts *launch.Options, parts *core.Options) {
	a.messages = &messages{keeper: a.o.Keeper, log: a.log, hear: func(m notified.Message) { a.checks.Notified(m, parent) }}
	o := checks.Options{
		Log: a.log, Ring: a.ring,
		Now:   func() time.Duration { return a.host.Now() },
		Wall:  func() time.Time { return a.host.Wall() },
		Known: func(id model.ID) bool { return a.core.Table().Slot(id) != nil },
	}
	o.World = checks.Real{
		Errand:   func(p *model.Program, line string) (errand.Errand, error) { return a.host.Errand(p, line) },
		Usage:    usage.NewShared(o.Now, sharedLook),
		Messages: a.messages.refuses,
	}
	if a.o.State != nil {
		o.Journal = a.o.State.journal
		a.messages.place(a.o.State.runtime)
	}
	a.checks = checks.New(o)
	if a.o.State != nil {
		a.checks.Restore(a.o.State.entries())
	}
	opts.Watched = launch.Watched{Begin: a.checks.Begin, Lines: a.checks.Lines, Notify: a.messages.of}
	parts.Watch = a.checks
}

// sharedLook is for how long a look at all processes is good enough for another check.
const sharedLook = time.Second

// parent is the parent of a process, 0 = that is not known.
func parent(pid int) int {
	s, err := procstat.Read(pid)
	if err != nil {
		return 0
	}
	return s.PPID
}

// runChecks looks after the programs until what it returns is called.
func (a *App) runChecks(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { a.checks.Run(ctx) })
	running.Go(func() { a.messages.run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// messages is the socket for what programs say themselves. It is made when the first of them is to say something.
type messages struct {
	keeper *Keeper
	log    *activity.Logger
	hear   func(notified.Message)
	path   string // empty = there is no place for it
	open   bool   // for programs of other users

	mu     sync.Mutex
	socket *notified.Socket
	err    error // why there was none at the last attempt
	made   chan struct{}
}

// messagesKey is the key of the socket at the keeper.
const messagesKey = "messages"

// place says where the socket is, below the instance's directory for this boot or, where programs may have other users,
// beside it: nobody else can enter that.
func (m *messages) place(runtime string) {
	m.path, m.made = filepath.Join(runtime, "messages"), make(chan struct{})
	if m.open = privilege.UID() == 0; m.open {
		m.path = runtime + ".messages"
	}
	if it, ok := m.keeper.take(messagesKey); ok && len(it.FDs) == 1 && it.FDs[0] >= 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		s, err := notified.Adopt(it.FDs[0], m.path)
		if err != nil {
			m.log.Logf(activity.Warn, "%v", err) // another one is made
			return
		}
		m.socket = s
		m.hold()
	}
}

// hold has the keeper hold the socket, so that nothing that is sent to a killed daemon is lost.
func (m *messages) hold() {
	close(m.made)
	if m.keeper == nil {
		return
	}
	if fd, err := m.socket.Descriptor(); err == nil {
		_ = m.keeper.link.Hold(keeper.Item{Key: messagesKey, Roles: "n", FDs: []int{fd}}) // who reports a lost keeper is its link
	}
}

// make makes the socket, if there is none. What is in its way may be gone the next time.
func (m *messages) make() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.socket != nil {
		return nil
	}
	if m.path == "" {
		return errors.New("this instance has no place for the socket of such messages")
	}
	s, err := notified.Listen(m.path, m.open)
	if err != nil {
		if m.err == nil || m.err.Error() != err.Error() {
			m.log.Logf(activity.Error, "%v", err)
		}
		m.err = err
		return err
	}
	m.socket = s
	m.hold()
	return nil
}

// refuses is why programs cannot say anything; empty = they can.
func (m *messages) refuses() string {
	if err := m.make(); err != nil {
		return err.Error()
	}
	return ""
}

// of is where a program is told to say it; empty = nowhere, since nobody wants to know.
func (m *messages) of(p *model.Program) string {
	for i := range p.Checks {
		if k := p.Checks[i].Kind; k != model.CheckNotify && k != model.CheckHeartbeat {
			continue
		}
		if m.make() != nil {
			return ""
		}
		return m.path
	}
	return ""
}

// run hears what is said until ctx ends.
func (m *messages) run(ctx context.Context) {
	if m.made == nil {
		return
	}
	select {
	case <-m.made:
	case <-ctx.Done():
		return
	}
	m.mu.Lock()
	s := m.socket
	m.mu.Unlock()
	if err := s.Run(ctx, m.hear); err != nil {
		m.log.Logf(activity.Error, "%v", err)
	}
}

// belonging is the socket as a keeper holds it.
func (m *messages) belonging() (keeper.Item, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.socket == nil {
		return keeper.Item{}, false
	}
	fd, err := m.socket.Descriptor()
	return keeper.Item{Key: messagesKey, Roles: "n", FDs: []int{fd}}, err == nil
}

// close lets go of the socket; a successor goes on with it when left is set.
func (m *messages) close(left bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.socket == nil {
		return
	}
	if !left && m.keeper != nil {
		_ = m.keeper.link.Drop(messagesKey)
	}
	if err := m.socket.Close(left); err != nil {
		m.log.Logf(activity.Debug, "%v", err)
	}
	m.socket = nil
}
