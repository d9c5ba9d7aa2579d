//go:build unix

package differ

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// killAll kills the process with everybody who descends from it, none of whom sees another die: a daemon would come back. All
// are stopped first, and looked for again until there is none who was begun meanwhile.
func (p *process) killAll() {
	stopped := map[int]bool{}
	for more := true; more; {
		more = false
		for _, pid := range append(descendants(p.cmd.Process.Pid), p.cmd.Process.Pid) {
			if !stopped[pid] {
				_ = syscall.Kill(pid, syscall.SIGSTOP)
				stopped[pid], more = true, true
			}
		}
	}
	for pid := range stopped {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// descendants are the children of a process, theirs, and so on.
func descendants(pid int) []int {
	var out []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(append(out, child), descendants(child)...)
			}
		}
	}
	return out
}
