package rlimit

import "syscall"

func rlimit(l Limit) *syscall.Rlimit {
	return &syscall.Rlimit{Cur: signed(l.Soft), Max: signed(l.Hard)}
}

func signed(v uint64) int64 {
	if v > 1<<63-1 {
		return 1<<63 - 1 // no limit
	}
	return int64(v)
}
