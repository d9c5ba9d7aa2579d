package app

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/keeper"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
)

// Keeper is this manager's keeper: the link, and what came back over it.
type Keeper struct {
	link  *keeper.Link
	items []keeper.Item
	// signals takes those that the keeper passes on.
	signals func(syscall.Signal)
	// become makes this process the keeper when the keeper is gone; it returns only on failure.
	become func([]keeper.Item) error
	ever   bool // READY was said

	app   atomic.Pointer[App] // who is told; another one after each ordered restart
	leave chan struct{}       // this process is to leave
	lost  chan error          // the keeper is gone
}

// newKeeper wraps the link of keeper.Attach.
func newKeeper(link *keeper.Link, items []keeper.Item, signals func(syscall.Signal), become func([]keeper.Item) error) *Keeper {
	return &Keeper{
		link: link, items: items, signals: signals, become: become,
		leave: make(chan struct{}, 1), lost: make(chan error, 1),
	}
}

// PID is the keeper's pid.
func (k *Keeper) PID() int { return k.link.KeeperPID() }

// continues reports whether an earlier manager has left something to go on with.
func (k *Keeper) continues() bool { return k.link.Previous() != "" }

// rolledBack says why the last upgrade was taken back, empty = it was not.
func (k *Keeper) rolledBack() string {
	if k == nil {
		return ""
	}
	return k.link.RolledBack()
}

// background reports whether this is the first process of a daemon in the background, which is to cut its
// ties to the terminal.
func (k *Keeper) background(s *supervisord.Settings) bool {
	return k != nil && !s.NoDaemon && !k.continues() && !k.ever
}

// ready says, once, that this image works.
func (k *Keeper) ready() error {
	if k.ever {
		return nil
	}
	k.ever = true
	return k.link.Ready()
}

// take removes and returns the item of a key.
func (k *Keeper) take(key string) (keeper.Item, bool) {
	if k == nil {
		return keeper.Item{}, false
	}
	at := slices.IndexFunc(k.items, func(it keeper.Item) bool { return it.Key == key })
	if at < 0 {
		return keeper.Item{}, false
	}
	it := k.items[at]
	k.items = slices.Delete(k.items, at, at+1)
	return it, true
}

// held are the items of instances.
func (k *Keeper) held() []launch.Held {
	if k == nil {
		return nil
	}
	var out []launch.Held
	for _, it := range k.items {
		if launch.Holds(it.Key) {
			out = append(out, launch.Held{Key: it.Key, Roles: it.Roles, FDs: it.FDs, PID: it.PID, Ended: it.Ended, Raw: it.Raw})
		}
	}
	k.items = slices.DeleteFunc(k.items, func(it keeper.Item) bool { return launch.Holds(it.Key) })
	return out
}

// store is the keeper as the launcher needs it.
func (k *Keeper) store() launch.Store { return store{k.link} }

type store struct{ link *keeper.Link }

func (s store) Hold(key, roles string, fds []int) error {
	return s.link.Hold(keeper.Item{Key: key, Roles: roles, FDs: fds})
}

func (s store) Secure(key, roles string, fds []int) error {
	return s.link.Secure(keeper.Item{Key: key, Roles: roles, FDs: fds})
}
func (s store) Bind(key string, pid, pidfd int) error { return s.link.Bind(key, pid, pidfd) }
func (s store) Release(key string) error              { return s.link.Release(key) }
func (s store) Drop(key string) error                 { return s.link.Drop(key) }

// serve obeys the keeper on behalf of a from now on.
func (k *Keeper) serve(a *App) {
	k.app.Store(a)
	k.link.Serve(k.events()) // the link has one reader, which the first call makes
	if text := k.link.RolledBack(); text != "" {
		a.log.Logf(activity.Error, "the upgrade was taken back: %s", text)
	} else if k.continues() && !k.ever {
		a.log.Logf(activity.Warn, "the daemon goes on with pid %d: %s", os.Getpid(), k.link.Previous())
	}
	if k.link.Safe() {
		a.log.Logf(activity.Critical, "the daemon has crashed too often: nothing is started by itself until it is restarted or upgraded")
	}
}

// events tell whoever is served when they come.
func (k *Keeper) events() keeper.Events {
	return keeper.Events{
		Exit:    func(key string, raw uint32) { k.app.Load().host.Told(key, raw) },
		Orphans: k.orphans,
		Signal:  func(sig int) { k.signals(syscall.Signal(sig)) },
		Leave: func() {
			select {
			case k.leave <- struct{}{}:
			default:
			}
		},
		Refused: func(key string, why error) {
			log := k.app.Load().log
			if key == "" {
				log.Logf(activity.Error, "not upgraded, everything runs on: %v", why)
				return
			}
			log.Logf(activity.Error, "the keeper does not hold %s, it would not survive a crash of the daemon: %v", key, why)
		},
		Alive: func(reply func()) { k.app.Load().core.Ping(reply) },
		Lost: func(err error) {
			select {
			case k.lost <- err:
			default:
			}
		},
	}
}

// orphans tells of ended processes that belonged to nothing.
func (k *Keeper) orphans(n, pid int, raw uint32) {
	text := fmt.Sprintf("reaped unknown pid %d (%s)", pid, fdpass.Describe(raw))
	if n > 1 {
		text += fmt.Sprintf(" and %d others", n-1)
	}
	level := activity.Debug
	if k.PID() == 1 { // it is the one who has to
		level = activity.Info
	}
	k.app.Load().log.Logf(level, "%s", text)
}

// hostPatience is how long starts under way are waited for when this process is to be replaced: one that
// hangs is left as it is.
const hostPatience = 3 * time.Second

// keeperLost makes this process the keeper: it has all that the keeper had. Nothing is decided any more.
func (a *App) keeperLost(err error) {
	a.log.Logf(activity.Error, "%v: this process takes the keeper's place", err)
	a.closeHost()
	a.watcher.Close() // so that every descriptor stays what it is
	a.log.Flush()
	if derr := a.pump.Detach(); derr != nil {
		a.log.Logf(activity.Error, "keeper: %v", derr)
	}
	items := a.belongings()
	if err := a.o.Keeper.become(items); err != nil {
		a.log.Logf(activity.Critical, "this process cannot become the keeper: %v", err)
		a.log.Flush()
		os.Exit(1) // the programs run on, and the next start takes them back by the journal
	}
}

// closeHost ends the launching, with some patience.
func (a *App) closeHost() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.host.Close()
	}()
	t := time.NewTimer(hostPatience)
	defer t.Stop()
	select {
	case <-closed:
	case <-t.C:
		a.log.Logf(activity.Warn, "the start of a program hangs, and is left alone")
	}
}

// belongings are the descriptors that a keeper has to hold for a manager like this one.
func (a *App) belongings() []keeper.Item {
	var items []keeper.Item
	for _, h := range a.host.Belongings() {
		items = append(items, keeper.Item{Key: h.Key, Roles: h.Roles, FDs: h.FDs, PID: h.PID})
	}
	for _, e := range a.endpoints {
		if fd, err := e.listener.Descriptor(); err == nil {
			items = append(items, keeper.Item{Key: e.key(), Roles: "l", FDs: []int{fd}})
		}
	}
	if it, ok := a.messages.belonging(); ok {
		items = append(items, it)
	}
	if it, ok := a.o.Keeper.take(lockKey); ok {
		items = append(items, it)
	}
	return items
}

// lockKey is the key of the instance's lock.
const lockKey = "lock"

// upgrade asks for another image of the daemon, and reports whether this process is to leave by itself.
func (a *App) upgrade() (leave bool) {
	if a.o.Keeper == nil {
		return a.o.State != nil
	}
	if err := a.o.Keeper.link.Upgrade(""); err != nil {
		a.log.Logf(activity.Error, "not upgraded, everything runs on: %v", err)
	}
	return false
}
