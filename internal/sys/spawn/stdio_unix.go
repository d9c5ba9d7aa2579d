//go:build unix

package spawn

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// stdio are the descriptors for one program.
type stdio struct {
	theirs [3]uintptr // what the program gets as 0, 1, 2
	pipes  *Pipes
	given  bool // the pipes are the caller's
}

func openStdio(r *Request, null int) (*stdio, error) {
	s := &stdio{pipes: r.Pipes, given: r.Pipes != nil}
	if !s.given {
		var err error
		if s.pipes, err = MakePipes(r); err != nil {
			return nil, err
		}
	}
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		switch kind {
		case StdioPipe:
			s.theirs[i] = uintptr(s.pipes.theirs[i])
		case StdioFile:
			s.theirs[i] = r.file(i).Fd()
		case StdioMerge:
			s.theirs[i] = s.theirs[1]
		default:
			s.theirs[i] = uintptr(null)
		}
	}
	return s, nil
}

func (s *stdio) closeTheirs() { s.pipes.CloseTheirs() }

// closeOurs is for a start that has failed.
func (s *stdio) closeOurs() {
	if !s.given {
		s.pipes.Close()
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd < 0 {
			continue
		}
		// Linux has released the descriptor also when it reports an interruption.
		if err := syscall.Close(fd); err != nil && !errors.Is(err, syscall.EINTR) {
			continue
		}
	}
}

// markListed marks the descriptors above 2 that a directory lists as close-on-exec.
func markListed(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if fd, err := strconv.Atoi(n.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}
