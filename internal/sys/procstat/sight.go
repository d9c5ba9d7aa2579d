package procstat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Sight is a process as systems without /proc show it: alive, or ended and not yet reaped.
type Sight struct {
	Stat
	// Raw is the wait status of a process of which nothing else is left (Dead); its parent alone can take it.
	Raw uint32
	// UID is the user that started it, EUID the one as whom it acts; Ignored are the signals that it ignores, bit n-1 for
	// signal n.
	UID, EUID int
	Ignored   uint64
}

// states are the letters for the numbers of states on the BSDs, macOS among them.
const states = "?IRSTZDD"

func state(n int8) byte {
	if n < 0 || int(n) >= len(states) {
		return '?'
	}
	return states[n]
}

// micros is a time of the kernel in microseconds.
func micros(sec, usec int64) int64 { return sec*1e6 + usec }

// text is a C string in a field.
func text(field []byte) string {
	s, _, _ := bytes.Cut(field, []byte{0})
	return string(s)
}

// errLayout refuses a record of the kernel that is laid out otherwise than is known.
var errLayout = errors.New("the kernel's record of a process has an unknown layout")

// kinfo is what FreeBSD tells of a process.
type kinfo struct {
	Sight
	start   int64 // wall clock, microseconds
	cpu     time.Duration
	pages   int64 // resident
	threads int
}

// The layout of FreeBSD's struct kinfo_proc on 64-bit machines, which is kept across versions: each record begins
// with its size. Source: sys/user.h of FreeBSD 12 to 15.
const (
	kinfoSize    = 1088
	kinfoPID     = 72
	kinfoPPID    = 76
	kinfoPGID    = 80
	kinfoSID     = 88
	kinfoIgnored = 136
	kinfoEUID    = 168
	kinfoUID     = 172
	kinfoRSS     = 264
	kinfoExit    = 304
	kinfoRuntime = 328
	kinfoStart   = 336
	kinfoFlags   = 368
	kinfoState   = 388
	kinfoComm    = 447
	kinfoCommLen = 20
	kinfoThreads = 596

	kinfoKernel = 0x4 // flag: a process of the kernel itself
)

// parseKinfo decodes the first record of a list. The start is left in wall clock time.
func parseKinfo(b []byte) (k kinfo, rest []byte, err error) {
	le := binary.LittleEndian
	if len(b) < kinfoSize || le.Uint32(b) != kinfoSize {
		return k, nil, errLayout
	}
	word := func(at int) int { return int(int32(le.Uint32(b[at:]))) }
	long := func(at int) int64 { return int64(le.Uint64(b[at:])) }
	k.Stat = Stat{
		PID: word(kinfoPID), PPID: word(kinfoPPID), PGRP: word(kinfoPGID), Session: word(kinfoSID),
		Comm: text(b[kinfoComm : kinfoComm+kinfoCommLen]), State: state(int8(b[kinfoState])),
		Kernel: long(kinfoFlags)&kinfoKernel != 0,
	}
	k.Raw = uint32(le.Uint16(b[kinfoExit:]))
	k.UID, k.EUID, k.Ignored = int(le.Uint32(b[kinfoUID:])), int(le.Uint32(b[kinfoEUID:])), le.Uint64(b[kinfoIgnored:])
	k.start = micros(long(kinfoStart), long(kinfoStart+8))
	k.cpu = time.Duration(long(kinfoRuntime)) * time.Microsecond
	k.pages, k.threads = long(kinfoRSS), word(kinfoThreads)
	if k.PID < 0 {
		return kinfo{}, nil, errLayout
	}
	return k, b[kinfoSize:], nil
}

// taskInfoSize is the size of macOS's struct proc_taskinfo; its figures begin with two sizes in bytes, the virtual and
// the resident one, and two times, user and system. Source: sys/proc_info.h.
const (
	taskInfoSize    = 96
	taskInfoRSS     = 8
	taskInfoUser    = 16
	taskInfoSystem  = 24
	taskInfoThreads = 84
)

// parseTaskInfo decodes it. Times are in ticks of which there are so many a second.
func parseTaskInfo(b []byte, perSecond uint64) (Figures, error) {
	if len(b) != taskInfoSize || perSecond == 0 {
		return Figures{}, errLayout
	}
	le := binary.LittleEndian
	span := func(at int) time.Duration {
		ticks := le.Uint64(b[at:])
		whole, part := ticks/perSecond, ticks%perSecond
		return time.Duration(whole)*time.Second + time.Duration(float64(part)/float64(perSecond)*float64(time.Second))
	}
	user, system := span(taskInfoUser), span(taskInfoSystem)
	return Figures{
		CPU: user + system, User: user, System: system,
		Memory:  int64(le.Uint64(b[taskInfoRSS:])),
		Threads: int(int32(le.Uint32(b[taskInfoThreads:]))),
	}, nil
}

// parseProcArgs decodes what macOS tells of the start of a process: the number of arguments, the path of the
// executable, zeros, the arguments, the environment. The environment is empty for who may not see it.
func parseProcArgs(b []byte) (argv, env []string, err error) {
	if len(b) < 4 {
		return nil, nil, fmt.Errorf("arguments of a process: %d bytes", len(b))
	}
	argc := int(int32(binary.LittleEndian.Uint32(b)))
	_, b, found := bytes.Cut(b[4:], []byte{0})
	if !found || argc < 0 || argc > len(b)+1 {
		return nil, nil, fmt.Errorf("arguments of a process: %d in %d bytes", argc, len(b))
	}
	b = bytes.TrimLeft(b, "\x00")
	for range argc {
		one, rest, found := bytes.Cut(b, []byte{0})
		if !found {
			return argv, nil, nil
		}
		argv, b = append(argv, string(one)), rest
	}
	for len(b) > 0 && b[0] != 0 { // an empty one ends it; what follows is the loader's
		one, rest, _ := bytes.Cut(b, []byte{0})
		env, b = append(env, string(one)), rest
	}
	return argv, env, nil
}

// splitStrings are zero-terminated strings one after the other.
func splitStrings(b []byte) []string {
	var out []string
	for len(b) > 0 {
		one, rest, _ := bytes.Cut(b, []byte{0})
		out, b = append(out, string(one)), rest
	}
	return out
}
