package service

import (
	"context"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Measuring is what is counted and sampled, for those who keep time series of it. Source: interfaces 4.6.
type Measuring interface {
	// Measures are all figures of one moment. What programs use is looked up when it is asked for, in one look at all
	// processes; those who ask within a second share it.
	Measures(ctx context.Context) (Measures, error)
}

// Measures are the figures of an instance.
type Measures struct {
	Version   string
	Started   time.Time // this process
	Programs  []Measured
	Events    map[model.EventType]uint64
	Pools     []PoolLoad
	Applied   Attempt
	Notifiers []NotifierState
	Self      Usage // of this process; zero where the system does not tell
	MaxFiles  uint64
}

// Measured is what is known of one program; they are in the order of List.
type Measured struct {
	Status  model.Status
	Counts  model.Counts
	NextTry time.Time // zero = none is planned
	// Live: there are figures of an instance. Usage is of it and all that it has started; its processor time and its bytes
	// are those of all instances since the daemon has begun, as far as they were seen, and never become less.
	Live   bool
	Usage  Usage
	Checks []model.CheckState
}

// PoolLoad is what waits for the listeners of a pool.
type PoolLoad struct {
	Name   string
	Events int
}

// Attempt is the last time that a configuration was to become the running one, or could not even be read.
type Attempt struct {
	OK bool
	At time.Time
}

// Usage is what a process uses, or a process and all that descends from it.
type Usage struct {
	User, System  time.Duration // processor time
	Memory        int64         // resident bytes
	Threads       int
	Processes     int   // of a tree
	Files         int   // open descriptors; -1 = not known
	Read, Written int64 // bytes of storage; -1 = not known
}
