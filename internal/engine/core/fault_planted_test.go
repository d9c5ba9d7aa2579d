package core

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

var simSeeds = flag.Int("sim.seeds", 120, "runs in which a planted bug is to be found")

func plantedInJournal() []bug {
	return []bug{
		onFlush("a Flush is forgotten now and then", func(r *realm, j Journal) error {
			if r.one(nowAndThen) {
				return nil
			}
			return j.Flush()
		}),
		onFlush("a Flush keeps the last record for later", func(r *realm, j Journal) error {
			w := r.journal.waiting
			if len(w) == 0 {
				return nil
			}
			last := w[len(w)-1]
			r.journal.waiting = w[:len(w)-1]
			err := j.Flush()
			r.journal.waiting = append(r.journal.waiting, last)
			return err
		}),
		onFlush("the records of a Flush are out of order", func(r *realm, j Journal) error {
			w := r.journal.waiting
			for i, k := 0, len(w)-1; i < k; i, k = i+1, k-1 {
				w[i], w[k] = w[k], w[i]
			}
			return j.Flush()
		}),
		dropped("programs are not recorded", slotPrefix, false),
		dropped("groups are not recorded", groupPrefix, false),
		dropped("a removed group stays in the journal", groupPrefix, true),
		dropped("nobody records that all is to end", daemonKey, false),
		dropped("nobody records which groups are complete", groupsKey, false),
		dropped("lines are not recorded", linePrefix, false),
		onPut("a start is not recorded", func(_ *realm, key string, value []byte) ([]byte, bool) {
			return value, !strings.Contains(string(value), `"Spawning":true`)
		}),
		onPut("a record is lost now and then", func(r *realm, _ string, value []byte) ([]byte, bool) {
			return value, !r.one(nowAndThen * nowAndThen)
		}),
	}
}

func plantedInRecords() []bug {
	return []bug{
		misremembered("the failures in a row are lost", func(r *slotRecord) { r.Machine.Tries = 0 }),
		misremembered("the timer is lost", func(r *slotRecord) { r.Machine.Armed, r.Machine.Due = false, 0 }),
		misremembered("the timer is a millisecond late", func(r *slotRecord) { r.Machine.Due += time.Millisecond }),
		misremembered("the timer has the wrong number", func(r *slotRecord) { r.Machine.Epoch++; r.Machine.Armed = false }),
		misremembered("the process is lost", func(r *slotRecord) { r.Machine.Live = false }),
		misremembered("a launch under way is lost", func(r *slotRecord) { r.Machine.Spawning = false }),
		misremembered("a stop under way is lost", func(r *slotRecord) { r.Machine.Killing = false }),
		misremembered("a start after the stop is lost", func(r *slotRecord) { r.Machine.Again = false }),
		misremembered("the generation is the last one", func(r *slotRecord) { r.Machine.Gen-- }),
		misremembered("the generation is the next one", func(r *slotRecord) { r.Machine.Gen++ }),
		misremembered("STOPPING is read as RUNNING", func(r *slotRecord) {
			if r.Machine.State == model.Stopping {
				r.Machine.State = model.Running
			}
		}),
		misremembered("STARTING is read as RUNNING", func(r *slotRecord) {
			if r.Machine.State == model.Starting {
				r.Machine.State = model.Running
			}
		}),
		misremembered("BACKOFF is read as FATAL", func(r *slotRecord) {
			if r.Machine.State == model.Backoff {
				r.Machine.State = model.Fatal
			}
		}),
		misremembered("the time of the start is lost", func(r *slotRecord) { r.Machine.Started = 0 }),
		misremembered("the last ends are lost", func(r *slotRecord) { r.Ends = [2]time.Duration{} }),
		misremembered("the place in the storm is lost", func(r *slotRecord) { r.Turn = 0 }),
		dropped("the budget of restarts is not recorded", stormKey, false),
		misremembered("a signal that was decided is not sent", func(r *slotRecord) { r.Sending = nil }),
		misremembered("what is to start by itself is lost", func(r *slotRecord) { r.Begin = false }),
		misremembered("lines are taken for void", func(r *slotRecord) { r.Said = 0 }),
		misremembered("void lines are taken for true", func(r *slotRecord) { r.Said = 1 << 60 }),
		recalled("everything was RUNNING", func(r *slotRecord) {
			if r.Machine.Live {
				r.Machine.State, r.Machine.Armed, r.Machine.Killing = model.Running, false, false
			}
		}),
		recalled("timers begin anew", func(r *slotRecord) {
			if r.Machine.Armed {
				r.Machine.Due += 500 * time.Millisecond
			}
		}),
		{name: "the end of the daemon is forgotten", saved: func(_ *realm, sv *Saved) { sv.ending = model.DaemonRunning }},
		{name: "a group is forgotten", saved: func(_ *realm, sv *Saved) {
			if len(sv.groups) > 1 {
				sv.groups = sv.groups[:len(sv.groups)-1]
			}
		}},
		{name: "a program's record is passed over", saved: func(r *realm, sv *Saved) {
			if p := r.order[0]; r.one(2) {
				delete(sv.slots, p.id)
			}
		}},
		{name: "lost lines are not restored", start: func(_ []string, w map[string][]byte) ([]string, map[string][]byte) {
			return nil, w
		}},
		{name: "lost lines are restored the wrong way round", start: func(l []string, w map[string][]byte) ([]string, map[string][]byte) {
			for i, k := 0, len(l)-1; i < k; i, k = i+1, k-1 {
				l[i], l[k] = l[k], l[i]
			}
			return l, w
		}},
		{name: "the wishes are not read", start: func(l []string, _ map[string][]byte) ([]string, map[string][]byte) {
			return l, nil
		}},
	}
}

func plantedInHost() []bug {
	return []bug{
		onLaunch("a launch is done twice", func(_ *realm, h Host, i Instance) { h.Launch(i); h.Launch(i) }),
		onLaunch("a launch is lost now and then", func(r *realm, h Host, i Instance) {
			if !r.one(nowAndThen) {
				h.Launch(i)
			}
		}),
		onLaunch("a launch comes too late", func(r *realm, h Host, i Instance) {
			r.lifelong(time.Minute, func() { h.Launch(i) })
		}),
		onLaunch("a launch goes by the wrong generation", func(_ *realm, h Host, i Instance) { i.Gen++; h.Launch(i) }),
		onResume("what lives is not found again", func(_ *realm, _ Instance, out *Resumed) { *out = Resumed{} }),
		onResume("what has ended is taken for alive", func(_ *realm, _ Instance, out *Resumed) { out.Exit = nil }),
		onResume("what lives is taken for ended", func(_ *realm, _ Instance, out *Resumed) {
			if out.Process != nil && out.Exit == nil {
				out.Exit = &model.Exit{Known: true}
			}
		}),
		onResume("the status of an orphan is invented", func(_ *realm, _ Instance, out *Resumed) {
			if out.Exit != nil {
				out.Exit = &model.Exit{Known: true}
			}
		}),
		onResume("the time of a birth is not known", func(_ *realm, _ Instance, out *Resumed) { out.Since = 0 }),
		onResume("the time of an end is not known", func(_ *realm, _ Instance, out *Resumed) { out.Ended = 0 }),
		onResume("another's process is given back", func(r *realm, _ Instance, out *Resumed) {
			for _, b := range r.pids {
				if out.Process != nil && !b.dead {
					out.Process = b
				}
			}
		}),
		{name: "an end is lost now and then", report: func(r *realm, b *body) {
			if !r.one(nowAndThen) {
				r.core.Ended(b.watcher, b.exit)
			}
		}},
		{name: "an end is reported under the next generation", report: func(r *realm, b *body) {
			i := b.watcher
			i.Gen++
			r.core.Ended(i, b.exit)
		}},
		{name: "every end is a success", report: func(r *realm, b *body) { r.core.Ended(b.watcher, model.Exit{Known: true}) }},
		{name: "an end is reported late", report: func(r *realm, b *body) {
			r.lifelong(50*time.Millisecond, func() { r.core.Ended(b.watcher, b.exit) })
		}},
		{name: "the pid is given up before the end is told", report: func(r *realm, b *body) {
			b.Release()
			r.core.Ended(b.watcher, b.exit)
		}},
		onProcess("a process is never let go of", func(_ *realm, f *faulty) { f.release = func() {} }),
		onProcess("a process is let go of twice", func(_ *realm, f *faulty) {
			b := f.body
			f.release = func() { b.Release(); b.Release() }
		}),
		onProcess("the pid is the wrong one", func(_ *realm, f *faulty) {
			b := f.body
			f.pid = func() int { return b.pid + 1 }
		}),
		onProcess("a signal reaches the neighbour", func(r *realm, f *faulty) {
			b := f.body
			f.signal = func(sig int, reach model.Reach) error {
				if other := r.pids[b.pid+1]; other != nil {
					return other.Signal(sig, reach)
				}
				return b.Signal(sig, reach)
			}
		}),
		onProcess("a signal is lost", func(_ *realm, f *faulty) {
			f.signal = func(int, model.Reach) error { return nil }
		}),
		onProcess("every signal is a KILL", func(_ *realm, f *faulty) {
			b := f.body
			f.signal = func(_ int, reach model.Reach) error { return b.Signal(sigKill, reach) }
		}),
		onProcess("a signal that is refused is taken for sent", func(_ *realm, f *faulty) {
			b := f.body
			f.signal = func(sig int, reach model.Reach) error {
				_ = b.Signal(sig, reach)
				return nil
			}
		}),
		onProcess("the stop goes on after the KILL was refused", func(_ *realm, f *faulty) {
			b := f.body
			f.signal = func(sig int, reach model.Reach) error { return b.Signal(15, reach) }
		}),
		{name: "the clock begins anew with every life", host: func(r *realm, h Host) Host {
			began := r.began
			return clocked{h, func(t time.Duration) time.Duration { return t - began + time.Hour }}
		}},
		{name: "the clock is coarse", host: func(_ *realm, h Host) Host {
			return clocked{h, func(t time.Duration) time.Duration { return t.Truncate(100 * time.Millisecond) }}
		}},
		{name: "the clock is fast", host: func(_ *realm, h Host) Host {
			return clocked{h, func(t time.Duration) time.Duration { return t + t/100 }}
		}},
	}
}

// clocked is a host with another clock.
type clocked struct {
	Host
	clock func(time.Duration) time.Duration
}

func (c clocked) Now() time.Duration { return c.clock(c.Host.Now()) }

func plantedInWishes() []bug {
	return []bug{
		onSync("an order is acknowledged before it is durable", func(_ *realm, w Wishes, done func(error)) {
			done(nil)
			w.Sync(func(error) {})
		}),
		onSync("a failed sync is taken for success", func(_ *realm, w Wishes, done func(error)) {
			w.Sync(func(error) { done(nil) })
		}),
		onSync("a sync never answers", func(_ *realm, w Wishes, _ func(error)) { w.Sync(func(error) {}) }),
		onWish("nobody wishes anything down", func(w Wishes, key string, value []byte) {
			if string(value) != "down" {
				w.Put(key, value)
			}
		}),
		onWish("nobody wishes anything up", func(w Wishes, key string, value []byte) {
			if string(value) != "up" {
				w.Put(key, value)
			}
		}),
		onWish("a wish is never taken back", func(w Wishes, key string, value []byte) {
			if value != nil {
				w.Put(key, value)
			}
		}),
		onWish("wishes are the wrong way round", func(w Wishes, key string, value []byte) {
			if value != nil {
				value = wishValue(string(value) == "down")
			}
			w.Put(key, value)
		}),
	}
}

func plantedInLines() []bug {
	return []bug{
		{name: "a line is lost now and then", lines: func(r *realm, l Lines) Lines {
			return writing{Lines: l, write: func(b []byte) uint64 {
				if r.one(nowAndThen) {
					r.log.number++
					return r.log.number
				}
				return l.Write(b)
			}}
		}},
		{name: "a line is written twice now and then", lines: func(r *realm, l Lines) Lines {
			return writing{Lines: l, write: func(b []byte) uint64 {
				if r.one(nowAndThen) {
					l.Write(b)
				}
				return l.Write(b)
			}}
		}},
		{name: "lines are taken for written when they are queued", lines: func(r *realm, l Lines) Lines {
			return writing{Lines: l, written: func() uint64 { return r.log.number }}
		}},
		{name: "lines are one number ahead", lines: func(_ *realm, l Lines) Lines {
			return writing{Lines: l, written: func() uint64 { return l.Written() + 1 }}
		}},
	}
}

func plantedInBetween() []bug {
	return []bug{
		onSlots("one attempt too many", func(_ *realm, s *Slot) { s.policy.Start.Retries = s.spec.Start.Retries + 1 }),
		onSlots("one attempt too few", func(_ *realm, s *Slot) { s.policy.Start.Retries = s.spec.Start.Retries - 1 }),
		onSlots("RUNNING at half of startsecs", func(_ *realm, s *Slot) { s.policy.Start.Secs = s.spec.Start.Secs / 2 }),
		onSlots("startsecs is a millisecond longer", func(_ *realm, s *Slot) { s.policy.Start.Secs = s.spec.Start.Secs + time.Millisecond }),
		onSlots("the patience with a stop is double", func(_ *realm, s *Slot) { s.policy.Stop.Wait = 2 * s.spec.Stop.Wait }),
		onSlots("nothing is started again", func(_ *realm, s *Slot) { s.policy.Exit.Restart = model.RestartNever }),
		onSlots("everything is started again", func(_ *realm, s *Slot) { s.policy.Exit.Restart = model.RestartAlways }),
		onSlots("every code is expected", func(_ *realm, s *Slot) { s.policy.Exit.Codes = []int{0, 1, 2} }),
		onSlots("failures are forgotten", func(_ *realm, s *Slot) {
			if s.m.State == model.Backoff {
				s.m.Tries = 0
			}
		}),
		onSlots("a start after the stop is forgotten", func(_ *realm, s *Slot) { s.m.Again = false }),
		onSlots("a timer is forgotten", func(r *realm, s *Slot) {
			if s.m.State == model.Backoff {
				r.core.timers.Unset(&s.timer)
			}
		}),
		onSlots("a stop is acknowledged too early", func(r *realm, s *Slot) {
			if s.m.State == model.Stopping {
				r.core.settle(s, model.Stopped)
			}
		}),
		onSlots("a start is acknowledged too early", func(r *realm, s *Slot) {
			if s.m.Spawning {
				r.core.settleSpawned(s)
			}
		}),
		onSlots("a start is confirmed too early", func(r *realm, s *Slot) {
			if s.m.State == model.Starting {
				r.core.settle(s, model.Running)
			}
		}),
		onSlots("nobody is answered", func(_ *realm, s *Slot) { s.waits = nil }),
		onSlots("STOPPING is shown as STOPPED", func(_ *realm, s *Slot) {
			if st := s.Status(); st.State == model.Stopping {
				st.State = model.Stopped
				s.status.Store(&st)
			}
		}),
		onSlots("the pid of the last instance is shown", func(_ *realm, s *Slot) {
			if st := s.Status(); st.PID == 0 && s.m.Gen > 0 {
				st.PID = s.pid
				s.status.Store(&st)
			}
		}),
		onSlots("the daemon's end does not stop the restarts", func(_ *realm, s *Slot) { s.m.Draining = false }),
		{name: "the storm has no limit", before: func(r *realm) { r.core.storm = limiter{} }},
		{name: "the storm forgets what ended", before: func(r *realm) {
			for _, s := range r.core.slots() {
				s.ends = ends{}
			}
		}},
		{name: "an answer comes before the commit", before: func(r *realm) {
			r.core.keep.dirty = r.core.keep.dirty[:0]
			for _, s := range r.core.slots() {
				s.dirty = true
			}
		}},
		{name: "the order to end is overheard", before: func(r *realm) { r.core.end.begun = true }},
	}
}

func plantedFaults() []bug {
	out := append(plantedInJournal(), plantedInRecords()...)
	out = append(out, plantedInHost()...)
	out = append(out, plantedInWishes()...)
	out = append(out, plantedInLines()...)
	return append(out, plantedInBetween()...)
}

// TestPlantedFaultsAreFound: the simulation is worth what it finds. Of the planted bugs it finds nearly all.
func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	if slow() {
		t.Skip("no goroutine but one")
	}
	bugs, found := plantedFaults(), 0
	for i := range bugs {
		b := &bugs[i]
		wrong, seed := "", uint64(0)
		for seed = 1; seed <= uint64(*simSeeds) && wrong == ""; seed++ {
			wrong = newRealm(seed, b).live(500)
		}
		if wrong == "" {
			t.Logf("%-50s NOT FOUND in %d runs", b.name, *simSeeds)
			continue
		}
		found++
		t.Logf("%-50s run %3d: %s", b.name, seed-1, wrong)
	}
	t.Logf("%d of %d planted bugs are found", found, len(bugs))
	if len(bugs) < 50 || found*100 < len(bugs)*95 {
		t.Errorf("%d of %d planted bugs are found, want 95 %% of at least 50", found, len(bugs))
	}
}
