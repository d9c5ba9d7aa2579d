//go:build amd64 || arm64

package spawn

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

// A new process does not run Go: between its birth and the program it shares the memory of its maker, in
// which no second copy of a Go thread may run. It carries out a script, a list of system calls prepared
// before it was made, in a few lines of assembly that touch no stack. So its maker need not stand still
// meanwhile, as it must after a vfork, and a process may wait at the gate, or hang in a file system, without
// holding up anything.

// step is one system call of a script. The assembly knows this layout.
type step struct {
	nr   uintptr
	args [6]uintptr
	cond uintptr // condition
	want uintptr // for exactly
	fail uintptr // *step to go on with when the condition does not hold
	// patch is the *text that gets the name of the error, from names, an array of texts; 0 = none.
	patch, names uintptr
}

// Conditions on the result of a step.
const (
	mustWork = iota
	whatever
	exactly
	mustNotWork
)

// text is an iovec.
type text struct{ base, len uintptr }

// errorNames is how many errors have a text; the others are number 0.
const errorNames = 256

// arena is the memory of one script. It is outside of Go's heap, since a process without Go uses it.
type arena struct {
	mem  []byte
	used int
}

// The first word of an arena is not zero as long as a process uses it: the kernel clears it when the process
// executes the program, or ends.
func (a *arena) busy() *uint32 { return (*uint32)(unsafe.Pointer(&a.mem[0])) }

const arenaUnit = 1 << 16

func newArena(size int) (*arena, error) {
	size = (size + arenaUnit - 1) &^ (arenaUnit - 1)
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	a := &arena{mem: mem}
	a.reset()
	return a, nil
}

func (a *arena) reset() { a.used = 16 }

// take is the next n bytes, not cleared, aligned for words.
func (a *arena) take(n int) []byte {
	b := a.mem[a.used : a.used+n : a.used+n]
	a.used += (n + 15) &^ 15
	return b
}

// bytes puts s there and returns its address.
func (a *arena) bytes(s string) uintptr {
	if s == "" {
		return uintptr(unsafe.Pointer(&a.mem[8])) // anything
	}
	b := a.take(len(s))
	copy(b, s)
	return uintptr(unsafe.Pointer(&b[0]))
}

func (a *arena) cstring(s string) uintptr {
	b := a.take(len(s) + 1)
	b[copy(b, s)] = 0
	return uintptr(unsafe.Pointer(&b[0]))
}

// cstrings is an argument vector.
func (a *arena) cstrings(l []string) uintptr {
	v := unsafe.Slice((*uintptr)(unsafe.Pointer(&a.take(8 * (len(l) + 1))[0])), len(l)+1)
	for i, s := range l {
		v[i] = a.cstring(s)
	}
	v[len(l)] = 0
	return uintptr(unsafe.Pointer(&v[0]))
}

func (a *arena) texts(n int) []text {
	return unsafe.Slice((*text)(unsafe.Pointer(&a.take(n * int(unsafe.Sizeof(text{})))[0])), n)
}

func (a *arena) steps(n int) []step {
	return unsafe.Slice((*step)(unsafe.Pointer(&a.take(n * int(unsafe.Sizeof(step{})))[0])), n)
}

// maxSteps bounds a script without the steps of failures.
const maxSteps = 112

// room is how much a script for r can need.
func room(r *Request) int {
	n := 2*maxSteps*int(unsafe.Sizeof(step{})) + 8192
	n += 16 * (len(r.Dir) + len(r.Argv[0]) + len(r.Path))
	if c := r.Cred; c != nil {
		n += 4*len(c.Groups) + 16*len(c.Refused)
	}
	for _, l := range [][]string{r.Argv, r.Env} {
		for _, s := range l {
			n += len(s) + 40
		}
	}
	return n
}

// common is what all scripts use and none changes.
type common struct {
	names, messages []text  // by the number of the error
	quit            uintptr // *step: end without a word
	all, none       uintptr // signal sets
	deflt, ignore   uintptr // signal actions
	limit           uintptr // of descriptors, 0 = leave it
}

// newCommon makes it, for ever.
func newCommon(limit *unix.Rlimit) (*common, error) {
	a, err := newArena(1 << 16)
	if err != nil {
		return nil, err
	}
	c := &common{}
	names, messages := a.texts(errorNames), a.texts(errorNames)
	for i := range errorNames {
		name, message := units.ErrnoName(syscall.Errno(i)), syscall.Errno(i).Error()
		names[i] = text{a.bytes(name), uintptr(len(name))}
		messages[i] = text{a.bytes(message), uintptr(len(message))}
	}
	c.names, c.messages = names, messages
	quit := a.steps(1)
	quit[0] = step{nr: unix.SYS_EXIT_GROUP, args: [6]uintptr{gateShut}}
	c.quit = uintptr(unsafe.Pointer(&quit[0]))
	c.all, c.none = a.bytes("\xff\xff\xff\xff\xff\xff\xff\xff"), a.bytes("\x00\x00\x00\x00\x00\x00\x00\x00")
	actions := unsafe.Slice((*uintptr)(unsafe.Pointer(&a.take(128)[0])), 16)
	clear(actions)
	actions[8] = 1 // SIG_IGN
	c.deflt, c.ignore = uintptr(unsafe.Pointer(&actions[0])), uintptr(unsafe.Pointer(&actions[8]))
	if limit != nil {
		l := (*unix.Rlimit)(unsafe.Pointer(&a.take(int(unsafe.Sizeof(*limit)))[0]))
		*l = *limit
		c.limit = uintptr(unsafe.Pointer(l))
	}
	return c, nil
}

// writer writes a script.
type writer struct {
	*arena
	c    *common
	list []step
	n    int
}

func (w *writer) put(s step) {
	if s.fail == 0 {
		s.fail = w.c.quit
	}
	w.list[w.n] = s
	w.n++
}

// call is a step that must work or else ends the process without a word.
func (w *writer) call(nr uintptr, args ...uintptr) {
	s := step{nr: nr}
	copy(s.args[:], args)
	w.put(s)
}

// try is a step that may fail.
func (w *writer) try(nr uintptr, args ...uintptr) {
	s := step{nr: nr, cond: whatever}
	copy(s.args[:], args)
	w.put(s)
}

// tail ends what a program that was not executed says. Source: spec/supervisor 2.5.
const tail = "\nsupervisor: child process was not spawned\n"

// orSay is a step that must work; when it does not, the process says so like the original and exits with 127.
// names is one of the arrays of common, whose text of the error follows; nil = none.
func (w *writer) orSay(s step, what string, names []text) {
	iov := w.texts(3)
	what = "supervisor: " + what
	iov[0] = text{w.bytes(what), uintptr(len(what))}
	iov[1] = text{w.bytes(""), 0}
	iov[2] = text{w.bytes(tail), uintptr(len(tail))}
	if names != nil {
		s.patch, s.names = uintptr(unsafe.Pointer(&iov[1])), uintptr(unsafe.Pointer(&names[0]))
	}
	end := w.steps(2)
	end[0] = step{nr: unix.SYS_WRITEV, cond: whatever, args: [6]uintptr{2, uintptr(unsafe.Pointer(&iov[0])), 3}}
	end[1] = step{nr: unix.SYS_EXIT_GROUP, args: [6]uintptr{notSpawned}}
	s.fail = uintptr(unsafe.Pointer(&end[0]))
	w.put(s)
}

// write writes what the process does. Source: spec/supervisor 2.5 (child side).
func (c *cloning) write(a *arena, r *Request, files [3]int, gate int, marks *Marks, procs int) *step {
	w := &writer{arena: a, c: c.c, list: a.steps(maxSteps)}
	w.call(unix.SYS_SETPGID, 0, 0)
	if procs >= 0 {
		w.call(unix.SYS_WRITE, uintptr(procs), w.bytes("0"), 1)
	}
	for i, fd := range files {
		w.call(unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
	if gate != gateFD {
		w.call(unix.SYS_DUP3, uintptr(gate), gateFD, unix.O_CLOEXEC)
	}
	// Other processes that are being made here have their gates and pipes open: we must not hold them.
	w.try(unix.SYS_CLOSE_RANGE, gateFD+1, 1<<32-1, 0)
	w.put(step{nr: unix.SYS_SENDTO, cond: exactly, want: 1, args: [6]uintptr{
		gateFD, w.bytes(reportByte), 1, unix.MSG_NOSIGNAL,
	}})
	into := uintptr(unsafe.Pointer(&w.take(passLength)[0]))
	if marks != nil && r.Mark.Tag != 0 && r.Mark.At < MarkLimit {
		into = uintptr(unsafe.Pointer(marks.word(r.Mark.At)))
	}
	w.put(step{nr: unix.SYS_READ, cond: exactly, want: passLength, args: [6]uintptr{gateFD, into, passLength}})
	w.signals(r)
	if c.c.limit != 0 {
		w.try(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, c.c.limit, 0)
	}
	w.become(r.Cred)
	if r.Dir != "" {
		w.orSay(step{nr: unix.SYS_CHDIR, args: [6]uintptr{w.cstring(r.Dir)}}, "couldn't chdir to "+r.Dir+": ", w.c.names)
	}
	if r.Umask >= 0 {
		w.try(unix.SYS_UMASK, uintptr(r.Umask))
	}
	w.orSay(step{nr: unix.SYS_EXECVE, args: [6]uintptr{
		w.cstring(r.Path), w.cstrings(r.Argv), w.cstrings(r.Env),
	}}, "couldn't exec "+r.Argv[0]+": ", w.c.names)
	return &w.list[0]
}

// signals gives every signal its default, whatever this process does with it, and then lets them in: no
// handler of ours can run any more.
func (w *writer) signals(r *Request) {
	const setSize = 8
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		action := w.c.deflt
		switch {
		case sig == syscall.SIGKILL || sig == syscall.SIGSTOP:
			continue
		case r.IgnoreSIGPIPE && (sig == syscall.SIGPIPE || sig == syscall.SIGXFSZ):
			action = w.c.ignore
		}
		w.try(unix.SYS_RT_SIGACTION, uintptr(sig), action, 0, setSize)
	}
	w.call(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, w.c.none, 0, setSize)
}

// become are the steps to another user, in order, and the proof that there is no way back. The texts are the
// original's. Source: spec/supervisor 2.5, spec/reliability S12.
func (w *writer) become(cred *Cred) {
	if cred == nil {
		return
	}
	what, never := becomeText(cred)
	if never != "" {
		w.orSay(step{nr: unix.SYS_GETPID, cond: exactly}, what+never, nil)
		return
	}
	if cred.UID == os.Getuid() {
		return
	}
	groups := unsafe.Slice((*uint32)(unsafe.Pointer(&w.take(4 * (len(cred.Groups) + 1))[0])), len(cred.Groups)+1)
	for i, g := range cred.Groups {
		groups[i] = uint32(g)
	}
	w.orSay(step{nr: unix.SYS_SETGROUPS, args: [6]uintptr{uintptr(len(cred.Groups)), uintptr(unsafe.Pointer(&groups[0]))}},
		what+"Could not set groups of effective user", nil)
	w.orSay(step{nr: unix.SYS_SETGID, args: [6]uintptr{uintptr(cred.GID)}},
		what+"Could not set group id of effective user", nil)
	w.orSay(step{nr: unix.SYS_SETUID, args: [6]uintptr{uintptr(cred.UID)}},
		what+"Could not set user id of effective user: ", w.c.messages)
	for _, nr := range []uintptr{unix.SYS_GETUID, unix.SYS_GETEUID} {
		w.orSay(step{nr: nr, cond: exactly, want: uintptr(cred.UID)}, what+"the process did not become the user it should run as", nil)
	}
	if cred.UID != 0 {
		w.orSay(step{nr: unix.SYS_SETUID, cond: mustNotWork}, what+"the process could become root again", nil)
	}
}
