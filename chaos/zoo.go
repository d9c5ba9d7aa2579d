//go:build linux

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// beast is one hostile child. They are bounded: what they leave behind ends by itself.
type beast struct {
	kind   string
	life   life
	mortal bool // ends by itself again and again
}

// zoo are the hostile children. Source: spec/reliability 2.2, those that are about processes and output.
func zoo() []beast {
	return []beast{
		{"ignores-term", life{(*child).ignoresTerm, true}, false},
		{"ignores-all", life{(*child).ignoresAll, true}, false},
		{"stops-itself", life{(*child).stopsItself, true}, false},
		{"closes-output", life{(*child).closesOutput, false}, false},
		{"leaves-writer", life{(*child).leavesWriter, false}, true},
		{"leaves-session", life{(*child).leavesSession, false}, true},
		{"first-ms", life{(*child).firstMillisecond, false}, true},
		{"byte-writes", life{(*child).byteWrites, false}, false},
		{"bursts", life{(*child).bursts, false}, false},
		{"masquerade", life{(*child).masquerade, false}, false},
		{"signals-parent", life{(*child).signalsParent, false}, false},
		{"reads-stdin", life{(*child).readsInput, false}, false},
		{"no-limits", life{(*child).noLimits, false}, false},
		{"fork-burst", life{(*child).forkBurst, false}, true},
		{"threads", life{(*child).threads, false}, false},
		{"quiet", life{(*child).quiet, false}, false},
	}
}

func (c *child) ignoresTerm() {
	c.killed()
	for range c.term {
		c.write(0, 50)
	}
}

func (c *child) ignoresAll() {
	c.killed()
	signal.Ignore()
	idle()
}

func (c *child) stopsItself() {
	c.write(0, 100)
	// The kernel hangs up on stopped processes whose last relative in the session dies.
	signal.Ignore(unix.SIGHUP)
	c.killed()
	_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	idle()
}

func (c *child) closesOutput() {
	c.write(0, 100)
	c.write(1, 100)
	_ = unix.Close(1)
	_ = unix.Close(2)
	idle()
}

// descend starts a descendant that outlives this instance by some seconds.
func (c *child) descend(attr *syscall.SysProcAttr, keep bool) {
	cmd := exec.Command("/proc/self/exe", grandWord, c.mark, "2")
	cmd.Args[0] = childName
	cmd.Env = []string{}
	cmd.SysProcAttr = attr
	if keep {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	}
	_ = cmd.Start() // without it the beast is tame
}

func (c *child) leavesWriter() {
	c.descend(nil, true)
	c.write(0, 500)
	time.Sleep(time.Duration(500+c.rng.IntN(1500)) * time.Millisecond)
	c.end(c.status())
}

func (c *child) leavesSession() {
	c.descend(&syscall.SysProcAttr{Setsid: true}, false)
	time.Sleep(time.Duration(500+c.rng.IntN(1500)) * time.Millisecond)
	c.end(c.status())
}

// firstMillisecond is gone at once, most of the time after a last word.
func (c *child) firstMillisecond() {
	if c.slot%3 != 0 {
		c.write(0, 300)
	}
	c.end(c.status())
}

func (c *child) byteWrites() {
	begin := time.Now()
	for n := int64(0); ; n += int64(len(c.block)) {
		c.block = c.outs[0].append(c.block[:0], uint64(c.slot), c.nums[0])
		c.nums[0]++
		c.push(0, c.block, 1)
		if d := time.Until(begin.Add(time.Duration(n) * time.Second / 2000)); d > 0 {
			time.Sleep(d)
		}
	}
}

// bursts writes large blocks at once, now and then.
func (c *child) bursts() {
	for {
		c.write(0, 200_000)
		time.Sleep(time.Duration(500+c.rng.IntN(1000)) * time.Millisecond)
	}
}

// masquerade takes the name of one of the daemon's processes.
func (c *child) masquerade() {
	_ = os.WriteFile("/proc/self/comm", []byte("upkeep-manager"), 0o644)
	idle()
}

// signalsParent sends its parent the signals that ask nothing of a daemon.
func (c *child) signalsParent() {
	for {
		for _, s := range []unix.Signal{unix.SIGCHLD, unix.SIGCONT, unix.SIGWINCH, unix.SIGURG, unix.SIGPIPE} {
			if parent := os.Getppid(); parent > 1 {
				_ = unix.Kill(parent, s)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (c *child) readsInput() {
	b := make([]byte, 4096)
	for {
		n, err := unix.Read(0, b)
		if err != nil || n == 0 {
			idle()
		}
	}
}

func (c *child) noLimits() {
	for _, r := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_FSIZE, unix.RLIMIT_CORE, unix.RLIMIT_MEMLOCK} {
		_ = unix.Setrlimit(r, &unix.Rlimit{})
	}
	idle()
}

func (c *child) forkBurst() {
	for range 12 {
		c.descend(nil, false)
	}
	time.Sleep(time.Duration(1000+c.rng.IntN(2000)) * time.Millisecond)
	c.end(c.status())
}

func (c *child) threads() {
	for range 50 {
		go func() {
			runtime.LockOSThread()
			var ts [2]int
			if err := unix.Pipe2(ts[:], unix.O_CLOEXEC); err == nil {
				_, _ = unix.Read(ts[0], make([]byte, 1)) // a thread of its own, asleep
			}
		}()
	}
	idle()
}
