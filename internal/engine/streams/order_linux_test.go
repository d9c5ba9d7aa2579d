package streams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// TestInstancesInOrder: what an instance has written is in the log before what the next ones write, also when it was
// put off because the disk was busy with others, and whether or not a descendant holds the pipe.
func TestInstancesInOrder(t *testing.T) {
	for _, putOff := range []bool{true, false} {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("putOff=%v,held=%v", putOff, held), func(t *testing.T) {
				var rec recorder
				store := logs.NewStore()
				p := newPump(t, Options{Log: &rec})
				path := t.TempDir() + "/log"
				first := open(t, store, path, logs.Options{})
				busy := disk(first)
				for range diskShare {
					if !p.enter(busy) {
						t.Fatal("no room for a worker")
					}
				}
				var want strings.Builder
				for k := range 4 {
					f := first
					if k > 0 {
						f = open(t, store, path, logs.Options{})
					}
					prog := attach(t, p, Output{File: f})
					text := strings.Repeat(fmt.Sprintf("instance %d\n", k), 500)
					prog.write(text)
					want.WriteString(text)
					if putOff {
						prog.s.Drain()
					}
					if !held {
						prog.w.Close()
					}
				}
				if got := content(t, path); got != "" {
					t.Fatalf("written to a disk that was busy: %d bytes", len(got))
				}
				for range diskShare {
					p.leave(busy)
				}
				until(t, "all is written", func() bool { return len(content(t, path)) >= want.Len() })
				if got := content(t, path); got != want.String() {
					var order []string
					for line := range strings.Lines(got) {
						if n := len(order); n == 0 || order[n-1] != line {
							order = append(order, line)
						}
					}
					t.Errorf("order: %q", order)
				}
			})
		}
	}
}
