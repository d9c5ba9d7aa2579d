package procfd

import "golang.org/x/sys/unix"

// withStatus asks for the wait status with the end of a child.
const withStatus = unix.NOTE_EXITSTATUS

func tellsStatus(e *unix.Kevent_t) bool { return e.Fflags&unix.NOTE_EXITSTATUS != 0 }
