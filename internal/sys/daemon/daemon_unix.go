//go:build unix

package daemon

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func keepPrivate(fd int) { syscall.CloseOnExec(fd) }

// Silence connects the standard descriptors with the null device.
func Silence() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := dup(int(null.Fd()), fd); err != nil {
			return err
		}
	}
	return nil
}

// Umask sets the process's file mode creation mask.
func Umask(mask int) { unix.Umask(mask) }
