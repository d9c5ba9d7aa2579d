//go:build unix && !linux && !freebsd

package rlimit

import "syscall"

func rlimit(l Limit) *syscall.Rlimit {
	if l.Hard > 1<<63-1 {
		l.Hard = 1<<63 - 1 // no limit
	}
	return &syscall.Rlimit{Cur: min(l.Soft, l.Hard), Max: l.Hard}
}
