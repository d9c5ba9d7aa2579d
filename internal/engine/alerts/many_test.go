package alerts

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// groups are programs of as many groups that have given up, and are not told of yet.
func (r *rig) groups(n int) {
	r.quiet, r.a.o.Explain = true, nil
	for i := range n {
		st := &model.Status{ID: model.ID{Group: fmt.Sprint("g", i), Name: "web"}}
		st.Program = &model.Program{ID: st.ID}
		r.programs[st.ID] = st
		r.fatal(st)
	}
	for r.turn() <= time.Millisecond {
		continue
	}
}

// made is how many things f makes.
func made(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.Mallocs - before.Mallocs)
}

// TestManyIncidents: what is told of many groups at once costs a message each, and what is open costs nothing while nothing is to
// be looked at, whether reminders are wanted or not.
func TestManyIncidents(t *testing.T) {
	const n = 1000
	who := ops(when(model.TriggerFatal)...)
	who.Repeat = 24 * time.Hour
	r := newRig(t, who)
	r.groups(n)
	r.now = r.now.Add(minute)
	if got := made(func() { r.a.turn(t.Context(), r.now, func(delivery) {}) }); got > 300*n {
		t.Errorf("%d messages: %d things are made", n, got)
	}
	r.a.messages = nil
	if len(r.a.incidents) != n {
		t.Fatalf("%d incidents", len(r.a.incidents))
	}
	r.now = r.now.Add(time.Second)
	if got := made(func() { r.a.turn(t.Context(), r.now, func(delivery) {}) }); got > 20 {
		t.Errorf("of a turn in which nothing is to be done: %d things are made", got)
	}
}

// BenchmarkTurn is one in which nothing is to be done, with so many incidents open.
func BenchmarkTurn(b *testing.B) {
	who := ops(when(model.TriggerFatal)...)
	who.Repeat = 24 * time.Hour
	r := newRig(&testing.T{}, who)
	r.groups(5000)
	r.now = r.now.Add(minute)
	turn := func() { r.a.turn(b.Context(), r.now, func(delivery) {}) }
	turn()
	r.a.messages = nil
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
}
