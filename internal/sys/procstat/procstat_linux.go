package procstat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// BootID is the identity of the current boot of this machine. It is read once.
var BootID = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
})

// Read returns the facts of a process; syscall.ESRCH when there is none with this pid.
func Read(pid int) (Stat, error) {
	var space [statBytes]byte
	b, err := ReadFile(pid, "stat", space[:])
	if err != nil {
		return Stat{}, gone(err)
	}
	return Parse(b)
}

// ticksPerSecond is the unit of start times that programs are shown, the same on all machines.
const ticksPerSecond = 100

// Age is how long ago a process with that start time began, suspends included, rounded up to the next clock tick.
func Age(startTicks uint64) (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	if startTicks == 0 || startTicks > math.MaxInt64/uint64(time.Second/ticksPerSecond) {
		return 0, ErrUnsupported
	}
	return max(time.Duration(now.Nano())-time.Duration(startTicks)*(time.Second/ticksPerSecond), 0), nil
}

// Children lists the direct children of a process, those of all its threads, living and unreaped.
// A child that appears or ends while the list is read may be missing: repeat until nothing new shows up
// where that matters. An unknown pid has no children.
func Children(pid int) ([]int, error) {
	tasks, err := os.ReadDir(file(pid, "task"))
	if err != nil {
		if errors.Is(gone(err), syscall.ESRCH) {
			return nil, nil
		}
		return nil, fmt.Errorf("threads of process %d: %w", pid, err)
	}
	var out []int
	for _, t := range tasks {
		b, err := os.ReadFile(file(pid, "task/"+t.Name()+"/children"))
		switch {
		case err == nil:
			out = parsePIDs(b, out)
		case errors.Is(err, os.ErrNotExist):
			// Either this thread has just ended, or the kernel was built without these files.
			if _, err := os.Stat(file(os.Getpid(), "task/"+strconv.Itoa(os.Getpid())+"/children")); err != nil {
				return childrenByScan(pid)
			}
		case errors.Is(gone(err), syscall.ESRCH):
		default:
			return nil, fmt.Errorf("children of process %d: %w", pid, err)
		}
	}
	return out, nil
}

// childrenByScan finds children by looking at every process; for kernels without the children files.
func childrenByScan(parent int) ([]int, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, pid := range pids {
		if s, err := Read(pid); err == nil && s.PPID == parent {
			out = append(out, pid)
		}
	}
	return out, nil
}

// PIDs lists every process that is visible.
func PIDs() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list of processes: %w", err)
	}
	defer d.Close()
	var out []int
	for {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			if pid, err := strconv.Atoi(n); err == nil {
				out = append(out, pid)
			}
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list of processes: %w", err)
		}
	}
}

// Cmdline is the argument vector of a process as it is now in its memory: programs may overwrite it.
// Empty for kernel threads and ended processes.
func Cmdline(pid int) ([]string, error) {
	b, err := os.ReadFile(file(pid, "cmdline"))
	if err != nil {
		return nil, gone(err)
	}
	if len(b) == 0 {
		return nil, nil
	}
	parts := bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0})
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = string(p)
	}
	return out, nil
}

// Environ is the environment with which a process was executed, NAME=VALUE, as far as it has not overwritten it.
func Environ(pid int) ([]string, error) {
	b, err := os.ReadFile(file(pid, "environ"))
	if err != nil {
		return nil, gone(err)
	}
	return splitStrings(b), nil
}

func file(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// gone turns the ways in which a vanished process shows itself into ESRCH.
func gone(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return syscall.ESRCH
	}
	return err
}
