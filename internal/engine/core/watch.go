package core

import (
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Watch is told of instances: it has the checks. Its methods are called on the core's goroutine and must return at once.
type Watch interface {
	// Up: an instance lives, since the given time on the host's clock; it may be told again, with another definition.
	Up(i Instance, p *model.Program, pid int, since time.Duration)
	// Bounced: it is to end, since one of its checks has asked for that (Bounce).
	Bounced(i Instance, check string)
	// Down: it is to end or has ended; nothing that is found about it counts any more.
	Down(i Instance)
}
