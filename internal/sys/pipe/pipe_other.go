//go:build !linux

package pipe

import (
	"errors"
	"time"
)

// New is for the operations that this system does not have.
func New(int) (r, w int, err error) { return -1, -1, errors.ErrUnsupported }

// Null is not there.
func Null() (fd int, err error) { return -1, errors.ErrUnsupported }

// Splice is not there.
func Splice(_, _ int, _ int64, _ int) (int, error) { return 0, errors.ErrUnsupported }

// NewBoth is not there.
func NewBoth(int) (fd int, err error) { return -1, errors.ErrUnsupported }

// Move is not there.
func Move(_, _, _ int) (int, error) { return 0, errors.ErrUnsupported }

// WaitReadable is not there: nobody waits.
func WaitReadable(int, time.Duration) bool { return false }

// Tee is not there.
func Tee(_, _, _ int) (int, error) { return 0, errors.ErrUnsupported }

// Capacity is not known.
func Capacity(int) (int, error) { return 0, errors.ErrUnsupported }

// SetCapacity is not possible.
func SetCapacity(_, _ int) (int, error) { return 0, errors.ErrUnsupported }

func softLimit() int64 { return 0 }
