package checks

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/probe"
)

const (
	// defaultEvery is the time between two looks for which none is said, leastEvery the shortest that there is.
	defaultEvery = 10 * time.Second
	leastEvery   = 100 * time.Millisecond
	// firstEager is when a check that something waits for looks the second time; the span doubles until it is that
	// between two looks.
	firstEager = 250 * time.Millisecond
	// A look is taken later than it is planned by at most that part of its interval, and never by more than gatherMost.
	gatherPart = 20
	gatherMost = 250 * time.Millisecond
	// forgetAfter is how often programs that are not there any more are forgotten.
	forgetAfter = 10 * time.Minute
	// stillFor is how late a turn is when this process was stopped, or had no processor.
	stillFor = time.Second
)

func (k *check) every() time.Duration {
	if k.Every <= 0 {
		return defaultEvery
	}
	return max(k.Every, leastEvery)
}

// measured reports whether a look is a short question to the system, which is asked for many programs in one turn.
func (k *check) measured() bool {
	return k.Kind == model.CheckCPU || k.Kind == model.CheckFiles || k.Kind == model.CheckMemory && !k.PSS
}

// told reports whether the check is about what others tell, and nothing is asked.
func (k *check) told() bool {
	return k.Kind == model.CheckNotify || k.Kind == model.CheckHeartbeat || k.Kind == model.CheckLog && !k.follows
}

// wanted reports whether there is something to find out at this point of the instance's life.
func (k *check) wanted() bool {
	switch {
	case k.gone || k.disabled != "" || k.of.failed:
		return false
	case k.Stage == model.StageStartup:
		return !k.of.proved
	case k.Stage == model.StageLive:
		return k.of.proved
	}
	return true
}

// schedule plans the first look of a check.
func (c *Checks) schedule(k *check, now time.Duration) {
	w := k.of
	if !k.wanted() {
		return
	}
	at := now
	if k.Stage == model.StageLive {
		at = max(now, w.since+k.After)
		switch {
		case k.follows && !k.tail.begun: // it begins with what is written from now on
			at = now
		case k.measured() && k.Tree: // all at once, since they share one walk over the processes
			every := k.every()
			at = (at + every - 1) / every * every
		case !k.told():
			at += k.phase()
		}
	}
	k.plan = at
	c.queue.Set(&k.timer, k.gathered(at))
}

// phase spreads the looks of programs that have the same interval and began together.
func (k *check) phase() time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(k.of.spec.ID.Namespec() + "/" + k.Name)) // never fails
	return time.Duration(h.Sum64() % uint64(k.every()))
}

// again plans the next look.
func (c *Checks) again(k *check, now time.Duration) {
	if !k.wanted() || k.flight != nil {
		return
	}
	every := k.every()
	if k.Stage != model.StageLive && k.verdict == model.Unjudged {
		if span := firstEager << min(k.eager, 20); span < every {
			k.eager++
			k.plan = now
			every = span
		}
	}
	if k.plan += every; k.plan <= now {
		k.plan = now + every - (now-k.plan)%every
	}
	if k.follows && k.Stage == model.StageLive {
		k.plan = max(k.plan, k.of.since+k.After) // the first look was early
	}
	c.queue.Set(&k.timer, k.gathered(k.plan))
}

// gathered is when a look that is planned for a time is taken: those of many programs are taken a few times a second
// together, since to wake up costs more than to look. The plan goes on by its own time.
func (k *check) gathered(at time.Duration) time.Duration {
	if k.Stage != model.StageLive {
		return at // somebody waits for it
	}
	apart := min(k.every()/gatherPart, gatherMost)
	return (at + apart - 1) / apart * apart
}

// begin takes a look.
func (c *Checks) begin(k *check, now time.Duration) {
	switch {
	case k.gone || k.flight != nil:
	case k.told():
		if f, judged := c.listen(k, now); judged {
			c.judge(k, f, now)
		}
		c.rest(k, now)
	case k.measured():
		c.batch = append(c.batch, k)
	default:
		c.fly(k, now)
	}
}

// turn does what is due, and says how long there is nothing to do.
func (c *Checks) turn() (next time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.o.Now(); c.armed > 0 && now-c.armed >= stillFor {
		c.stoodStill(now)
	}
	c.armed = 0
	for {
		now := c.o.Now()
		t := c.queue.Take(now)
		if t == nil {
			break
		}
		t.What(now)
	}
	c.measure()
	at, ok := c.queue.Next()
	if c.armed = at; !ok {
		c.armed = math.MaxInt64
	}
	return max(0, at-c.o.Now()), ok
}

// stoodStill forgives the silence of a time in which this process did not run: what was said meanwhile is still to be read.
func (c *Checks) stoodStill(now time.Duration) {
	for _, w := range c.speakers {
		for _, k := range w.checks {
			k.beat = now
		}
	}
}

// measure asks for all that a turn wants to know of processes, without holding up who asks us meanwhile.
func (c *Checks) measure() {
	batch := c.batch
	c.batch = nil
	for len(batch) > 0 {
		part := batch[:min(len(batch), 64)]
		batch = batch[len(part):]
		pids := make([]int, len(part))
		for i, k := range part {
			if pids[i] = k.of.pid; k.of.main != 0 {
				pids[i] = k.of.main
			}
		}
		found := make([]Measure, len(part))
		c.mu.Unlock()
		for i, k := range part {
			found[i] = c.o.World.Measure(pids[i], &k.Check)
		}
		c.mu.Lock()
		now := c.o.Now()
		for i, k := range part {
			if k.gone {
				continue
			}
			if errors.Is(found[i].Trouble, syscall.ESRCH) && pids[i] == k.of.main {
				k.of.looksAt(0)
			}
			if f, judged := k.compare(found[i], now); judged {
				c.judge(k, f, now)
			}
			c.again(k, now)
		}
	}
}

// compare holds what is used against the limit; judged is false when it takes another look to know.
func (k *check) compare(m Measure, now time.Duration) (f Finding, judged bool) {
	if m.Trouble != nil {
		return Finding{Trouble: m.Trouble}, true
	}
	switch k.Kind {
	case model.CheckCPU:
		before, at := k.spent, k.spentAt
		k.spent, k.spentAt = m.Spent, now
		if at == 0 || now <= at || m.Spent < before {
			return f, false
		}
		percent := 100 * float64(m.Spent-before) / float64(now-at)
		f.OK = percent <= float64(k.Limit)
		f.Text = fmt.Sprintf("%.0f%% of a processor, limit %d%%", percent, k.Limit)
	case model.CheckFiles:
		f.OK = m.Amount <= k.Limit
		f.Text = strconv.FormatInt(m.Amount, 10) + " open files, limit " + strconv.FormatInt(k.Limit, 10)
	default:
		f.OK = m.Amount <= k.Limit
		f.Text = Against(m.Amount, k.Limit)
	}
	return f, true
}

// read makes a finding of what a look has brought; judged is false while there is nothing to be said.
func (c *Checks) read(k *check, f Finding, now time.Duration) (_ Finding, judged bool) {
	switch {
	case f.Trouble != nil:
	case k.follows:
		k.found(f.heard)
		f, judged = c.listen(k, now)
		if k.answered { // there is nothing more to be found
			c.shut(k.tail)
			k.tail, k.follows = nil, false
		}
		return f, judged
	case f.Change != (probe.Change{}):
		c.aged(k, &f, now)
	}
	return f, true
}

// aged judges when something was changed last. How long ago that is, the time of day says at the first look alone: it is set,
// and goes on while the machine is suspended. From then on it is the host's clock.
func (c *Checks) aged(k *check, f *Finding, now time.Duration) {
	age, since := f.Change.Ago(c.o.Wall()), now-k.agedAt
	switch k.change {
	case probe.Change{}:
	case f.Change:
		age = k.age + since
	default:
		age = min(age, since)
	}
	k.change, k.age, k.agedAt = f.Change, age, now
	f.OK = age <= k.Age
	f.Text = fmt.Sprintf("last change %s ago, limit %s", words.Duration(age), words.Limit(k.Age))
}

// looksAt has another process be the main one of a program; 0 = that of its instance.
func (w *program) looksAt(pid int) {
	w.main = pid
	for _, k := range w.checks {
		k.spentAt = 0
	}
}

// Against says a size and its limit: "612 MB, limit 512 MB"; so exactly that they are not the same words when they differ.
func Against(n, limit int64) string {
	a, b := words.Size(n), words.Size(limit)
	if a == b && n != limit {
		a, b = strconv.FormatInt(n, 10)+" bytes", strconv.FormatInt(limit, 10)+" bytes"
	}
	return a + ", limit " + b
}

// sweep forgets programs that are not there any more.
func (c *Checks) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, w := range c.programs {
		if !w.up && (len(w.checks) == 0 || c.o.Known != nil && !c.o.Known(id)) {
			delete(c.programs, id)
		}
	}
	c.forgetEarly(c.o.Now())
	for id := range c.ears {
		if c.o.Known != nil && !c.o.Known(id) {
			c.deafen(id)
		}
	}
}
