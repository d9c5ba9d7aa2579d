package launch

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// estate is what predecessors of this process have left. Whoever resumes uses it, and that is one at a time.
type estate struct {
	left    map[model.ID][]*remains      // by generation, ascending
	lost    map[model.ID]procfd.Identity // found without any record, when there was none at all
	settled bool                         // what is left is of programs that are not there yet

	mu sync.Mutex       // launches take stages while others are resumed
	on map[string][]int // the stages, by the key of the stream
	// voices is what was captured, by the key of the voice.
	voices map[string][]byte
}

// remains are what is left of one instance.
type remains struct {
	key    string
	gen    uint64
	held   Held
	birth  birth
	born   bool          // the journal has its birth
	handle procfd.Handle // of the process, once it was looked for; else nil
}

// of is the remains with a key, made if need be.
func (e *estate) of(key string) *remains {
	id, gen, ok := parseKey(key)
	if !ok {
		return nil
	}
	list := e.left[id]
	at, found := slices.BinarySearchFunc(list, gen, func(r *remains, gen uint64) int { return cmp.Compare(r.gen, gen) })
	if !found {
		list = slices.Insert(list, at, &remains{key: key, gen: gen})
		e.left[id] = list
	}
	return list[at]
}

// take takes out the remains of an instance; with latest those of the latest one that had a process. There may be
// next to nothing in them.
func (e *estate) take(i core.Instance, latest bool) *remains {
	id := i.Slot.Program().ID
	for k, r := range slices.Backward(e.left[id]) {
		if r.gen == i.Gen && !latest || latest && (r.born || r.held.PID != 0) {
			e.left[id] = slices.Delete(e.left[id], k, k+1)
			return r
		}
	}
	return &remains{key: keyOf(i), gen: i.Gen}
}

// takeIf takes out the remains of a program of which f holds, the oldest first.
func (e *estate) takeIf(id model.ID, f func(*remains) bool) (out []*remains) {
	e.left[id] = slices.DeleteFunc(e.left[id], func(r *remains) bool {
		if f(r) {
			out = append(out, r)
			return true
		}
		return false
	})
	if len(e.left[id]) == 0 {
		delete(e.left, id)
	}
	return out
}

// stages takes out what was on its way in a stream.
func (e *estate) stages(stream string) []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	fds := e.on[stream]
	delete(e.on, stream)
	return fds
}

// process finds the process that was kept or recorded; nil when there is none any more.
func (r *remains) process() procfd.Handle {
	if r.handle != nil {
		return r.handle
	}
	if fd := r.held.fd(rolePidfd); fd >= 0 && r.birth.Moved && r.birth.Process.PID != r.held.PID {
		pipe.Close(fd) // of the one before
		r.held.Ended = false
	} else if fd >= 0 {
		handle, err := procfd.FromPidfd(fd, r.held.PID)
		if err == nil {
			r.handle = handle
			r.tell()
			return handle
		}
		pipe.Close(fd)
	}
	if r.birth.Process.PID != 0 {
		if handle, err := procfd.Adopt(r.birth.Process); err == nil {
			r.handle = handle
			return handle
		}
	}
	return nil
}

// tell has the handle know what the keeper has told of the end.
func (r *remains) tell() {
	if r.held.Ended {
		r.handle.SetExit(r.held.Raw)
	}
}

// alive reports whether the process is known to live.
func (r *remains) alive() bool {
	handle := r.process()
	if handle == nil {
		return false
	}
	if _, over, err := handle.Wait(true); err != nil || over {
		return false
	}
	s, err := procstat.Read(handle.PID()) // its status may be told a little later
	return err != nil || !s.Dead()
}

// close lets go of everything.
func (r *remains) close() {
	for _, fd := range r.held.FDs {
		if fd >= 0 {
			pipe.Close(fd)
		}
	}
	r.held.FDs = nil
	if r.handle != nil {
		r.handle.Close()
		r.handle = nil
	}
}

// Inherit takes what predecessors have left: what the keeper held, and the journal's births. Control groups that
// belong to none of it are removed, and the commands that ran beside programs are ended. Call it before Resume.
func (h *Host) Inherit(held []Held, journal map[string][]byte) {
	e := &h.estate
	e.left, e.on = map[model.ID][]*remains{}, map[string][]int{}
	e.inheritVoices(journal)
	h.endErrands(journal)
	var keys []string
	for _, it := range held {
		if stream, ok := strings.CutPrefix(it.Key, stagePrefix); ok {
			stream = stream[:max(strings.LastIndexByte(stream, '/'), 0)]
			e.on[stream] = append(e.on[stream], it.fd(roleStage))
		} else if strings.HasPrefix(it.Key, socketPrefix) {
			h.sockets.inherit(it)
		} else if r := e.of(it.Key); r != nil {
			r.held = it
			keys = append(keys, it.Key)
		} else {
			(&remains{held: it}).close()
		}
	}
	for key, value := range journal {
		key, ok := strings.CutPrefix(key, birthPrefix)
		if !ok {
			continue
		}
		keys = append(keys, key)
		var b birth
		if err := json.Unmarshal(value, &b); err != nil {
			h.o.Log.Logf(activity.Error, "journal: %s: %v", key, err)
			continue
		}
		if r := e.of(key); r != nil {
			r.birth, r.born = b, true
		}
		h.marks.keep(key, b.Mark)
	}
	h.tidy(keys)
}

// tidy removes the control groups of which nobody knows any more, now or when they have become empty.
func (h *Host) tidy(known []string) {
	if h.o.Cgroups == nil {
		return
	}
	_, busy, err := h.o.Cgroups.Sweep(known)
	if err != nil {
		h.o.Log.Logf(activity.Debug, "%v", err)
	}
	for _, l := range busy {
		_ = l.Group.Remove()
	}
}

// Holding reports whether a predecessor has left a process.
func (h *Host) Holding() bool {
	for _, list := range h.estate.left {
		if slices.ContainsFunc(list, func(r *remains) bool { return r.held.PID != 0 }) {
			return true
		}
	}
	return false
}

// Lost tells of instances that were found by their marks alone.
func (h *Host) Lost(found map[model.ID]procfd.Identity) { h.estate.lost = found }

// Settle deals with what nobody has resumed: outputs that descendants of ended instances still hold go to
// their program's log; processes that belong to no program are named, and wait for one of their name to be added.
// What is left of programs that are coming waits for them. Call it after Resume was called for every program.
func (h *Host) Settle(find func(model.ID) *core.Slot, coming func(model.ID) bool) {
	h.estate.settled = true
	h.settleVoices()
	for id := range h.estate.left {
		s := find(id)
		for _, r := range h.estate.takeIf(id, func(r *remains) bool { return s != nil || !coming(id) && !r.alive() }) {
			if s == nil {
				h.bury(r)
				continue
			}
			if r.alive() {
				h.o.Log.Logf(activity.Warn, "pid %d was started as %s, which is not to run: it is left alone", r.process().PID(), id)
			}
			h.lateOutput(r, s)
		}
		for _, r := range h.estate.left[id] {
			if s == nil && !coming(id) {
				h.o.Log.Logf(activity.Warn, "pid %d was started as %s, which is not configured: it runs on, and is taken back when that is added",
					r.process().PID(), id)
			}
		}
	}
}

// bury gives up what is left of an instance.
func (h *Host) bury(r *remains) {
	r.close()
	if r.birth.Cgroup != "" && h.o.Cgroups != nil {
		if g, err := h.o.Cgroups.Reopen(r.birth.Cgroup); err == nil {
			abandon(g)
		}
	}
	h.unbear(r.key)
}

// lateOutput moves what is in the pipes of an instance that has ended, and what comes through them: before the
// first byte of a later one.
func (h *Host) lateOutput(r *remains, s *core.Slot) {
	fds := [3]int{-1, r.held.fd(roleStdout), r.held.fd(roleStderr)}
	if h.o.Store != nil {
		_ = h.o.Store.Release(r.key)
	}
	r.close()
	if fds[1] < 0 && fds[2] < 0 {
		h.bury(r)
		return
	}
	out, err := h.outputs(s)
	if err != nil {
		h.o.Log.Logf(activity.Error, "the last output of %s goes nowhere: %v", s.Program().ID, err)
		out = &outputs{}
	}
	inst := &instance{host: h, key: r.key, released: true}
	h.keys.set(r.key, inst)
	h.speak(inst, core.Instance{Slot: s, Gen: r.gen}, r.birth.Process.PID, out)
	inst.connect(fds, out)
	streams.Drain(inst.out...)
}

// Living are the programs of which the journal knows a process that is alive.
func Living(journal map[string][]byte) map[model.ID]bool {
	out := map[model.ID]bool{}
	for key, value := range journal {
		key, ok := strings.CutPrefix(key, birthPrefix)
		id, _, ok2 := parseKey(key)
		r := remains{}
		if !ok || !ok2 || json.Unmarshal(value, &r.birth) != nil {
			continue
		}
		if r.alive() {
			out[id] = true
		}
		r.close()
	}
	return out
}

// Told takes the wait status of an instance that somebody else is the parent of.
func (h *Host) Told(key string, raw uint32) {
	if inst := h.keys.get(key); inst != nil && inst.handle != nil { // nil: its end is known, and only its output comes
		inst.handle.SetExit(raw)
	}
}

// Belongings are all descriptors that a successor of this process needs, after Close and the pump's Detach.
func (h *Host) Belongings() []Held {
	out := h.sockets.belongings()
	for key, inst := range h.keys.all() {
		out = append(out, inst.belongings(key)...)
	}
	for _, list := range h.estate.left {
		for _, r := range list {
			it := r.held
			it.Key = r.key
			if handle := r.process(); handle != nil {
				it.Roles += string(rolePidfd) // the one it came with was taken out
				it.FDs = append(slices.Clone(it.FDs), procfd.Descriptor(handle))
				it.PID = handle.PID()
			}
			it.drop()
			out = append(out, it)
		}
	}
	return out
}

// drop leaves the descriptors out that were taken out.
func (h *Held) drop() {
	roles, fds := []rune(h.Roles), h.FDs
	h.Roles, h.FDs = "", nil
	for k, fd := range fds {
		if fd >= 0 {
			h.Roles += string(roles[k])
			h.FDs = append(h.FDs, fd)
		}
	}
}

// belongings are those of one instance.
func (n *instance) belongings(key string) (out []Held) {
	it := Held{Key: key}
	add := func(role rune, fd int) {
		if fd >= 0 {
			it.Roles += string(role)
			it.FDs = append(it.FDs, fd)
		}
	}
	n.mu.Lock()
	if !n.released {
		it.PID = n.handle.PID()
		add(rolePidfd, procfd.Descriptor(n.handle))
	}
	n.mu.Unlock()
	if n.in != nil {
		add(roleStdin, n.in.Descriptor())
	}
	for k, s := range n.out {
		fd, on := s.Descriptors()
		add(n.roles[k], fd)
		for _, fd := range on {
			out = append(out, Held{Key: stageKey(n.streamKey(k), fd), Roles: string(roleStage), FDs: []int{fd}})
		}
	}
	return append(out, it)
}
