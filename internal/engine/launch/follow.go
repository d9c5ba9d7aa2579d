package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// How long it takes, besides startsecs, until a program that sends itself away is to be found: while it starts, and when it
// was taken to run already, so that its end is more likely an end. Between are the looks.
const (
	followPatience = 10 * time.Second
	followBriefly  = time.Second
	followLook     = 50 * time.Millisecond
)

// follow reports whether an instance has perhaps left another process in its place, as programs do that send themselves
// away: they end with 0. It is looked for then, and what becomes of it is reported by Moved or Ended. Source: one-model C8,
// spec/usrsvc US-46.
func (h *Host) follow(i core.Instance, inst *instance) bool {
	p := i.Slot.Program()
	e, over, err := inst.handle.Wait(true)
	if p.Attach.Track == model.TrackChild || inst.birth.Found || err != nil || !over || !e.Known || e.Code() != 0 {
		return false
	}
	starting := i.Slot.Status().State != model.Running
	if inst.birth.Moved && !starting {
		return false
	}
	until := h.Now() + followBriefly
	if starting {
		until = h.Now() + p.Start.Secs + h.patience
		h.to.Away(i)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed { // whoever comes after us looks
		return true
	}
	h.working.Go(func() { h.lookFor(i, inst, e, until) })
	return true
}

// lookFor looks for what an instance has left until it is found, a stop is ordered, or the patience is over.
func (h *Host) lookFor(i core.Instance, inst *instance, e model.Exit, until time.Duration) {
	h.looking.Add(1)
	defer h.looking.Add(-1)
	p := i.Slot.Program()
	again := time.NewTicker(followLook)
	defer again.Stop()
	last, seen := 0, false
	why := errors.New("it has left no process")
	for {
		if inst.isDetached() { // what it has left goes on without us
			return
		}
		st := i.Slot.Status()
		if st.Killing && st.Generation == i.Gen {
			break
		}
		next, err := h.heir(p, inst)
		switch {
		case err != nil:
			why, last = err, 0
		case next.PID != last: // one that is about to end itself is not to be taken: it is looked at twice
			last = next.PID
			if !seen { // nor is one that is there when the time is over given up for want of a processor
				seen, until = true, max(until, h.Now()+2*followLook)
			}
		case h.move(i, inst, next):
			return
		}
		if h.Now() >= until {
			if st.State != model.Running {
				e = model.Exit{Reason: "it sent itself away, and " + why.Error()}
			}
			break
		}
		select {
		case <-again.C:
		case <-h.ctx.Done():
			return
		}
	}
	if h.o.Census != nil { // what is left of a start that has failed is killed. Source: spec/usrsvc US-49
		h.endRest(p.ID, inst)
	}
	h.over(i, inst, e)
}

// heir is the process that an instance has left: the one that it has written into its pid file, or the only one there is. Of
// those that may be anybody's it must fit the program as well, when there are more, or other programs are looked for.
func (h *Host) heir(p *model.Program, inst *instance) (procfd.Identity, error) {
	if h.o.Census == nil {
		return procfd.Identity{}, errors.New("its descendants cannot be told here")
	}
	all, err := h.o.Census.Survivors(inst.handle)
	if err != nil {
		return procfd.Identity{}, err
	}
	certain := sure(all)
	if len(certain) > 0 {
		all = certain
	}
	kin := h.kin(all)
	if p.Attach.Track == model.TrackPIDFile {
		return h.filed(p, inst.birth.Process, inst.PID(), kin)
	}
	id, err := eldest(kin)
	if len(certain) > 0 || len(kin) == 0 || err == nil && h.looking.Load() == 1 {
		return id, err
	}
	fits, unfit := h.fitting(p)
	if unfit != nil {
		return procfd.Identity{}, unfit
	}
	for pid, k := range kin {
		if q, err := find.Read(pid); err != nil || q.StartTicks != k.StartTicks || !fits(&q, false) {
			delete(kin, pid)
		}
	}
	if len(kin) == 0 {
		return procfd.Identity{}, errors.New("of what may be its own nothing has its command line or fits its match")
	}
	return eldest(kin)
}

// kin are processes by their pid, without those that are ours.
func (h *Host) kin(list []procfd.Process) map[int]procfd.Process {
	out := make(map[int]procfd.Process, len(list))
	for _, p := range list {
		if s, err := procstat.Read(p.PID); err == nil && s.StartTicks == p.StartTicks && !h.own(s) {
			out[p.PID] = p
		}
	}
	return out
}

// eldest is the one process of a family that has no other one of it as its parent.
func eldest(kin map[int]procfd.Process) (procfd.Identity, error) {
	var roots []procfd.Process
	for pid, p := range kin {
		s, err := procstat.Read(pid)
		if err != nil || s.StartTicks != p.StartTicks || s.Dead() {
			continue
		}
		if _, ok := kin[s.PPID]; !ok {
			roots = append(roots, p)
		}
	}
	switch len(roots) {
	case 0:
		return procfd.Identity{}, errors.New("it has left no process")
	case 1:
		return identity(roots[0].PID, roots[0].StartTicks, roots[0].Inode), nil
	}
	return procfd.Identity{}, fmt.Errorf("it has left %d processes, and it cannot be told which one it is", len(roots))
}

func identity(pid int, start, inode uint64) procfd.Identity {
	boot, _ := procstat.BootID() // an unreadable one stays unknown
	return procfd.Identity{BootID: boot, PID: pid, StartTicks: start, Inode: inode}
}

// filed is the process that a program has written into its pid file, if it is one that began after the program was started,
// is the program's user's, and descends from it as far as that can be told. Source: spec/reliability S17.
func (h *Host) filed(p *model.Program, first procfd.Identity, leader int, kin map[int]procfd.Process) (procfd.Identity, error) {
	none := procfd.Identity{}
	f, err := pidfile.Read(p.Attach.PIDFile)
	if errors.Is(err, fs.ErrNotExist) {
		return none, fmt.Errorf("its pid file %s is not there", p.Attach.PIDFile)
	}
	if err != nil {
		return none, err
	}
	q, err := find.Read(f.PID)
	switch {
	case f.PID == leader || errors.Is(err, syscall.ESRCH):
		return none, fmt.Errorf("its pid file names pid %d, which has ended", f.PID)
	case err != nil:
		return none, err
	case h.own(q.Stat) || h.Known(q.PID) || q.StartTicks < first.StartTicks:
		return none, fmt.Errorf("its pid file names pid %d, which is not of this start", f.PID)
	}
	if err := f.Believe(p.Attach.PIDFile, q.UID, q.EUID, h.o.UID, h.uidOf(p)); err != nil {
		return none, err
	}
	if k, ok := kin[q.PID]; ok && k.StartTicks == q.StartTicks {
		return identity(q.PID, q.StartTicks, k.Inode), nil
	}
	// Where orphans do not fall to us, it may be anybody's that the first process of the system has.
	if q.PPID == 1 && !h.orphansAreOurs() {
		return identity(q.PID, q.StartTicks, 0), nil
	}
	return none, fmt.Errorf("its pid file names pid %d, which does not descend from it", f.PID)
}

// orphansAreOurs reports whether processes without a parent fall to us or to the keeper.
func (h *Host) orphansAreOurs() bool { return h.o.Store != nil || os.Getpid() == 1 }

// move makes what an instance has left the instance. It is recorded before anybody acts on it.
func (h *Host) move(i core.Instance, inst *instance, id procfd.Identity) bool {
	handle, err := procfd.Adopt(id)
	if err != nil {
		return false
	}
	next := inst.beget(handle)
	if next == nil {
		handle.Close()
		return false
	}
	if next.key != "" && h.o.Journal != nil {
		_ = h.record(next.key, next.birth) // the journal reports its own trouble
	}
	if next.key != "" && h.o.Store != nil {
		_ = h.o.Store.Bind(next.key, handle.PID(), procfd.Descriptor(handle)) // who reports a lost keeper is its link
	}
	h.track(next, i.Slot.Program().ID, next.birth.Pipes, inst.cgroup)
	h.to.Moved(i, next)
	h.watch(i, next)
	return true
}

// beget makes the instance that goes on in the place of this one, with all that it has; nil when that process is one already, or
// this one was let go of.
func (n *instance) beget(handle procfd.Handle) *instance {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.detached {
		return nil
	}
	b := *n.birth
	b.Process, b.Moved = handle.Identity(), true
	next := &instance{
		host: n.host, handle: handle, key: n.key, birth: &b, in: n.in, out: n.out, roles: n.roles, open: n.open,
	}
	if !n.host.pids.claim(handle.PID(), next) {
		return nil
	}
	if n.key != "" {
		n.host.keys.set(n.key, next)
	}
	n.next, n.key = next, ""
	return next
}

func (n *instance) hasMoved() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next != nil
}

// inherited is the process that an instance has left which is gone without a trace but for its records, because nobody of
// us was there; false when there is none.
func (h *Host) inherited(p *model.Program, b birth) (procfd.Handle, bool) {
	if p.Attach.Track == model.TrackChild || b.Moved || b.Found || !h.letGo(b) {
		return nil, false
	}
	kin := map[int]procfd.Process{}
	if group := h.reopenGroup(b); group != nil {
		pids, _ := group.Procs()
		for _, pid := range pids {
			if s, err := procstat.Read(pid); err == nil && !s.Dead() {
				kin[pid] = procfd.Process{PID: pid, StartTicks: s.StartTicks}
			}
		}
		group.CloseFD()
	}
	var id procfd.Identity
	var err error
	if p.Attach.Track == model.TrackPIDFile {
		id, err = h.filed(p, b.Process, b.Process.PID, kin)
	} else {
		id, err = eldest(kin)
	}
	if err != nil {
		h.o.Log.Logf(activity.Debug, "%s has left no process that can be found: %v", p.ID, err)
		return nil, false
	}
	handle, err := procfd.Adopt(id)
	return handle, err == nil
}

// reopenGroup is the control group of an earlier process's instance; nil when there is none.
func (h *Host) reopenGroup(b birth) *cgroup.Group {
	if b.Cgroup == "" || h.o.Cgroups == nil {
		return nil
	}
	g, err := h.o.Cgroups.Reopen(b.Cgroup)
	if err != nil {
		return nil
	}
	return g
}
