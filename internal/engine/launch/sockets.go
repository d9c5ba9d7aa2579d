package launch

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/socket"
)

// sockets are those of FastCGI programs. One is made with the first process that needs it, stays while a program
// of its section is up, across ends and restarts, and is closed when the last has come to rest.
// Source: spec/supervisor 2.11, F32.
type sockets struct {
	store Store // nil = nobody keeps them
	log   *activity.Logger

	files sync.Mutex // held while sockets are made and closed, which may hang with a file system

	mu    sync.Mutex // of what follows; never held for long
	byURL map[string]*shared
	dying []*shared // not closed yet
}

// shared is one socket.
type shared struct {
	*socket.Socket
	spec    model.SocketSpec
	section string // whose it is; empty = not known yet
	users   map[model.ID]bool
}

const (
	socketPrefix = "f/" // of keys in the store
	roleSocket   = 'l'
)

func newSockets(s Store, log *activity.Logger) *sockets {
	return &sockets{store: s, log: log, byURL: map[string]*shared{}}
}

// SocketError says why there is no socket for a program.
type SocketError struct {
	URL string
	Err error
}

// Error is spawnerr.
func (e *SocketError) Error() string {
	return fmt.Sprintf("Could not create FastCGI socket %s: %v", e.URL, e.Err)
}

// Unwrap is the cause.
func (e *SocketError) Unwrap() error { return e.Err }

// use gives a program its socket, until leave is called for it. The error is a *SocketError.
func (t *sockets) use(p *model.Program) (*os.File, error) {
	t.files.Lock()
	defer t.files.Unlock()
	t.leave(p.ID, p.Socket.URL) // of another address that it had before
	t.bury()
	s, err := t.find(p)
	if err == nil && s == nil {
		s, err = t.open(p)
	} else if err == nil && !same(&s.spec, p.Socket) {
		if err = s.Adjust(p.Socket); err == nil {
			s.spec = *p.Socket
		}
	}
	if err != nil {
		return nil, &SocketError{p.Socket.URL, err}
	}
	return s.File(), nil
}

// find makes a program a user of the socket that there is; nil = there is none.
func (t *sockets) find(p *model.Program) (*shared, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byURL[p.Socket.URL]
	switch {
	case s == nil:
		return nil, nil
	case s.section == "":
		s.section, s.spec = p.Section, *p.Socket
	case s.section != p.Section:
		return nil, fmt.Errorf("it belongs to [fcgi-program:%s]", s.section)
	}
	s.users[p.ID] = true
	return s, nil
}

// open makes the socket; files is held.
func (t *sockets) open(p *model.Program) (*shared, error) {
	t.log.Logf(activity.Info, "Creating socket %s", p.Socket.URL)
	made, err := socket.Open(p.Socket)
	if err != nil {
		return nil, err
	}
	return t.add(made, p), nil
}

// add takes a socket into the table, and gives it to the store.
func (t *sockets) add(made *socket.Socket, p *model.Program) *shared {
	s := &shared{made, *p.Socket, p.Section, map[model.ID]bool{p.ID: true}}
	t.mu.Lock()
	t.byURL[p.Socket.URL] = s
	t.mu.Unlock()
	if t.store != nil { // who reports a lost keeper is its link
		_ = t.store.Hold(socketPrefix+p.Socket.URL, string(roleSocket), []int{int(made.File().Fd())})
	}
	return s
}

// same reports whether two settings of one address are equal.
func same(a, b *model.SocketSpec) bool {
	owner := func(s *model.SocketSpec) model.Owner {
		if s.Owner == nil {
			return model.Owner{UID: -1, GID: -1}
		}
		return *s.Owner
	}
	return a.Mode == b.Mode && a.Backlog == b.Backlog && owner(a) == owner(b)
}

// leave says that a program needs none of its sockets any more, except for one. It reports whether there is
// something to bury.
func (t *sockets) leave(id model.ID, except string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for url, s := range t.byURL {
		if url == except || !s.users[id] {
			continue
		}
		if delete(s.users, id); len(s.users) == 0 {
			delete(t.byURL, url)
			t.dying = append(t.dying, s)
		}
	}
	return len(t.dying) > 0
}

// bury closes what nobody needs; files is held.
func (t *sockets) bury() {
	t.mu.Lock()
	dying := t.dying
	t.dying = nil
	t.mu.Unlock()
	for _, s := range dying {
		t.log.Logf(activity.Info, "Closing socket %s", s.spec.URL)
		if t.store != nil {
			_ = t.store.Drop(socketPrefix + s.spec.URL)
		}
		s.Close()
	}
}

// inherit takes a socket that a predecessor has opened. Until somebody uses it, it belongs to no section.
func (t *sockets) inherit(it Held) {
	url := strings.TrimPrefix(it.Key, socketPrefix)
	fd := it.fd(roleSocket)
	if fd < 0 {
		return
	}
	if f := os.NewFile(uintptr(fd), url); !socket.Listens(f) {
		_ = f.Close()
	} else {
		t.byURL[url] = &shared{socket.Adopt(f, url), model.SocketSpec{URL: url}, "", map[model.ID]bool{}}
	}
}

// belongings are the sockets for a successor of this process.
func (t *sockets) belongings() (out []Held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for url, s := range t.byURL {
		out = append(out, Held{Key: socketPrefix + url, Roles: string(roleSocket), FDs: []int{int(s.File().Fd())}})
	}
	return out
}

// closeUnused gives up what has no users.
func (t *sockets) closeUnused() {
	t.files.Lock()
	defer t.files.Unlock()
	t.mu.Lock()
	for url, s := range t.byURL {
		if len(s.users) == 0 {
			delete(t.byURL, url)
			t.dying = append(t.dying, s)
		}
	}
	t.mu.Unlock()
	t.bury()
}

// ResumeSockets goes on with the sockets of programs that are up. Call it when all programs are resumed, and before
// Serve: what nobody needs any more is closed. A socket that nobody has kept is taken back from a living process.
func (h *Host) ResumeSockets(slots []*core.Slot) {
	t := h.sockets
	for _, s := range slots {
		st := s.Status()
		p := st.Program
		if p.Socket == nil || st.State.Down() && st.PID == 0 {
			continue
		}
		if found, err := t.find(p); err != nil || found != nil || st.PID == 0 {
			continue
		}
		if old, err := socket.Recover(st.PID, p.Socket); err == nil {
			t.add(old, p)
		} else {
			t.log.Logf(activity.Warn, "the socket %s of %s is not known any more, its next process makes a new one: %v", p.Socket.URL, p.ID, err)
		}
	}
	t.closeUnused()
}

// Rest closes the socket of a program that has come to rest, when no other program needs it.
func (h *Host) Rest(id model.ID) {
	if !h.sockets.leave(id, "") {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return // CloseSockets or a successor does it
	}
	h.working.Go(func() {
		h.sockets.files.Lock()
		defer h.sockets.files.Unlock()
		h.sockets.bury()
	})
}

// CloseSockets closes all sockets. Call it when every program has stopped for good.
func (h *Host) CloseSockets() {
	t := h.sockets
	t.mu.Lock()
	for _, s := range t.byURL {
		clear(s.users)
	}
	t.mu.Unlock()
	t.closeUnused()
}
