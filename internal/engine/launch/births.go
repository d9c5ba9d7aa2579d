package launch

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/cgroup"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Store keeps descriptors for a successor of this process, under keys. The calls return at once and take
// effect in their order, also when this process is killed right after. An error says that the store is gone and
// that this process is about to be replaced: starts under way are left to the successor.
type Store interface {
	// Hold keeps duplicates of descriptors; roles has one letter for each. Secure does the same and returns
	// when nothing can undo it any more.
	Hold(key, roles string, fds []int) error
	Secure(key, roles string, fds []int) error
	// Bind says which process the key stands for; its pidfd is kept too.
	Bind(key string, pid, pidfd int) error
	// Release gives up the process: it is reaped by whoever is its parent.
	Release(key string) error
	// Drop gives up the rest.
	Drop(key string) error
}

// The letters of the descriptors of an instance.
const (
	roleStdin  = 'i'
	roleStdout = 'o'
	roleStderr = 'e'
	rolePidfd  = 'p'
	roleStage  = 'x'
)

// The streams of an instance: their keys are its own with the role of the pipe.
const stagePrefix = "s/"

// Holds reports whether a key of the store is one of ours.
func Holds(key string) bool {
	return strings.HasPrefix(key, keyPrefix) || strings.HasPrefix(key, stagePrefix) || strings.HasPrefix(key, socketPrefix)
}

// stages is the store as the pump needs it: the descriptors through which output passes on its way.
type stages struct{ store Store }

// Stages is the store for a pump whose streams are those of instances.
func Stages(s Store) streams.Keeper { return stages{s} }

// stageKey names a descriptor by what it is, whatever its number in a process.
func stageKey(stream string, fd int) string {
	return stagePrefix + stream + "/" + strconv.FormatUint(pipe.Inode(fd), 10)
}

func (s stages) Keep(stream string, fd int) error {
	return s.store.Secure(stageKey(stream, fd), string(roleStage), []int{fd})
}

func (s stages) Drop(stream string, fd int) { _ = s.store.Drop(stageKey(stream, fd)) }

// Held is what a predecessor has left under a key. The descriptors belong to who gets it.
type Held struct {
	Key, Roles string
	FDs        []int
	PID        int // 0 = no process, or a released one
	Ended      bool
	Raw        uint32 // the wait status, when Ended
}

// fd is the descriptor of a role, -1 = none. It is taken out.
func (h *Held) fd(role rune) int {
	if i := strings.IndexRune(h.Roles, role); i >= 0 && i < len(h.FDs) {
		fd := h.FDs[i]
		h.FDs[i] = -1
		return fd
	}
	return -1
}

const keyPrefix = "p/"

// keyOf is the key of an instance in the store and, behind birthPrefix, in the journal.
func keyOf(i core.Instance) string { return instanceKey(i.Slot.Program().ID, i.Gen) }

func instanceKey(id model.ID, gen uint64) string {
	return keyPrefix + id.Namespec() + "/" + strconv.FormatUint(gen, 10)
}

// parseKey is the reverse of keyOf.
func parseKey(key string) (id model.ID, gen uint64, ok bool) {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	at := strings.LastIndexByte(rest, '/')
	if !ok || at < 0 {
		return id, 0, false
	}
	gen, err := strconv.ParseUint(rest[at+1:], 10, 64)
	id.Group, id.Name, ok = strings.Cut(rest[:at], ":")
	return id, gen, ok && err == nil
}

// birthPrefix begins the journal's keys of births.
const birthPrefix = "birth/"

// birth is what the journal knows of an instance before its first instruction.
type birth struct {
	Process procfd.Identity `json:",omitzero"`
	Pipes   [3]uint64       `json:",omitzero"` // inodes of its stdin, stdout and stderr; 0 = no pipe
	Cgroup  string          `json:",omitzero"` // directory of its control group; empty = none
	// Mark is set when it is let go; without one it is taken for let go.
	Mark spawn.Mark `json:",omitzero"`
	// PIDFile is the file that was written for it; empty = none.
	PIDFile string `json:",omitzero"`
	Found   bool   `json:",omitzero"` // it ran already, and was taken in the place of a start
	Moved   bool   `json:",omitzero"` // it is what the process that was started has left
}

// marks gives out the words of spawn.Marks. It is safe for concurrent use.
type marks struct {
	mu    sync.Mutex
	used  [spawn.MarkLimit]bool
	byKey map[string]uint32 // by the key of the instance
	next  uint32
}

// take is a mark for an instance, with a word that no other has; none when all are in use.
func (m *marks) take(key string) spawn.Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range spawn.MarkLimit {
		at := m.next % spawn.MarkLimit
		m.next++
		if !m.used[at] {
			m.set(key, at)
			return spawn.Mark{At: at, Tag: rand.Uint64() | 1}
		}
	}
	return spawn.Mark{}
}

// keep takes the mark that an instance has already.
func (m *marks) keep(key string, k spawn.Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k.Tag != 0 && k.At < spawn.MarkLimit {
		m.set(key, k.At)
	}
}

// set notes who uses a word; the lock is held.
func (m *marks) set(key string, at uint32) {
	if m.byKey == nil {
		m.byKey = map[string]uint32{}
	}
	m.used[at], m.byKey[key] = true, at
}

func (m *marks) giveBack(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.byKey[key]; ok {
		m.used[at] = false
		delete(m.byKey, key)
	}
}

// letGo reports whether an instance has begun to become its program.
func (h *Host) letGo(b birth) bool {
	if b.Mark.Tag == 0 || h.o.Marks == nil {
		return b.Process.PID != 0
	}
	return h.o.Marks.Passed(b.Mark)
}

// bear has an instance known to the journal and to the store before it executes anything: whatever is killed
// then, there is never an instance that nobody knows of.
func (h *Host) bear(i core.Instance, req *spawn.Request, group *cgroup.Group) (key string, b *birth, err error) {
	b = &birth{}
	p := i.Slot.Program()
	if p.WritesPIDFile() {
		b.PIDFile = p.Attach.PIDFile
	}
	if h.o.Store == nil && h.o.Journal == nil {
		if b.PIDFile != "" {
			req.Identified = func(pid, _ int) error {
				b.Process.PID = pid
				return h.writePIDFile(b.PIDFile, pid, req.Cred)
			}
		}
		return "", b, nil
	}
	key = keyOf(i)
	h.keys.drop(key) // one whose output lingers, of a program of that name that was removed
	if req.Pipes, err = spawn.MakePipes(req); err != nil {
		return "", b, err
	}
	fds := [3]int{req.Pipes.Stdin, req.Pipes.Stdout, req.Pipes.Stderr}
	for k, fd := range fds {
		if fd >= 0 {
			b.Pipes[k], _ = procfd.PipeInode(fd) // 0: it cannot be opened again, and descendants are not told by it
		}
	}
	if h.o.Store != nil {
		var roles strings.Builder
		var held []int
		for k, role := range []rune{roleStdin, roleStdout, roleStderr} {
			if fds[k] >= 0 {
				roles.WriteRune(role)
				held = append(held, fds[k])
			}
		}
		if err := h.o.Store.Hold(key, roles.String(), held); err != nil {
			req.Pipes.Close()
			return "", b, &lostError{err}
		}
	}
	if h.o.Marks != nil {
		b.Mark = h.marks.take(key)
		req.Mark = b.Mark
	}
	req.Identified = func(pid, pidfd int) error {
		id, err := procfd.Identify(pid)
		if err != nil {
			return err
		}
		b.Process = id
		if h.o.Journal != nil {
			if group != nil {
				b.Cgroup = group.Dir()
			}
			if err := h.record(key, b); err != nil && h.o.Store == nil {
				return errors.Join(errUnknown, err)
			}
		}
		if b.PIDFile != "" { // after the record, which tells whoever follows this process to remove it
			if err := h.writePIDFile(b.PIDFile, pid, req.Cred); err != nil {
				return err
			}
		}
		if h.o.Store != nil {
			if err := h.o.Store.Bind(key, pid, pidfd); err != nil {
				return &lostError{err}
			}
		}
		return nil
	}
	return key, b, nil
}

// record has the journal know of an instance, whose birth does not change any more.
func (h *Host) record(key string, b *birth) error {
	core.PutMade(h.o.Journal, birthPrefix+key, func() []byte {
		value, _ := json.Marshal(b) // plain data
		return value
	})
	return h.o.Journal.Flush()
}

// abandon lets go of the control group of an instance that is no more, as soon as nothing is in it.
func abandon(g *cgroup.Group) {
	if g != nil {
		g.CloseFD()
		_ = g.Remove() // a busy one is removed later by its tree
	}
}

// lostError is a start that was broken off because the store is gone.
type lostError struct{ err error }

func (e *lostError) Error() string { return "the keeper is gone: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// errUnknown: nobody would know of the instance after the death of this process.
var errUnknown = errors.New("the start could not be recorded")

// unbear takes back what bear has done for an instance that did not come to be.
func (h *Host) unbear(key string) {
	if key == "" {
		return
	}
	if h.o.Store != nil {
		_ = h.o.Store.Drop(key)
	}
	h.forget(key)
}

// forget deletes a birth from the journal, with its next flush: a record too many does no harm.
func (h *Host) forget(key string) {
	h.marks.giveBack(key)
	if h.o.Journal != nil {
		h.o.Journal.Put(birthPrefix+key, nil)
	}
}
