package usrsvc

import (
	"context"
	"errors"
	"os"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
)

// search is the process of a program that somebody else has started; 0 = there is none. Several that fit are a failure that
// names them: none of them is taken, and none is signalled. Source: spec/usrsvc US-43, US-44.
func search(ctx context.Context, p *model.Program) (int, error) {
	q, err := launch.FindOf(ctx, p, os.Environ(), os.Getuid())
	var command *launch.CommandError
	var seek *launch.SeekError
	switch {
	case errors.As(err, &command): // there is no such command, so that nothing can be compared with it
		return 0, nil
	case errors.As(err, &seek):
		return 0, fail(GeneralFailure, "%s: %s", p.ID, seek.Text)
	case err != nil:
		return 0, err
	case q == nil:
		return 0, nil
	}
	return q.PID, nil
}
