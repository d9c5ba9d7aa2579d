//go:build unix

package daemon

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ways are the ways to start a process that outlives whoever starts it, the best one first.
func ways() []*syscall.SysProcAttr { return []*syscall.SysProcAttr{{Setsid: true}} }

// hand lets a command inherit a file, and returns the number under which it finds it.
func hand(cmd *exec.Cmd, f *os.File) string {
	cmd.ExtraFiles = []*os.File{f}
	return "3"
}

// Session is the environment of a new session of this user; nil where a session makes its own.
func Session() []string { return nil }

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
