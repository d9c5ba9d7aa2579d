package listeners

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

const (
	// gathering is how long output may be left to become a larger event while its listeners have plenty to do.
	gathering = 500 * time.Microsecond
	// plenty is how many events per listener that is: they take longer than gathering even where an answer comes at once.
	plenty = 16
)

// Gather says how long a program's output may be left alone before it is made an event of this type: a moment when all
// who want it have more to do than they get done in it, so that nobody gets it later, and in fewer and larger pieces; else 0.
func (p *Pools) Gather(t model.EventType) time.Duration {
	if p.count.Load() == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := false
	for _, pl := range p.pools {
		if !pl.wants[t] {
			continue
		}
		wanted = true
		g := p.table.Group(pl.name)
		if g == nil || len(pl.buffer) < plenty*len(g.Slots) {
			return 0
		}
	}
	if !wanted {
		return 0
	}
	return gathering
}

// Waiting is how many events wait in each pool, by the name of its group.
func (p *Pools) Waiting() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]int, len(p.pools))
	for _, pl := range p.pools {
		out[pl.name] = len(pl.buffer)
	}
	return out
}
