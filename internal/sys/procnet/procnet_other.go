//go:build !linux

package procnet

import "context"

// Listening lists the addresses on which any of the processes listens.
func Listening(context.Context, ...int) ([]Addr, error) { return nil, ErrUnsupported }

// Holders lists who listens on a port.
func Holders(context.Context, string, int) ([]Holder, error) { return nil, ErrUnsupported }
