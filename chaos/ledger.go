//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// entrySize is the space of an instance in a ledger; the head of the file takes as much.
const entrySize = 128

// head is the begin of a ledger. The harness writes allowed, the instances the rest.
type head struct {
	next    atomic.Uint32 // instances so far
	_       uint32
	allowed atomic.Int64 // bytes that all instances together may have written; 0 = no limit
	total   atomic.Int64 // bytes that all instances have begun to write to standard output
}

// entry is what one instance says of itself, always before it does it.
type entry struct {
	pid    atomic.Uint32
	holder atomic.Uint32 // the live instance found at the start; 0 = none, as it must be
	began  atomic.Int64  // monotonic ns
	plan   atomic.Uint32 // how it is about to end
	over   atomic.Uint32 // 1 = it lost its output and does no more
	out    [2]span       // standard output and standard error
}

// span is how much of a stream was written: begun counts what is being written as well.
type span struct{ begun, done atomic.Int64 }

// Plans: nothing yet, an exit status, a signal.
const (
	planNone   = 0
	planExit   = 0x100
	planSignal = 0x200
)

// planText is a plan in the words of the activity log.
func planText(p uint32) string {
	switch {
	case p&planExit != 0:
		return fmt.Sprintf("exit status %d", p&0xff)
	case p&planSignal != 0:
		return "terminated by " + unix.SignalName(unix.Signal(p&0xff))
	}
	return ""
}

// ledger is the truth file of one program. Its pages belong to the file: what an instance wrote is there
// even if it was killed by the next instruction.
type ledger struct {
	file  *os.File
	pages []byte
	cap   int // entries that are mapped
}

// openLedger opens or makes a ledger and maps room for the entries.
func openLedger(name string, entries int) (*ledger, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: f}
	if err := l.mapEntries(entries); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// mapEntries grows the file where it is shorter (never shrinks it: another instance may grow it as well)
// and maps it anew.
func (l *ledger) mapEntries(n int) error {
	size := (n + 1) * entrySize
	if err := unix.Fallocate(int(l.file.Fd()), 0, 0, int64(size)); err != nil {
		return err
	}
	pages, err := unix.Mmap(int(l.file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	if l.pages != nil {
		if err := unix.Munmap(l.pages); err != nil {
			return err
		}
	}
	l.pages, l.cap = pages, n
	return nil
}

func (l *ledger) close() error {
	err := unix.Munmap(l.pages)
	return errors.Join(err, l.file.Close())
}

func (l *ledger) head() *head { return (*head)(unsafe.Pointer(&l.pages[0])) }

func (l *ledger) entry(i int) *entry { return (*entry)(unsafe.Pointer(&l.pages[(i+1)*entrySize])) }

// claim takes the next entry for this process.
func (l *ledger) claim() (int, *entry, error) {
	i := int(l.head().next.Add(1)) - 1
	if i >= l.cap {
		if err := l.mapEntries(i + 1); err != nil {
			return 0, nil, err
		}
	}
	e := l.entry(i)
	e.pid.Store(uint32(os.Getpid()))
	e.began.Store(monotonic())
	return i, e, nil
}

// lock takes the lock that one live instance of a program can have, and returns the pid of the one that has
// it already. A record lock goes with the process, whatever its descendants do.
func (l *ledger) lock() (int, error) {
	k := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 0, Len: 1}
	err := unix.FcntlFlock(l.file.Fd(), unix.F_SETLK, &k)
	if err == nil {
		return 0, nil
	}
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return 0, err
	}
	if err := unix.FcntlFlock(l.file.Fd(), unix.F_GETLK, &k); err != nil {
		return 0, err
	}
	if k.Type == unix.F_UNLCK {
		return l.lock()
	}
	return int(k.Pid), nil
}

// instance is a copy of an entry.
type instance struct {
	pid    int
	holder int
	began  int64
	plan   uint32
	out    [2]extent
}

// instances reads the whole ledger.
func (l *ledger) instances() ([]instance, error) {
	n := int(l.head().next.Load())
	if n > l.cap {
		if err := l.mapEntries(n); err != nil {
			return nil, err
		}
	}
	out := make([]instance, n)
	for i := range out {
		e := l.entry(i)
		out[i] = instance{pid: int(e.pid.Load()), holder: int(e.holder.Load()), began: e.began.Load(), plan: e.plan.Load()}
		for k := range e.out {
			out[i].out[k] = extent{done: e.out[k].done.Load(), begun: e.out[k].begun.Load()}
		}
	}
	return out, nil
}

// monotonic is CLOCK_MONOTONIC in ns, which all processes of a machine share.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock is always there
	}
	return ts.Nano()
}
