package procstat

import (
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// BootID is the identity of the current boot of this machine. FreeBSD before 13 has none.
func BootID() (string, error) {
	b, err := unix.SysctlRaw("kern.boot_id")
	if err != nil || len(b) == 0 {
		return "", ErrUnsupported
	}
	return hex.EncodeToString(b), nil
}

// bootTime is when the machine began, in microseconds of the wall clock. The kernel moves it when the clock is set, and
// the start times of all processes with it: their difference stays.
func bootTime() (int64, error) {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return 0, fmt.Errorf("boot time: %w", err)
	}
	return micros(int64(tv.Sec), int64(tv.Usec)), nil
}

// dated turns the start time into microseconds since boot, which is never 0.
func dated(k kinfo, boot int64) Sight {
	k.StartTicks = uint64(max(k.start-boot, 1))
	return k.Sight
}

func kinfoOf(pid int) (kinfo, error) {
	b, err := unix.SysctlRaw("kern.proc.pid", pid)
	if err != nil {
		return kinfo{}, err
	}
	if len(b) == 0 {
		return kinfo{}, unix.ESRCH
	}
	k, _, err := parseKinfo(b)
	return k, err
}

func look(pid int) (Sight, error) {
	boot, err := bootTime()
	if err != nil {
		return Sight{}, err
	}
	k, err := kinfoOf(pid)
	return dated(k, boot), err
}

func everybody() ([]Sight, error) {
	boot, err := bootTime()
	if err != nil {
		return nil, err
	}
	b, err := grown(func() ([]byte, error) { return unix.SysctlRaw("kern.proc.proc") })
	if err != nil {
		return nil, fmt.Errorf("list of processes: %w", err)
	}
	var out []Sight
	for len(b) >= kinfoSize {
		var k kinfo
		if k, b, err = parseKinfo(b); err != nil {
			return nil, fmt.Errorf("list of processes: %w", err)
		}
		out = append(out, dated(k, boot))
	}
	return out, nil
}

func arguments(pid int) ([]string, error) {
	b, err := unix.SysctlRaw("kern.proc.args", pid)
	return splitStrings(b), err
}

func environment(pid int) ([]string, error) {
	b, err := unix.SysctlRaw("kern.proc.env", pid)
	return splitStrings(b), err
}

// Age is how long ago a process with that start time began.
func Age(startTicks uint64) (time.Duration, error) {
	boot, err := bootTime()
	if err != nil {
		return 0, err
	}
	return age(boot+int64(startTicks), startTicks)
}

// Usage is what a process uses now. syscall.ESRCH when there is none.
func Usage(pid int) (Figures, error) {
	k, err := kinfoOf(pid)
	if err != nil {
		return Figures{}, err
	}
	f := Figures{CPU: k.cpu, Memory: k.pages * int64(os.Getpagesize()), Threads: k.threads}
	f.Age, err = age(k.start, 1)
	return f, err
}
