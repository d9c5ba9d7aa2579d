//go:build linux || freebsd || netbsd || openbsd || dragonfly

package spawn

import "syscall"

func pipe(p *[2]int) error { return syscall.Pipe2(p[:], syscall.O_CLOEXEC) }
