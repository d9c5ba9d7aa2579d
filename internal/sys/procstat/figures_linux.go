package procstat

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process uses now. syscall.ESRCH when there is none.
func Usage(pid int) (Figures, error) {
	var space [statBytes]byte
	b, err := ReadFile(pid, "stat", space[:])
	if err != nil {
		return Figures{}, gone(err)
	}
	e, err := parseFigures(b, time.Second/ticksPerSecond, int64(os.Getpagesize()))
	if err != nil {
		return Figures{}, err
	}
	e.Age, err = Age(e.Start)
	return e.Figures, err
}

// Census is one look at all processes that are visible, with their figures, in no order; into is room that is used again.
// What begins or ends meanwhile may be missing.
func Census(into []Entry) ([]Entry, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	into = into[:0]
	var space [statBytes]byte
	for _, pid := range pids {
		b, err := ReadFile(pid, "stat", space[:])
		if err != nil {
			continue // it has ended meanwhile
		}
		if e, err := parseFigures(b, time.Second/ticksPerSecond, int64(os.Getpagesize())); err == nil {
			e.PID = pid
			into = append(into, e)
		}
	}
	return into, nil
}

// statBytes is more than a line of /proc/PID/stat can have: 52 numbers of up to 20 digits and a name of up to 64 bytes.
const statBytes = 2048

// ReadFile reads a short file of a process into space, with the three calls of the kernel that it takes: lists ask for a thousand
// of them at once, and package os makes seven of each. Errors: those of the system.
func ReadFile(pid int, of string, space []byte) ([]byte, error) {
	name := file(pid, of)
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, space)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, space)
	}
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: name, Err: err}
	}
	return space[:n], nil
}
