//go:build darwin || freebsd

package spawn

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// forker forks on the caller's thread: this system has no umask of a thread's own, so requests with a
// umask go through the shim.
type forker struct{}

func (f *forker) start(int) {}
func (f *forker) stop()     {}

func (f *forker) fork(o *order) (pid, pidfd int, err error) {
	pid, err = syscall.ForkExec(o.path, o.argv, &o.attr)
	return pid, -1, err
}

func (o *order) join(int) {} // there are no control groups

func (f *forker) canUmask(umask int) bool { return umask < 0 }

func (f *forker) oddPrivileges() bool { return false }

// awaitEnd waits until a child, which has been killed, has ended, and leaves it to be reaped.
func awaitEnd(pid int) { procfd.AwaitEnd(pid) }

// unlisted is how many descriptors are looked at where the system lists those of a process only if it is mounted so
// (FreeBSD): more than a parent leaves open.
const unlisted = 1 << 12

func closeOnExec() error {
	for fd := 3; fd < unlisted; fd++ {
		syscall.CloseOnExec(fd) // does nothing to one that is not open
	}
	return markListed("/dev/fd")
}

func selfPath() (string, error) { return os.Executable() }

func requestFile(msg []byte) (*os.File, error) { return unlinkedFile(msg) }

func ignoredSignals() []os.Signal {
	var out []os.Signal
	for n := syscall.Signal(1); n < 32; n++ {
		if signal.Ignored(n) {
			out = append(out, n)
		}
	}
	return out
}
