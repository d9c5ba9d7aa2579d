package core

import (
	"encoding/json"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// bug is a planted mistake. The core has no switches for tests: mistakes are planted into what it is built on,
// into what it remembers, and into the values between two turns.
type bug struct {
	name    string
	host    func(*realm, Host) Host
	process func(*realm, *body) Process
	report  func(*realm, *body) // an end, to the core
	journal func(*realm, Journal) Journal
	wishes  func(*realm, Wishes) Wishes
	lines   func(*realm, Lines) Lines
	start   func(lines []string, wishes map[string][]byte) ([]string, map[string][]byte)
	saved   func(*realm, *Saved)
	before  func(*realm) // each turn
}

// now and then is often enough to be found and rare enough to be missed.
const nowAndThen = 6

// tampered is a journal that changes records on the way; ok false drops one.
type tampered struct {
	Journal
	put func(key string, value []byte) (out []byte, ok bool)
}

func (t tampered) Put(key string, value []byte) {
	if out, ok := t.put(key, value); ok {
		t.Journal.Put(key, out)
	}
}

// onPut is a bug on the way into the journal.
func onPut(name string, put func(r *realm, key string, value []byte) ([]byte, bool)) bug {
	return bug{name: name, journal: func(r *realm, j Journal) Journal {
		return tampered{j, func(key string, value []byte) ([]byte, bool) { return put(r, key, value) }}
	}}
}

// dropped loses records of a kind.
func dropped(name, prefix string, deletions bool) bug {
	return onPut(name, func(_ *realm, key string, value []byte) ([]byte, bool) {
		return value, !strings.HasPrefix(key, prefix) || deletions != (value == nil)
	})
}

// misremembered changes what is recorded of a program.
func misremembered(name string, change func(*slotRecord)) bug {
	return onPut(name, func(_ *realm, key string, value []byte) ([]byte, bool) {
		if !strings.HasPrefix(key, slotPrefix) || value == nil {
			return value, true
		}
		var rec slotRecord
		if err := json.Unmarshal(value, &rec); err != nil {
			return value, true
		}
		change(&rec)
		out, err := json.Marshal(rec)
		return out, err == nil
	})
}

// flushing is a journal with another Flush.
type flushing struct {
	Journal
	flush func() error
}

func (f flushing) Flush() error { return f.flush() }

// onFlush is a bug in what makes records survive.
func onFlush(name string, flush func(r *realm, j Journal) error) bug {
	return bug{name: name, journal: func(r *realm, j Journal) Journal {
		return flushing{j, func() error { return flush(r, j) }}
	}}
}

// hosting is a Host with other ways.
type hosting struct {
	Host
	launch func(Instance)
	resume func(Instance, bool) Resumed
}

func (h hosting) Launch(i Instance) {
	if h.launch != nil {
		h.launch(i)
		return
	}
	h.Host.Launch(i)
}

func (h hosting) Resume(i Instance, whichever bool) Resumed {
	if h.resume != nil {
		return h.resume(i, whichever)
	}
	return h.Host.Resume(i, whichever)
}

func onLaunch(name string, launch func(r *realm, h Host, i Instance)) bug {
	return bug{name: name, host: func(r *realm, h Host) Host {
		return hosting{Host: h, launch: func(i Instance) { launch(r, h, i) }}
	}}
}

func onResume(name string, change func(r *realm, i Instance, out *Resumed)) bug {
	return bug{name: name, host: func(r *realm, h Host) Host {
		return hosting{Host: h, resume: func(i Instance, whichever bool) Resumed {
			out := h.Resume(i, whichever)
			change(r, i, &out)
			return out
		}}
	}}
}

// process with other ways.
type faulty struct {
	*body
	pid     func() int
	signal  func(int, model.Reach) error
	release func()
}

func (f faulty) PID() int {
	if f.pid != nil {
		return f.pid()
	}
	return f.body.PID()
}

func (f faulty) Signal(sig int, reach model.Reach) error {
	if f.signal != nil {
		return f.signal(sig, reach)
	}
	return f.body.Signal(sig, reach)
}

func (f faulty) Release() {
	if f.release != nil {
		f.release()
		return
	}
	f.body.Release()
}

func onProcess(name string, change func(r *realm, f *faulty)) bug {
	return bug{name: name, process: func(r *realm, b *body) Process {
		f := faulty{body: b}
		change(r, &f)
		return f
	}}
}

// wishing is a store of wishes with other ways.
type wishing struct {
	Wishes
	put  func(key string, value []byte)
	sync func(done func(error))
}

func (w wishing) Put(key string, value []byte) {
	if w.put != nil {
		w.put(key, value)
		return
	}
	w.Wishes.Put(key, value)
}

func (w wishing) Sync(done func(error)) {
	if w.sync != nil {
		w.sync(done)
		return
	}
	w.Wishes.Sync(done)
}

func onWish(name string, put func(w Wishes, key string, value []byte)) bug {
	return bug{name: name, wishes: func(_ *realm, w Wishes) Wishes {
		return wishing{Wishes: w, put: func(key string, value []byte) { put(w, key, value) }}
	}}
}

func onSync(name string, sync func(r *realm, w Wishes, done func(error))) bug {
	return bug{name: name, wishes: func(r *realm, w Wishes) Wishes {
		return wishing{Wishes: w, sync: func(done func(error)) { sync(r, w, done) }}
	}}
}

// writing is a log with other ways.
type writing struct {
	Lines
	write   func([]byte) uint64
	written func() uint64
}

func (w writing) Write(line []byte) uint64 {
	if w.write != nil {
		return w.write(line)
	}
	return w.Lines.Write(line)
}

func (w writing) Written() uint64 {
	if w.written != nil {
		return w.written()
	}
	return w.Lines.Written()
}

// onSlots tampers with every program before each turn.
func onSlots(name string, change func(r *realm, s *Slot)) bug {
	return bug{name: name, before: func(r *realm) {
		for _, s := range r.core.slots() {
			change(r, s)
		}
	}}
}

// recalled changes what is read of every program after a kill.
func recalled(name string, change func(*slotRecord)) bug {
	return bug{name: name, saved: func(_ *realm, sv *Saved) {
		for id, rec := range sv.slots {
			change(&rec)
			sv.slots[id] = rec
		}
	}}
}
