package checks

import (
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
)

const (
	// maxSaid bounds the processes whose early messages are kept.
	maxSaid = 256
	// begunFor is how long is waited for the news of a start.
	begunFor = time.Minute
)

// beginning is an instance that begins and is not told yet.
type beginning struct {
	inst core.Instance
	at   time.Duration
}

// said is what a process has said that descends from nobody who is told, while somebody begins.
type said struct {
	notified.Message
	chain []int // the process, its parent, and so on
	at    time.Duration
}

// beginsToSpeak notes that a program begins which is to send messages: it can be quicker than the news of its start.
func (c *Checks) beginsToSpeak(i core.Instance, p *model.Program) {
	if slices.ContainsFunc(p.Checks, func(k model.Check) bool { return k.Kind == model.CheckNotify || k.Kind == model.CheckHeartbeat }) {
		c.begun[p.ID] = beginning{i, c.o.Now()}
	}
}

// saidEarly keeps a message of nobody who is told.
func (c *Checks) saidEarly(m notified.Message, chain []int) {
	if len(c.begun) == 0 || len(chain) == 0 {
		return
	}
	before, again := c.said[m.PID]
	if again && slices.Equal(before.chain, chain) {
		m.Ready = m.Ready || before.Ready
		m.Beat = m.Beat || before.Beat
		if !m.HasStatus {
			m.HasStatus, m.Status = before.HasStatus, before.Status
		}
		if m.MainPID == 0 {
			m.MainPID = before.MainPID
		}
		m.Extend = max(m.Extend, before.Extend)
	}
	for pid := range c.said {
		if again || len(c.said) < maxSaid {
			break
		}
		delete(c.said, pid) // any
	}
	c.said[m.PID] = said{m, chain, c.o.Now()}
}

// hearEarly believes what an instance has said since it began, now that it is told.
func (c *Checks) hearEarly(w *program, now time.Duration) {
	b, ok := c.begun[w.spec.ID]
	if !ok {
		return
	}
	delete(c.begun, w.spec.ID)
	for pid, s := range c.said {
		root := slices.Index(s.chain, w.pid)
		if root < 0 || b.inst != w.inst || s.at < b.at {
			continue
		}
		delete(c.said, pid)
		if !slices.Contains(s.chain[:root+1], s.MainPID) {
			s.MainPID = 0
		}
		c.hear(w, s.Message, now)
	}
	c.forgetEarly(now)
}

// forgetEarly forgets who has not come to be, and what was said when nobody begins any more.
func (c *Checks) forgetEarly(now time.Duration) {
	for id, b := range c.begun {
		if now-b.at > begunFor {
			delete(c.begun, id)
		}
	}
	if len(c.begun) == 0 {
		clear(c.said)
	}
}
