//go:build unix

package signals

import (
	"os"
	"syscall"
)

var table = map[os.Signal]Signal{
	syscall.SIGTERM: {End, "SIGTERM"},
	syscall.SIGINT:  {End, "SIGINT"},
	syscall.SIGQUIT: {End, "SIGQUIT"},
	syscall.SIGHUP:  {Restart, "SIGHUP"},
	syscall.SIGUSR1: {Upgrade, "SIGUSR1"},
	syscall.SIGUSR2: {Reopen, "SIGUSR2"},
	syscall.SIGCHLD: {Child, "SIGCHLD"},
	syscall.SIGPIPE: {Failed, "SIGPIPE"},
	syscall.SIGXFSZ: {Failed, "SIGXFSZ"},
}

// SendUpgrade asks a daemon to let another image of itself take over.
func SendUpgrade(pid int) error { return syscall.Kill(pid, syscall.SIGUSR1) }
