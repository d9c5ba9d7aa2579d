//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// span64 is a span of monotonic time, in ns.
type span64 struct{ from, to int64 }

// behind is how much earlier than the kill an instance may have ended with its output still in the pipe.
const behind = 250 * time.Millisecond

// sightOf is what the census saw of an instance; false when it lived too short to be seen, between two looks.
func sightOf(t instance, seen []sight) (sight, bool) {
	at := slices.IndexFunc(seen, func(s sight) bool {
		return s.inner == t.pid && (s.died == 0 || s.died >= t.began) && s.first <= t.began+int64(time.Second)
	})
	if at < 0 {
		return sight{}, false
	}
	return seen[at], true
}

// inOutage reports whether an instance did what it had planned and ended while nothing of the daemon lived, or
// right before: what then was in its pipe is gone with the last who held it.
func (r *run) inOutage(t instance, seen []sight) bool {
	if t.plan == planNone || t.plan == planExit|endAfterLoss {
		return false
	}
	if s, ok := sightOf(t, seen); ok {
		return s.died != 0 && r.down(s.last, s.died)
	}
	return r.down(t.began, t.began)
}

// nearest tells when an instance lived, next to the outage that is nearest to its end, in ms since the run began.
func (r *run) nearest(program string, i int, t instance, seen []sight) string {
	text := fmt.Sprintf("%s, instance %d: plan %#x, began %d", program, i, t.plan, r.ms(t.began))
	end := t.began
	if s, ok := sightOf(t, seen); ok {
		text += fmt.Sprintf(", seen from %d to %d, dead at %d", r.ms(s.first), r.ms(s.last), r.ms(s.died))
		end = s.died
	}
	var near span64
	for _, o := range r.outages {
		if near == (span64{}) || abs(o.from-end) < abs(near.from-end) {
			near = o
		}
	}
	return fmt.Sprintf("%s; outage from %d to %d", text, r.ms(near.from), r.ms(near.to))
}

// ms is a monotonic time in ms since the first outage.
func (r *run) ms(t int64) int64 { return (t - r.outages[0].from) / int64(time.Millisecond) }

func abs(n int64) int64 { return max(n, -n) }

// down reports whether something that happened in a span of time may have happened in an outage or right before.
func (r *run) down(from, to int64) bool {
	return slices.ContainsFunc(r.outages, func(o span64) bool {
		return to >= o.from-int64(behind) && (o.to == 0 || from <= o.to)
	})
}

// judge compares everything but the logs.
func (r *run) judge(phases map[string][]phase, begin, end int64) error {
	f, err := os.Open(r.l.activity())
	if err != nil {
		return err
	}
	defer f.Close()
	told, err := readExits(f)
	if err != nil {
		return err
	}
	dim := r.role == "all" || r.role == "daemon" || r.role == "keeper" && !exitInfo()
	known := map[string]bool{}
	for _, p := range r.programs {
		known[p.name] = true
		truth, err := p.book.instances()
		if err != nil {
			return err
		}
		r.res.instances += len(truth)
		list := judgeLocks(p.name, truth)
		switch p.rule {
		case steady:
			list = append(list, judgeSteady(p.name, truth, r.census.sights(p.name), end)...)
		case mortal:
			list = append(list, judgeMortal(p.name, truth, begin, end)...)
		case served:
			n, more := judgeServed(p.name, phases[p.name], truth, r.census.sights(p.name), r.outages, end)
			r.res.commands += n
			list = append(list, more...)
		}
		n, more := judgeExits(p.name, truth, told[p.name], dim)
		r.res.exits.checked += n.checked
		r.res.exits.unknown += n.unknown
		r.res.exits.unseen += n.unseen
		for _, v := range append(list, more...) {
			r.report(v)
		}
	}
	for name, list := range told {
		if !known[name] {
			r.report(violation{vExitMade, int64(len(list)), name + ": there is no such program"})
		}
	}
	return nil
}

// judgeLogs compares what came of every stream with the ledgers.
func (r *run) judgeLogs() error {
	for _, p := range r.programs {
		truth, err := p.book.instances()
		if err != nil {
			return err
		}
		seen := r.census.sights(p.name)
		for k, sh := range p.logs {
			sh.check.run(true)
			slots := make([]extent, len(truth))
			for i, t := range truth {
				slots[i] = t.out[k]
				if len(r.outages) == 0 {
					continue
				}
				if r.inOutage(t, seen) {
					slots[i].done = 0
					r.res.gone += max(0, t.out[k].done-sh.check.came(i))
				} else if sh.check.came(i) < t.out[k].done {
					r.res.remarks = append(r.res.remarks, r.nearest(p.name, i, t, seen))
				}
			}
			sh.check.finish(slots)
			r.res.bytes += sh.check.bytes
		}
	}
	return nil
}
