package procfd

import (
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// ReapOrphans is the duty of PID 1 and of a child subreaper: it reaps ended children that are not ours
// (left behind by programs that died) and reports each. known tells which pids are ours; these are left
// alone whatever their state. It only looks at children that exist when it is called: call it on SIGCHLD.
//
// A child that was forked but whose pid known does not know yet would be taken for an orphan: the caller
// excludes forks meanwhile. HasOrphans tells beforehand whether that is worth it.
func ReapOrphans(known func(pid int) bool, reaped func(pid int, e model.Exit)) {
	kids, err := procstat.Children(unix.Getpid())
	if err != nil {
		return
	}
	for _, pid := range kids {
		if known(pid) {
			continue
		}
		// Look before reaping: between the look and the reaping nobody else can take an unknown child,
		// and a living one must not be touched.
		if _, done, err := waitid(unix.P_PID, pid, true); err != nil || !done {
			continue
		}
		if e, done, err := waitid(unix.P_PID, pid, false); err == nil && done {
			reaped(pid, e)
		}
	}
}

// HasOrphans reports whether ReapOrphans would find anything. It changes nothing and needs no exclusion
// of forks: a false alarm is harmless.
func HasOrphans(known func(pid int) bool) bool {
	kids, err := procstat.Children(unix.Getpid())
	if err != nil {
		return false
	}
	for _, pid := range kids {
		if known(pid) {
			continue
		}
		if _, done, err := waitid(unix.P_PID, pid, true); err == nil && done {
			return true
		}
	}
	return false
}
