package streams

// Descriptors are the pipe and what output passes through on its way to the log, after Detach; -1 = the stream
// has come to its end.
func (s *Stream) Descriptors() (pipe int, stages []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return -1, nil
	}
	if s.x != nil {
		if s.x.fast >= 0 {
			stages = append(stages, s.x.fast)
		}
		if s.x.log != nil {
			if fd := s.x.log.f.FD(); fd >= 0 {
				stages = append(stages, fd)
			}
		}
	}
	return int(s.fd), stages
}

// Descriptor is the pipe, after Detach; -1 = it is closed.
func (in *Input) Descriptor() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.fd
}
