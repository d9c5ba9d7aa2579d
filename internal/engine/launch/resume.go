package launch

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// estate is what predecessors of this process have left.
type estate struct {
	held   map[string]*Held // by key
	births map[string]birth
	stages map[string][]int             // by the key of the stream
	late   map[model.ID][]uint64        // generations of which only outputs are left
	lost   map[model.ID]procfd.Identity // found without any record, when there was none at all
}

// Inherit takes what predecessors have left: what the keeper held, and the journal's births. Call it before
// Resume.
func (h *Host) Inherit(held []Held, journal map[string][]byte) {
	h.estate = estate{held: map[string]*Held{}, births: map[string]birth{}, stages: map[string][]int{}, late: map[model.ID][]uint64{}}
	for i := range held {
		key := held[i].Key
		if stream, ok := strings.CutPrefix(key, stagePrefix); ok {
			stream = stream[:max(strings.LastIndexByte(stream, '/'), 0)]
			h.estate.stages[stream] = append(h.estate.stages[stream], held[i].fd(roleStage))
			continue
		}
		h.estate.held[key] = &held[i]
		if id, gen, ok := parseKey(key); ok && held[i].PID == 0 {
			h.estate.late[id] = append(h.estate.late[id], gen)
		}
	}
	for key, value := range journal {
		if key, ok := strings.CutPrefix(key, birthPrefix); ok {
			var b birth
			if err := json.Unmarshal(value, &b); err != nil {
				h.o.Log.Logf(activity.Error, "journal: %s: %v", key, err)
				continue
			}
			h.estate.births[key] = b
			h.marks.keep(key, b.Mark)
		}
	}
}

// Holding reports whether a predecessor has left a process.
func (h *Host) Holding() bool {
	for _, held := range h.estate.held {
		if held.PID != 0 {
			return true
		}
	}
	return false
}

// Lost tells of instances that were found by their marks alone.
func (h *Host) Lost(found map[model.ID]procfd.Identity) { h.estate.lost = found }

// Resume takes back an instance that an earlier process launched.
func (h *Host) Resume(i core.Instance, whichever bool) core.Resumed {
	key := keyOf(i)
	if whichever {
		key = h.newest(i.Slot.Program().ID, key)
		if _, gen, ok := parseKey(key); ok {
			i.Gen = gen // it keeps its own
		}
	}
	held, b := h.estate.held[key], h.estate.births[key]
	delete(h.estate.held, key)
	delete(h.estate.births, key)
	if held == nil {
		held = &Held{}
	}
	handle := h.identify(held, b, i.Slot.Program().ID, whichever)
	if handle == nil {
		h.discard(key, held)
		return core.Resumed{Gone: h.letGo(b), PID: b.Process.PID}
	}
	if held.Ended {
		handle.SetExit(held.Raw)
	}
	if !h.letGo(b) && h.unexecuted(handle) {
		// It never became the program: its manager died before it could let it go on.
		_ = handle.Signal(int(syscall.SIGKILL), model.ReachProcess)
		handle.Close()
		h.discard(key, held)
		return core.Resumed{}
	}
	if _, lost := h.estate.lost[i.Slot.Program().ID]; lost && b.Pipes == [3]uint64{} {
		b.Pipes = pipesOf(handle.PID())
	}
	h.earlier(i)
	inst := h.takeBack(i, key, held, b, handle)
	if exit, over, err := handle.Wait(true); err == nil && over {
		for _, s := range inst.out {
			s.Drain()
		}
		h.sweep(i, inst)
		return core.Resumed{Process: inst, Gen: i.Gen, Exit: &exit}
	}
	if err := h.o.Watcher.Watch(handle, func() { h.ended(i, inst) }); err != nil {
		h.o.Log.Logf(activity.Critical, "cannot watch %s (pid %d): %v", i.Slot.Program().ID.Name, inst.PID(), err)
	}
	return core.Resumed{Process: inst, Gen: i.Gen}
}

// newest is the key of the latest known instance of a program; fallback when there is none.
func (h *Host) newest(id model.ID, fallback string) string {
	best, key := uint64(0), fallback
	look := func(k string) {
		if kid, gen, ok := parseKey(k); ok && kid == id && gen >= best {
			best, key = gen, k
		}
	}
	for k, held := range h.estate.held {
		if held.PID != 0 {
			look(k)
		}
	}
	for k := range h.estate.births {
		look(k)
	}
	return key
}

// identify finds the process of an instance; nil when there is none any more.
func (h *Host) identify(held *Held, b birth, id model.ID, whichever bool) procfd.Handle {
	if fd := held.fd(rolePidfd); fd >= 0 {
		handle, err := procfd.FromPidfd(fd, held.PID)
		if err == nil {
			return h.foreign(handle)
		}
		pipe.Close(fd)
		h.o.Log.Logf(activity.Error, "%s: %v", id, err)
	}
	if b.Process.PID != 0 {
		if handle, err := procfd.Adopt(b.Process); err == nil {
			return handle
		}
	}
	if found, ok := h.estate.lost[id]; ok && whichever {
		if handle, err := procfd.Adopt(found); err == nil {
			return handle
		}
	}
	return nil
}

// foreign is the handle of a process that is neither our child nor the keeper's, as after the death of an
// earlier keeper: nobody tells its status, so that it is taken from the kernel as soon as possible.
func (h *Host) foreign(handle procfd.Handle) procfd.Handle {
	s, err := procstat.Read(handle.PID())
	if err != nil || s.PPID == os.Getpid() || s.PPID == os.Getppid() {
		return handle
	}
	other, err := procfd.Adopt(handle.Identity())
	if err != nil {
		return handle
	}
	handle.Close()
	return other
}

// gateStatus is the exit status of a process that was never let go. Source: package spawn.
const gateStatus = 253

// unexecuted reports whether a process waits to become its program, bearing our own name, or has given up.
func (h *Host) unexecuted(handle procfd.Handle) bool {
	if e, over, err := handle.Wait(true); err == nil && over {
		return e.Known && e.Signal == 0 && e.Status == gateStatus
	}
	s, err := procstat.Read(handle.PID())
	return err == nil && (s.Comm == "upkeep-spawner" || s.Comm == "upkeep-manager")
}

// discard lets go of what was held for an instance that is not there.
func (h *Host) discard(key string, held *Held) {
	for _, fd := range held.FDs {
		if fd >= 0 {
			pipe.Close(fd)
		}
	}
	h.unbear(key)
}

// takeBack connects an instance as after its start.
func (h *Host) takeBack(i core.Instance, key string, held *Held, b birth, handle procfd.Handle) *instance {
	p := i.Slot.Program()
	fds := [3]int{held.fd(roleStdin), held.fd(roleStdout), held.fd(roleStderr)}
	for k := range fds {
		if fds[k] < 0 && b.Pipes[k] != 0 {
			fds[k] = h.reopen(handle.PID(), k, b.Pipes[k])
		}
	}
	if h.o.Store != nil && key != keyOf(i) {
		h.unbear(key) // it goes by another generation from now on
		key = keyOf(i)
	}
	inst := &instance{host: h, handle: handle, key: key}
	h.know(inst)
	var group *cgroup.Group
	if b.Cgroup != "" && h.o.Cgroups != nil {
		if g, err := h.o.Cgroups.Reopen(b.Cgroup); err == nil {
			group = g
		}
	}
	h.track(inst, p.ID, b.Pipes, group)
	if h.o.Store != nil && held.Key != key {
		h.holdAnew(key, fds, handle)
	}
	out, err := h.outputs(i.Slot)
	if err != nil {
		h.o.Log.Logf(activity.Error, "the output of %s (pid %d) goes nowhere: %v", p.ID.Name, handle.PID(), err)
		out = &outputs{}
	}
	inst.connect(fds, out)
	return inst
}

// pipesOf are the pipes that a process has as stdin, stdout and stderr; 0 = none. Its stdout alone when both
// outputs are the same.
func pipesOf(pid int) [3]uint64 {
	var out [3]uint64
	for k := range out {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, k))
		if err != nil {
			continue
		}
		if _, err := fmt.Sscanf(target, "pipe:[%d]", &out[k]); err != nil {
			out[k] = 0
		}
	}
	if out[2] == out[1] {
		out[2] = 0
	}
	return out
}

// reopen opens a pipe again that only the program has left; -1 when it has closed or exchanged it.
func (h *Host) reopen(pid, k int, inode uint64) int {
	fd, err := procfd.ReopenPipe(pid, k, inode)
	if err != nil {
		return -1
	}
	return fd
}

// holdAnew gives the store what it did not have.
func (h *Host) holdAnew(key string, fds [3]int, handle procfd.Handle) {
	var roles strings.Builder
	var have []int
	for k, role := range []rune{roleStdin, roleStdout, roleStderr} {
		if fds[k] >= 0 {
			roles.WriteRune(role)
			have = append(have, fds[k])
		}
	}
	_ = h.o.Store.Hold(key, roles.String(), have)
	_ = h.o.Store.Bind(key, handle.PID(), procfd.Descriptor(handle))
}

// Settle deals with what nobody has resumed: outputs that descendants of ended instances still hold go to
// their program's log; processes that belong to no program are named and left alone. Call it after Resume
// was called for every program.
func (h *Host) Settle(find func(model.ID) *core.Slot) {
	for key, held := range h.estate.held {
		id, _, ok := parseKey(key)
		if !ok {
			continue
		}
		s := find(id)
		if held.PID != 0 && !held.Ended && alive(held) {
			h.o.Log.Logf(activity.Warn, "pid %d was started as %s, which is not to run: it is left alone", held.PID, id)
		}
		if s == nil {
			h.discard(key, held)
			continue
		}
		h.lateOutput(key, held, s)
	}
	for key := range h.estate.births {
		h.forget(key)
	}
	h.estate = estate{}
}

func alive(held *Held) bool {
	fd := held.fd(rolePidfd)
	if fd < 0 {
		return false
	}
	handle, err := procfd.FromPidfd(fd, held.PID)
	if err != nil {
		pipe.Close(fd)
		return false
	}
	defer handle.Close()
	_, over, err := handle.Wait(true)
	return err == nil && !over
}

// earlier connects what is left of the instances before this one: what they wrote comes first.
func (h *Host) earlier(i core.Instance) {
	id := i.Slot.Program().ID
	gens := h.estate.late[id]
	delete(h.estate.late, id)
	slices.Sort(gens)
	for _, gen := range gens {
		key := instanceKey(id, gen)
		if held := h.estate.held[key]; held != nil && gen < i.Gen {
			delete(h.estate.held, key)
			h.lateOutput(key, held, i.Slot)
		}
	}
}

// lateOutput moves what comes through the pipes of an instance that has ended and was released.
func (h *Host) lateOutput(key string, held *Held, s *core.Slot) {
	if h.o.Store != nil {
		_ = h.o.Store.Release(key)
	}
	fds := [3]int{-1, held.fd(roleStdout), held.fd(roleStderr)}
	rest := *held
	if fd := rest.fd(roleStdin); fd >= 0 {
		pipe.Close(fd)
	}
	out, err := h.outputs(s)
	if err != nil {
		out = &outputs{}
	}
	inst := &instance{host: h, key: key, released: true}
	h.keys.Store(key, inst)
	inst.connect(fds, out)
}

// Living are the programs of which the journal knows a process that is alive.
func Living(journal map[string][]byte) map[model.ID]bool {
	out := map[model.ID]bool{}
	for key, value := range journal {
		key, ok := strings.CutPrefix(key, birthPrefix)
		id, _, ok2 := parseKey(key)
		var b birth
		if !ok || !ok2 || json.Unmarshal(value, &b) != nil {
			continue
		}
		handle, err := procfd.Adopt(b.Process)
		if err != nil {
			continue
		}
		if _, over, err := handle.Wait(true); err == nil && !over {
			out[id] = true
		}
		handle.Close()
	}
	return out
}

// Told takes the wait status of an instance that somebody else is the parent of.
func (h *Host) Told(key string, raw uint32) {
	if inst, ok := h.keys.Load(key); ok {
		inst.(*instance).handle.SetExit(raw)
	}
}

// Belongings are all descriptors that a successor of this process needs, after Close and the pump's Detach.
func (h *Host) Belongings() []Held {
	var out []Held
	h.keys.Range(func(key, value any) bool {
		inst := value.(*instance)
		it := Held{Key: key.(string)}
		add := func(role rune, fd int) {
			if fd >= 0 {
				it.Roles += string(role)
				it.FDs = append(it.FDs, fd)
			}
		}
		inst.mu.Lock()
		if !inst.released {
			it.PID = inst.handle.PID()
			add(rolePidfd, procfd.Descriptor(inst.handle))
		}
		inst.mu.Unlock()
		if inst.in != nil {
			add(roleStdin, inst.in.Descriptor())
		}
		for k, s := range inst.out {
			fd, on := s.Descriptors()
			add(inst.roles[k], fd)
			for _, fd := range on {
				out = append(out, Held{Key: stageKey(inst.streamKey(k), fd), Roles: string(roleStage), FDs: []int{fd}})
			}
		}
		out = append(out, it)
		return true
	})
	return out
}
