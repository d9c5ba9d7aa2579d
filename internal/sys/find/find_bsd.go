//go:build darwin || freebsd

package find

import (
	"context"
	"os"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

func everybody(ctx context.Context) ([]Process, error) {
	sights, err := procstat.Everybody()
	if err != nil {
		return nil, err
	}
	out := make([]Process, 0, len(sights))
	for _, s := range sights {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p, err := of(s); err == nil && !p.Kernel {
			out = append(out, p)
		}
	}
	return out, nil
}

func read(pid int) (Process, error) {
	s, err := procstat.Look(pid)
	if err != nil {
		return Process{}, err
	}
	return of(s)
}

func of(s procstat.Sight) (Process, error) {
	if s.Dead() {
		return Process{}, syscall.ESRCH
	}
	p := Process{Stat: s.Stat, UID: s.UID, EUID: s.EUID, Ignored: s.Ignored}
	p.Args, _ = procstat.Cmdline(s.PID) // another user's may not be seen
	return p, nil
}

// SameSpace: there is one space of processes, as far as can be told here.
func SameSpace(int) bool { return true }

// Exe is not told here.
func Exe(int) string { return "" }

// Dir is not told here.
func Dir(int) string { return "" }

// SameFile reports whether a name means one file to a process and to us; where the directory of a process is not told, a
// relative name is taken to be the same.
func SameFile(_ int, name, path string) bool {
	if len(name) == 0 || name[0] != '/' {
		return true
	}
	a, err := os.Stat(name)
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}
