package procfd

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// recyclings is how often TestRecycling gives a pid to a stranger: go test -run Recycling -recyclings 1000000.
var recyclings = flag.Int("recyclings", 0, "pids given to a stranger; 0 = 20000, or 2000 with -short")

// TestRecycling: no signal reaches the stranger who got the pid, sent while the process ends, is reaped,
// and the number is given away. Source: spec/reliability R11.
func TestRecycling(t *testing.T) {
	n := *recyclings
	switch {
	case n == 0 && testing.Short():
		n = 2000
	case n == 0:
		n = 20_000
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, pausing(), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "helper-recycler", strconv.Itoa(n), victim)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // for Pdeathsig
	defer runtime.UnlockOSThread()
	out, err := c.CombinedOutput()
	if errors.Is(err, unix.EPERM) || strings.HasPrefix(string(out), "skip") {
		t.Skipf("pids cannot be chosen here: %v %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

// pausing is a program that waits for ever and takes no time to start; a script where there is no
// machine code for it here.
func pausing() []byte {
	if runtime.GOARCH != "amd64" {
		return []byte("#!/bin/sh\nexec sleep 100000\n")
	}
	const base, head = 0x400000, 64 + 56
	code := []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7} // again: pause(); goto again
	var b []byte
	put := func(v uint64, size int) {
		for range size {
			b = append(b, byte(v))
			v >>= 8
		}
	}
	b = append(b, 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, f := range []struct {
		v    uint64
		size int
	}{
		{2, 2},
		{62, 2},
		{1, 4},
		{base + head, 8},
		{64, 8},
		{0, 8},
		{0, 4},
		{64, 2},
		{56, 2},
		{1, 2},
		{0, 2},
		{0, 2},
		{0, 2},
		{1, 4},
		{5, 4},
		{0, 8},
		{base, 8},
		{base, 8},
		{uint64(head + len(code)), 8},
		{uint64(head + len(code)), 8},
		{4096, 8},
	} {
		put(f.v, f.size)
	}
	return append(b, code...)
}

// recycler is the first process of a pid namespace.
type recycler struct {
	victim string
	pid    int // that all get
	sent   atomic.Int64
}

// helperRecycler makes one process after the other with the same pid. Handles of each go on being used
// against its successor, which must not notice.
func helperRecycler() {
	fail := func(what string, err error) {
		if err != nil {
			fmt.Println(what+":", err)
			os.Exit(1)
		}
	}
	skip := func(err error) {
		if err != nil {
			fmt.Println("skip:", err)
			os.Exit(0)
		}
	}
	n, err := strconv.Atoi(os.Args[2])
	fail("count", err)
	skip(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	skip(unix.Mount("proc", "/proc", "proc", 0, ""))
	skip(os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte("299"), 0))
	r := &recycler{victim: os.Args[3], pid: 300}
	h := r.next()
	refused := 0
	for i := range n {
		id := h.Identity()
		a, err := Adopt(id)
		fail("Adopt", err)
		b, err := Adopt(id)
		fail("Adopt", err)
		b.(*handle).oldKernel = true
		var stop atomic.Bool
		var rounds atomic.Int64
		var attack sync.WaitGroup
		attack.Go(func() { r.attack(i, &stop, &rounds, a, b, h) })
		_ = h.Signal(int(unix.SIGKILL), model.ReachProcess) // it may have ended by the attack
		for {
			_, done, err := h.Wait(false)
			fail("Wait", err)
			if done {
				break
			}
			p := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
			_, _ = unix.Poll(p, -1)
		}
		s := r.next()
		for from := rounds.Load(); rounds.Load() < from+2; {
			runtime.Gosched()
		}
		if _, err := Adopt(id); !errors.Is(err, ErrStranger) {
			fail("the stranger was adopted", errors.Join(err, errors.ErrUnsupported))
		}
		refused++
		stop.Store(true)
		attack.Wait()
		if st, err := procstat.Read(r.pid); err != nil || st.Dead() || st.State == 'T' {
			e, _, _ := s.Wait(true)
			fail("hit", fmt.Errorf("after %d recyclings: state %c, %+v, %w", i, st.State, e, syscall.EINVAL))
		}
		a.Close()
		b.Close()
		h.Close()
		h = s
	}
	fmt.Printf("%d recyclings, %d signals to the stale handles, 0 reached the stranger, %d adoptions refused\n", n, r.sent.Load(), refused)
}

// attack uses stale handles until it is stopped.
func (r *recycler) attack(i int, stop *atomic.Bool, rounds *atomic.Int64, hs ...Handle) {
	reaches := []model.Reach{model.ReachProcess, model.ReachGroup, model.ReachTree}
	sigs := []unix.Signal{unix.SIGTERM, unix.SIGKILL, unix.SIGSTOP}
	for k := i; !stop.Load(); k++ {
		for _, h := range hs {
			_ = h.Signal(int(sigs[k/3%3]), reaches[k%3])
			r.sent.Add(1)
		}
		rounds.Add(1)
		time.Sleep(10 * time.Microsecond) // the others need the processor too
	}
}

// next starts a process with the pid.
func (r *recycler) next() *handle {
	for {
		// Threads of ours take numbers too: try again then.
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(r.pid-1)), 0); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fd := -1
		pid, err := syscall.ForkExec(r.victim, []string{"victim"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &fd}})
		if err != nil {
			fmt.Println("fork:", err)
			os.Exit(1)
		}
		h := Own(fd, pid).(*handle)
		if pid == r.pid {
			return h
		}
		_ = h.Signal(int(unix.SIGKILL), model.ReachProcess)
		var ws unix.WaitStatus
		_, _ = unix.Wait4(pid, &ws, 0, nil)
		h.Close()
	}
}
