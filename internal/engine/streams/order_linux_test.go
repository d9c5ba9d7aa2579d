package streams

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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
				occupy(t, p, busy)
				var want strings.Builder
				for k := range 4 {
					f := first
					if k > 0 {
						f = open(t, store, path, logs.Options{})
					}
					prog := attach(t, p, Output{File: f})
					text := strings.Repeat(fmt.Sprintf("instance %d\n", k), 500)
					if k == 1 {
						text = "" // the one after it is behind the one before it
					}
					prog.write(text)
					want.WriteString(text)
					if putOff {
						Drain(prog.s)
					}
					if !held {
						prog.w.Close()
					}
				}
				if got := content(t, path); got != "" {
					t.Fatalf("written to a disk that was busy: %d bytes", len(got))
				}
				vacate(p, busy)
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

// TestClosedWhenWritten: a stream has not come to its end while something of it waits for its log. Whoever is told
// so gives up what a successor would need to write it.
func TestClosedWhenWritten(t *testing.T) {
	var rec recorder
	p := newPump(t, Options{Log: &rec})
	path := t.TempDir() + "/log"
	f := open(t, logs.NewStore(), path, logs.Options{})
	busy := disk(f)
	occupy(t, p, busy)
	prog := attach(t, p, Output{File: f})
	prog.write("last words\n")
	Drain(prog.s)
	prog.w.Close()
	Drain(prog.s)
	select {
	case <-prog.closed:
		t.Errorf("closed with %q in the log", content(t, path))
	case <-time.After(5 * stallLook): // enough to see that it is wrong, never enough to fail what is right
	}
	vacate(p, busy)
	select {
	case <-prog.closed:
	case <-time.After(30 * time.Second):
		t.Fatal("never closed")
	}
	if got := content(t, path); got != "last words\n" {
		t.Errorf("in the log: %q", got)
	}
}

// goneKeeper is a keeper that was killed.
type goneKeeper struct{}

func (goneKeeper) Keep(string, int) error { return errors.New("the keeper is gone") }
func (goneKeeper) Drop(string, int)       {}

// TestPutOffWhileTheKeeperIsGone: what cannot be secured with the keeper any more is handed over by this process, which
// takes the keeper's place.
func TestPutOffWhileTheKeeperIsGone(t *testing.T) {
	var rec recorder
	p, err := NewPump(Options{Log: &rec, Keeper: goneKeeper{}})
	check(t, err)
	path := t.TempDir() + "/log"
	store := logs.NewStore()
	f := open(t, store, path, logs.Options{})
	busy := disk(f)
	occupy(t, p, busy)
	hang(p, busy)
	prog := attach(t, p, Output{File: f, Key: "p/o"})
	prog.write("last words\n")
	Drain(prog.s)
	prog.w.Close()
	check(t, p.Detach())
	fd, stages := prog.s.Descriptors()
	if fd < 0 || len(stages) != 1 {
		t.Fatalf("left: pipe %d, stages %v", fd, stages)
	}
	next := newPump(t, Options{Log: &rec})
	closed := make(chan struct{})
	next.Attach(fd, Output{File: open(t, store, path, logs.Options{}), Key: "p/o", Stages: stages, Closed: func() { close(closed) }})
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("never closed")
	}
	if got := content(t, path); got != "last words\n" {
		t.Errorf("in the log: %q", got)
	}
}
