package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// removeAll removes a group and those below it, from the bottom; ErrBusy when there are members.
func removeAll(dir string) error {
	err := os.Remove(dir)
	switch {
	case err == nil || vanished(err):
		return nil
	case !errors.Is(err, unix.EBUSY):
		return fmt.Errorf("control group: %w", err)
	}
	var all []string
	if err := walk(dir, func(d string) error {
		all = append(all, d)
		return nil
	}); err != nil {
		return err
	}
	for _, d := range slices.Backward(all) {
		switch err := os.Remove(d); {
		case err == nil || vanished(err):
		case errors.Is(err, unix.EBUSY):
			return ErrBusy
		default:
			return fmt.Errorf("control group: %w", err)
		}
	}
	return nil
}

// later has a busy group removed when its last member ends.
func (t *Tree) later(dir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrBusy
	}
	if t.pending == nil {
		r, err := newRemover()
		if err != nil {
			return err
		}
		t.pending = r
	}
	return t.pending.watch(dir)
}

// remover removes groups when the kernel says that they have become empty. It has one descriptor and one
// goroutine for all.
type remover struct {
	events *os.File // inotify
	done   chan struct{}

	mu   sync.Mutex
	dirs map[int32]string // by watch
}

func newRemover() (*remover, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	r := &remover{events: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}), dirs: map[int32]string{}}
	go r.loop()
	return r, nil
}

// watch adds a group, and tries once more: it may have become empty before.
func (r *remover) watch(dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, err := r.events.SyscallConn()
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	wd := -1
	if e := raw.Control(func(fd uintptr) {
		wd, err = unix.InotifyAddWatch(int(fd), dir+"/cgroup.events", unix.IN_MODIFY)
	}); e != nil {
		err = e
	}
	if vanished(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control group: %w", os.NewSyscallError("inotify_add_watch", err))
	}
	r.dirs[int32(wd)] = dir
	if removeAll(dir) == nil {
		delete(r.dirs, int32(wd)) // the watch goes with the directory
	}
	return nil
}

// loop ends when events is closed.
func (r *remover) loop() {
	defer close(r.done)
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := r.events.Read(buf)
		if err != nil {
			return
		}
		r.handle(buf[:n])
	}
}

func (r *remover) handle(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		b = b[unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:])):]
		if mask&unix.IN_Q_OVERFLOW != 0 { // events were lost: any may have become empty
			for wd, dir := range r.dirs {
				r.tryLocked(wd, dir)
			}
			continue
		}
		if dir, ok := r.dirs[wd]; ok {
			r.tryLocked(wd, dir)
		}
	}
}

// tryLocked removes a group if it is empty. Trouble other than members ends the trying.
func (r *remover) tryLocked(wd int32, dir string) {
	if err := removeAll(dir); !errors.Is(err, ErrBusy) {
		delete(r.dirs, wd)
	}
}

func (r *remover) close() {
	_ = r.events.Close()
	<-r.done
}
