package reactor

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// portBackend serves one completion port by several workers, each taking one event at a time.
//
// A pipe is readable when a read of no bytes completes; it must have been opened for overlapped work, and no other
// reactor may ever have watched it. Any other handle is waited for until it is signalled: a process until it has ended,
// an event until it is set.
type portBackend struct {
	workers
	port    windows.Handle
	calls   *calls
	regs    map[*Registration]*watched
	byKey   map[uintptr]*watched
	reads   map[*windows.Overlapped]*watched // under way, also of those that were removed: the system writes there
	lastKey uintptr
}

// watched is what belongs to a registration.
type watched struct {
	g      *Registration
	handle windows.Handle
	key    uintptr
	pipe   bool

	read    *windows.Overlapped // under way; nil = none
	waiting windows.Handle      // of the system's wait; 0 = none
	notice  *notice             // where that wait reports; kept as long as it may
}

// notice is what the system's wait is given: it lies still and outlives the wait.
type notice struct {
	port windows.Handle
	key  uintptr
}

// The keys of completions that are no reads.
const stopKey uintptr = 0

// The flags of RegisterWaitForSingleObject.
const (
	executeInWaitThread = 0x4
	executeOnlyOnce     = 0x8
)

// calls are the functions of the system that package windows does not have.
type calls struct {
	register, unregister *windows.LazyProc
	posted               uintptr // a function that puts a notice into its port
}

// system finds the functions once: what is made for the system to call is never freed.
var system = sync.OnceValues(func() (*calls, error) {
	dll := windows.NewLazySystemDLL("kernel32.dll")
	c := &calls{register: dll.NewProc("RegisterWaitForSingleObject"), unregister: dll.NewProc("UnregisterWaitEx")}
	if err := errors.Join(c.register.Find(), c.unregister.Find()); err != nil {
		return nil, err
	}
	c.posted = windows.NewCallback(func(n *notice, _ uintptr) uintptr {
		_ = windows.PostQueuedCompletionStatus(n.port, 0, n.key, nil)
		return 0
	})
	return c, nil
})

func newBackend(o Options, t *timers) (backend, error) {
	c, err := system()
	if err != nil {
		return nil, err
	}
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("CreateIoCompletionPort: %w", err)
	}
	b := &portBackend{
		port: port, calls: c, regs: map[*Registration]*watched{},
		byKey: map[uintptr]*watched{}, reads: map[*windows.Overlapped]*watched{}, lastKey: stopKey,
	}
	b.employ(o, t, b.worker)
	return b, nil
}

func (b *portBackend) worker() {
	for {
		var count uint32
		var key uintptr
		var read *windows.Overlapped
		err := windows.GetQueuedCompletionStatus(b.port, &count, &key, &read, windows.INFINITE)
		if err != nil && read == nil {
			return // only possible when the port is gone
		}
		g, quit := b.enter(key, read)
		if quit {
			return
		}
		if g != nil {
			g.run()
		}
		if b.leave() {
			return
		}
	}
}

// enter looks up whom a completion is for and notes that this worker is busy. A read that fails is the end of the pipe,
// or of the registration.
func (b *portBackend) enter(key uintptr, read *windows.Overlapped) (g *Registration, quit bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.byKey[key]
	if read != nil {
		w = b.reads[read]
		delete(b.reads, read)
		if w != nil && w.read == read {
			w.read = nil
		}
	}
	if b.closing {
		return nil, read == nil // reads are waited for
	}
	if w != nil && b.regs[w.g] == w {
		g = w.g
	}
	b.beginLocked()
	return g, false
}

func (b *portBackend) add(g *Registration) error {
	h := windows.Handle(uint32(g.fd)) // handles have no more significant bits
	kind, err := windows.GetFileType(h)
	w := &watched{g: g, handle: h, pipe: err == nil && kind == windows.FILE_TYPE_PIPE}
	switch {
	case w.pipe && g.ev != Readable:
		return errors.ErrUnsupported // nothing tells when there is room
	case w.pipe:
		if _, err := windows.CreateIoCompletionPort(h, b.port, stopKey, 0); err != nil {
			return fmt.Errorf("not a pipe for overlapped work: %w", err)
		}
	case err == nil && kind == windows.FILE_TYPE_DISK:
		return errors.ErrUnsupported
	default:
		// A wait would find out too late that there is no such handle.
		self := windows.CurrentProcess()
		var same windows.Handle
		if err := windows.DuplicateHandle(self, h, self, &same, 0, false, windows.DUPLICATE_SAME_ACCESS); err != nil {
			return err
		}
		windows.CloseHandle(same)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastKey++
	w.key = b.lastKey
	b.regs[g], b.byKey[w.key] = w, w
	err = b.awaitLocked(w)
	if err != nil {
		delete(b.regs, g)
		delete(b.byKey, w.key)
	}
	return err
}

// awaitLocked has a completion come when the handle is ready.
func (b *portBackend) awaitLocked(w *watched) error {
	if w.pipe {
		if w.read != nil {
			return nil // that of before a kick
		}
		read := new(windows.Overlapped)
		w.read, b.reads[read] = read, w
		err := windows.ReadFile(w.handle, nil, nil, read)
		if err == nil || errors.Is(err, windows.ERROR_IO_PENDING) {
			return nil
		}
		delete(b.reads, read)
		w.read = nil
		if errors.Is(err, windows.ERROR_INVALID_HANDLE) {
			return err
		}
		b.postLocked(w) // the end of the pipe
		return nil
	}
	b.endWaitLocked(w)
	n := &notice{b.port, w.key}
	var wait windows.Handle
	ok, _, err := b.calls.register.Call(uintptr(unsafe.Pointer(&wait)), uintptr(w.handle), b.calls.posted,
		uintptr(unsafe.Pointer(n)), windows.INFINITE, executeInWaitThread|executeOnlyOnce)
	if ok == 0 {
		return err
	}
	w.waiting, w.notice = wait, n
	return nil
}

// endWaitLocked ends the system's wait; when it returns nothing is reported by it any more.
func (b *portBackend) endWaitLocked(w *watched) {
	if w.waiting != 0 {
		_, _, _ = b.calls.unregister.Call(uintptr(w.waiting), uintptr(windows.InvalidHandle))
		w.waiting, w.notice = 0, nil
	}
}

func (b *portBackend) postLocked(w *watched) {
	_ = windows.PostQueuedCompletionStatus(b.port, 0, w.key, nil)
}

// arm re-arms; it can fail only when the owner has closed the handle under us, and then there is nothing left to watch.
func (b *portBackend) arm(g *Registration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.regs[g]; w != nil && !b.closing {
		_ = b.awaitLocked(w)
	}
	return nil
}

// pause: nobody waits for a handle that is disarmed.
func (b *portBackend) pause(*Registration) {}

func (b *portBackend) kick(g *Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.regs[g]; w != nil && !b.closing {
		b.postLocked(w)
	}
}

func (b *portBackend) remove(g *Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.regs[g]; w != nil {
		b.forgetLocked(w)
	}
}

// forgetLocked ends what is under way for a registration. The completion of its read still comes.
func (b *portBackend) forgetLocked(w *watched) {
	delete(b.regs, w.g)
	delete(b.byKey, w.key)
	b.endWaitLocked(w)
	if w.read != nil {
		_ = windows.CancelIoEx(w.handle, w.read)
	}
}

// close ends the workers, and then takes what the cancelled reads report.
func (b *portBackend) close() {
	b.mu.Lock()
	b.closing = true
	for _, w := range b.regs {
		b.forgetLocked(w)
	}
	for range b.total {
		_ = windows.PostQueuedCompletionStatus(b.port, 0, stopKey, nil)
	}
	b.mu.Unlock()
	b.wg.Wait()
	for len(b.reads) > 0 {
		var count uint32
		var key uintptr
		var read *windows.Overlapped
		if err := windows.GetQueuedCompletionStatus(b.port, &count, &key, &read, windows.INFINITE); err != nil && read == nil {
			break
		}
		delete(b.reads, read)
	}
	windows.CloseHandle(b.port)
}
