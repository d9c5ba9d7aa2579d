package keeper

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// held is an item in the keeper. Its descriptors are the keeper's.
type held struct {
	Item
	token   uint64 // in the order of their arrival
	watched bool   // its process handle is among what the poller watches
}

// pidfd is the handle of the item's process, -1 = none.
func (h *held) pidfd() int {
	if i := strings.LastIndexByte(h.Roles, RolePidfd); i >= 0 && i < len(h.FDs) {
		return h.FDs[i]
	}
	return -1
}

// message is what hands the item over.
func (h *held) message() wire.Message {
	return wire.Message{
		Type: wire.Item, Key: h.Key, Note: h.Note, Roles: h.Roles, PID: h.PID, Ended: h.Ended, Raw: h.Raw,
	}
}

// store is what the keeper holds.
type store struct {
	byKey   map[string]*held
	byToken map[uint64]*held
	byPID   map[int]*held // those of a known process
	last    uint64        // token
}

func newStore() store {
	return store{map[string]*held{}, map[uint64]*held{}, map[int]*held{}, firstItem}
}

// put adds an item, in place of none: the caller has dropped one of the same key.
func (s *store) put(it Item) *held {
	s.last++
	h := &held{Item: it, token: s.last}
	s.byKey[it.Key], s.byToken[h.token] = h, h
	if it.PID > 0 {
		s.byPID[it.PID] = h
	}
	return h
}

func (s *store) remove(h *held) {
	delete(s.byKey, h.Key)
	delete(s.byToken, h.token)
	if s.byPID[h.PID] == h {
		delete(s.byPID, h.PID)
	}
}

// inOrder lists everything in the order of its arrival.
func (s *store) inOrder() []*held {
	return slices.SortedFunc(maps.Values(s.byKey), func(a, b *held) int { return cmp.Compare(a.token, b.token) })
}

// hold takes what a message brings.
func (k *keeper) hold(m wire.Message, fds []int) {
	if len(fds) != len(m.Roles) {
		fdpass.CloseAll(fds)
		k.refuse(m.Key, "not all of its descriptors have arrived")
		return
	}
	it := Item{Key: m.Key, Note: m.Note, Roles: m.Roles, FDs: fds, PID: m.PID}
	old := k.items.byKey[m.Key]
	switch {
	case old == nil:
		k.items.put(it)
	case it.PID > 0 && it.PID == old.PID:
		// The same process with other descriptors: what is known of it stays.
		it.Ended, it.Raw = old.Ended, old.Raw
		watched := old.watched
		k.unwatch(old)
		k.items.remove(old)
		fdpass.CloseAll(old.FDs)
		if h := k.items.put(it); watched {
			k.watch(h)
		}
	default:
		k.drop(old)
		k.items.put(it)
	}
}

// bind learns the process of an item.
func (k *keeper) bind(m wire.Message, fds []int) {
	h := k.items.byKey[m.Key]
	if h == nil || m.PID <= 0 || len(fds) > 1 || len(h.FDs)+len(fds) > wire.MaxDescriptors {
		fdpass.CloseAll(fds)
		k.refuse(m.Key, "there is nothing to bind a process to")
		return
	}
	if h.PID != m.PID {
		k.release(h)
	}
	watched := h.watched
	k.unwatch(h)
	if len(fds) == 1 {
		k.forgetPidfd(h)
		h.Roles, h.FDs = h.Roles+string(RolePidfd), append(h.FDs, fds[0])
	}
	h.PID = m.PID
	k.items.byPID[h.PID] = h
	if watched {
		k.watch(h)
	}
}

// release lets go of an item's process.
func (k *keeper) release(h *held) {
	k.unwatch(h)
	k.reap(h)
	if k.items.byPID[h.PID] == h {
		delete(k.items.byPID, h.PID)
	}
	h.PID, h.Ended, h.Raw = 0, false, 0
	k.forgetPidfd(h)
}

// forgetPidfd closes the handle of an item's process.
func (k *keeper) forgetPidfd(h *held) {
	if i := strings.LastIndexByte(h.Roles, RolePidfd); i >= 0 {
		fdpass.CloseAll(h.FDs[i : i+1])
		h.Roles, h.FDs = h.Roles[:i]+h.Roles[i+1:], slices.Delete(h.FDs, i, i+1)
	}
}

// note replaces a note.
func (k *keeper) note(m wire.Message) {
	if h := k.items.byKey[m.Key]; h != nil {
		h.Note = m.Note
		return
	}
	k.refuse(m.Key, "there is nothing to put a note on")
}

// drop lets go of an item.
func (k *keeper) drop(h *held) {
	k.unwatch(h)
	k.reap(h)
	k.items.remove(h)
	fdpass.CloseAll(h.FDs)
}

// reap takes the status of an item's process when that has ended as a child of ours.
func (k *keeper) reap(h *held) {
	if h.PID > 0 && (h.Ended || h.pidfd() >= 0) {
		_, _, _ = fdpass.Reap(h.pidfd(), h.PID)
	}
}

func (k *keeper) unwatch(h *held) {
	if h.watched {
		_ = k.poll.Remove(h.pidfd())
		h.watched = false
	}
}

// watchAll watches the processes of all items: after the death of a manager they may be our children.
func (k *keeper) watchAll() {
	for _, h := range k.items.inOrder() {
		if h.PID > 0 && !h.Ended && !h.watched {
			k.watch(h)
		}
	}
}

// watch watches the process of an item; one that has ended already is reported at once.
func (k *keeper) watch(h *held) {
	if h.Ended {
		return
	}
	if fd := h.pidfd(); fd >= 0 && k.poll.Add(fd, h.token) == nil {
		h.watched = true
		return
	}
	k.look(h) // and again whenever a child ends
}

// look finds out whether the process of an item has ended, and reports it.
func (k *keeper) look(h *held) {
	if h.Ended {
		return
	}
	raw, ended, err := fdpass.Peek(h.pidfd(), h.PID)
	switch {
	case err != nil:
		// Somebody else's child: the manager watches it. Nobody's statuses are guessed here.
		k.unwatch(h)
	case ended:
		k.unwatch(h)
		h.Ended, h.Raw = true, raw
		k.tell(wire.Message{Type: wire.Exit, Key: h.Key})
	}
}
