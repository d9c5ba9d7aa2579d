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
	b, err := readStat(pid, space[:])
	if err != nil {
		return Figures{}, gone(err)
	}
	f, start, err := parseFigures(b, time.Second/ticksPerSecond, int64(os.Getpagesize()))
	if err != nil {
		return Figures{}, err
	}
	f.Age, err = Age(start)
	return f, err
}

// statBytes is more than a line of /proc/PID/stat can have: 52 numbers of up to 20 digits and a name of up to 64 bytes.
const statBytes = 2048

// readStat reads the line of a process with the three calls of the kernel that it takes: lists ask for a thousand of them
// at once, and package os makes seven of each.
func readStat(pid int, space []byte) ([]byte, error) {
	name := file(pid, "stat")
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
