package alerts

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// The store's keys: one record each for the whole, the notifiers in force, every program of which something is known, every
// incident, all that is to be told, every message that is to be delivered, and the counts of every notifier.
const (
	stateKey       = "state"
	notifiersKey   = "notifiers"
	programPrefix  = "program/"
	incidentPrefix = "incident/"
	pendingPrefix  = "pending/"
	messagePrefix  = "message/"
	countPrefix    = "count/"
)

// state is what is known as a whole.
type state struct {
	Through uint64 // the last note that was read
	Seed    string // makes ids of messages ours
	// Faults is when a notifier has last told of a fault of the daemon, by notifier and fault.
	Faults    map[string]time.Time `json:",omitzero"`
	notifiers []*model.Notifier
}

// program is what is known of one beside its status.
type program struct {
	Last     uint64               // the last note about it
	Up       bool                 // it has come up and was not stopped since, whatever happened to it
	Since    time.Time            `json:",omitzero"` // it was RUNNING …
	Until    time.Time            `json:",omitzero"` // … to then; zero = it is
	Told     uint64               `json:",omitzero"` // the generation whose start was told or is not to be
	Dead     uint64               `json:",omitzero"` // the generation that was found to have ended
	Asked    uint64               `json:",omitzero"` // the generation that somebody has ended by a signal
	Acted    uint64               `json:",omitzero"` // the generation that a check has ended …
	Check    string               `json:",omitzero"` // … which check wants to, …
	Found    string               `json:",omitzero"` // … and what it had found
	Auto     bool                 `json:",omitzero"` // autostart starts it
	OOM      uint64               `json:",omitzero"` // the generation whose lack of memory was told
	Restarts []time.Time          `json:",omitzero"` // the last ones
	Spoken   map[string]time.Time `json:",omitzero"` // by notifier and kind: when it was last told
}

// maxRestarts bounds Program.Restarts: the most that a trigger can count.
const maxRestarts = 1000

// count is what has become of a notifier's messages.
type count struct {
	Sent, Failed uint64
	LastError    string    `json:",omitzero"`
	LastTime     time.Time `json:",omitzero"`
}

// put records something; nil deletes. Callers hold mu, or nobody else knows the Alerts yet.
func (a *Alerts) put(key string, record any) {
	if a.o.Store == nil {
		return
	}
	a.dirty = true
	if record == nil {
		a.o.Store.Put(key, nil)
		return
	}
	if value, err := json.Marshal(record); err == nil { // it always can: plain data
		a.o.Store.Put(key, value)
	}
}

// flush makes what was put survive this process.
func (a *Alerts) flush() {
	if a.dirty && a.o.Store != nil {
		_ = a.o.Store.Flush() // the store reports its own trouble, and works on without the disk
	}
	a.dirty = false
}

// restore takes up what an earlier process has kept. What cannot be read is forgotten.
func (a *Alerts) restore() {
	if a.o.Store != nil {
		for key, value := range a.o.Store.Snapshot() {
			if !a.restoreRecord(key, value) {
				a.o.Store.Put(key, nil)
			}
		}
	}
	slices.SortFunc(a.pending, byNote)
	slices.SortFunc(a.messages, func(x, y *message) int { return cmp.Compare(x.Report.ID, y.Report.ID) })
	a.restoreNotes(a.state.Through)
}

func (a *Alerts) restoreRecord(key string, value []byte) bool {
	get := func(into any) bool { return json.Unmarshal(value, into) == nil }
	switch {
	case key == stateKey:
		return get(&a.state)
	case key == notifiersKey:
		return get(&a.state.notifiers)
	case strings.HasPrefix(key, programPrefix):
		p := &program{}
		id, single := model.SplitNamespec(strings.TrimPrefix(key, programPrefix))
		if !single || !get(p) {
			return false
		}
		a.programs[id] = p
	case strings.HasPrefix(key, incidentPrefix):
		in := &incident{}
		if !get(in) {
			return false
		}
		a.incidents[in.key()] = in
	case strings.HasPrefix(key, pendingPrefix):
		p := &pending{}
		if !get(p) {
			return false
		}
		a.pending = append(a.pending, p)
	case strings.HasPrefix(key, messagePrefix):
		m := &message{}
		if !get(m) || m.Report == nil {
			return false
		}
		a.messages = append(a.messages, m)
	case strings.HasPrefix(key, countPrefix):
		c := &count{}
		if !get(c) {
			return false
		}
		a.counts[strings.TrimPrefix(key, countPrefix)] = c
	default:
		return false
	}
	return true
}

// of is what is known of a program.
func (a *Alerts) of(id model.ID) *program {
	p := a.programs[id]
	if p == nil {
		p = &program{}
		a.programs[id] = p
	}
	return p
}

func (a *Alerts) putProgram(id model.ID) { a.put(programPrefix+id.Namespec(), a.programs[id]) }

func (a *Alerts) putIncident(in *incident) { a.put(incidentPrefix+in.key(), in) }

func (a *Alerts) putPending(p *pending) { a.put(pendingKey(p), p) }

// byNote orders what is to be told by when it began.
func byNote(x, y *pending) int {
	return cmp.Or(cmp.Compare(x.N, y.N), cmp.Compare(x.ID.Namespec(), y.ID.Namespec()))
}

// pendingKey is the same for those that join each other, so that one takes the other's place in a single write.
func pendingKey(p *pending) string {
	if p.ID == (model.ID{}) {
		return pendingPrefix + p.Notifier + "//" + p.Kind.String() + "/" + p.Fault + "/" + strconv.FormatUint(p.N, 16)
	}
	key := pendingPrefix + p.Notifier + "/" + p.ID.Namespec()
	if rank(p.Kind) == 0 {
		key += "/" + p.Kind.String()
	}
	return key
}

func (a *Alerts) count(notifier string) *count {
	c := a.counts[notifier]
	if c == nil {
		c = &count{}
		a.counts[notifier] = c
	}
	return c
}

func (a *Alerts) putCount(notifier string) { a.put(countPrefix+notifier, a.counts[notifier]) }

// message is one that is to be delivered to one destination.
type message struct {
	Notifier string
	To       string
	Created  time.Time
	Tries    int       `json:",omitzero"`
	Next     time.Time `json:",omitzero"` // not before: it was refused
	Report   *report.Report
	under    bool // it is being delivered
}

func (a *Alerts) putMessage(m *message) { a.put(messagePrefix+m.Report.ID, m) }
