//go:build !linux

package oom

import "time"

// Kills is how many processes of a control group the kernel has killed for memory.
func Kills(string) int { return 0 }

// Logged reports whether the kernel's log says that it killed a process for memory at or after a time.
func Logged(int, time.Time) (killed, known bool) { return false, false }
