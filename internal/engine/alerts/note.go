package alerts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// notePrefix begins the keys of notes in the journal.
const notePrefix = "alert/"

// The types of notes that are no events.
const (
	noteTrouble = "trouble"
	noteOver    = "over"
	noteGap     = "gap"
)

// note is an event, and what was known of the program at that moment.
type note struct {
	N        uint64          `json:"-"`
	Time     time.Time       `json:",omitzero"`
	Type     model.EventType `json:",omitzero"`
	ID       model.ID        `json:",omitzero"`
	From     model.State     `json:",omitzero"`
	Tries    int             `json:",omitzero"`
	Expected bool            `json:",omitzero"`
	Auto     bool            `json:",omitzero"` // autostart starts it with the daemon
	Ending   bool            `json:",omitzero"` // everything ends
	Key      string          `json:",omitzero"` // the check, or the fault
	Text     string          `json:",omitzero"`
	Gen      uint64          `json:",omitzero"`
	PID      int             `json:",omitzero"`
	Start    time.Time       `json:",omitzero"`
	Stop     time.Time       `json:",omitzero"`
	Exit     model.Exit      `json:",omitzero"`
	SpawnErr string          `json:",omitzero"`
	Past     model.Past      `json:",omitzero"`
}

// inbox are notes that the worker has not read.
type inbox struct {
	mu       sync.Mutex
	notes    []note
	last     uint64 // number of the newest
	lost     uint64 // that did not fit
	expected map[model.ID]bool
	ending   bool // everything ends: what happens to programs now was asked for
}

// Expect says which programs autostart is about to start with the daemon, these and no others, so that their first start is
// told as such. Call it before they are ordered to start, and with none when they are.
func (a *Alerts) Expect(ids []model.ID) {
	a.inbox.mu.Lock()
	defer a.inbox.mu.Unlock()
	a.inbox.expected = make(map[model.ID]bool, len(ids)) // another one: a map keeps its size
	for _, id := range ids {
		a.inbox.expected[id] = true
	}
}

// Happened notes an event, if it is one that somebody may be told of. It returns at once, and is called in the order of
// the events, in the step that causes them: what it puts into the journal is written together with that step.
func (a *Alerts) Happened(e model.Event) {
	n := note{Time: e.Time, Type: e.Type, ID: e.ID, From: e.From, Tries: e.Tries, Expected: e.Expected}
	switch e.Type {
	case model.EventProcessStarting, model.EventProcessRunning, model.EventProcessBackoff, model.EventProcessStopping,
		model.EventProcessExited, model.EventProcessStopped, model.EventProcessFatal, model.EventReleased:
	case model.EventCheckFailed, model.EventCheckPassed, model.EventCheckAction:
		n.Key, n.Text = e.Kind, string(e.Data[:min(len(e.Data), 400)])
	case model.EventDaemonStopping:
		a.inbox.mu.Lock()
		a.inbox.ending = true
		a.inbox.mu.Unlock()
		return
	case model.EventGroupRemoved:
		a.say(n) // whether there was something to be told of it is not known any more
		return
	default:
		return
	}
	st, ok := a.o.Status(e.ID)
	if !ok || !a.concerns(st.Program) {
		return
	}
	n.Gen, n.PID, n.Start, n.Stop, n.Exit, n.SpawnErr, n.Past = st.Generation, st.PID, st.Start, st.Stop, st.Exit, st.SpawnErr, st.Past
	a.say(n)
}

// concerns reports whether anybody is to be told of a program.
func (a *Alerts) concerns(p *model.Program) bool {
	if p == nil {
		return false
	}
	return len(p.Email) > 0 || slices.ContainsFunc(a.configured(), func(n *model.Notifier) bool { return n.Tells(p) })
}

// say notes something.
func (a *Alerts) say(n note) {
	if n.Time.IsZero() {
		n.Time = a.o.Now()
	}
	b := &a.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.Type == model.EventProcessStarting && b.expected[n.ID] {
		delete(b.expected, n.ID)
		n.Auto = true
	}
	n.Ending = b.ending
	if len(b.notes) >= maxInbox {
		b.lost++
		return
	}
	b.last++
	n.N = b.last
	b.notes = append(b.notes, n)
	if a.o.Journal != nil {
		if value, err := json.Marshal(n); err == nil { // it always can: plain data
			a.o.Journal.Put(noteKey(n.N), value)
		}
	}
	a.wake()
}

func noteKey(n uint64) string { return fmt.Sprintf("%s%016x", notePrefix, n) }

// restoreNotes takes up the notes of an earlier process that were not read.
func (a *Alerts) restoreNotes(through uint64) {
	b := &a.inbox
	b.last = through
	for _, p := range a.programs { // a power cut may have taken what says that these were read
		b.last = max(b.last, p.Last)
	}
	for key, value := range a.o.Entries {
		hex, ok := strings.CutPrefix(key, notePrefix)
		if !ok {
			continue
		}
		var n note
		number, err := strconv.ParseUint(hex, 16, 64)
		if err != nil || number <= through || json.Unmarshal(value, &n) != nil {
			a.o.Journal.Put(key, nil)
			continue
		}
		n.N = number
		b.notes = append(b.notes, n)
		b.last = max(b.last, number)
	}
	slices.SortFunc(b.notes, func(x, y note) int {
		if x.N < y.N {
			return -1
		}
		return 1
	})
}

// take takes the first notes; lost is how many did not fit. more says that there are others.
func (b *inbox) take() (notes []note, lost uint64, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.notes), maxRead)
	notes, lost = b.notes[:n:n], b.lost
	if b.notes, b.lost = b.notes[n:], 0; len(b.notes) == 0 {
		b.notes = nil
	}
	return notes, lost, b.notes != nil
}
