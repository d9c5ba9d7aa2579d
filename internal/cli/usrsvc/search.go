package usrsvc

import (
	"context"
	"errors"
	"os"

	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// search is the process of a program that somebody else has started; 0 = there is none. Several that fit are a failure that
// names them: none of them is taken, and none is signalled. Source: spec/usrsvc US-43, US-44.
func search(ctx context.Context, p *model.Program) (int, error) {
	pid, err := app.FindProcess(ctx, p, os.Environ(), os.Getuid())
	var several *app.AmbiguousError
	if errors.As(err, &several) {
		return 0, fail(GeneralFailure, "%s: %s", p.ID, several.Text)
	}
	return pid, err
}
