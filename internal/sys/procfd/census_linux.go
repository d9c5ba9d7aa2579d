package procfd

import (
	"os"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// CensusOptions say where a Census looks.
type CensusOptions struct {
	// Reapers are the processes to which orphans of programs fall: this one if it is a child subreaper or
	// the first process, and the keeper. This process is always one of them. nil = none besides.
	Reapers func() []int
	// Known reports whether a process is the leader of an instance or a helper of ours, such as the
	// spawner: it and its descendants belong to nobody else.
	Known func(pid int) bool
	// Age is the least time between the beginnings of two scans of all processes; default 100 ms. Those
	// who ask meanwhile wait and share the next one.
	Age time.Duration
	// Now and After are the clock; nil = the system's.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// defaultAge is the least time between two scans.
const defaultAge = 100 * time.Millisecond

// Census finds descendants of instances, above all those that outlived them. It may be used from several
// goroutines.
type Census struct {
	o CensusOptions

	mu      sync.Mutex
	next    *scan          // the one that has not begun
	began   time.Time      // the last one
	leaders map[int]*trace // of the handles that are tracked and open
}

// scan is one look at all processes, shared by those who asked before it began.
type scan struct {
	done  chan struct{}
	procs map[int]member
	err   error
}

// NewCensus makes a census.
func NewCensus(o CensusOptions) *Census {
	if o.Reapers == nil {
		o.Reapers = func() []int { return nil }
	}
	if o.Known == nil {
		o.Known = func(int) bool { return false }
	}
	if o.Age == 0 {
		o.Age = defaultAge
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	return &Census{o: o, leaders: map[int]*trace{}}
}

// Track tells what an instance hands down to its descendants. From then on ReachTree of the handle uses
// it, and Survivors can be asked. Call it while the process is unreaped.
func (c *Census) Track(h Handle, m Marks) {
	p, ok := h.(*handle)
	if !ok {
		return
	}
	m.Pipes = slices.Clone(m.Pipes)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.forget(p.trace)
	id := p.identityLocked()
	leader := &p.id
	if *leader != id { // it could not be found out
		other := id
		leader = &other
	}
	p.census, p.trace = c, &trace{leader, m}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaders[p.pid] = p.trace
}

// forget ends the tracking: the handle was closed.
func (c *Census) forget(t *trace) {
	if t == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaders[t.leader.PID] == t {
		delete(c.leaders, t.leader.PID)
	}
}

// ofAnother reports whether a family that bears no mark of one instance bears one of another.
func (c *Census) ofAnother(f family, t *trace) bool {
	is := func(o *trace) bool { return o != nil && o != t && f[0].StartTicks >= o.leader.StartTicks }
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range f {
		if is(c.leaders[m.PGRP]) || is(c.leaders[m.Session]) {
			return true
		}
		held := map[uint64]bool{}
		eachDescriptor(m.PID, func(_ int, target string) bool {
			if ino, ok := pipeTarget(target); ok {
				held[ino] = true
			}
			return true
		})
		if len(held) == 0 {
			continue
		}
		for _, o := range c.leaders { // seldom asked: an index of the pipes would cost every program its share
			if is(o) && slices.ContainsFunc(o.marks.Pipes, func(ino uint64) bool { return held[ino] }) {
				return true
			}
		}
	}
	return false
}

// Survivors lists the descendants of an instance that are alive, without the instance itself. With a
// control group these are its members, all of them. Otherwise they are found by what Track was told and
// by parentage, in one scan of all processes that is shared by those who ask at the same time and
// begins after the question. Those with MarkOrphan are guesses: living processes that fell to us since
// the instance started and that bear no mark at all. Where orphans fall to a process that is none of the
// Reapers, only those that hold a pipe of the instance can be recognised, and those with its environment
// are named as guesses.
//
// Ask before the next instance of the same program is started: it has the same marks.
// It takes up to Age and the time of a scan (some 30 µs a process).
func (c *Census) Survivors(h Handle) ([]Process, error) {
	p, ok := h.(*handle)
	if !ok {
		return nil, nil
	}
	p.mu.Lock()
	t := p.trace
	p.mu.Unlock()
	if t == nil {
		return nil, nil
	}
	if cg := t.marks.Cgroup; cg != nil {
		return boxed(cg, t)
	}
	s := c.scan()
	if s.err != nil {
		return nil, s.err
	}
	var out []Process
	for _, p := range c.survivors(s, t) {
		if m, err := look(p.PID); err == nil && m.StartTicks == p.StartTicks && !m.Dead() {
			p.Name, p.Inode = m.Comm, m.inode
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Process) int { return a.PID - b.PID })
	return out, nil
}

// boxed are the living members of a control group.
func boxed(cg Cgroup, t *trace) ([]Process, error) {
	pids, err := cg.Procs()
	var out []Process
	for _, pid := range pids {
		m, e := look(pid)
		if e == nil && !m.Dead() && !t.leads(m) && cg.Has(pid) {
			out = append(out, m.named(MarkCgroup))
		}
	}
	return out, err
}

// scan waits for a look at all processes that begins after the call.
func (c *Census) scan() *scan {
	c.mu.Lock()
	if s := c.next; s != nil {
		c.mu.Unlock()
		<-s.done
		return s
	}
	s := &scan{done: make(chan struct{})}
	c.next = s
	pause := c.o.Age - c.o.Now().Sub(c.began)
	if c.began.IsZero() {
		pause = 0
	}
	c.mu.Unlock()
	if pause > 0 {
		<-c.o.After(pause)
	}
	c.mu.Lock()
	c.next, c.began = nil, c.o.Now()
	c.mu.Unlock()
	defer close(s.done)
	s.procs, s.err = everybody()
	return s
}

// everybody reads all living processes. Whoever is born meanwhile may be missing; who has ended since is
// in it.
func everybody() (map[int]member, error) {
	pids, err := procstat.PIDs()
	if err != nil {
		return nil, err
	}
	out := make(map[int]member, len(pids))
	for _, pid := range pids {
		if s, err := procstat.Read(pid); err == nil && !s.Dead() {
			out[pid] = member{Stat: s}
		}
	}
	return out, nil
}

// survivors judges a scan.
func (c *Census) survivors(s *scan, t *trace) []Process {
	reapers := c.reapers()
	below := map[int][]int{}
	for pid, m := range s.procs {
		below[m.PPID] = append(below[m.PPID], pid)
	}
	var out []Process
	take := func(f family, mark Mark) {
		for _, m := range f {
			out = append(out, m.named(mark))
		}
	}
	var sure, foreign, rest []family
	if m, ok := s.procs[t.leader.PID]; ok && t.leads(m) {
		f := c.gather(s, below, m)[1:]
		take(f, MarkParent)
		sure = append(sure, f)
	}
	free := c.groupFree(t)
	for _, r := range reapers {
		for _, pid := range below[r] {
			if slices.Contains(reapers, pid) || c.o.Known(pid) || pid == t.leader.PID {
				continue
			}
			f := c.gather(s, below, s.procs[pid])
			switch v, mark := t.judge(f, free); v {
			case ours:
				take(f, mark)
				sure = append(sure, f)
			case notOurs:
				foreign = append(foreign, f)
			case undecided:
				rest = append(rest, f)
			}
		}
	}
	for len(sure) > 0 {
		sure, rest = related(sure, rest)
		for _, f := range sure {
			take(f, MarkSession)
		}
	}
	rest = slices.DeleteFunc(rest, func(f family) bool {
		if c.ofAnother(f, t) {
			foreign = append(foreign, f)
			return true
		}
		return false
	})
	for len(foreign) > 0 {
		foreign, rest = related(foreign, rest)
	}
	for _, f := range rest {
		take(f, MarkOrphan)
	}
	return append(out, c.strays(s, t, reapers)...)
}

// gather is a process and its descendants in a scan, parents first; known processes are left out with
// all that is below them.
func (c *Census) gather(s *scan, below map[int][]int, root member) family {
	f := family{root}
	for i := 0; i < len(f); i++ {
		for _, pid := range below[f[i].PID] {
			if !c.o.Known(pid) && pid != root.PID {
				f = append(f, s.procs[pid])
			}
		}
	}
	return f
}

// strays are processes that fell to somebody who is not of ours, the system's first process as a rule.
func (c *Census) strays(s *scan, t *trace, reapers []int) []Process {
	const first = 1
	if slices.Contains(reapers, first) {
		return nil
	}
	var out []Process
	for pid, m := range s.procs {
		if m.PPID != first || m.StartTicks < t.leader.StartTicks || c.o.Known(pid) || slices.Contains(reapers, pid) || t.leads(m) {
			continue
		}
		if t.holdsPipe(m) {
			out = append(out, m.named(MarkPipe))
		} else if group, name, _, ok := programOf(m); ok && group == t.marks.Group && name == t.marks.Name {
			out = append(out, m.named(MarkOrphan)) // another daemon may have a program of this name
		}
	}
	return out
}

// reapers are the processes to which orphans fall.
func (c *Census) reapers() []int {
	out := slices.Clone(c.o.Reapers())
	if self := os.Getpid(); !slices.Contains(out, self) {
		out = append(out, self)
	}
	return out
}

// groupFree reports whether the number of the instance's group can still mean that group: nobody else
// has the number of its leader.
func (c *Census) groupFree(t *trace) bool {
	m, err := look(t.leader.PID)
	return err != nil || t.leads(m) && (m.inode == t.leader.Inode || m.inode == 0 || t.leader.Inode == 0)
}

// orphansOf are the certain descendants of an instance among the processes that fell to us. It reads the
// lists of our and the keeper's children, not all processes.
func (c *Census) orphansOf(t *trace) []member {
	free := c.groupFree(t)
	reapers := c.reapers()
	var sure, rest []family
	for _, r := range reapers {
		kids, err := procstat.Children(r)
		if err != nil {
			continue
		}
		for _, pid := range kids {
			if slices.Contains(reapers, pid) || c.o.Known(pid) || pid == t.leader.PID {
				continue
			}
			m, err := look(pid)
			if err != nil || m.Dead() || m.PPID != r || m.StartTicks < t.leader.StartTicks {
				continue
			}
			f := familyOf(m)
			switch v, _ := t.judge(f, free); v {
			case ours:
				sure = append(sure, f)
			case undecided:
				rest = append(rest, f)
			}
		}
	}
	var out []member
	for len(sure) > 0 {
		for _, f := range sure {
			out = append(out, f...)
		}
		sure, rest = related(sure, rest)
	}
	return out
}
