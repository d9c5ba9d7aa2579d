package spawn

import (
	"errors"
	"os"
	"syscall"
)

// Pipes are the pipes of one program: our ends and, until the program is started, the program's.
type Pipes struct {
	Stdin, Stdout, Stderr int // our ends, -1 = no pipe

	theirs [3]*os.File
}

// MakePipes makes the pipes that a request asks for. The error is *PipeError.
func MakePipes(r *Request) (*Pipes, error) {
	p := &Pipes{Stdin: -1, Stdout: -1, Stderr: -1}
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		if kind != StdioPipe {
			continue
		}
		theirs, ours, err := pipe(i == 0)
		if err != nil {
			p.Close()
			return nil, &PipeError{err}
		}
		p.theirs[i] = theirs
		*[]*int{&p.Stdin, &p.Stdout, &p.Stderr}[i] = int(ours)
	}
	return p, nil
}

// Close closes all ends that are still here. Only for pipes whose program was not started.
func (p *Pipes) Close() {
	p.CloseTheirs()
	for _, h := range []*int{&p.Stdin, &p.Stdout, &p.Stderr} {
		if *h >= 0 {
			_ = syscall.CloseHandle(syscall.Handle(*h))
		}
		*h = -1
	}
}

// fits says whether these are pipes for a request, whose program has not been started.
func (p *Pipes) fits(r *Request) bool {
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		if (kind == StdioPipe) != (p.theirs[i] != nil) {
			return false
		}
	}
	return true
}

// CloseTheirs closes the program's ends. Spawn has done so when it returns.
func (p *Pipes) CloseTheirs() {
	for i, f := range p.theirs {
		if f != nil {
			f.Close()
		}
		p.theirs[i] = nil
	}
}

// Alive is not known on this system.
func Alive(int) (bool, error) { return false, errors.ErrUnsupported }
