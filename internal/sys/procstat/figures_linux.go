package procstat

import (
	"os"
	"time"
)

// Usage is what a process uses now. syscall.ESRCH when there is none.
func Usage(pid int) (Figures, error) {
	b, err := os.ReadFile(file(pid, "stat"))
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
