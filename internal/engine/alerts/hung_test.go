package alerts

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// TestHungDisk: where a log cannot be read, nor the machine be looked at, the message goes out without that. Who asks for the
// notifiers does not wait for it, and of looks that hang there are never more than a few.
func TestHungDisk(t *testing.T) {
	r := newRig(t, ops(when(model.TriggerFatal)...))
	hangs := make(chan struct{})
	var looks atomic.Int32
	look := func(id model.ID) {
		looks.Add(1)
		switch id.Name {
		case "slow":
			r.a.Notifiers() // would not answer while a look has the lock
		case "well", "again":
		default:
			<-hangs
		}
	}
	r.a.o.Tail = func(st model.Status) (string, []string) {
		look(st.ID)
		return "stdout", []string{"what led to it"}
	}
	r.a.o.Explain = func(_ context.Context, id model.ID) []report.Fact {
		look(id)
		return []report.Fact{{Name: "checked", Text: "found"}}
	}
	told := func(name string, patience time.Duration) string {
		r.a.o.Pace.Patience = patience
		w := r.program(name)
		r.up(w, false)
		r.fatal(w)
		r.wait(minute)
		return r.got("mailto:ops@x [web-3] FATAL shop:" + name + ", exit 1 after 0s, gave up after 1 try").Text()
	}
	whole := func(text string) bool {
		return strings.Contains(text, "what led to it") && strings.Contains(text, "found")
	}
	if text := told("slow", time.Hour); !whole(text) {
		t.Error(text)
	}
	text := told("ill", time.Millisecond)
	if !strings.Contains(text, "log       could not be read in time") || strings.Contains(text, "found") {
		t.Error(text)
	}
	if text = told("well", time.Hour); !whole(text) {
		t.Error(text)
	}
	for n := range maxLooks {
		told(fmt.Sprint("ill", n), time.Millisecond)
	}
	before := looks.Load()
	told("well", time.Hour)
	if n := looks.Load(); n != before || n != maxLooks+4 { // of "slow" and "well", which have returned
		t.Errorf("%d looks, %d before", n, before)
	}
	close(hangs)
	for len(r.a.looks) > 0 {
		time.Sleep(time.Millisecond)
	}
	if text = told("again", time.Hour); !whole(text) {
		t.Error(text)
	}
}
