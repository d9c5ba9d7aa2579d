// Package usage tells what processes use: memory, processor time, threads, descriptors, input and output, of one process or
// of it and all that descends from it. A tree is found by parentage in one look at all processes, which many questions of
// the same moment share; what a process has left to itself by ending its parent is not found.
//
// What is dear to know is only looked up when it is wanted. What cannot be known (another user's process, a system
// without it) is left out, and Figures.Has says so.
//
// Source: spec/usrsvc US-78, interfaces 4.6.
package usage

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Want says which figures are wanted beside those that always come; they are added with |.
type Want uint8

// The figures that cost something.
const (
	PSS   Want = 1 << iota // memory, shared pages in proportion: the kernel counts pages
	Files                  // open descriptors
	IO                     // bytes read from and written to storage
)

// Figures are what a process or a tree uses.
type Figures struct {
	User, System time.Duration // processor time; those together where the system does not tell them apart: User
	// Total is User, System, and in a tree also the time of descendants that have ended and were waited for: between two
	// looks it shrinks only if one of the tree ends unnoticed.
	Total         time.Duration
	Memory        int64 // resident bytes
	PSS           int64 // bytes
	Threads       int
	Processes     int // of the tree, the root included; of a process 1
	Files         int
	Read, Written int64 // bytes of storage
	Has           Want  // of those wanted, what is known; of a tree: of all its processes
}

// Table is one look at all processes.
type Table struct {
	all      []procstat.Entry
	index    map[int]int   // pid -> place in all
	children map[int][]int // pid -> places in all
}

// Look takes a look at all processes. procstat.ErrUnsupported where the system does not tell.
func Look() (*Table, error) {
	all, err := procstat.Census(nil)
	if err != nil {
		return nil, err
	}
	return tableOf(all), nil
}

func tableOf(all []procstat.Entry) *Table {
	t := &Table{all: all, index: make(map[int]int, len(all)), children: make(map[int][]int, len(all)/4)}
	for i := range all {
		t.index[all[i].PID] = i
		t.children[all[i].Parent] = append(t.children[all[i].Parent], i)
	}
	return t
}

// Tree are the processes of a tree, the root first; none when there is no such process.
func (t *Table) Tree(root int) []int {
	at, ok := t.index[root]
	if !ok {
		return nil
	}
	out := []int{root}
	seen := map[int]bool{at: true} // numbers that were given anew during the look could make a circle
	for next := []int{at}; len(next) > 0; {
		one := next[len(next)-1]
		next = next[:len(next)-1]
		for _, child := range t.children[t.all[one].PID] {
			if !seen[child] {
				seen[child] = true
				out = append(out, t.all[child].PID)
				next = append(next, child)
			}
		}
	}
	return out
}

// Root finds the one of roots that a process is or descends from; 0 when it descends from none.
func (t *Table) Root(pid int, roots map[int]bool) int {
	for range len(t.all) + 1 {
		if roots[pid] {
			return pid
		}
		at, ok := t.index[pid]
		if !ok {
			return 0
		}
		pid = t.all[at].Parent
	}
	return 0
}

// Read is what a process of the table uses, or a tree. syscall.ESRCH when there is none.
func (t *Table) Read(pid int, tree bool, want Want) (Figures, error) {
	pids := []int{pid}
	if tree {
		pids = t.Tree(pid)
	}
	sum := Figures{Has: want}
	for _, one := range pids {
		at, ok := t.index[one]
		if !ok {
			return Figures{}, syscall.ESRCH
		}
		e := &t.all[at]
		f := e.Figures
		if !e.Known {
			var err error
			if f, err = procstat.Usage(one); err != nil && one == pid {
				return Figures{}, err
			}
		}
		sum.add(one, f, tree, want)
	}
	if sum.Processes == 0 {
		return Figures{}, syscall.ESRCH
	}
	return sum, nil
}

// add adds one process.
func (f *Figures) add(pid int, p procstat.Figures, tree bool, want Want) {
	if p.User+p.System == 0 {
		p.User = p.CPU
	}
	f.User += p.User
	f.System += p.System
	f.Total += p.User + p.System
	if tree {
		f.Total += p.Reaped
	}
	f.Memory += p.Memory
	f.Threads += p.Threads
	f.Processes++
	known := extra(pid, want, f)
	if p.Memory == 0 { // it has ended and only its parent has not looked: nothing is left to count
		known = want
	}
	f.Has &= known
}

// Read is what a process uses, or it and all that descends from it, now. syscall.ESRCH when there is none,
// procstat.ErrUnsupported where the system does not tell.
func Read(pid int, tree bool, want Want) (Figures, error) {
	if tree {
		t, err := Look()
		if err != nil {
			return Figures{}, err
		}
		return t.Read(pid, true, want)
	}
	p, err := procstat.Usage(pid)
	if err != nil && (p == procstat.Figures{} || errors.Is(err, syscall.ESRCH)) {
		return Figures{}, err
	}
	f := Figures{Has: want}
	f.add(pid, p, false, want)
	return f, nil
}

// Shared is a look at all processes that those who ask within a span of time share. It is safe for concurrent use.
type Shared struct {
	now   func() time.Duration
	fresh time.Duration

	mu    sync.Mutex
	at    time.Duration
	table *Table
}

// NewShared makes one by a monotonic clock; a look is shared for the given time.
func NewShared(now func() time.Duration, fresh time.Duration) *Shared {
	return &Shared{now: now, fresh: fresh}
}

// Table is the latest look, a new one if that is too old.
func (s *Shared) Table() (*Table, error) { return s.with(0) }

// with is the latest look, a new one if that is too old or does not have a process; 0 = any will do.
func (s *Shared) with(pid int) (*Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.table != nil && now-s.at < s.fresh {
		if _, ok := s.table.index[pid]; ok || pid == 0 || now == s.at {
			return s.table, nil
		}
	}
	t, err := Look()
	if err != nil {
		return nil, err
	}
	s.at, s.table = s.now(), t
	return t, nil
}

// Read is Table.Read of the latest look, for a tree; a single process is read by itself. A process that has begun since
// has another look taken.
func (s *Shared) Read(pid int, tree bool, want Want) (Figures, error) {
	if !tree {
		return Read(pid, false, want)
	}
	t, err := s.with(pid)
	if err != nil {
		return Figures{}, err
	}
	return t.Read(pid, true, want)
}
