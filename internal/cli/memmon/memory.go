package memmon

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// process is one process at the moment of a look at all of them.
type process struct {
	parent int
	rss    int64 // bytes
}

// memory is what all processes use, by pid.
type memory map[int]process

// of is what a process uses, with its descendants if cumulative; false when there is no such process.
func (m memory) of(pid int, cumulative bool) (int64, bool) {
	p, ok := m[pid]
	if !ok || !cumulative {
		return p.rss, ok
	}
	children := map[int][]int{}
	for child, c := range m {
		if child != c.parent {
			children[c.parent] = append(children[c.parent], child)
		}
	}
	sum := int64(0)
	seen := map[int]bool{} // a pid that is used again during the look must not make a circle
	for todo := []int{pid}; len(todo) > 0; {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[next] {
			continue
		}
		seen[next] = true
		sum += m[next].rss
		todo = append(todo, children[next]...)
	}
	return sum, true
}

// measure looks at all processes: at the system's own figures or, where it has none, at those of ps.
func measure() (memory, error) {
	pids, err := procstat.PIDs()
	if errors.Is(err, procstat.ErrUnsupported) {
		return ps()
	}
	if err != nil {
		return nil, err
	}
	out := make(memory, len(pids))
	for _, pid := range pids {
		// What cannot be read has ended meanwhile, or is hidden and none of ours.
		stat, err := procstat.Read(pid)
		if err != nil {
			continue
		}
		if rss, err := procstat.RSS(pid); err == nil {
			out[pid] = process{stat.PPID, rss}
		}
	}
	return out, nil
}

// ps asks the command of that name, which tells kilobytes.
func ps() (memory, error) {
	text, err := exec.Command("ps", "-ax", "-o", "pid=", "-o", "ppid=", "-o", "rss=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	return parsePS(string(text))
}

func parsePS(text string) (memory, error) {
	out := memory{}
	for line := range strings.Lines(text) {
		var pid int
		var p process
		if _, err := fmt.Sscan(line, &pid, &p.parent, &p.rss); err != nil {
			return nil, fmt.Errorf("ps: line %q: %w", line, err)
		}
		p.rss *= 1024
		out[pid] = p
	}
	return out, nil
}
