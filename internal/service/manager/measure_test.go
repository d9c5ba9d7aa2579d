package manager

import (
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/usage"
)

// TestAddsUp: what is used adds up over instances, and never becomes less, whatever the looks say.
func TestAddsUp(t *testing.T) {
	const s = time.Second
	var sum sampled
	for i, c := range []struct {
		gen          uint64
		f            usage.Figures
		user, system time.Duration
		read         int64
		known        bool
	}{
		{1, usage.Figures{User: 3 * s, System: s, Total: 4 * s, Read: 10, Has: usage.IO}, 3 * s, s, 10, true},
		{1, usage.Figures{User: 3 * s, System: s, Total: 4 * s, Read: 10, Has: usage.IO}, 3 * s, s, 10, true},
		// A child with two seconds has ended, and its parent has waited for it.
		{1, usage.Figures{User: s, System: s, Total: 4 * s, Read: 10, Has: usage.IO}, 3 * s, s, 10, true},
		{1, usage.Figures{User: s, System: 2 * s, Total: 5 * s, Read: 4, Has: usage.IO}, 3 * s, 2 * s, 10, true},
		// One has ended that nobody waited for.
		{1, usage.Figures{User: s, System: s, Total: 2 * s}, 3 * s, 2 * s, 10, false},
		{1, usage.Figures{User: 2 * s, System: s, Total: 3 * s, Read: 6, Has: usage.IO}, 4 * s, 2 * s, 12, true},
		// The next instance.
		{2, usage.Figures{User: s, Total: s, Read: 1, Has: usage.IO}, 5 * s, 2 * s, 13, true},
		// All of it is of children that are gone.
		{2, usage.Figures{Total: 2 * s, Has: usage.IO}, 6 * s, 2 * s, 13, true},
	} {
		sum.add(c.gen, &c.f)
		if sum.sumUser != c.user || sum.sumSystem != c.system || sum.sumRead != c.read || sum.knownRead != c.known {
			t.Errorf("look %d: %+v", i, sum)
		}
	}
}

// TestUsageOf: what is not known is not zero.
func TestUsageOf(t *testing.T) {
	if u := usageOf(&usage.Figures{Files: 3, Read: 4}); u.Files != -1 || u.Read != -1 || u.Written != -1 {
		t.Errorf("%+v", u)
	}
	if u := usageOf(&usage.Figures{Files: 3, Read: 4, Has: usage.Files | usage.IO}); u.Files != 3 || u.Read != 4 || u.Written != 0 {
		t.Errorf("%+v", u)
	}
}
