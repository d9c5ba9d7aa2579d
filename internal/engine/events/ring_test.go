package events

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// numbered is an event whose content tells its number, to see that none is taken for another.
func numbered(n uint64) model.Event { return model.Event{Kind: fmt.Sprint(n)} }

func fill(r *Ring, n int) {
	for range n {
		r.Append(numbered(r.Last() + 1))
	}
}

// seqs are the numbers of the events; it fails when number and content do not agree.
func seqs(t interface{ Errorf(string, ...any) }, list []model.Event) []uint64 {
	var out []uint64
	for _, e := range list {
		if e.Kind != fmt.Sprint(e.Seq) {
			t.Errorf("event %d has the content of %s", e.Seq, e.Kind)
		}
		out = append(out, e.Seq)
	}
	return out
}

func TestAppendNumbersFromOne(t *testing.T) {
	r := New(3)
	if r.Last() != 0 {
		t.Errorf("an empty ring has the last number %d", r.Last())
	}
	for want := uint64(1); want <= 10; want++ {
		in := model.Event{Seq: 77, Type: model.EventRemote, Kind: "k", Data: []byte("d")}
		out := r.Append(in)
		if out.Seq != want || out.Kind != "k" || r.Last() != want {
			t.Errorf("event %d: %+v, last %d", want, out, r.Last())
		}
	}
}

func TestSince(t *testing.T) {
	cases := []struct {
		name           string
		capacity, fill int
		seq            uint64
		limit          int
		want           string
		lost           uint64
	}{
		{"empty", 4, 0, 0, 0, "[]", 0},
		{"everything", 4, 3, 0, 0, "[1 2 3]", 0},
		{"full", 4, 4, 0, 0, "[1 2 3 4]", 0},
		{"one dropped", 4, 5, 0, 0, "[2 3 4 5]", 1},
		{"read up to the drop", 4, 5, 1, 0, "[2 3 4 5]", 0},
		{"several times round", 4, 14, 3, 0, "[11 12 13 14]", 7},
		{"the newer half", 4, 6, 4, 0, "[5 6]", 0},
		{"up to date", 4, 6, 6, 0, "[]", 0},
		{"a number to come", 4, 6, 9, 0, "[]", 0},
		{"limited", 4, 6, 2, 3, "[3 4 5]", 0},
		{"limited after a loss", 4, 9, 0, 2, "[6 7]", 5},
		{"limit above all", 4, 2, 0, 9, "[1 2]", 0},
		{"negative limit is none", 4, 2, 0, -1, "[1 2]", 0},
		{"room for one", 1, 3, 1, 0, "[3]", 1},
		{"no room is room for one", 0, 3, 0, 0, "[3]", 2},
	}
	for _, c := range cases {
		r := New(c.capacity)
		fill(r, c.fill)
		got, lost := r.Since(c.seq, c.limit)
		if s := fmt.Sprint(seqs(t, got)); s != c.want || lost != c.lost {
			t.Errorf("%s: %s and %d lost, want %s and %d", c.name, s, lost, c.want, c.lost)
		}
	}
}

func TestSinceIsACopy(t *testing.T) {
	r := New(2)
	fill(r, 2)
	got, _ := r.Since(0, 0)
	fill(r, 2)
	if s := fmt.Sprint(seqs(t, got)); s != "[1 2]" {
		t.Errorf("an answer changed to %s when the ring went on", s)
	}
}

func TestDataIsBounded(t *testing.T) {
	r := NewBounded(8, 100)
	add := func(n int) {
		e := numbered(r.Last() + 1)
		e.Data = make([]byte, n)
		r.Append(e)
	}
	for i, c := range []struct {
		size int
		want string
		lost uint64
	}{
		{40, "[1]", 0},
		{40, "[1 2]", 0},
		{20, "[1 2 3]", 0}, // exactly full
		{1, "[2 3 4]", 1},
		{0, "[2 3 4 5]", 1},
		{99, "[4 5 6]", 3}, // 1+0+99: exactly full again
		{500, "[7]", 6},    // the newest is held whatever its size
		{0, "[8]", 7},
		{100, "[8 9]", 7},
	} {
		add(c.size)
		got, lost := r.Since(0, 0)
		if s := fmt.Sprint(seqs(t, got)); s != c.want || lost != c.lost {
			t.Errorf("event %d of %d bytes: %s and %d lost, want %s and %d", i+1, c.size, s, lost, c.want, c.lost)
		}
	}
	for range 20 {
		add(3)
	}
	if got, lost := r.Since(0, 0); len(got) != 8 || lost != 21 {
		t.Errorf("%d events and %d lost, want 8 and 21", len(got), lost)
	}
}

// TestAgainstAList compares the ring with a plain list of everything that ever happened.
func TestAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 6).Draw(t, "capacity")
		maxData := rapid.IntRange(0, 20).Draw(t, "bytes")
		r := NewBounded(capacity, maxData)
		var all []model.Event
		first := 0 // index in all of the oldest one held
		for range rapid.IntRange(0, 40).Draw(t, "appends") {
			e := numbered(uint64(len(all) + 1))
			e.Data = make([]byte, rapid.IntRange(0, 9).Draw(t, "data"))
			all = append(all, r.Append(e))
			held := func() (n int) {
				for _, e := range all[first:] {
					n += len(e.Data)
				}
				return n
			}
			for len(all)-first > capacity || maxData > 0 && held() > maxData && len(all)-first > 1 {
				first++
			}
			seq := rapid.IntRange(0, len(all)+2).Draw(t, "seq")
			limit := rapid.IntRange(0, 4).Draw(t, "limit")
			from, lost := seq, 0
			if from < first {
				from, lost = first, first-seq
			}
			var want []model.Event
			if from < len(all) {
				want = all[from:]
			}
			if limit > 0 && len(want) > limit {
				want = want[:limit]
			}
			got, gotLost := r.Since(uint64(seq), limit)
			if fmt.Sprint(seqs(t, got)) != fmt.Sprint(seqs(t, want)) || gotLost != uint64(lost) {
				t.Fatalf("since %d: %v and %d lost, want %v and %d", seq, seqs(t, got), gotLost, seqs(t, want), lost)
			}
		}
	})
}

func TestWaitReturnsAtOnce(t *testing.T) {
	r := New(1)
	fill(r, 3)
	for seq := range uint64(3) {
		if err := r.Wait(t.Context(), seq); err != nil {
			t.Errorf("after %d: %v", seq, err)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	r := New(1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Wait(ctx, 0) }()
	cancel()
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want canceled", err)
	}
	fill(r, 1)
	if err := r.Wait(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context and an event: %v, want canceled", err)
	}
}

// TestWaitForANumberToCome: events up to that number do not end the wait.
func TestWaitForANumberToCome(t *testing.T) {
	r := New(4)
	done := make(chan error)
	go func() { done <- r.Wait(t.Context(), 3) }()
	for range 3 {
		fill(r, 1)
		select {
		case err := <-done:
			t.Fatalf("the wait for number 4 ended at %d: %v", r.Last(), err)
		default:
		}
	}
	fill(r, 1)
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

// receive is the next value, with a deadline that only a broken test reaches.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// TestReadersFollow: one writer and many readers, slow ones too. Every reader sees every number once and
// in order, or is told that it was lost.
func TestReadersFollow(t *testing.T) {
	const total, readers = 5000, 16
	for _, capacity := range []int{1, 7, 64, total} {
		r := New(capacity)
		var wg sync.WaitGroup
		for id := range readers {
			wg.Go(func() {
				var seq, seen, lost uint64
				for seq < total {
					if err := r.Wait(t.Context(), seq); err != nil {
						t.Error(err)
						return
					}
					list, missed := r.Since(seq, id%5) // different appetites; 0 takes all
					lost += missed
					seq += missed
					for _, n := range seqs(t, list) {
						if n != seq+1 {
							t.Errorf("capacity %d: %d after %d", capacity, n, seq)
							return
						}
						seq, seen = n, seen+1
					}
				}
				if seen+lost != total {
					t.Errorf("capacity %d: %d seen and %d lost, want %d in all", capacity, seen, lost, total)
				}
				if capacity == total && lost != 0 {
					t.Errorf("%d lost although there was room for all", lost)
				}
			})
		}
		fill(r, total)
		wg.Wait()
	}
}

// TestWritersShareTheNumbers: with several writers no number is given twice.
func TestWritersShareTheNumbers(t *testing.T) {
	const writers, each = 8, 500
	r := New(writers * each)
	var mu sync.Mutex
	given := make(map[uint64]bool)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				e := r.Append(model.Event{})
				mu.Lock()
				if given[e.Seq] {
					t.Errorf("%d was given twice", e.Seq)
				}
				given[e.Seq] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if r.Last() != writers*each || len(given) != writers*each {
		t.Errorf("last %d, %d numbers", r.Last(), len(given))
	}
}

func TestAppendDoesNotAllocateWhenFull(t *testing.T) {
	r := New(8)
	fill(r, 8)
	e := model.Event{Kind: "k"}
	if n := testing.AllocsPerRun(100, func() { r.Append(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	r := New(4096)
	e := model.Event{Type: model.EventProcessRunning, ID: model.ID{Group: "g", Name: "p"}}
	b.ReportAllocs()
	for b.Loop() {
		r.Append(e)
	}
}

func BenchmarkSince100(b *testing.B) {
	r := New(4096)
	fill(r, 5000)
	b.ReportAllocs()
	for b.Loop() {
		r.Since(4900, 0)
	}
}

// BenchmarkFollow is the cost of an event when 100 readers wait for each one.
func BenchmarkFollow(b *testing.B) {
	r := New(4096)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for seq := uint64(0); r.Wait(b.Context(), seq) == nil; {
				list, lost := r.Since(seq, 0)
				seq += lost + uint64(len(list))
			}
		})
	}
	b.Cleanup(wg.Wait) // the benchmark's context has ended by then
	for b.Loop() {
		r.Append(model.Event{})
	}
}
