// Package stage is a place for bytes that have left a pipe and are in no log yet. On Linux it is a file in memory
// whose descriptor somebody else holds too, so that it outlives the process that works with it: a successor
// adopts it and finds all bytes, and the state that the predecessor committed last.
//
// Two facts make that exact under SIGKILL. The kernel moves bytes from the pipe to the end of the file, so that
// each is in one of the two and the file's size tells in which. And a state is committed by the change of a
// single word, so that it is the old one or the new one.
package stage

import (
	"errors"
	"fmt"
	"io"

	"github.com/upkeep-project/upkeep/internal/sys/pipe"
)

// MaxState is how many bytes a state can have.
const MaxState = 1024

// errForeign: the descriptor is none of a stage.
var errForeign = errors.New("stage: not a stage")

// Stage is one such place. Its methods are not safe for concurrent use.
type Stage struct {
	size int64
	file *file // nil: plain memory

	data  []byte // from position cut on
	cut   int64
	state []byte
}

// New makes an empty stage that can outlive the process. errors.ErrUnsupported where the system has none;
// other errors are those of the system, as for a lack of descriptors.
func New() (*Stage, error) {
	f, err := newFile()
	if err != nil {
		return nil, err
	}
	return &Stage{file: f}, nil
}

// Memory makes a stage that ends with the process.
func Memory() *Stage { return &Stage{} }

// Adopt goes on with the stage of a predecessor. It owns the descriptor on success.
func Adopt(fd int) (*Stage, error) {
	f, size, err := adoptFile(fd)
	if err != nil {
		return nil, fmt.Errorf("adopt a stage: %w", err)
	}
	return &Stage{file: f, size: size}, nil
}

// FD is the descriptor to be held by somebody else; -1 for none.
func (s *Stage) FD() int {
	if s.file == nil {
		return -1
	}
	return s.file.fd
}

// Size is the position behind the last byte.
func (s *Stage) Size() int64 { return s.size }

// Fill moves up to n bytes, which are there, from a pipe to the end, and returns how many; errors as those of
// pipe.Splice. What is no pipe is read, and can be lost by a kill.
func (s *Stage) Fill(from, n int) (int, error) {
	var m int
	var err error
	if s.file != nil {
		m, err = s.file.fill(from, s.size, n)
	} else {
		room := len(s.data)
		s.data = append(s.data, make([]byte, n)...)
		m, err = pipe.Read(from, s.data[room:])
		s.data = s.data[:room+max(m, 0)]
	}
	s.size += int64(m)
	return m, err
}

// ReadAt reads from a position; io.EOF when that leads past the end.
func (s *Stage) ReadAt(p []byte, at int64) (int, error) {
	n := int(min(int64(len(p)), max(s.size-at, 0)))
	var err error
	if s.file != nil {
		n, err = s.file.readAt(p[:n], at)
	} else {
		n = copy(p[:n], s.data[at-s.cut:])
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Cut removes what is behind a position.
func (s *Stage) Cut(size int64) error {
	if s.file != nil {
		if err := s.file.truncate(size); err != nil {
			return err
		}
	} else if size <= s.cut {
		s.data, s.cut = nil, size
	} else {
		s.data = s.data[:size-s.cut]
	}
	s.size = size
	return nil
}

// Free gives back the memory of what is before a position, which is not read again. Positions stay.
func (s *Stage) Free(before int64) {
	if s.file != nil {
		s.file.free(before)
		return
	}
	if before > s.cut {
		s.data = append([]byte(nil), s.data[before-s.cut:]...)
		s.cut = before
	}
}

// State is what was committed last; empty when nothing was.
func (s *Stage) State() []byte {
	if s.file != nil {
		return s.file.state()
	}
	return s.state
}

// Commit replaces the state at once. It must not be longer than MaxState.
func (s *Stage) Commit(state []byte) {
	if s.file != nil {
		s.file.commit(state)
		return
	}
	s.state = append(s.state[:0], state...)
}

// Close lets go of the stage; what is in it lives on where somebody else holds its descriptor.
func (s *Stage) Close() {
	if s.file != nil {
		s.file.close()
	}
}
