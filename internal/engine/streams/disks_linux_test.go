package streams

import (
	"testing"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// TestTurns: who waits longest for a disk gets there first, and a disk from which somebody comes back does not hang.
func TestTurns(t *testing.T) {
	p := newPump(t, Options{})
	const (
		where = "busy"
		none  = -1
	)
	occupy(t, p, where)
	var waiting []*Stream
	for range 3 {
		s := attach(t, p, Output{File: open(t, logs.NewStore(), t.TempDir()+"/log", logs.Options{})}).s
		waiting = append(waiting, s)
	}
	try := func(s *Stream, urgent, ok, hanging bool) {
		t.Helper()
		if gotOK, gotHanging := p.enter(where, s, urgent); gotOK != ok || gotHanging != hanging {
			t.Errorf("entered %v, hangs %v; want %v, %v", gotOK, gotHanging, ok, hanging)
		}
	}
	turnOf := func(want int, why string) {
		t.Helper()
		for k, s := range waiting {
			if p.called(where, s) != (k == want) {
				t.Errorf("whether it is the turn of %d: %v, %s", k, k != want, why)
			}
		}
	}
	for _, s := range waiting {
		try(s, false, false, false)
	}
	hang(p, where)
	try(waiting[0], false, false, true)
	for range urgentShare {
		p.leave(where)
		turnOf(none, "only places for the urgent are free")
	}
	p.leave(where)
	turnOf(0, "who waits longest")
	try(waiting[1], false, false, false)
	try(waiting[2], false, false, false)
	try(waiting[0], false, true, false)
	p.standDown(where, waiting[1])
	p.leave(where)
	turnOf(2, "the second stood down")
	p.standDown(where, waiting[2]) // its place is free again
	try(&Stream{}, false, true, false)
	for range diskShare {
		p.leave(where)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.disks) != 0 {
		t.Errorf("%d disks are not forgotten", len(p.disks))
	}
}

// TestUrgentTurns: the last words of a program have places of their own at a disk, and their turn comes first.
func TestUrgentTurns(t *testing.T) {
	p := newPump(t, Options{})
	const where = "busy"
	var w []*Stream
	for range 4 {
		w = append(w, attach(t, p, Output{File: open(t, logs.NewStore(), t.TempDir()+"/log", logs.Options{})}).s)
	}
	try := func(k int, urgent, want bool) {
		t.Helper()
		if ok, _ := p.enter(where, w[k], urgent); ok != want {
			t.Errorf("%d entered: %v", k, ok)
		}
	}
	for range diskShare {
		p.enter(where, &Stream{}, false)
	}
	try(0, false, false)
	try(1, true, true)
	try(0, true, true) // it has become so while it waited
	for range urgentShare - 2 {
		p.enter(where, &Stream{}, true)
	}
	try(2, false, false)
	try(3, true, false)
	p.leave(where)
	if !p.called(where, w[3]) || p.called(where, w[2]) {
		t.Error("it is not the turn of the urgent one")
	}
	try(3, true, true)
	try(2, true, false)
	p.leave(where)
	if !p.called(where, w[2]) {
		t.Error("it is not the turn of the one that has become urgent")
	}
	try(2, true, true)
	vacate(p, where)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.disks) != 0 {
		t.Errorf("%d disks are not forgotten", len(p.disks))
	}
}
