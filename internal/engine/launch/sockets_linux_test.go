package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// shelf is a store that notes what it is asked.
type shelf struct{ calls []string }

func (s *shelf) note(format string, args ...any) error {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	return nil
}

func (s *shelf) Hold(key, roles string, fds []int) error {
	return s.note("hold %s %s %d", filepath.Base(key), roles, len(fds))
}
func (s *shelf) Secure(key, _ string, _ []int) error { return s.note("secure %s", key) }
func (s *shelf) Bind(key string, _, _ int) error     { return s.note("bind %s", key) }
func (s *shelf) Release(key string) error            { return s.note("release %s", key) }
func (s *shelf) Drop(key string) error               { return s.note("drop %s", filepath.Base(key)) }

// member is a program of a FastCGI section that has its socket in dir.
func member(dir, section, name, file string, mode uint32) *model.Program {
	return &model.Program{
		ID: model.ID{Group: "g", Name: name}, Section: section, Kind: model.KindFastCGI,
		Socket: &model.SocketSpec{URL: "unix://" + filepath.Join(dir, file), Mode: mode},
	}
}

func newTable(t *testing.T) (*sockets, *shelf, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log, err := activity.New(activity.Options{Level: activity.Debug, Path: filepath.Join(t.TempDir(), "log"), Files: logs.NewStore()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	store := &shelf{}
	return newSockets(store, log), store, dir
}

func (t *sockets) release(p *model.Program) {
	t.leave(p.ID, "")
	t.closeUnused()
}

func there(p *model.Program) bool {
	_, err := os.Lstat(strings.TrimPrefix(p.Socket.URL, "unix://"))
	return !errors.Is(err, fs.ErrNotExist)
}

func TestSocketsAreCounted(t *testing.T) {
	table, store, dir := newTable(t)
	a, b := member(dir, "f", "a", "x", 0o700), member(dir, "f", "b", "x", 0o700)
	stranger := member(dir, "other", "c", "x", 0o700)
	f, err := table.use(a)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // it is the same at every start
		if again, err := table.use(b); err != nil || again != f {
			t.Fatal(again, err)
		}
	}
	var refused *SocketError
	if _, err := table.use(stranger); !errors.As(err, &refused) || !strings.HasSuffix(err.Error(), "it belongs to [fcgi-program:f]") {
		t.Errorf("another section: %v", err)
	}
	table.release(stranger)
	table.release(a)
	if !there(b) {
		t.Error("it went with the first")
	}
	table.release(b)
	if there(b) || len(table.byURL)+len(table.dying) > 0 {
		t.Error("it stays")
	}
	if _, err := table.use(stranger); err != nil {
		t.Errorf("another section, now that it is free: %v", err)
	}
	if d := cmp.Diff([]string{"hold x l 1", "drop x", "hold x l 1"}, store.calls); d != "" {
		t.Error(d)
	}
	table.release(stranger)
}

// A program that moves to another address gives up the one it had; other settings are put into force in place.
func TestSocketsChange(t *testing.T) {
	table, store, dir := newTable(t)
	a, b := member(dir, "f", "a", "x", 0o700), member(dir, "f", "b", "x", 0o700)
	for _, p := range []*model.Program{a, b} {
		if _, err := table.use(p); err != nil {
			t.Fatal(err)
		}
	}
	next := member(dir, "f", "a", "x", 0o600)
	if _, err := table.use(next); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "x")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	for k, p := range []*model.Program{member(dir, "f", "a", "y", 0o700), member(dir, "f", "b", "y", 0o700)} {
		if _, err := table.use(p); err != nil {
			t.Fatal(err)
		}
		if there(a) != (k == 0) {
			t.Errorf("after %d have moved the old one is there: %v", k+1, there(a))
		}
	}
	if d := cmp.Diff([]string{"hold x l 1", "hold y l 1", "drop x"}, store.calls); d != "" {
		t.Error(d)
	}
	table.release(b)
	table.release(a)
}

// What is about to be closed does not stand in the way of one who comes at that moment.
func TestSocketsDieInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	table, _, _ := newTable(t)
	p := &model.Program{ID: model.ID{Group: "g", Name: "a"}, Section: "f", Socket: &model.SocketSpec{URL: "tcp://" + address}}
	for range 50 {
		if _, err := table.use(p); err != nil {
			t.Fatal(err)
		}
		if !table.leave(p.ID, "") { // it is not buried yet
			t.Fatal("nothing to bury")
		}
	}
	if _, err := table.use(p); err != nil {
		t.Fatal(err)
	}
	table.release(p)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("somebody listens")
	}
}

// A successor goes on with what is used, and closes the rest.
func TestSocketsAreInherited(t *testing.T) {
	old, _, dir := newTable(t)
	used, unused := member(dir, "f", "a", "x", 0o700), member(dir, "h", "b", "y", 0o700)
	for _, p := range []*model.Program{used, unused} {
		if _, err := old.use(p); err != nil {
			t.Fatal(err)
		}
	}
	var held []Held
	for _, it := range old.belongings() {
		fd, err := syscall.Dup(it.FDs[0])
		if err != nil {
			t.Fatal(err)
		}
		it.FDs = []int{fd}
		if !Holds(it.Key) {
			t.Errorf("%s is not taken for ours", it.Key)
		}
		held = append(held, it)
	}
	r := newRig(t, nil, nil)
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	held = append(held, Held{Key: socketPrefix + "unix:///no/socket", Roles: "l", FDs: []int{null}}, Held{Key: socketPrefix + "tcp://x", Roles: "l"})
	r.host.Inherit(held, nil)
	next := r.host.sockets
	if found, err := next.find(used); err != nil || found == nil {
		t.Fatal(found, err)
	}
	next.closeUnused()
	if !there(used) || there(unused) || len(next.byURL) != 1 {
		t.Errorf("%v, %v, %d sockets", there(used), there(unused), len(next.byURL))
	}
	if _, err := next.use(member(dir, "stranger", "s", "x", 0o700)); err == nil {
		t.Error("a stranger got what is in use")
	}
	if !slices.ContainsFunc(r.host.Belongings(), func(it Held) bool { return it.Key == socketPrefix+used.Socket.URL }) {
		t.Error("it is not handed on")
	}
	r.host.CloseSockets()
	if there(used) {
		t.Error("it stays after an ordered end")
	}
}
