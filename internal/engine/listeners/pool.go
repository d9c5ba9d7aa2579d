package listeners

import (
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

// accept puts an event into the buffers of those who have subscribed to it. Source: spec/supervisor 4.2, 4.5.
func (p *Pools) accept(e *model.Event) {
	p.refresh()
	var serial uint64
	var record []byte // made for the first
	for _, pl := range p.pools {
		if !pl.wants[e.Type] {
			continue
		}
		if record == nil {
			serial = p.serial
			p.serial = listener.NextSerial(p.serial)
			record = recordOf(serial, e)
		}
		it := &item{serial: serial, poolSerial: pl.serial, name: e.Type, record: record}
		pl.serial = listener.NextSerial(pl.serial)
		p.keepPool(pl)
		p.keepItem(pl, it)
		p.insert(pl, it, false)
	}
}

// insert adds an event to a buffer; the oldest makes room.
func (p *Pools) insert(pl *pool, it *item, head bool) {
	for len(pl.buffer) > 0 && len(pl.buffer) >= pl.spec.Buffer {
		oldest := pl.pop()
		p.forgetItem(pl, oldest)
		p.o.Log.Logf(activity.Error, "pool %s event buffer overflowed, discarding event %d", pl.name, oldest.serial)
	}
	if head {
		pl.buffer = slices.Insert(pl.buffer, 0, it)
	} else {
		pl.buffer = append(pl.buffer, it)
	}
	pl.bytes += len(it.record)
}

// pop takes the oldest event out of the buffer.
func (pl *pool) pop() *item {
	it := pl.buffer[0]
	pl.buffer[0] = nil
	pl.buffer = pl.buffer[1:]
	pl.bytes -= len(it.record)
	return it
}

// rebuffer puts an event back that was taken out. Only its own pool gets it (F3).
func (p *Pools) rebuffer(pl *pool, it *item) {
	p.logRebuffered(pl, it, len(pl.buffer))
	p.insert(pl, it, true)
}

// dispatch sends what can be sent, the oldest first.
func (p *Pools) dispatch() {
	p.refresh()
	for _, pl := range p.pools {
		for len(pl.buffer) > 0 && p.anyReady(pl) {
			it := pl.pop()
			if !p.send(pl, it) {
				p.rebuffer(pl, it)
				break
			}
			if len(pl.buffer) > 0 && !p.anyReady(pl) { // the original tries once more
				p.logRebuffered(pl, pl.buffer[0], len(pl.buffer)-1)
			}
		}
	}
}

// logRebuffered says what the original says when it has put an event back, with others in the buffer.
func (p *Pools) logRebuffered(pl *pool, it *item, others int) {
	p.o.Log.Logf(activity.Debug, "rebuffering event %d for pool %s (buf size=%d, max=%d)", it.serial, pl.name, others, pl.spec.Buffer)
}

// ready are the listeners of a pool that an event can be sent to, in the order of its processes.
func (p *Pools) ready(pl *pool, use func(*member) (more bool)) {
	g := p.table.Group(pl.name)
	if g == nil {
		return
	}
	for _, s := range g.Slots {
		m := p.members[s.Program().ID]
		if m == nil || m.in == nil || m.talk.State != listener.Ready {
			continue
		}
		if st := s.Status(); st.State == model.Running && st.Generation == m.gen && !use(m) {
			return
		}
	}
}

func (p *Pools) anyReady(pl *pool) (any bool) {
	p.ready(pl, func(*member) bool { any = true; return false })
	return any
}

// maxQueued is how many bytes may wait for a listener that answers events without reading them.
const maxQueued = 1 << 20

// maxRoom is how many bytes of room for an envelope are kept: enough for the longest piece of output.
const maxRoom = 256 << 10

// envelope is what a listener is sent. It is valid until the next.
func (p *Pools) envelope(h *listener.Header, it *item) []byte {
	b := h.Append(p.out[:0], it.payload())
	if p.out = b; cap(b) > maxRoom {
		p.out = nil
	}
	return b
}

// send gives an event to the first listener that takes it.
func (p *Pools) send(pl *pool, it *item) (sent bool) {
	h := listener.Header{
		Server: p.o.Identifier, Serial: it.serial, Pool: pl.name, PoolSerial: it.poolSerial, Name: it.name, Bytes: pl.spec.LenBytes,
	}
	p.ready(pl, func(m *member) bool {
		if m.in.Queued() > maxQueued {
			p.o.Log.Logf(activity.Warn, "%s: does not read its events", m.id.Name)
			p.distrust(pl, m)
			return true
		}
		m.talk.Sent()
		m.held, m.unsure = it, true
		p.note(m)
		p.flush() // before the write: a successor must know that there may be an answer
		if err := m.in.Write(p.envelope(&h, it)); err != nil {
			m.talk.State, m.held, m.unsure = listener.Ready, nil, false
			p.o.Log.Logf(activity.Debug, "epipe occurred while sending event %d to listener %s, listener state unchanged", it.serial, m.id.Name)
			m.in = nil
			p.keepMember(m)
			p.restart(m, "it has closed its standard input")
			return true
		}
		m.since, m.told = p.o.Now(), false
		if m.in.Queued() == 0 {
			m.unsure = false
			p.note(m)
			p.flush()
		}
		p.o.Log.Logf(activity.Debug, "event %d sent to listener %s", it.serial, m.id.Name)
		sent = true
		return false
	})
	return sent
}

// reject puts the event that a listener holds back into the buffer.
func (p *Pools) reject(pl *pool, m *member) {
	if it := m.held; it != nil {
		m.held, m.unsure = nil, false
		p.rebuffer(pl, it)
	}
}

// ended is what the end of a listener's process means for the event that it holds.
func (p *Pools) ended(m *member) {
	pl := p.pool(m.id.Group)
	m.in, m.bounce, m.hush = nil, time.Time{}, time.Time{}
	m.talk = listener.Conversation{State: listener.Unknown} // its last output is no answer
	p.reject(pl, m)
	p.keepMember(m)
}
