package signals

import (
	"errors"
	"os"
	"syscall"
)

var table = map[os.Signal]Signal{
	syscall.SIGTERM: {End, "SIGTERM"},
	os.Interrupt:    {End, "SIGINT"},
}

// SendUpgrade asks a daemon to let another image of itself take over; there is no way to do that here.
func SendUpgrade(int) error { return errors.ErrUnsupported }
