package notified

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Socket receives messages.
type Socket struct {
	conn *net.UnixConn
	path string
	slow chan struct{} // a place for each close under way
}

// Listen makes the socket at a path, in the place of one that was left there. Everybody who can reach the path may write to
// it when open is set, else its owner alone.
func Listen(path string, open bool) (*Socket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("socket for messages of programs: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("socket for messages of programs: %w", err)
	}
	mode := fs.FileMode(0o600)
	if open {
		mode = 0o666
	}
	if err := os.Chmod(path, mode); err != nil {
		conn.Close()
		return nil, fmt.Errorf("socket for messages of programs: %w", err)
	}
	return prepare(conn, path)
}

// Adopt goes on with a socket that was held meanwhile, which is closed on failure; what was sent to it is not lost.
func Adopt(fd int, path string) (*Socket, error) {
	f := os.NewFile(uintptr(fd), path)
	if f == nil {
		return nil, os.ErrInvalid
	}
	defer f.Close() // the connection has a copy
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil, fmt.Errorf("socket for messages of programs: %s is not there any more", path)
	}
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("socket for messages of programs: %w", err)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("socket for messages of programs: it is another one")
	}
	return prepare(u, path)
}

// prepare has the kernel tell who sends.
func prepare(conn *net.UnixConn, path string) (*Socket, error) {
	raw, err := conn.SyscallConn()
	if err == nil {
		var serr error
		err = raw.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		err = errors.Join(err, serr)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("socket for messages of programs: %w", err)
	}
	return &Socket{conn: conn, path: path, slow: make(chan struct{}, maxSlow)}, nil
}

// Path is where programs find it.
func (s *Socket) Path() string { return s.path }

// Descriptor is the socket's own, for a holder; it stays the socket's.
func (s *Socket) Descriptor() (int, error) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	out := -1
	err = raw.Control(func(fd uintptr) { out = int(fd) })
	return out, err
}

// The pace of reading, some thousand messages a second: a program that floods makes itself wait, not us.
const (
	burst = 64
	pause = 20 * time.Millisecond
)

// Run gives each message to hear, one after the other, until ctx ends or the socket is closed.
func (s *Socket) Run(ctx context.Context, hear func(Message)) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var text [maxMessage + 1]byte
	var oob [2048]byte
	wait := time.NewTimer(time.Hour)
	defer wait.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		if n%burst == 0 {
			wait.Reset(pause)
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
		}
		size, rights, _, _, err := s.conn.ReadMsgUnix(text[:], oob[:])
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("messages of programs: %w", err)
		}
		s.take(text[:size], oob[:rights], hear)
	}
	return nil
}

// take gives one datagram on, and closes what came with it after that.
func (s *Socket) take(text, oob []byte, hear func(Message)) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	var sender *unix.Ucred
	for i := range list {
		if cred, err := unix.ParseUnixCredentials(&list[i]); err == nil {
			sender = cred
		}
		if fds, err := unix.ParseUnixRights(&list[i]); err == nil {
			for _, fd := range fds {
				defer s.discard(fd)
			}
		}
	}
	if sender == nil || sender.Pid <= 0 || len(text) > maxMessage { // of another name space of processes: not known
		return
	}
	m := Parse(text)
	m.PID, m.UID = int(sender.Pid), int(sender.Uid)
	hear(m)
}

// maxSlow is how many descriptors may be about to be closed at a time. Who sends more has all wait.
const maxSlow = 64

// discard closes a descriptor that came along. Anybody may send one, so that it must not be waited for what has not been written
// to wherever it leads: a socket lets go of that, and all but pipes and sockets is closed beside, which ends when the system lets it.
func (s *Socket) discard(fd int) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFSOCK:
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{}) // else it has none
			unix.Close(fd)
			return
		case unix.S_IFIFO:
			unix.Close(fd)
			return
		}
	}
	s.slow <- struct{}{}
	go func() {
		unix.Close(fd)
		<-s.slow
	}()
}

// Close lets go of the socket; keep leaves its path for a successor.
func (s *Socket) Close(keep bool) error {
	err := s.conn.Close()
	if !keep {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}
