package socket

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Recover takes a socket back that nobody of us has any more, from a process that has it as descriptor 0. The
// process must be known to live: its number alone is no identity. Errors are those of the system, and
// unix.ENOTSOCK for another descriptor.
func Recover(pid int, s *model.SocketSpec) (*Socket, error) {
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(p)
	fd, err := unix.PidfdGetfd(p, 0, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	f := os.NewFile(uintptr(fd), s.URL)
	if !Listens(f) {
		_ = f.Close()
		return nil, unix.ENOTSOCK
	}
	return Adopt(f, s.URL), nil
}
