//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process is what /proc/PID/stat says.
type process struct {
	pid, parent int
	name        string
	state       byte
	start       uint64 // clock ticks since boot: with the pid, the identity
	threads     int
}

func (p process) dead() bool { return p.state == 'Z' || p.state == 'X' }

// readStat reads one process; false when it is gone.
func readStat(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	return parseStat(pid, b)
}

func parseStat(pid int, b []byte) (process, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(f[1])
	start, err2 := strconv.ParseUint(f[19], 10, 64)
	threads, err3 := strconv.Atoi(f[17])
	return process{pid, parent, string(b[open+1 : end]), f[0][0], start, threads}, errors.Join(err1, err2, err3) == nil
}

// pids lists the process table.
func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // a part of it is as good as what comes next time
	out := make([]int, 0, len(names))
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// childrenOf are the processes whose parent is pid.
func childrenOf(pid int) []process {
	var out []process
	for _, p := range pids() {
		if s, ok := readStat(p); ok && s.parent == pid {
			out = append(out, s)
		}
	}
	return out
}

// arguments are the command line of a process.
func arguments(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// innerPID is the number that a process has in its own pid namespace.
func innerPID(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return pid
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				if n, err := strconv.Atoi(f[len(f)-1]); err == nil {
					return n
				}
			}
		}
	}
	return pid
}

// same reports whether the process still lives under its number.
func same(p process) bool {
	now, ok := readStat(p.pid)
	return ok && now.start == p.start && !now.dead()
}

// strike sends a signal to exactly this process.
func strike(p process, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// One that executes itself from a thread looks dead for a moment: its first thread is.
	if now, ok := readStat(p.pid); !ok || now.start != p.start {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// reaper buries the children of the harness and the orphans that come to it, as an init system does, and
// remembers how those ended that it is asked about.
type reaper struct {
	mu    sync.Mutex
	watch map[int]*unix.WaitStatus
}

// expect remembers the end of pid.
func (r *reaper) expect(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil {
		r.watch = map[int]*unix.WaitStatus{}
	}
	if _, ok := r.watch[pid]; !ok {
		r.watch[pid] = nil
	}
}

// ended returns how an expected process ended; nil = it lives.
func (r *reaper) ended(pid int) *unix.WaitStatus {
	r.reap()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watch[pid]
}

func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if _, ok := r.watch[pid]; ok {
			r.watch[pid] = &ws
		}
	}
}

// exitInfo reports whether the kernel tells the exit status of processes that are not one's own children
// (Linux 6.15).
func exitInfo() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	major, minor := 0, 0
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 15
}

// prefer gives the calling thread precedence, where that is allowed: a harness that is late sees less. The
// caller has locked its thread.
func prefer() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10) }

// until polls cond until it holds; false when the limit came first.
func until(limit, step time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(step) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
