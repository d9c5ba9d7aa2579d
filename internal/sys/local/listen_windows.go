package local

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// buffer is how much may wait in each direction of a pipe, in bytes.
const buffer = 64 << 10

// listener is a named pipe. There is always one end that nobody has yet, so that the name is never free for others.
type listener struct {
	name string
	sd   *windows.SECURITY_DESCRIPTOR
	end  windows.Handle // an event: the listener is closed
	turn sync.Mutex     // of who accepts

	mu     sync.Mutex
	next   windows.Handle // the end that waits; 0 = there is none
	closed bool
}

// Listen makes the pipe that stands for a path. Only this user, administrators and the system can connect, and only from
// this machine. Errors: ErrBusy when the name is taken, by whomever.
func Listen(path string) (net.Listener, error) {
	me, err := self()
	if err != nil {
		return nil, err
	}
	// P: nothing is inherited. GA: everything; SY: the system; BA: administrators.
	sd, err := windows.SecurityDescriptorFromString(fmt.Sprintf("O:%[1]sD:P(A;;GA;;;%[1]s)(A;;GA;;;SY)(A;;GA;;;BA)", me))
	if err != nil {
		return nil, fmt.Errorf("a security descriptor: %w", err)
	}
	l := &listener{name: Name(path), sd: sd}
	if taken(l.name) { // the flag below says the same at once, where the system heeds it
		return nil, &net.OpError{Op: "listen", Net: "pipe", Addr: address(l.name), Err: ErrBusy}
	}
	if l.end, err = windows.CreateEvent(nil, 1, 0, nil); err != nil {
		return nil, err
	}
	if l.next, err = l.make(windows.FILE_FLAG_FIRST_PIPE_INSTANCE); err != nil {
		_ = windows.CloseHandle(l.end)
		// The name exists: of another one who knows this rule, or of somebody whose pipe admits one end alone.
		if errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_PIPE_BUSY) || errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
			err = ErrBusy
		}
		return nil, &net.OpError{Op: "listen", Net: "pipe", Addr: address(l.name), Err: err}
	}
	return l, nil
}

// taken reports whether somebody has a pipe of a name.
func taken(name string) bool {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return false
	}
	h, err := windows.CreateFile(p, windows.READ_CONTROL, 0, nil, windows.OPEN_EXISTING, windows.SECURITY_SQOS_PRESENT|windows.SECURITY_ANONYMOUS, 0)
	if err == nil {
		_ = windows.CloseHandle(h)
	}
	return !errors.Is(err, windows.ERROR_FILE_NOT_FOUND)
}

// make makes one more end.
func (l *listener) make(flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(l.name)
	if err != nil {
		return 0, err
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: l.sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	const access = windows.PIPE_ACCESS_DUPLEX | windows.FILE_FLAG_OVERLAPPED
	const kind = windows.PIPE_TYPE_BYTE | windows.PIPE_READMODE_BYTE | windows.PIPE_WAIT | windows.PIPE_REJECT_REMOTE_CLIENTS
	h, err := windows.CreateNamedPipe(name, access|flags, kind, windows.PIPE_UNLIMITED_INSTANCES, buffer, buffer, 0, sa)
	if err != nil {
		return 0, err
	}
	return h, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	for {
		h, err := l.take()
		if err != nil {
			return nil, &net.OpError{Op: "accept", Net: "pipe", Addr: address(l.name), Err: err}
		}
		if err := l.connect(h); errors.Is(err, windows.ERROR_NO_DATA) { // who connected has gone again
			_ = windows.CloseHandle(h)
			continue
		} else if err != nil {
			_ = windows.CloseHandle(h)
			return nil, &net.OpError{Op: "accept", Net: "pipe", Addr: address(l.name), Err: err}
		}
		l.prepare()
		return newConn(h, l.name), nil
	}
}

// take is the end that nobody has yet.
func (l *listener) take() (windows.Handle, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, net.ErrClosed
	}
	if l.next == 0 {
		return l.make(0)
	}
	h := l.next
	l.next = 0
	return h, nil
}

// prepare makes the next end before the one at hand can be closed: the name stays ours. When that is impossible just now,
// who accepts next tries again and tells.
func (l *listener) prepare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.next != 0 {
		return
	}
	if h, err := l.make(0); err == nil {
		l.next = h
	}
}

// connect waits until somebody has connected to an end.
func (l *listener) connect(h windows.Handle) error {
	ready, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(ready)
	o := &windows.Overlapped{HEvent: ready}
	switch err := windows.ConnectNamedPipe(h, o); {
	case err == nil, errors.Is(err, windows.ERROR_PIPE_CONNECTED):
		return nil
	case !errors.Is(err, windows.ERROR_IO_PENDING):
		return err
	}
	n := uint32(0)
	which, err := windows.WaitForMultipleObjects([]windows.Handle{ready, l.end}, false, windows.INFINITE)
	if err != nil || which != windows.WAIT_OBJECT_0 {
		_ = windows.CancelIoEx(h, o)
		_ = windows.GetOverlappedResult(h, o, &n, true) // o must not be written any more when it goes
		if err == nil {
			err = net.ErrClosed
		}
		return err
	}
	return windows.GetOverlappedResult(h, o, &n, false)
}

// Close implements net.Listener. Connections that were accepted stay.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return &net.OpError{Op: "close", Net: "pipe", Addr: address(l.name), Err: net.ErrClosed}
	}
	l.closed = true
	h := l.next
	l.next = 0
	l.mu.Unlock()
	if h != 0 {
		_ = windows.CloseHandle(h)
	}
	_ = windows.SetEvent(l.end)
	l.turn.Lock() // who accepts has seen the event
	defer l.turn.Unlock()
	return windows.CloseHandle(l.end)
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.name) }
