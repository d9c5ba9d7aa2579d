package oom

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Kills is how many processes of a control group, given by its directory, the kernel has killed for memory; 0 also when
// that cannot be told.
func Kills(cgroup string) int {
	if !filepath.IsAbs(cgroup) {
		return 0
	}
	n := 0
	for _, name := range []string{"memory.events", "memory.oom_control"} {
		if b, err := read(filepath.Join(cgroup, name)); err == nil {
			n = max(n, parseEvents(b))
		}
	}
	return n
}

// Bounds of what is read.
const (
	maxEvents  = 4096
	maxRecords = 20000 // the log is a ring of some hundred KiB
	maxRecord  = 8192
)

func read(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEvents))
	return string(b), err
}

// slack is what the clock of the log may be wrong by: it is finer than, and not set with, the one of boot time.
const slack = 2 * time.Second

// Logged reports whether the kernel's log says that it killed a process for memory at or after a time, and whether the
// log could be read. It is read without waiting. It is a ring, so that a message may be gone from it.
func Logged(pid int, since time.Time) (killed, known bool) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return false, false
	}
	from := time.Duration(now.Nano()) - time.Since(since) - slack
	return logged(func(b []byte) (int, error) { return unix.Read(fd, b) }, pid, from), true
}

// logged looks through the records that next gives, one at a time.
func logged(next func([]byte) (int, error), pid int, from time.Duration) bool {
	b := make([]byte, maxRecord)
	for range maxRecords {
		n, err := next(b)
		switch {
		case err == unix.EPIPE || err == unix.EINTR: // overwritten meanwhile: go on with the next
			continue
		case err != nil || n <= 0: // EAGAIN: the end
			return false
		}
		if r, ok := parseRecord(strings.ToValidUTF8(string(b[:n]), "?")); ok && r.at >= from && r.kills(pid) {
			return true
		}
	}
	return false
}
