//go:build unix && !linux

package procfd

import (
	"errors"
	"fmt"
	"time"
)

// errForeign: this system tells nothing certain about processes that are not our children.
var errForeign = fmt.Errorf("processes of others: %w", errors.ErrUnsupported)

// Identify reads what tells a process from every other one. Unsupported on this system.
func Identify(int) (Identity, error) { return Identity{}, errForeign }

// Adopt takes the process of a recorded identity. Unsupported on this system.
func Adopt(Identity) (Handle, error) { return nil, errForeign }

// FromPidfd makes the handle of a process whose descriptor another process has kept. Unsupported on this
// system, which has no such descriptors.
func FromPidfd(int, int) (Handle, error) { return nil, errForeign }

// SetExit does nothing: every process is our child on this system.
func (h *handle) SetExit(uint32) {}

// Signal signals the process. Unsupported on this system.
func (p Process) Signal(int) error { return errForeign }

// SignalIf signals a process that is not our child. Unsupported on this system.
func SignalIf(int, int, func() bool) error { return errForeign }

// CensusOptions say where a Census looks. They are not used on this system.
type CensusOptions struct {
	Reapers func() []int
	Known   func(pid int) bool
	Age     time.Duration
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
}

// Census finds descendants of instances. On this system it finds none.
type Census struct{}

// NewCensus makes a census.
func NewCensus(CensusOptions) *Census { return &Census{} }

// Track does nothing on this system.
func (c *Census) Track(Handle, Marks) {}

// Survivors fails with errors.ErrUnsupported: this system does not tell descendants.
func (c *Census) Survivors(Handle) ([]Process, error) { return nil, errForeign }

// FindInstance finds the living instance of a program of which no record is left. Unsupported on this
// system.
func FindInstance(string, string, int) (Identity, error) { return Identity{}, errForeign }

// FindInstances finds the living instances of programs. Unsupported on this system.
func FindInstances([]Wanted) (map[Wanted]Identity, error) { return nil, errForeign }

// Remains lists what a program has left. Unsupported on this system.
func Remains(Wanted, time.Time) ([]int, error) { return nil, errForeign }

// ReopenPipe opens the pipe of another process. Unsupported on this system.
func ReopenPipe(int, int, uint64) (int, error) { return -1, errForeign }

// PipeInode is the number of a pipe. Unsupported on this system.
func PipeInode(int) (uint64, error) { return 0, errForeign }
