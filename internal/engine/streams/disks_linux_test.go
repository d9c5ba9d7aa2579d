package streams

import (
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// TestTurns: who waits longest for a disk gets there first, and a disk from which somebody comes back does not hang.
func TestTurns(t *testing.T) {
	p := newPump(t, Options{})
	const where = "busy"
	occupy(t, p, where)
	var waiting []*Stream
	for range 3 {
		s := attach(t, p, Output{File: open(t, logs.NewStore(), t.TempDir()+"/log", logs.Options{})}).s
		waiting = append(waiting, s)
	}
	try := func(s *Stream, ok, hanging bool) {
		t.Helper()
		if gotOK, gotHanging := p.enter(where, s); gotOK != ok || gotHanging != hanging {
			t.Errorf("entered %v, hangs %v; want %v, %v", gotOK, gotHanging, ok, hanging)
		}
	}
	for _, s := range waiting {
		try(s, false, false)
	}
	p.mu.Lock()
	p.disks[where].back = time.Now().Add(-hangs)
	p.mu.Unlock()
	try(waiting[0], false, true)
	p.leave(where)
	try(waiting[1], false, false)
	if !p.called(where, waiting[0]) || p.called(where, waiting[1]) {
		t.Error("it is not the turn of the first")
	}
	try(waiting[2], false, false)
	try(waiting[0], true, false)
	p.standDown(where, waiting[1])
	p.leave(where)
	if !p.called(where, waiting[2]) {
		t.Error("it is not the turn of the third, after the second stood down")
	}
	p.standDown(where, waiting[2]) // its place is free again
	late := &Stream{}
	try(late, true, false)
	for range diskShare {
		p.leave(where)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.disks) != 0 {
		t.Errorf("%d disks are not forgotten", len(p.disks))
	}
}
