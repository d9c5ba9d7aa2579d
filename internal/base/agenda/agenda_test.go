package agenda

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestOrder sets, moves and takes out at random, and compares with a list that is sorted.
func TestOrder(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		type entry struct {
			at   time.Duration
			turn int
			item *Item[int]
		}
		var (
			q    Queue[int]
			want []entry
			all  = make([]Item[int], 20)
		)
		for i := range all {
			all[i].What = i
		}
		for turn := range 300 {
			x := &all[r.IntN(len(all))]
			at := time.Duration(r.IntN(8))
			without := slices.DeleteFunc(slices.Clone(want), func(e entry) bool { return e.item == x })
			switch r.IntN(4) {
			case 0:
				q.Unset(x)
				want = without
			case 1:
				slices.SortFunc(want, func(a, b entry) int {
					if a.at != b.at {
						return int(a.at - b.at)
					}
					return a.turn - b.turn
				})
				got := q.Take(at)
				if len(want) == 0 || want[0].at > at {
					if got != nil {
						t.Fatalf("seed %d: %d is due at %d, and was taken at %d", seed, got.What, got.At(), at)
					}
					break
				}
				if got != want[0].item || got.Waits() {
					t.Fatalf("seed %d: took %v, want %v", seed, got, want[0])
				}
				want = want[1:]
			default:
				q.Set(x, at)
				want = append(without, entry{at, turn, x})
			}
			if q.Len() != len(want) {
				t.Fatalf("seed %d: %d wait, want %d", seed, q.Len(), len(want))
			}
			first, any := q.Next()
			if any != (len(want) > 0) {
				t.Fatalf("seed %d: %v", seed, any)
			}
			for _, e := range want {
				if e.at < first || !e.item.Waits() || e.item.At() != e.at {
					t.Fatalf("seed %d: the next is due at %d, %v waits", seed, first, e)
				}
			}
		}
	}
}
