package procfd

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Codes of a SIGCHLD siginfo.
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// childInfo is the part of siginfo_t that describes a child. The union behind the three leading words
// is aligned like a pointer. The order of errno and code differs on mips and is not used.
type childInfo struct {
	signo int32
	_     [2]int32
	_     [0]uintptr // aligns what follows like the union
	pid   int32
	uid   uint32
	stat  int32
}

// waitid asks for the end of one child without blocking. A peek leaves the child as it is.
func waitid(idType, id int, peek bool) (model.Exit, bool, error) {
	opt := unix.WEXITED | unix.WNOHANG
	if peek {
		opt |= unix.WNOWAIT
	}
	for {
		var si unix.Siginfo
		err := unix.Waitid(idType, id, &si, opt, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return model.Exit{}, false, err
		}
		c := (*childInfo)(unsafe.Pointer(&si))
		if c.pid == 0 {
			return model.Exit{}, false, nil
		}
		return exitOf(rawStatus(si.Code, c.stat)), true, nil
	}
}

// rawStatus puts siginfo's split form back into a wait status.
func rawStatus(code, status int32) uint32 {
	switch code {
	case cldKilled:
		return uint32(status) & 0x7f
	case cldDumped:
		return uint32(status)&0x7f | 0x80
	}
	return uint32(status) & 0xff << 8
}
