package instance

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
)

// look is how often a daemon is looked for that is about to answer.
const look = 20 * time.Millisecond

// Once has one of all those who ask at the same time start a daemon, and waits until it answers. state is the directory of the
// instance, which is there; where nothing can be written nobody waits for another. seen tells of the daemon that there is, and
// whether it is the one that is wanted. begin starts that one, or makes room for it; it has not begun where another one still
// has the instance, and is asked again. begun says that it was this call that has started it. Errors: those of seen, of begin
// and of ctx.
func Once(ctx context.Context, state string, seen func(context.Context) (upkeep.System, bool, error), begin func(context.Context, upkeep.System) (bool, error)) (s upkeep.System, begun bool, err error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for mine := false; ; {
		s, ok, err := seen(ctx)
		if ok || err != nil {
			return s, begun, err
		}
		switch {
		case !mine:
			l, err := lock.Acquire(filepath.Join(state, "starting"))
			if mine = !errors.As(err, new(*lock.HeldError)); mine {
				if err == nil {
					defer l.Close()
				}
				continue // it may have come meanwhile
			}
		case !begun:
			if begun, err = begin(ctx, s); err != nil {
				return s, false, err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, begun, ctx.Err()
		}
	}
}
