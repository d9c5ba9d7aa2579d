package manager

import (
	"cmp"
	"context"
	"os"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/usage"
)

var _ service.Measuring = (*Manager)(nil)

// sampleEvery is how long those who ask share a look at all processes: several scrapers cost one.
const sampleEvery = time.Second

// fewDetailed is up to how many programs Figures looks at everything that descends from them.
const fewDetailed = 16

// sampler is what is remembered of the figures of programs between two looks.
type sampler struct {
	looks *usage.Shared

	mu   sync.Mutex
	last map[model.ID]*sampled
}

func newSampler() *sampler {
	began := time.Now()
	return &sampler{
		looks: usage.NewShared(func() time.Duration { return time.Since(began) }, sampleEvery),
		last:  map[model.ID]*sampled{},
	}
}

// sampled is the last look at a program, and what has been added up.
type sampled struct {
	gen                   uint64
	user, system, total   time.Duration // of the instance
	read, written         int64
	sumUser, sumSystem    time.Duration // of all instances
	sumRead, sumWritten   int64
	knownRead, seenBefore bool
}

// add adds a look. What has been used between two looks is the difference of the totals; when it shrinks, because a
// process has ended that nobody waited for, nothing was.
func (s *sampled) add(gen uint64, f *usage.Figures) {
	if s.gen != gen || !s.seenBefore {
		s.gen, s.user, s.system, s.total, s.read, s.written, s.seenBefore = gen, 0, 0, 0, 0, 0, true
	}
	used := max(0, f.Total-s.total)
	user, system := max(0, f.User-s.user), max(0, f.System-s.system)
	if user+system == 0 {
		user, system = f.User, f.System
	}
	if user+system == 0 {
		user = 1 // all of it: nobody knows better
	}
	byUser := time.Duration(float64(used) * (float64(user) / float64(user+system)))
	s.sumUser += byUser
	s.sumSystem += used - byUser
	s.user, s.system, s.total = f.User, f.System, f.Total
	if s.knownRead = f.Has&usage.IO != 0; s.knownRead {
		s.sumRead += max(0, f.Read-s.read)
		s.sumWritten += max(0, f.Written-s.written)
		s.read, s.written = f.Read, f.Written
	}
}

// usageOf is a look as the service tells it.
func usageOf(f *usage.Figures) service.Usage {
	u := service.Usage{
		User: f.User, System: f.System, Memory: f.Memory, Threads: f.Threads, Processes: f.Processes, Files: -1, Read: -1, Written: -1,
	}
	if f.Has&usage.Files != 0 {
		u.Files = f.Files
	}
	if f.Has&usage.IO != 0 {
		u.Read, u.Written = f.Read, f.Written
	}
	return u
}

// Measures are all figures of one moment.
func (m *Manager) Measures(ctx context.Context) (service.Measures, error) {
	out := service.Measures{Version: m.o.Version, Started: m.started}
	slots := m.o.Core.Table().Sorted
	ids := make([]model.ID, len(slots))
	out.Programs = make([]service.Measured, len(slots))
	for i, s := range slots {
		p := &out.Programs[i]
		p.Status = s.Status()
		ids[i], p.NextTry = p.Status.ID, model.NextTry(p.Status)
	}
	m.sample(out.Programs)
	if m.o.Tally != nil {
		out.Events = m.o.Tally.Events()
		for i, c := range m.o.Tally.Counts(ids) {
			out.Programs[i].Counts = c
		}
	}
	checks := m.Checks(ctx, ids)
	for i, id := range ids {
		out.Programs[i].Checks = checks[id]
	}
	out.Notifiers, _ = m.Notifiers(ctx) // while everything ends there are none
	if m.o.Waiting != nil {
		for name, n := range m.o.Waiting() {
			out.Pools = append(out.Pools, service.PoolLoad{Name: name, Events: n})
		}
	}
	if a := cmp.Or(m.unread.Load(), m.applied.Load()); a != nil {
		out.Applied = *a
	}
	if f, err := usage.Read(os.Getpid(), false, usage.Files); err == nil {
		out.Self = usageOf(&f)
	}
	return out, nil
}

// sample looks at what the live instances use. Where the system does not tell, nothing is told.
func (m *Manager) sample(programs []service.Measured) {
	m.sampler.mu.Lock()
	defer m.sampler.mu.Unlock()
	seen := make(map[model.ID]*sampled, len(programs))
	defer func() { m.sampler.last = seen }()
	table, err := m.sampler.looks.Table()
	for i := range programs {
		p := &programs[i]
		id := p.Status.ID
		last := m.sampler.last[id]
		if last == nil {
			last = &sampled{}
		}
		seen[id] = last
		if err == nil && p.Status.PID != 0 {
			if f, err := table.Read(p.Status.PID, true, usage.Files|usage.IO); err == nil {
				last.add(p.Status.Generation, &f)
				p.Live, p.Usage = true, usageOf(&f)
			}
		}
		p.Usage.User, p.Usage.System, p.Usage.Read, p.Usage.Written = last.sumUser, last.sumSystem, -1, -1
		if last.knownRead {
			p.Usage.Read, p.Usage.Written = last.sumRead, last.sumWritten
		}
	}
}

// detail adds what an instance uses, alone and with all that descends from it.
func detail(table *usage.Table, pid int, f *service.Figures) {
	if table == nil {
		return
	}
	own, err := table.Read(pid, false, usage.Files|usage.IO)
	tree, err2 := table.Read(pid, true, usage.Files|usage.IO)
	if err != nil || err2 != nil {
		return
	}
	o, t := usageOf(&own), usageOf(&tree)
	f.Own, f.Tree = &o, &t
}

// attempted notes what became of an attempt to make a configuration the running one.
func (m *Manager) attempted(err error) {
	m.applied.Store(&service.Attempt{OK: err == nil, At: time.Now()})
}
