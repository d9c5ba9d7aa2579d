package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	wire "github.com/upkeep-project/upkeep/internal/wire/keeper"
)

// state is what a keeper knows beside its items, on the way through an execution of its image. Another
// release reads it: fields are added, never changed.
type state struct {
	Timings   Timings
	Socket    string
	Path      string // of the image
	Image     int    // descriptor
	Link      int    // descriptor, -1 = there is no manager
	Listener  int    // descriptor, -1 = none
	EverReady bool
	Last      string
	Orphans   uint64
	OrphanPID int
	OrphanRaw uint32

	Manager      int // pid
	ManagerPidfd int
	ReadyFor     time.Duration
	Safe         bool
	Backoff      int
	Crashes      []time.Duration // ago

	pending []int // signals; they stand at the end of a manifest
}

// Flags of an item in a manifest, in Message.Number.
const flagWatched = 1

// manifestLimit bounds a manifest, in bytes.
const manifestLimit = 1 << 30

// execute executes the image in this process with everything that a keeper needs. signals lists, at the
// last moment, those that wait to be told. It returns only on failure; then nothing has changed.
func execute(s state, items []*held, argv, env []string, signals func() []int) error {
	f, err := fdpass.Memory("upkeep-keeper")
	if err != nil {
		return err
	}
	defer f.Close()
	inherited := []int{int(f.Fd()), s.Image}
	for _, fd := range []int{s.Link, s.Listener, s.ManagerPidfd} {
		if fd >= 0 {
			inherited = append(inherited, fd)
		}
	}
	for _, h := range items {
		inherited = append(inherited, h.FDs...)
	}
	if err := writeManifest(f, s, items); err != nil {
		return err
	}
	var own []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, manifestVariable+"=") && !strings.HasPrefix(kv, linkVariable+"=") {
			own = append(own, kv)
		}
	}
	own = append(own, manifestVariable+"="+strconv.Itoa(int(f.Fd())))
	err = fdpass.Inherit(inherited, true)
	if err == nil {
		err = writeSignals(f, signals())
	}
	if err == nil {
		err = fdpass.Exec(s.Image, argv, own)
	}
	_ = fdpass.Inherit(inherited, false)
	return err
}

// writeManifest writes the state and the items, each behind its length.
func writeManifest(w io.Writer, s state, items []*held) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	out := binary.AppendUvarint(nil, uint64(len(b)))
	out = append(out, b...)
	for _, h := range items {
		m := h.message()
		m.FDs = h.FDs
		if h.watched {
			m.Number |= flagWatched
		}
		b = m.Append(b[:0])
		out = binary.AppendUvarint(out, uint64(len(b)))
		out = append(out, b...)
		if len(out) > wire.MaxSize {
			if _, err := w.Write(out); err != nil {
				return fmt.Errorf("manifest: %w", err)
			}
			out = out[:0]
		}
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

// writeSignals writes the signals that wait, in order.
func writeSignals(w io.Writer, signals []int) error {
	var out []byte
	for _, n := range signals {
		m := wire.Message{Type: wire.Signal, Number: uint64(n)}
		b := m.Append(nil)
		out = append(binary.AppendUvarint(out, uint64(len(b))), b...)
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

// readManifest reads what writeManifest and writeSignals wrote. The items' Number holds their flags.
func readManifest(b []byte) (s state, items []wire.Message, err error) {
	first := true
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return s, nil, errors.New("manifest: cut off")
		}
		frame := b[n : n+int(size)]
		b = b[n+int(size):]
		if first {
			first = false
			if err := json.Unmarshal(frame, &s); err != nil {
				return s, nil, fmt.Errorf("manifest: %w", err)
			}
			continue
		}
		m, err := wire.Parse(frame)
		if err != nil {
			return s, nil, fmt.Errorf("manifest: %w", err)
		}
		switch {
		case m.Type == wire.Item && len(m.FDs) == len(m.Roles):
			items = append(items, m)
		case m.Type == wire.Signal:
			s.pending = append(s.pending, int(m.Number&0xff))
		}
	}
	if first {
		return s, nil, errors.New("manifest: empty")
	}
	return s, items, nil
}

// restore makes the keeper that a manifest describes.
func restore(fd int) (*keeper, error) {
	_ = fdpass.SetName(filepath.Base(os.Args[0])) // executed through a descriptor, it would be a number
	f := os.NewFile(uintptr(fd), "manifest")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, manifestLimit))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	s, items, err := readManifest(b)
	if err != nil {
		return nil, err
	}
	k, err := newKeeper(s.Timings)
	if err != nil {
		return nil, err
	}
	k.argv, k.env = os.Args, os.Environ()
	now := time.Now()
	own := []int{s.Image}
	for _, m := range items {
		own = append(own, m.FDs...)
		h := k.items.put(Item{
			Key: m.Key, Note: m.Note, Roles: m.Roles, FDs: m.FDs, PID: m.PID, Ended: m.Ended, Raw: m.Raw,
		})
		if m.Number&flagWatched != 0 && h.pidfd() >= 0 {
			h.watched = k.poll.Add(h.pidfd(), h.token) == nil
		}
	}
	k.images.good, k.images.path = s.Image, s.Path
	k.everReady, k.last, k.pending = s.EverReady, s.Last, s.pending
	k.orphans.n, k.orphans.pid, k.orphans.raw = s.Orphans, s.OrphanPID, s.OrphanRaw
	k.policy.n = s.Backoff
	for _, ago := range s.Crashes {
		k.policy.crashes = append(k.policy.crashes, now.Add(-ago))
	}
	if s.Listener >= 0 {
		own = append(own, s.Listener)
		k.listenOn(s.Listener, s.Socket)
	} else {
		k.listen(s.Socket)
	}
	if s.Link >= 0 {
		own = append(own, s.Link)
		if s.ManagerPidfd >= 0 {
			own = append(own, s.ManagerPidfd)
		}
		k.continueWith(s, now)
	} else {
		k.watchAll()
		k.start()
	}
	_ = fdpass.Inherit(own, false) // a descriptor that is not there any more has nothing to pass on
	return k, nil
}

// continueWith goes on with the manager of the image before.
func (k *keeper) continueWith(s state, now time.Time) {
	k.child = child{
		pid: s.Manager, pidfd: s.ManagerPidfd, attached: true, ready: true, safe: s.Safe, readySince: now.Add(-s.ReadyFor),
	}
	conn, err := fdpass.Open(s.Link)
	if err == nil {
		err = k.poll.Add(s.Link, linkToken)
	}
	if err != nil {
		k.kill("the link to it is lost: " + err.Error())
		return
	}
	k.conn = conn
	k.heart.start(now)
}

// calm reports whether nothing is under way that an execution would interrupt.
func (k *keeper) calm() bool {
	return !k.done && !k.ending && k.conn != nil && k.child.ready && !k.child.leaving && k.child.killed == "" &&
		k.images.next < 0 && k.claims.conn == nil && len(k.out) == 0 && len(k.underway) == 0
}

// replaceSelf executes the image that works now in this process. When that fails the keeper stays as it
// is, which is no harm.
func (k *keeper) replaceSelf() {
	k.replace = false
	if own, err := fdpass.Self(); err == nil {
		same := fdpass.SameImage(own, k.images.good)
		fdpass.CloseAll([]int{own})
		if same {
			return // it is this one
		}
	}
	now := time.Now()
	s := state{
		Timings: k.t, Socket: k.claims.path, Path: k.images.path, Image: k.images.good, Link: k.conn.FD(),
		Listener: k.claims.listener, EverReady: k.everReady, Last: k.last,
		Orphans: k.orphans.n, OrphanPID: k.orphans.pid, OrphanRaw: k.orphans.raw,
		Manager: k.child.pid, ManagerPidfd: k.child.pidfd, ReadyFor: now.Sub(k.child.readySince), Safe: k.child.safe,
		Backoff: k.policy.n,
	}
	for _, t := range k.policy.crashes {
		s.Crashes = append(s.Crashes, now.Sub(t))
	}
	k.hush()
	err := execute(s, k.items.inOrder(), k.argv, k.env, func() []int {
		k.takeSignals()
		for len(k.signals) > 0 {
			k.signalled(<-k.signals)
		}
		return slices.Concat(k.underway, k.pending)
	})
	complain(fmt.Errorf("it goes on with the image it has: %w", err))
	k.listenToSignals()
}
