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
	ours   [3]int     // the other ends, -1 = none
	made   []int      // of theirs, the pipe ends: to be closed here after the fork
}

func openStdio(r *Request, null int) (*stdio, error) {
	s := &stdio{ours: [3]int{-1, -1, -1}}
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		switch kind {
		case StdioPipe:
			if err := s.pipe(i); err != nil {
				s.closeTheirs()
				s.closeOurs()
				return nil, err
			}
		case StdioFile:
			s.theirs[i] = r.StdinFile.Fd()
		case StdioMerge:
			s.theirs[i] = s.theirs[1]
		default:
			s.theirs[i] = uintptr(null)
		}
	}
	return s, nil
}

// pipe makes the pipe of descriptor i. Only our end is non-blocking: programs do not expect it.
func (s *stdio) pipe(i int) error {
	var p [2]int
	if err := pipe(&p); err != nil {
		return err
	}
	theirs, ours := p[1], p[0]
	if i == 0 {
		theirs, ours = p[0], p[1]
	}
	s.theirs[i], s.ours[i] = uintptr(theirs), ours
	s.made = append(s.made, theirs)
	return syscall.SetNonblock(ours, true)
}

func (s *stdio) closeTheirs() { closeAll(s.made) }
func (s *stdio) closeOurs()   { closeAll(s.ours[:]) }

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
