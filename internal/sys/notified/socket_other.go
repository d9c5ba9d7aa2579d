//go:build !linux

package notified

import (
	"context"
	"errors"
)

// Socket is not to be had on this system: who has sent a message is not told.
type Socket struct{}

// Listen is not supported on this system.
func Listen(string, bool) (*Socket, error) { return nil, errors.ErrUnsupported }

// Adopt is not supported on this system.
func Adopt(int, string) (*Socket, error) { return nil, errors.ErrUnsupported }

// Path is empty.
func (s *Socket) Path() string { return "" }

// Descriptor is not supported on this system.
func (s *Socket) Descriptor() (int, error) { return -1, errors.ErrUnsupported }

// Run is not supported on this system.
func (s *Socket) Run(context.Context, func(Message)) error { return errors.ErrUnsupported }

// Close does nothing.
func (s *Socket) Close(bool) error { return nil }
