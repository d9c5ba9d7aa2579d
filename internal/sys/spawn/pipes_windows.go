package spawn

import (
	"errors"

	"golang.org/x/sys/windows"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

// Pipes are the pipes of one program: our ends and, until the program is started, the program's.
type Pipes struct {
	Stdin, Stdout, Stderr int // our ends, -1 = no pipe

	theirs [3]windows.Handle // the program's ends, 0 = none
}

// MakePipes makes the pipes that a request asks for. The error is *PipeError.
func MakePipes(r *Request) (*Pipes, error) {
	p := &Pipes{Stdin: -1, Stdout: -1, Stderr: -1}
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		if kind != StdioPipe {
			continue
		}
		ours, theirs, err := pipe.Pair(i == 0)
		if err != nil {
			p.Close()
			return nil, &PipeError{err}
		}
		p.theirs[i] = theirs
		*p.ours(i) = int(ours)
	}
	return p, nil
}

func (p *Pipes) ours(i int) *int { return []*int{&p.Stdin, &p.Stdout, &p.Stderr}[i] }

// Close closes all ends that are still here. Only for pipes whose program was not started.
func (p *Pipes) Close() {
	p.CloseTheirs()
	for i := range p.theirs {
		if h := p.ours(i); *h >= 0 {
			pipe.Close(*h)
			*h = -1
		}
	}
}

// fits says whether these are pipes for a request, whose program has not been started.
func (p *Pipes) fits(r *Request) bool {
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		if (kind == StdioPipe) != (p.theirs[i] != 0) {
			return false
		}
	}
	return true
}

// CloseTheirs closes the program's ends. Spawn has done so when it returns.
func (p *Pipes) CloseTheirs() {
	for i, h := range p.theirs {
		if h != 0 {
			windows.CloseHandle(h)
		}
		p.theirs[i] = 0
	}
}

// Alive is not known on this system.
func Alive(int) (bool, error) { return false, errors.ErrUnsupported }
