package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// RSS is the memory of a process that is in the machine's own, in bytes; syscall.ESRCH when there is no
// process with this pid. That of an ended one is 0.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(file(pid, "statm"))
	if err != nil {
		return 0, gone(err)
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0, fmt.Errorf("memory of process %d: %q", pid, cut(b))
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return pages * int64(os.Getpagesize()), nil
}
