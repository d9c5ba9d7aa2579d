package find

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

func everybody(ctx context.Context) ([]Process, error) {
	pids, err := procstat.PIDs()
	if err != nil {
		return nil, err
	}
	out := make([]Process, 0, len(pids))
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if p, err := read(pid); err == nil && !p.Kernel {
			out = append(out, p)
		}
	}
	return out, nil
}

func read(pid int) (Process, error) {
	if pid <= 0 {
		return Process{}, syscall.ESRCH
	}
	s, err := procstat.Read(pid)
	if err != nil {
		return Process{}, err
	}
	if s.Dead() {
		return Process{}, syscall.ESRCH
	}
	p := Process{Stat: s, UID: -1, EUID: -1}
	b, err := os.ReadFile(proc(pid, "status"))
	if err != nil {
		return Process{}, gone(err)
	}
	if p.UID, p.EUID, p.Ignored, err = parseStatus(b); err != nil {
		return Process{}, err
	}
	if p.Args, err = procstat.Cmdline(pid); err != nil {
		return Process{}, err
	}
	return p, nil
}

// parseStatus reads what /proc/PID/status tells of users and signals.
func parseStatus(b []byte) (uid, euid int, ignored uint64, err error) {
	uid, euid = -1, -1
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
			f := bytes.Fields(v)
			if len(f) < 2 {
				return -1, -1, 0, errForm
			}
			for i, p := range []*int{&uid, &euid} {
				n, err := strconv.ParseUint(string(f[i]), 10, 32)
				if err != nil {
					return -1, -1, 0, errForm
				}
				*p = int(n)
			}
		}
		if v, ok := bytes.CutPrefix(line, []byte("SigIgn:")); ok {
			if ignored, err = strconv.ParseUint(string(bytes.TrimSpace(v)), 16, 64); err != nil {
				return -1, -1, 0, errForm
			}
		}
	}
	if uid < 0 {
		return -1, -1, 0, errForm
	}
	return uid, euid, ignored, nil
}

// Exe is the file that a process executes, after links, also when it was replaced since; empty when that may not be seen.
func Exe(pid int) string {
	path, err := os.Readlink(proc(pid, "exe"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// Dir is the directory of a process; empty when that may not be seen.
func Dir(pid int) string {
	path, err := os.Readlink(proc(pid, "cwd"))
	if err != nil || strings.HasSuffix(path, " (deleted)") {
		return ""
	}
	return path
}

// SameFile reports whether a name means one file to a process and to us: what it can see may be another file system.
// A relative name counts from its directory.
func SameFile(pid int, name, path string) bool {
	if !strings.HasPrefix(name, "/") {
		name = "/proc/" + strconv.Itoa(pid) + "/cwd/" + name
	} else {
		name = "/proc/" + strconv.Itoa(pid) + "/root" + name
	}
	a, err := os.Stat(name)
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// SameSpace reports whether a process has the numbers of processes that we have: one in a container has a pid namespace of its
// own, and what it would be started with anew is not to be found here. True when that may not be seen.
func SameSpace(pid int) bool {
	theirs, err := os.Readlink(proc(pid, "ns/pid"))
	ours, err2 := os.Readlink("/proc/self/ns/pid")
	return err != nil || err2 != nil || theirs == ours
}

func proc(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// gone turns the ways in which a vanished process shows itself into ESRCH.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return syscall.ESRCH
	}
	return err
}

// errForm refuses what the kernel does not write.
var errForm = errors.New("the kernel's description of a process cannot be read")
