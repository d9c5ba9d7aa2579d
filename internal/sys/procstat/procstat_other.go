//go:build !linux && !darwin && !freebsd

package procstat

import "time"

// BootID is the identity of the current boot of this machine.
func BootID() (string, error) { return "", ErrUnsupported }

// Read returns the facts of a process.
func Read(int) (Stat, error) { return Stat{}, ErrUnsupported }

// Children lists the direct children of a process.
func Children(int) ([]int, error) { return nil, ErrUnsupported }

// PIDs lists every process that is visible.
func PIDs() ([]int, error) { return nil, ErrUnsupported }

// Cmdline is the argument vector of a process.
func Cmdline(int) ([]string, error) { return nil, ErrUnsupported }

// Environ is the environment of a process.
func Environ(int) ([]string, error) { return nil, ErrUnsupported }

// Age is how long ago a process began.
func Age(uint64) (time.Duration, error) { return 0, ErrUnsupported }

// RSS is unsupported on this system.
func RSS(int) (int64, error) { return 0, ErrUnsupported }

// Usage is what a process uses now.
func Usage(int) (Figures, error) { return Figures{}, ErrUnsupported }

// Census is unsupported on this system.
func Census([]Entry) ([]Entry, error) { return nil, ErrUnsupported }
