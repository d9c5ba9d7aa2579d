package listeners

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

// The journal's keys: for each pool its serials, each event in it, and each listener's part of the conversation; and
// what is captured of the output of programs.
const (
	keyPrefix    = "event/"
	poolPrefix   = keyPrefix + "pool/"
	itemPrefix   = keyPrefix + "item/"
	memberPrefix = keyPrefix + "listener/"

	// OutputPrefix begins the keys of what KeepOutput has recorded.
	OutputPrefix = keyPrefix + "output/"
)

// memberRecord is what is kept of a listener.
type memberRecord struct {
	Gen    uint64
	Talk   listener.Conversation
	Held   uint64 `json:",omitempty"` // pool serial + 1
	Unsure bool   `json:",omitempty"`
}

func (p *Pools) put(key string, value []byte) {
	if p.o.Journal != nil {
		p.o.Journal.Put(key, value)
		p.unsaved = true
	}
}

// note has a listener recorded by the next flush, which follows before the lock is given up.
func (p *Pools) note(m *member) {
	if !slices.Contains(p.noted, m) {
		p.noted = append(p.noted, m)
	}
}

// flush makes what was put survive this process.
func (p *Pools) flush() {
	for _, m := range p.noted {
		p.keepMember(m)
	}
	p.noted = p.noted[:0]
	if p.unsaved {
		p.unsaved = false
		_ = p.o.Journal.Flush() // the journal reports its own trouble, and works on without the disk
	}
}

// keepPool records the serials: that of the daemon, and that of the pool.
func (p *Pools) keepPool(pl *pool) {
	b := binary.LittleEndian.AppendUint64(nil, p.serial)
	p.put(poolPrefix+pl.name, binary.LittleEndian.AppendUint64(b, pl.serial))
}

func (p *Pools) forgetPool(pl *pool) { p.put(poolPrefix+pl.name, nil) }

func itemKey(pool string, poolSerial uint64) string {
	return fmt.Sprintf("%s%s/%016x", itemPrefix, pool, poolSerial)
}

// recordOf is the record of an event.
func recordOf(serial uint64, e *model.Event) []byte {
	b := make([]byte, 0, recordHead+len(e.Type)+128+len(e.ID.Name)+len(e.ID.Group)+len(e.Kind)+len(e.Data))
	b = binary.LittleEndian.AppendUint64(b, serial)
	return listener.AppendPayload(append(append(b, e.Type...), '\n'), e)
}

// keepItem records an event until it is processed or discarded.
func (p *Pools) keepItem(pl *pool, it *item) {
	if p.o.Journal != nil {
		p.o.Journal.Give(itemKey(pl.name, it.poolSerial), it.record)
		p.unsaved = true
	}
}

func (p *Pools) forgetItem(pl *pool, it *item) { p.put(itemKey(pl.name, it.poolSerial), nil) }

func (p *Pools) keepMember(m *member) {
	if p.o.Journal == nil {
		return
	}
	r := memberRecord{Gen: m.gen, Talk: m.talk, Unsure: m.unsure}
	if m.held != nil {
		r.Held = m.held.poolSerial + 1
	}
	value, err := json.Marshal(r)
	if err != nil { // impossible: it is plain data
		p.o.Log.Logf(activity.Critical, "the journal cannot hold %s: %v", m.id, err)
		return
	}
	p.put(memberPrefix+m.id.Namespec(), value)
}

func (p *Pools) forgetMember(pl *pool, m *member) {
	if m.held != nil {
		p.forgetItem(pl, m.held)
	}
	p.put(memberPrefix+m.id.Namespec(), nil)
}

// Restore goes on with the pools of these groups where an earlier process was killed. Call it before anything else.
// What the journal has of other pools is deleted.
func (p *Pools) Restore(entries map[string][]byte, groups []*model.Group) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table = p.o.Table()
	for _, g := range groups {
		if g.Pool != nil {
			p.restorePool(g, entries)
		}
	}
	for key, value := range entries {
		if id, ok := strings.CutPrefix(key, memberPrefix); ok {
			p.restoreMember(id, value)
		}
	}
	for key := range entries {
		p.forgetStray(key)
	}
}

func (p *Pools) restorePool(g *model.Group, entries map[string][]byte) {
	pl := p.newPool(g)
	if b := entries[poolPrefix+g.Name]; len(b) == 16 {
		p.serial = max(p.serial, binary.LittleEndian.Uint64(b))
		pl.serial = binary.LittleEndian.Uint64(b[8:])
	}
	prefix := itemPrefix + g.Name + "/"
	for key, value := range entries {
		at, ok := strings.CutPrefix(key, prefix)
		if !ok || len(value) < recordHead {
			continue
		}
		name, _, ok := bytes.Cut(value[recordHead:], []byte{'\n'})
		if !ok {
			continue
		}
		it := &item{serial: binary.LittleEndian.Uint64(value), name: model.EventType(name), record: value}
		if n, err := fmt.Sscanf(at, "%x", &it.poolSerial); n != 1 || err != nil {
			continue
		}
		pl.buffer = append(pl.buffer, it)
		pl.bytes += len(it.record)
		pl.serial = max(pl.serial, it.poolSerial+1) // its record may be damaged
		p.serial = max(p.serial, it.serial+1)
	}
	slices.SortFunc(pl.buffer, func(a, b *item) int { return cmp.Compare(a.poolSerial, b.poolSerial) })
}

func (p *Pools) restoreMember(namespec string, value []byte) {
	group, name, _ := strings.Cut(namespec, ":")
	pl := p.pool(group)
	var r memberRecord
	if pl == nil || json.Unmarshal(value, &r) != nil {
		return
	}
	m := &member{id: model.ID{Group: group, Name: name}, gen: r.Gen, talk: r.Talk, unsure: r.Unsure, since: p.o.Now()}
	if at := slices.IndexFunc(pl.buffer, func(it *item) bool { return it.poolSerial+1 == r.Held }); at >= 0 {
		m.held = pl.buffer[at]
		pl.buffer = slices.Delete(pl.buffer, at, at+1)
		pl.bytes -= len(m.held.record)
	}
	p.members[m.id] = m
}

// forgetStray deletes what belongs to no pool that is there.
func (p *Pools) forgetStray(key string) {
	for _, prefix := range []string{poolPrefix, itemPrefix, memberPrefix} {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		if prefix == itemPrefix {
			rest = rest[:max(strings.LastIndexByte(rest, '/'), 0)]
		}
		if prefix == memberPrefix {
			rest, _, _ = strings.Cut(rest, ":")
		}
		if p.pool(rest) == nil {
			p.put(key, nil)
		}
	}
}

// Settle gives back the events of listeners that did not come back. Call it when all that live have.
func (p *Pools) Settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if pl := p.pool(m.id.Group); pl != nil && m.in == nil && m.held != nil {
			p.reject(pl, m)
			p.keepMember(m)
		}
	}
	p.kick()
}

// KeepOutput records what a successor must know of the output of an instance; nil = nothing. It survives when the
// call returns.
func (p *Pools) KeepOutput(key string, value []byte) {
	if p.count.Load() == 0 && value != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(OutputPrefix+key, value)
	p.flush()
}
