package signals

import (
	"os"
	"syscall"
)

var table = map[os.Signal]Signal{
	syscall.SIGTERM: {End, "SIGTERM"},
	os.Interrupt:    {End, "SIGINT"},
}
