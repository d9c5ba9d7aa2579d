package alerts

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/deliver"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// lane is one destination of one notifier: they are served side by side, and each by one delivery at a time.
type lane struct{ Notifier, To string }

// service is how a lane does.
type service struct {
	busy   bool
	failed int       // deliveries in a row
	next   time.Time // not before
}

// delivery is one attempt.
type delivery struct {
	lane
	m   *message
	who *model.Notifier
}

// outcome is what came of one.
type outcome struct {
	delivery
	err error
}

// enqueue makes the messages of a report, one for each destination of a notifier. What they are made of decides about
// their ids, so that none is made twice.
func (a *Alerts) enqueue(who *model.Notifier, r *report.Report, at time.Time, seed string) {
	now := r.Time
	for _, to := range who.To {
		one := *r
		one.ID = ulid(at, a.state.Seed, who.Name, to, seed)
		if i := slices.IndexFunc(a.messages, func(m *message) bool { return m.Report.ID == one.ID }); i >= 0 {
			a.complete(a.messages[i], &one)
			continue
		}
		a.room(who.Name)
		m := &message{Notifier: who.Name, To: to, Created: now, Report: &one}
		a.messages = append(a.messages, m)
		a.putMessage(m)
	}
}

// complete adds to a message, which was made before this process was killed, what is not in it.
func (a *Alerts) complete(m *message, r *report.Report) {
	if m.under {
		return
	}
	for _, it := range r.Items {
		if !slices.ContainsFunc(m.Report.Items, func(has report.Item) bool { return has.Name == it.Name }) {
			m.Report.Items = append(m.Report.Items, it)
		}
	}
	a.putMessage(m)
}

// room keeps a notifier's queue within its bound: the oldest reminder goes first, then the oldest message.
func (a *Alerts) room(notifier string) {
	waiting, reminder, oldest := 0, -1, -1
	for i, m := range a.messages {
		if m.Notifier != notifier || m.under {
			continue
		}
		waiting++
		if oldest < 0 {
			oldest = i
		}
		if reminder < 0 && m.Report.Reminder {
			reminder = i
		}
	}
	if waiting < maxQueue {
		return
	}
	if reminder >= 0 {
		oldest = reminder
	}
	m := a.messages[oldest]
	a.o.Log.Logf(activity.Error, "alerts: %s: too many messages wait, the oldest is dropped: %s", notifier, m.Report.Subject())
	a.count(notifier).Failed++
	a.putCount(notifier)
	a.remove(m)
}

func (a *Alerts) remove(m *message) {
	a.messages = slices.DeleteFunc(a.messages, func(x *message) bool { return x == m })
	a.put(messagePrefix+m.Report.ID, nil)
}

// due takes the messages that are to be delivered now, the first of each lane.
func (a *Alerts) due(now time.Time) []delivery {
	var out []delivery
	for _, m := range slices.Clone(a.messages) {
		l := lane{m.Notifier, m.To}
		if m.under {
			continue
		}
		who := a.named(m.Notifier)
		if who == nil || m.Notifier != model.EmailAlerts && !slices.Contains(who.To, m.To) {
			a.o.Log.Logf(activity.Info, "alerts: %s does not tell %s any more, and drops: %s", m.Notifier, deliver.Shown(m.To), m.Report.Subject())
			a.remove(m)
			continue
		}
		s := a.lanes[l]
		if s == nil {
			s = &service{}
			a.lanes[l] = s
		}
		if s.busy || s.next.After(now) || m.Next.After(now) {
			continue
		}
		s.busy, m.under = true, true
		m.Tries++
		m.Next = time.Time{}
		out = append(out, delivery{l, m, who})
	}
	for l, s := range a.lanes { // those that nothing waits for
		if !s.busy && !slices.ContainsFunc(a.messages, func(m *message) bool { return m.Notifier == l.Notifier && m.To == l.To }) {
			delete(a.lanes, l)
		}
	}
	return out
}

// nextDelivery is how long nothing is to be delivered.
func (a *Alerts) nextDelivery(now time.Time) time.Duration {
	next := time.Hour
	for _, m := range a.messages {
		s := a.lanes[lane{m.Notifier, m.To}]
		if s != nil && !s.busy {
			next = min(next, later(s.next, m.Next).Sub(now))
		}
	}
	return next
}

// deliver makes one attempt, on a goroutine of its own.
func (a *Alerts) deliver(ctx context.Context, d delivery) {
	_, err := a.o.Courier.Deliver(ctx, d.who, d.To, d.m.Report)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted: the daemon ends") // and not slow, as the courier thinks
	}
	a.posted.mu.Lock()
	a.posted.all = append(a.posted.all, outcome{d, err})
	a.posted.mu.Unlock()
	a.wake()
}

// collect deals with the outcomes of deliveries.
func (a *Alerts) collect(now time.Time) {
	a.posted.mu.Lock()
	all := a.posted.all
	a.posted.all = nil
	a.posted.mu.Unlock()
	for _, o := range all {
		s, c := a.lanes[o.lane], a.count(o.Notifier)
		s.busy, o.m.under = false, false
		c.LastTime, c.LastError = now, ""
		if o.err == nil {
			c.Sent++
			s.failed, s.next = 0, time.Time{}
			a.o.Log.Logf(activity.Info, "alerts: %s has told %s: %s", o.Notifier, deliver.Shown(o.To), o.m.Report.Subject())
			a.remove(o.m)
		} else {
			c.LastError = o.err.Error()
			a.failed(o, s, c, now)
		}
		a.putCount(o.Notifier)
	}
}

// failed has a message tried again, or gives it up.
func (a *Alerts) failed(o outcome, s *service, c *count, now time.Time) {
	if s.failed++; errors.Is(o.err, deliver.ErrRefused) { // the next message may fare better
		s.failed, o.m.Next = 1, now.Add(a.wait(o.m.Tries))
	}
	s.next = now.Add(a.wait(s.failed))
	to := deliver.Shown(o.To)
	// Some tries are due to it, also where the machine was off for days or its clock has leapt.
	if now.Sub(o.m.Created) >= a.o.Pace.Expiry && o.m.Tries > len(a.o.Pace.Retry) {
		c.Failed++
		a.o.Log.Logf(activity.Error, "alerts: %s could not tell %s for %s, and gives up: %v: %s",
			o.Notifier, to, words.Duration(now.Sub(o.m.Created)), o.err, o.m.Report.Subject())
		a.remove(o.m)
		return
	}
	a.o.Log.Logf(activity.Warn, "alerts: %s cannot tell %s, the next try is in %s: %v",
		o.Notifier, to, words.Duration(later(s.next, o.m.Next).Sub(now)), o.err)
	a.putMessage(o.m)
}

// wait is how long after the n-th failure in a row the next attempt comes.
func (a *Alerts) wait(n int) time.Duration {
	retry := a.o.Pace.Retry
	return retry[min(max(n, 1), len(retry))-1]
}
