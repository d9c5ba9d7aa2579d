//go:build amd64 || arm64

package spawn

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// Gated reports whether a program waits for Identified before it executes anything.
func Gated() bool { return true }

const (
	gateFD     = 3   // where a waiting process has its gate
	gateShut   = 253 // exit status of one that was not let through
	passLength = 8   // of the message that lets a process through: the tag of its mark
	reportByte = "R"
	errorByte  = 'E'
)

// gate is between us and a process that exists but has not executed its program. The process reports itself
// and waits; the system says which process it is. It goes on when it is let through, and ends when our end of
// the gate is closed, by us or because we are gone.
type gate struct {
	ours   int
	theirs int // the process's end; give it to Clone, then closeTheirs
}

// newGate makes a gate. The error is *PipeError.
func newGate() (*gate, error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &PipeError{err}
	}
	g := &gate{ours: p[0], theirs: p[1]}
	if err := unix.SetsockoptInt(g.ours, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		g.close()
		return nil, &PipeError{err}
	}
	return g, nil
}

// closeTheirs closes our copy of the process's end, once the process or its maker has it.
func (g *gate) closeTheirs() {
	closeAll([]int{g.theirs})
	g.theirs = -1
}

// close shuts the gate.
func (g *gate) close() {
	g.closeTheirs()
	closeAll([]int{g.ours})
	g.ours = -1
}

// errLate means that no process has come to the gate in time; it may still come.
var errLate = errors.New("spawner: no process has come to the gate in time")

// report waits until the process stands at the gate and is its number. patience 0 = for ever. The errors are
// ErrNobody, errLate, *ForkError and *PipeError.
func (g *gate) report(patience time.Duration) (pid int, err error) {
	tv := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(g.ours, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	var msg [8]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, _, _, err := unix.Recvmsg(g.ours, msg[:], oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, errLate
		case errors.Is(err, unix.ECONNRESET):
			return 0, ErrNobody
		case err != nil:
			return 0, os.NewSyscallError("recvmsg", err)
		case n == 0:
			return 0, ErrNobody
		case n == 5 && msg[0] == errorByte:
			return 0, startError(unix.Errno(binary.LittleEndian.Uint32(msg[1:])))
		case n != 1 || msg[0] != reportByte[0]:
			return 0, errors.New("spawner: something strange at the gate")
		}
		return credPID(oob[:oobn])
	}
}

// credPID is the number of the process that sent a message, as the system says.
func credPID(oob []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err == nil {
		for i := range msgs {
			if c, err := unix.ParseUnixCredentials(&msgs[i]); err == nil && c.Pid > 0 {
				return int(c.Pid), nil
			}
		}
	}
	return 0, errors.New("spawner: a process at the gate without a number")
}

// refuse tells whoever waits for a report that there will be none, because of a system error. It is called
// by a Maker, on the process's end.
func refuse(gate int, err error) {
	errno := unix.EIO
	_ = errors.As(err, &errno)
	var msg [5]byte
	msg[0] = errorByte
	binary.LittleEndian.PutUint32(msg[1:], uint32(errno))
	_ = unix.Sendto(gate, msg[:], unix.MSG_NOSIGNAL, nil) // then it sees the end
}

// startError sorts a system error of a start.
func startError(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return &PipeError{err}
	}
	return &ForkError{err}
}

// pass has the process with this number, a child of ours that waits at the gate, identified, and lets it
// through. When that is refused, the process is ended and reaped, and the reason returned.
func (g *gate) pass(r *Request, pid int) (*Result, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
		pidfd = -1
	case err != nil:
		g.close()
		abandon(procfd.Own(-1, pid))
		return nil, startError(err)
	}
	h := procfd.Own(pidfd, pid)
	if r.Identified != nil {
		err = r.Identified(pid, pidfd)
	} else {
		err = nil
	}
	if err != nil {
		g.close()
		abandon(h)
		return nil, err
	}
	// A process that was killed while it waited cannot be let through; it is a started one that has ended.
	_ = unix.Sendto(g.ours, binary.NativeEndian.AppendUint64(nil, r.Mark.Tag), unix.MSG_NOSIGNAL, nil)
	g.close()
	return &Result{Handle: h, PID: pid, Stdin: -1, Stdout: -1, Stderr: -1}, nil
}
