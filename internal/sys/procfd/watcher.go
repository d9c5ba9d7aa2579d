//go:build !darwin && !freebsd

package procfd

import (
	"fmt"

	"github.com/upkeep-project/upkeep/internal/sys/reactor"
)

// Watcher tells when processes end, with one thread for all of them where the system has process
// descriptors (Linux 5.4 and later), and one goroutine per process elsewhere.
type Watcher struct {
	r *reactor.Reactor
}

// NewWatcher starts a watcher.
func NewWatcher() (*Watcher, error) {
	// One worker: the functions run one after the other.
	r, err := reactor.New(reactor.Options{Workers: 1, MaxWorkers: 1})
	if err != nil {
		return nil, fmt.Errorf("process watcher: %w", err)
	}
	return &Watcher{r: r}, nil
}

// Close ends the watching. No function runs after it returned, except those of processes without a
// descriptor that end at this moment. It must not be called from an exited function.
func (w *Watcher) Close() error { return w.r.Close() }
