package streams

import "github.com/upkeep-project/upkeep/internal/engine/logs"

// SetLogOptions exchanges the options of the stream's log, if it has one; they hold from the next write on.
// It does not block.
func (s *Stream) SetLogOptions(o logs.Options) {
	if f := s.out.file; f != nil {
		f.SetOptions(o)
	}
}
