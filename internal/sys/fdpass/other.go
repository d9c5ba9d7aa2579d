//go:build !linux

package fdpass

import (
	"errors"
	"os"
	"time"
)

// Supported reports whether this system has what the package needs.
func Supported() bool { return false }

// Conn is one end of a connection; there is none on this system.
type Conn struct{}

// Pair is not possible on this system.
func Pair() (*Conn, int, error) { return nil, -1, errors.ErrUnsupported }

// Open is not possible on this system.
func Open(int) (*Conn, error) { return nil, errors.ErrUnsupported }

// FD is no descriptor.
func (c *Conn) FD() int { return -1 }

// Send is not possible on this system.
func (c *Conn) Send([]byte, []int) error { return errors.ErrUnsupported }

// Recv is not possible on this system.
func (c *Conn) Recv([]byte) (int, []int, error) { return 0, nil, errors.ErrUnsupported }

// Wait is not possible on this system.
func (c *Conn) Wait(bool, time.Duration) (bool, error) { return false, errors.ErrUnsupported }

// Shutdown does nothing.
func (c *Conn) Shutdown() {}

// Close does nothing.
func (c *Conn) Close() error { return nil }

// Same is not possible on this system.
func (c *Conn) Same() (int, bool, error) { return 0, false, errors.ErrUnsupported }

// Listen is not possible on this system.
func Listen(string) (int, error) { return -1, errors.ErrUnsupported }

// Accept is not possible on this system.
func Accept(int) (*Conn, error) { return nil, errors.ErrUnsupported }

// Dial is not possible on this system.
func Dial(string) (*Conn, error) { return nil, errors.ErrUnsupported }

// CloseAll does nothing.
func CloseAll([]int) {}

// Duplicates is not possible on this system.
func Duplicates([]int) ([]int, error) { return nil, errors.ErrUnsupported }

// Start is not possible on this system.
func Start(Process) (pid, pidfd int, err error) { return 0, -1, errors.ErrUnsupported }

// Watch is not possible on this system.
func Watch(int) (int, error) { return -1, errors.ErrUnsupported }

// Kill is not possible on this system.
func Kill(int, int) error { return errors.ErrUnsupported }

// Ended is not possible on this system.
func Ended(int, time.Duration) (bool, error) { return false, errors.ErrUnsupported }

// Peek is not possible on this system.
func Peek(int, int) (uint32, bool, error) { return 0, false, errors.ErrUnsupported }

// Reap is not possible on this system.
func Reap(int, int) (uint32, bool, error) { return 0, false, errors.ErrUnsupported }

// NextEnded finds nothing.
func NextEnded() (int, uint32) { return 0, 0 }

// Struck is never so.
func Struck(uint32) bool { return false }

// Describe says nothing.
func Describe(uint32) string { return "" }

// ExitStatus is always a failure.
func ExitStatus(uint32) int { return 1 }

// Subreaper is not possible on this system.
func Subreaper() error { return errors.ErrUnsupported }

// SetName is not possible on this system.
func SetName(string) error { return errors.ErrUnsupported }

// Forwarded is the interrupt alone; nothing tells of the end of a child.
func Forwarded() ([]os.Signal, os.Signal) { return []os.Signal{os.Interrupt}, os.Interrupt }

// Asks is never true.
func Asks(int) bool { return false }

// Self is not possible on this system.
func Self() (int, error) { return -1, errors.ErrUnsupported }

// OpenImage is not possible on this system.
func OpenImage(string) (int, error) { return -1, errors.ErrUnsupported }

// KeepImage is not possible on this system.
func KeepImage(int) (int, error) { return -1, errors.ErrUnsupported }

// ImagePath is no path.
func ImagePath(int) string { return "" }

// SameImage is never true.
func SameImage(int, int) bool { return false }

// Inherit is not possible on this system.
func Inherit([]int, bool) error { return errors.ErrUnsupported }

// Memory is not possible on this system.
func Memory(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// Exec is not possible on this system.
func Exec(int, []string, []string) error { return errors.ErrUnsupported }

// Poller waits for nothing on this system.
type Poller struct{}

// NewPoller is not possible on this system.
func NewPoller() (*Poller, error) { return nil, errors.ErrUnsupported }

// Add is not possible on this system.
func (p *Poller) Add(int, uint64) error { return errors.ErrUnsupported }

// Writable is not possible on this system.
func (p *Poller) Writable(int, uint64, bool) error { return errors.ErrUnsupported }

// Remove is not possible on this system.
func (p *Poller) Remove(int) error { return errors.ErrUnsupported }

// Wait is not possible on this system.
func (p *Poller) Wait(time.Duration) ([]Ready, error) { return nil, errors.ErrUnsupported }

// Wake does nothing.
func (p *Poller) Wake() {}

// Close does nothing.
func (p *Poller) Close() {}
