package keeper

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// orphans counts the processes of no key that were reaped and not yet told of.
type orphans struct {
	n      uint64
	pid    int    // of the last
	raw    uint32 // of the last
	queued bool   // a message about earlier ones waits to be sent

	news  atomic.Bool // a child has changed since the last look
	again time.Time   // when the list of children may be read again; zero: nothing to be found there
	last  time.Time   // when it was read
}

// untold takes back what was queued and never sent.
func (o *orphans) untold(out []wire.Message) {
	for _, m := range out {
		if m.Type == wire.Orphans {
			if o.n == 0 {
				o.pid, o.raw = m.PID, m.Raw
			}
			o.n += m.Number
		}
	}
	o.queued = false
}

func (o *orphans) told() { o.queued = false }

// tellOrphans queues what is new; while a message waits, more are counted into the next.
func (k *keeper) tellOrphans() {
	o := &k.orphans
	if o.n > 0 && !o.queued && k.conn != nil && k.child.attached {
		k.tell(wire.Message{Type: wire.Orphans, Number: o.n, PID: o.pid, Raw: o.raw})
		o.n, o.queued = 0, true
	}
}

// reapChildren looks at our children: the manager, processes of items, and processes of nobody, which are
// reaped at once.
func (k *keeper) reapChildren() {
	news := k.orphans.news.Swap(false)
	if !news && !due(k.orphans.again, time.Now()) {
		return
	}
	k.lookAtManager()
	for !k.done {
		pid, raw := fdpass.NextEnded()
		switch {
		case pid == 0:
			k.orphans.again = time.Time{}
			return
		case pid == k.child.pid:
			k.managerEnded(raw)
		case k.ours(pid):
			// It stays, so this question has the same answer for ever: ask for each child by name.
			k.readList(time.Now())
			return
		default:
			k.reapOrphan(pid)
		}
	}
}

// lookAtManager finds out whether the manager has ended.
func (k *keeper) lookAtManager() {
	if k.child.pid == 0 {
		return
	}
	if raw, ended, _ := fdpass.Peek(k.child.pidfd, k.child.pid); ended {
		k.managerEnded(raw)
	}
}

// ours reports whether a child that has ended is the process of an item. A manager says so before it dies,
// and it is dead when its child is ours: everything that it said is read first.
func (k *keeper) ours(pid int) bool {
	if k.items.byPID[pid] == nil {
		for k.receive(batch) {
		}
	}
	h := k.items.byPID[pid]
	if h == nil {
		return false
	}
	if _, _, err := fdpass.Peek(h.pidfd(), pid); err != nil {
		return false // its process is long gone and the number is somebody else's
	}
	k.look(h)
	return true
}

// reapOrphan reaps a child of nobody that has ended.
func (k *keeper) reapOrphan(pid int) {
	if raw, ended, err := fdpass.Reap(-1, pid); err == nil && ended {
		k.orphans.n++
		k.orphans.pid, k.orphans.raw = pid, raw
	}
}

// readList goes through all children, not more often than every listPause.
func (k *keeper) readList(now time.Time) {
	if next := k.orphans.last.Add(listPause); now.Before(next) {
		k.orphans.again = next
		return
	}
	k.orphans.last, k.orphans.again = now, time.Time{}
	children, err := procstat.Children(os.Getpid())
	if err != nil {
		k.orphans.again = now.Add(listPause)
		return
	}
	for _, pid := range children {
		if k.done {
			return
		}
		raw, ended, err := fdpass.Peek(-1, pid)
		switch {
		case err != nil || !ended:
		case pid == k.child.pid:
			k.managerEnded(raw)
		case !k.ours(pid):
			k.reapOrphan(pid)
		}
	}
}
