//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is CLOCK_MONOTONIC in ns, which all processes of a machine share.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock is always there
	}
	return ts.Nano()
}

// process is one line of the process table.
type process struct {
	pid, parent int
	name        string
	zombie      bool
}

// processes reads the process table.
func processes() map[int]process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	out := make(map[int]process, len(names))
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if p, ok := readStat(pid); ok {
			out[pid] = p
		}
	}
	return out
}

// readStat reads /proc/PID/stat; false when the process is gone.
func readStat(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 2 {
		return process{}, false
	}
	parent, err := strconv.Atoi(f[1])
	return process{pid: pid, parent: parent, name: string(b[open+1 : end]), zombie: f[0] == "Z"}, err == nil
}

// descendants are root and everything below it.
func descendants(root int, table map[int]process) []process {
	below := map[int][]int{}
	for pid, p := range table {
		below[p.parent] = append(below[p.parent], pid)
	}
	var out []process
	for todo := []int{root}; len(todo) > 0; {
		pid := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if p, ok := table[pid]; ok {
			out = append(out, p)
			todo = append(todo, below[pid]...)
		}
	}
	return out
}

// managers are the processes of the manager itself: those below root that are not workload.
func managers(root int) []int {
	var out []int
	for _, p := range descendants(root, processes()) {
		if p.name != sleeperName && p.name != childName {
			out = append(out, p.pid)
		}
	}
	return out
}

// workload counts the live programs below root.
func workload(root int) int { return len(workloadPIDs(root)) }

func workloadPIDs(root int) map[int]bool {
	out := map[int]bool{}
	for _, p := range descendants(root, processes()) {
		if !p.zombie && (p.name == sleeperName || p.name == childName) {
			out[p.pid] = true
		}
	}
	return out
}

// cost is what processes have used so far.
type cost struct {
	cpu    time.Duration
	wakes  int64 // voluntary context switches of all threads
	pssKiB int64
	rssKiB int64
}

// measureCost adds up the processes. With memory, the proportional and resident sizes are read too.
func measureCost(pids []int, memory bool) cost {
	var c cost
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		tasks, err := os.ReadDir(dir + "/task")
		if err != nil {
			continue
		}
		for _, t := range tasks {
			task := dir + "/task/" + t.Name()
			if b, err := os.ReadFile(task + "/schedstat"); err == nil {
				if ns, err := strconv.ParseInt(strings.Fields(string(b) + " 0")[0], 10, 64); err == nil {
					c.cpu += time.Duration(ns)
				}
			}
			c.wakes += field(task+"/status", "voluntary_ctxt_switches:")
		}
		if memory {
			c.pssKiB += field(dir+"/smaps_rollup", "Pss:")
			c.rssKiB += field(dir+"/smaps_rollup", "Rss:")
		}
	}
	return c
}

// field is the number after key at the begin of a line; 0 when there is none.
func field(file, key string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, key); ok {
			f := strings.Fields(rest)
			if len(f) == 0 {
				return 0
			}
			n, _ := strconv.ParseInt(f[0], 10, 64)
			return n
		}
	}
	return 0
}

func loadAverage() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	v, _ := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
	return v
}

// endMarked kills what is left of our own: processes with the mark in their environment.
func endMarked(mark string) {
	for round := 0; round < 20; round++ {
		left := 0
		for pid, p := range processes() {
			if pid == os.Getpid() || p.zombie {
				continue
			}
			env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
			if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
				continue
			}
			left++
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		reapAll()
		if left == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// reapAll buries orphans that came to us as their subreaper.
func reapAll() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

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
