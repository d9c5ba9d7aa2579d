package checks

import (
	"cmp"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
)

// How far apart restarts by checks of one program are while they do not help. Source: spec/usrsvc US-79.
const (
	bounceLeast = 10 * time.Second
	bounceMost  = 5 * time.Minute
)

// judge makes a verdict of a finding, and does what follows.
func (c *Checks) judge(k *check, f Finding, now time.Duration) {
	w := k.of
	k.at = c.o.Wall()
	k.looks++
	if f.Trouble != nil {
		if text := "cannot look: " + f.Trouble.Error(); text != k.trouble {
			k.trouble = text
			c.logf(activity.Warn, "check: %s, %s %s", w.spec.ID.Name, k.Name, text)
		}
		return
	}
	k.text, k.trouble = f.Text, ""
	before := k.verdict
	if f.OK {
		k.passes, k.fails = k.passes+1, 0
		if k.passes >= max(k.Passes, 1) {
			k.verdict = model.Passing
		}
	} else {
		k.failed++
		k.fails, k.passes = k.fails+1, 0
		if k.fails >= max(k.Failures, 1) {
			k.verdict = model.Failing
		}
	}
	if k.verdict != before {
		c.announce(k, before)
	}
	switch k.Stage {
	case model.StageStartup:
		c.judgeStart(w, now)
	case model.StageReady:
		c.judgeReady(w)
	case model.StageLive:
		c.judgeLife(k, now)
	}
}

// announce tells of a new verdict. That a live check passes at its first looks is no news.
func (c *Checks) announce(k *check, before model.Verdict) {
	switch {
	case k.verdict == model.Failing:
		c.logf(activity.Warn, "check: %s fails, %s: %s", k.of.spec.ID.Name, k.Name, k.text)
		c.happened(model.EventCheckFailed, k)
	case before == model.Failing || k.Stage != model.StageLive:
		c.logf(activity.Info, "check: %s passes, %s: %s", k.of.spec.ID.Name, k.Name, k.text)
		c.happened(model.EventCheckPassed, k)
	}
}

// happened puts an event into the ring.
func (c *Checks) happened(t model.EventType, k *check) {
	c.o.Ring.Append(model.Event{
		Time: c.o.Wall(), Type: t, ID: k.of.spec.ID, PID: k.of.pid, Kind: k.Name, Data: []byte(cmp.Or(k.text, "-")),
	})
}

func (c *Checks) logf(l activity.Level, format string, args ...any) {
	if c.o.Log != nil {
		c.o.Log.Logf(l, format, args...)
	}
}

// judgeStart looks whether a start has succeeded.
func (c *Checks) judgeStart(w *program, now time.Duration) {
	if w.proved || w.failed {
		return
	}
	for _, k := range w.checks {
		if k.Stage == model.StageStartup && k.verdict != model.Passing {
			return
		}
	}
	w.proved = true
	c.queue.Unset(&w.deadline)
	c.to.Proved(w.inst)
	for _, k := range w.checks {
		switch {
		case k.Stage == model.StageStartup:
			c.queue.Unset(&k.timer) // it has done what it is for
		case k.idle():
			c.schedule(k, now)
		}
	}
}

// late: the time that a start may take is over.
func (c *Checks) late(w *program) {
	if w.proved || w.failed || !w.up {
		return
	}
	w.failed = true
	name, text := "", ""
	for _, k := range w.checks {
		c.queue.Unset(&k.timer)
		if k.Stage == model.StageStartup && k.verdict != model.Passing && name == "" {
			name, text = k.Name, cmp.Or(k.disabled, k.shown(), "nothing was found")
		}
	}
	c.to.StartFailed(w.inst, name, text+", not within "+words.Limit(w.spec.Start.Timeout))
}

// judgeReady looks whether others may rely on a program. What is not known yet changes nothing.
func (c *Checks) judgeReady(w *program) {
	ready, any := true, false
	for _, k := range w.checks {
		if k.Stage != model.StageReady {
			continue
		}
		any = true
		switch k.verdict {
		case model.Failing:
			c.sayReady(w, false)
			return
		case model.Unjudged:
			ready = false
		}
	}
	if any && ready {
		c.sayReady(w, true)
	}
}

func (c *Checks) sayReady(w *program, ready bool) {
	if w.said && w.ready == ready {
		return
	}
	w.said, w.ready = true, ready
	c.to.SetReady(w.inst, ready)
}

// judgeLife asks for the restart of the program of a failing check, unless the last time is too short ago.
func (c *Checks) judgeLife(k *check, now time.Duration) {
	w := k.of
	if k.verdict != model.Failing {
		c.relieve(w, now)
		return
	}
	k.owed = k.Action == model.CheckRestart
	if !k.owed || now < w.ends || w.failed || !c.o.Running(w.inst) {
		return
	}
	if w.bounces > 0 && now-w.bounced < gap(w.bounces) {
		return
	}
	k.owed = false
	w.bounces++
	w.bounced = now
	c.to.Bounce(w.inst, k.Name, k.text)
}

// Bounced tells that a check has its program started anew, and counts it.
func (c *Checks) Bounced(i core.Instance, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.living[i]
	if w == nil {
		return
	}
	if at := slices.IndexFunc(w.checks, func(k *check) bool { return k.Name == name }); at >= 0 {
		w.checks[at].acted++
		c.happened(model.EventCheckAction, w.checks[at])
	}
}

// relieve forgets earlier restarts of an instance that has been well for as long as they were to be apart.
func (c *Checks) relieve(w *program, now time.Duration) {
	if w.bounces == 0 || now-max(w.bounced, w.since) < gap(w.bounces) {
		return
	}
	for _, k := range w.checks {
		if k.Stage == model.StageLive && k.Action == model.CheckRestart && k.disabled == "" && k.verdict != model.Passing {
			return
		}
	}
	w.bounces = 0
}

// gap is how long after the n-th restart in vain the next may come.
func gap(n int) time.Duration { return min(bounceLeast<<min(n-1, 10), bounceMost) }
