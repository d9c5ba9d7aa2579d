package instance

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// TestOnce: of all who want a daemon at the same moment one starts it, also when an older one is in the way at first; the others
// wait for it. Where nobody can wait for another, all the same.
func TestOnce(t *testing.T) {
	for name, dir := range map[string]string{"a state": t.TempDir(), "no state": filepath.Join(t.TempDir(), "none")} {
		var asked, begun atomic.Int32
		var runs atomic.Bool
		seen := func(context.Context) (upkeep.System, bool, error) { return upkeep.System{PID: 7}, runs.Load(), nil }
		begin := func(context.Context, upkeep.System) (bool, error) {
			ok := asked.Add(1) >= 3
			if ok {
				runs.Store(true)
			}
			return ok, nil
		}
		var work sync.WaitGroup
		for range 20 {
			work.Go(func() {
				s, mine, err := Once(t.Context(), dir, seen, begin)
				if mine {
					begun.Add(1)
				}
				if err != nil || s.PID != 7 {
					t.Errorf("%s: %+v %v", name, s, err)
				}
			})
		}
		work.Wait()
		if n := begun.Load(); n < 1 || name == "a state" && n != 1 {
			t.Errorf("%s: it was started %d times", name, n)
		}
	}
	bad := errors.New("no such command")
	seen := func(context.Context) (upkeep.System, bool, error) { return upkeep.System{}, false, nil }
	if _, _, err := Once(t.Context(), t.TempDir(), seen, func(context.Context, upkeep.System) (bool, error) { return false, bad }); err != bad {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, mine, err := Once(ctx, t.TempDir(), seen, func(context.Context, upkeep.System) (bool, error) { cancel(); return true, nil })
	if !mine || !errors.Is(err, context.Canceled) {
		t.Error(mine, err)
	}
}
