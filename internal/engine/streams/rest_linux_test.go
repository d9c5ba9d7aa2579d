package streams

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRestAndDrop: a stream that is to be left alone is read seldom, then as fast as ever; each byte is shown once though
// nobody keeps it.
func TestRestAndDrop(t *testing.T) {
	var mu sync.Mutex
	var got strings.Builder
	var asked atomic.Int32
	rest := time.Hour
	shown := func() string { mu.Lock(); defer mu.Unlock(); return got.String() }
	p := newPump(t, Options{})
	prog := attach(t, p, Output{
		Prompt: true,
		Tap:    func(b []byte) { mu.Lock(); defer mu.Unlock(); got.Write(b) },
		Rest:   func() time.Duration { asked.Add(1); mu.Lock(); defer mu.Unlock(); return rest },
	})
	prog.write("first ")
	until(t, "the first is shown, and how long to rest was asked", func() bool { return shown() == "first " && asked.Load() > 0 })
	prog.write("second ")
	if shown() != "first " {
		t.Error("it is read on")
	}
	mu.Lock()
	rest = 0
	mu.Unlock()
	Drain(prog.s) // does not wait for the rest
	if got := shown(); got != "first second " {
		t.Errorf("%q", got)
	}
	prog.write("third ")
	until(t, "the third is shown", func() bool { return shown() == "first second third " })
}
