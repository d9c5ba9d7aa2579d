//go:build !linux

package socket

import (
	"errors"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Recover takes a socket back from a process: no other system than Linux offers that.
func Recover(int, *model.SocketSpec) (*Socket, error) { return nil, errors.ErrUnsupported }
