//go:build unix && !linux && !freebsd && !netbsd && !openbsd && !dragonfly

package spawn

import "syscall"

func pipe(p *[2]int) error {
	syscall.ForkLock.RLock() // no fork between making and marking
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(p[0])
	syscall.CloseOnExec(p[1])
	return nil
}
