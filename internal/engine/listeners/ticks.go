package listeners

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// period is one of the ticks.
type period struct {
	event   model.EventType
	seconds int64
}

// periods are the ticks in their order. Source: spec/supervisor 4.4.
func periods() [3]period {
	return [3]period{{model.EventTick5, 5}, {model.EventTick60, 60}, {model.EventTick3600, 3600}}
}

// ticks remembers the slice of time that each period was in when it was looked at last.
type ticks struct {
	slice  [3]int64
	wanted [3]bool
}

// take returns the ticks that are due: one for each period whose slice is another one, in whichever direction the
// clock went. The first look since somebody wants it only remembers. Source: spec/supervisor 4.4.
func (t *ticks) take(now time.Time, wanted func(model.EventType) bool) (due []model.Event) {
	for k, p := range periods() {
		slice := floor(now.Unix(), p.seconds)
		want := wanted(p.event)
		if t.wanted[k] && want && slice != t.slice[k] {
			due = append(due, model.Event{Type: p.event, Time: time.Unix(slice, 0)})
		}
		t.slice[k], t.wanted[k] = slice, want
	}
	return due
}

// next is when the next tick is due that somebody wants.
func (t *ticks) next(now time.Time, wanted func(model.EventType) bool) (at time.Time, ok bool) {
	for _, p := range periods() {
		if wanted(p.event) {
			return time.Unix(floor(now.Unix(), p.seconds)+p.seconds, 0), true
		}
	}
	return time.Time{}, false
}

// floor is the begin of the slice that n is in.
func floor(n, slice int64) int64 {
	n -= (n%slice + slice) % slice
	return n
}
