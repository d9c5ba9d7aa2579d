//go:build unix

package spawn

import (
	"errors"
	"os"
	"syscall"
)

// Pipes are the pipes of one program: our ends and, until the program is started, the program's.
//
// Where the system can do it (Linux with /proc) the program's end of an output pipe is open for reading as
// well. So a program that writes while nobody of us lives gets no SIGPIPE, and the pipe can be opened again
// through the program's descriptor. Our end still sees the end of the output when the last process that has
// the program's end is gone, since nothing of ours keeps it.
//
// The program's ends are locked (flock). The lock belongs to the open file, which the program and its
// descendants share, so the kernel can tell for as long as one of them lives: Alive.
//
// Source: spec/reliability R2, R8.
type Pipes struct {
	// Stdin, Stdout and Stderr are our ends: non-blocking, close-on-exec; -1 = no pipe.
	Stdin, Stdout, Stderr int

	theirs [3]int // the program's ends, -1 = none
}

// MakePipes makes the pipes that a request asks for. The error is *PipeError.
func MakePipes(r *Request) (*Pipes, error) {
	p := &Pipes{Stdin: -1, Stdout: -1, Stderr: -1, theirs: [3]int{-1, -1, -1}}
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		if kind != StdioPipe {
			continue
		}
		if err := p.make(i, r.Cred); err != nil {
			p.Close()
			return nil, &PipeError{err}
		}
	}
	return p, nil
}

// make makes the pipe of descriptor i. Only our end is non-blocking: programs do not expect it.
func (p *Pipes) make(i int, c *Cred) error {
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return err
	}
	theirs, ours := ends[1], ends[0]
	if i == 0 {
		theirs, ours = ends[0], ends[1]
	}
	*p.ours(i) = ours
	p.theirs[i] = theirs
	if i > 0 {
		again, err := reopen(theirs)
		if err != nil {
			return err
		}
		if again >= 0 {
			p.theirs[i] = again
			closeAll([]int{theirs})
		}
	}
	if err := mark(p.theirs[i]); err != nil {
		return err
	}
	if c != nil && c.UID != os.Getuid() && c.Refused == "" && plainIDs(c) {
		// So that the program may open its own /dev/stdout. Not being allowed to costs only that.
		_ = syscall.Fchown(p.theirs[i], c.UID, c.GID)
	}
	return syscall.SetNonblock(ours, true)
}

func (p *Pipes) ours(i int) *int { return []*int{&p.Stdin, &p.Stdout, &p.Stderr}[i] }

// Close closes all ends that are still here. Only for pipes whose program was not started.
func (p *Pipes) Close() {
	p.CloseTheirs()
	closeAll([]int{p.Stdin, p.Stdout, p.Stderr})
	p.Stdin, p.Stdout, p.Stderr = -1, -1, -1
}

// fits says whether these are pipes for a request, whose program has not been started.
func (p *Pipes) fits(r *Request) bool {
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		if (kind == StdioPipe) != (p.theirs[i] >= 0) {
			return false
		}
	}
	return true
}

// CloseTheirs closes the program's ends. Spawn has done so when it returns.
func (p *Pipes) CloseTheirs() {
	closeAll(p.theirs[:])
	p.theirs = [3]int{-1, -1, -1}
}

// Alive reports whether the instance whose pipe fd belongs to is alive: it, or a descendant that has the
// same descriptor. fd is our end of one of its pipes, or the pipe opened again in any way, but never the
// program's end itself. It is no proof of the opposite: a program can close or replace its descriptors, or
// give up the lock.
func Alive(fd int) (bool, error) {
	err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, os.NewSyscallError("flock", err)
	}
	return false, os.NewSyscallError("flock", syscall.Flock(fd, syscall.LOCK_UN))
}
