package procfd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// errForeign: this system tells nothing certain about the descendants of processes.
var errForeign = fmt.Errorf("processes of others: %w", errors.ErrUnsupported)

// Identify reads what tells a process from every other one.
func Identify(pid int) (Identity, error) {
	h, err := open(pid, windows.PROCESS_QUERY_LIMITED_INFORMATION)
	if err != nil {
		return Identity{}, err
	}
	defer windows.CloseHandle(h)
	born, err := bornAt(h)
	return Identity{PID: pid, StartTicks: born}, err
}

// open opens a process by its number. ErrGone: nobody has it.
func open(pid int, rights uint32) (windows.Handle, error) {
	h, err := windows.OpenProcess(rights, false, uint32(pid))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return 0, ErrGone
	}
	return h, os.NewSyscallError("OpenProcess", err)
}

// Adopt takes the process of a recorded identity. How it ends is known exactly. ErrGone, ErrStranger, or an error of the
// system.
func Adopt(id Identity) (Handle, error) {
	h, err := open(id.PID, windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_TERMINATE|windows.SYNCHRONIZE)
	if err != nil {
		return nil, err
	}
	born, err := bornAt(h)
	if err == nil && (born != id.StartTicks || id.StartTicks == 0) {
		err = ErrStranger
	}
	if err != nil {
		windows.CloseHandle(h)
		return nil, err
	}
	return OwnProcess(h, 0, id.PID), nil
}

// FromPidfd makes the handle of a process whose descriptor another process has kept. Unsupported on this
// system, where nobody does.
func FromPidfd(int, int) (Handle, error) { return nil, errForeign }

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

// Survivors fails with errors.ErrUnsupported: a job tells, and what is to be ended is ended with it.
func (c *Census) Survivors(Handle) ([]Process, error) { return nil, errForeign }

// FindInstances finds the living instances of programs. Unsupported on this system.
func FindInstances([]Wanted) (map[Wanted]Identity, error) { return nil, errForeign }

// Remains lists what a program has left. Unsupported on this system.
func Remains(Wanted, time.Time) ([]int, error) { return nil, errForeign }

// ReopenPipe opens the pipe of another process. Unsupported on this system.
func ReopenPipe(int, int, uint64) (int, error) { return -1, errForeign }

// PipeInode is the number of a pipe. Unsupported on this system.
func PipeInode(int) (uint64, error) { return 0, errForeign }
