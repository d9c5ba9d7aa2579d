package probe

import (
	"context"
	"errors"
	"os/exec"
	"strings"

	"github.com/upkeep-project/upkeep/internal/sys/errand"
)

// Command runs a command, which is to end with 0, and judges its end. When its time is over it is killed with everything that it
// has started.
func Command(ctx context.Context, e errand.Errand) (Result, error) {
	e.Last = true
	output, err := e.Run(ctx)
	said := ""
	output = strings.TrimSpace(output)
	if line := oneLine(output[strings.LastIndexByte(output, '\n')+1:]); line != "" {
		said = ": " + line
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return Result{true, "ended with 0" + said}, nil
	case errors.Is(err, errand.ErrLate):
		return Result{Text: "it did not end in time" + said}, nil
	case errors.As(err, &exit):
		return Result{Text: exit.String() + said}, nil
	}
	return Result{}, err
}
