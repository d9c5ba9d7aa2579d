package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// extra adds what is wanted of one process, and says what of it is known.
func extra(pid int, want Want, f *Figures) (known Want) {
	if want&PSS != 0 {
		if v, err := values(pid, "smaps_rollup", "Pss:"); err == nil {
			f.PSS += v[0] << 10
			known |= PSS
		}
	}
	if want&Files != 0 {
		if n, err := files(pid); err == nil {
			f.Files += n
			known |= Files
		}
	}
	if want&IO != 0 {
		if v, err := values(pid, "io", "read_bytes:", "write_bytes:"); err == nil {
			f.Read += v[0]
			f.Written += v[1]
			known |= IO
		}
	}
	return known
}

// files counts open descriptors: the size of their directory says it since Linux 6.2.
func files(pid int) (int, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err == nil && st.Size > 0 {
		return int(st.Size), nil
	}
	list, err := os.ReadDir(dir)
	return len(list), err
}

// maxFile is more than smaps_rollup and io can have: two dozen lines of a word and a number.
const maxFile = 4 << 10

// values are the numbers behind labels in a file of lines "label: number".
func values(pid int, name string, labels ...string) ([]int64, error) {
	var space [maxFile]byte
	b, err := procstat.ReadFile(pid, name, space[:])
	if err != nil {
		return nil, err
	}
	return labelled(b, labels...)
}

// labelled finds the numbers behind labels, the first of each.
func labelled(b []byte, labels ...string) ([]int64, error) {
	out := make([]int64, len(labels))
	for i, label := range labels {
		found := false
		for line := range bytes.Lines(b) {
			f := bytes.Fields(line)
			if len(f) < 2 || string(f[0]) != label {
				continue
			}
			n, err := strconv.ParseInt(string(f[1]), 10, 54) // kB become bytes without an overflow
			if err != nil || n < 0 {
				return nil, fmt.Errorf("%s %q is no number", label, f[1])
			}
			out[i], found = n, true
			break
		}
		if !found {
			return nil, fmt.Errorf("there is no %s", label)
		}
	}
	return out, nil
}
