package service

import (
	"context"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Adopting is the taking over and the letting go of processes. Source: one-model C8, spec/reliability R11, S17.
type Adopting interface {
	// Adoptable lists processes that could become an instance, those of the instance's user first, oldest first. Processes
	// of the daemon, of programs, and of the kernel are left out.
	Adoptable(ctx context.Context, q AdoptQuery) ([]Adoptable, error)
	// AdoptAs is Adopt of the one process that a query is about. CodeAmbiguous with the candidates when several are,
	// CodeNoProcess when none is.
	AdoptAs(ctx context.Context, id model.ID, q AdoptQuery) (model.Status, error)
	// Release lets programs go: their processes live on and are not ours any more, the programs are STOPPED and wished
	// to be down. What a released process writes into a pipe of ours is logged until we end. CodeNotRunning.
	Release(ctx context.Context, sel Selector) ([]Result, error)
}

// AdoptQuery says which processes are meant; what is zero does not matter. All of what is said must hold.
type AdoptQuery struct {
	PID     int
	Start   time.Time // of PID, to a hundredth of a second: guards against a number that was given anew
	Port    int       // it, or a child of it that has inherited the socket, listens there: the eldest that does
	PIDFile string    // the pid that stands there
	Title   string    // RE2, in the joined command line
	Command string    // a command line: what would be started, element by element
	// Program is one whose definition says which process is its: what stands in its pid file, else what fits its pattern or
	// its command.
	Program model.ID
}

// Adoptable is a process that could become an instance.
type Adoptable struct {
	PID, Parent int
	User        string
	UID         int
	Start       time.Time
	CPU         float64  // percent of one processor, since it began
	Memory      int64    // resident bytes
	Listen      []string // as in Figures
	Args        []string // its command line, as it shows it
	Dir         string   // its directory; empty when that may not be read
	Name        string   // one that a program made of it could have
	Ignores     []string // signals among TERM, INT, HUP that it ignores: "TERM"
}
