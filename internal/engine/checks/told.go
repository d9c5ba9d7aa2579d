package checks

import (
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/notified"
)

const (
	// toldApart is how far apart looks at what is told are at least, however often it is.
	toldApart = 100 * time.Millisecond
	// maxText bounds a program's own words, in bytes.
	maxText = 200
	// maxExtend bounds how much more time a program can ask for at once.
	maxExtend = time.Hour
)

// listen looks at what was told; judged is false while there is nothing to be said.
func (c *Checks) listen(k *check, now time.Duration) (f Finding, judged bool) {
	switch {
	case k.Kind == model.CheckHeartbeat && k.tripped:
		return Finding{Text: "the program says itself that it is not well"}, true
	case k.mute:
		k.text = "it was started by somebody else, and has not sent a sign of life: the next start tells it where to"
		return f, false
	case k.Kind == model.CheckHeartbeat:
		ago := now - k.beat
		return Finding{OK: ago <= k.Age, Text: fmt.Sprintf("last sign of life %s ago, limit %s", words.Duration(ago), words.Limit(k.Age))}, true
	case k.Kind == model.CheckNotify:
		if k.answered {
			return Finding{OK: true, Text: "the program has said that it is ready"}, true
		}
		k.text = "the program has not said that it is ready"
		return f, false
	case k.Stage != model.StageLive:
		if k.answered {
			return Finding{OK: true, Text: k.line}, true
		}
		k.text = "no such line yet" + k.missing()
		return f, false
	case k.matches > 0 || k.owed:
		f.Text = k.line
		k.matches = 0
		return f, true
	}
	return Finding{OK: true, Text: "no such line" + k.missing()}, true
}

// missing says that the file is not there in which a line is looked for.
func (k *check) missing() string {
	if k.tail == nil || k.tail.file != nil {
		return ""
	}
	return ": " + k.tail.path + " is not there"
}

// rest plans the next look at what is told, if one is needed without anything being told.
func (c *Checks) rest(k *check, now time.Duration) {
	if !k.wanted() {
		return
	}
	settled := k.verdict == model.Passing && k.fails == 0
	switch {
	case k.mute:
	case k.Kind == model.CheckHeartbeat && settled:
		c.queue.Set(&k.timer, max(k.beat+k.Age+1, now+toldApart))
	case k.Kind == model.CheckHeartbeat, k.Kind == model.CheckLog && k.Stage == model.StageLive && !settled, k.answered && !settled:
		c.queue.Set(&k.timer, now+k.every())
	}
}

// poke has a look taken at what was told, in its stage and its time.
func (c *Checks) poke(k *check, now time.Duration) {
	w := k.of
	if !k.wanted() {
		return // a live one is planned when the start has succeeded
	}
	at := now
	if k.Stage == model.StageLive {
		at = max(at, w.since+k.After)
	}
	if k.verdict != model.Unjudged {
		at = max(at, k.plan+toldApart)
	}
	if k.timer.Waits() && k.timer.At() <= at {
		return // what comes faster than is looked does not put the next look off
	}
	k.plan = at
	c.queue.Set(&k.timer, at)
	c.nudge()
}

// Notified takes a message of a process; parent tells the parent of one, 0 = none. Only what descends from an instance of a
// program that is to send such messages is believed. Source: spec/reliability S17.
func (c *Checks) Notified(m notified.Message, parent func(pid int) int) {
	chain := c.ancestry(m.PID, parent)
	main := c.ancestry(m.MainPID, parent)
	c.mu.Lock()
	defer c.mu.Unlock()
	root := c.rootOf(chain)
	if root == 0 {
		c.saidEarly(m, chain)
		return
	}
	if c.rootOf(main) != root {
		m.MainPID = 0
	}
	c.hear(c.speakers[root], m, c.o.Now())
}

// maxDepth bounds the way from a process to the root of its tree.
const maxDepth = 64

// ancestry is a process, its parent, and so on up to the instance of a program that is to send messages, if there is one.
func (c *Checks) ancestry(pid int, parent func(int) int) (chain []int) {
	for len(chain) < maxDepth && pid > 1 {
		chain = append(chain, pid)
		c.mu.Lock()
		found := c.speakers[pid] != nil
		c.mu.Unlock()
		if found {
			break
		}
		pid = parent(pid)
	}
	return chain
}

// rootOf is the pid of the instance that an ancestry leads to; 0 = there is none.
func (c *Checks) rootOf(chain []int) int {
	for _, pid := range chain {
		if c.speakers[pid] != nil {
			return pid
		}
	}
	return 0
}

// hush has nobody believed any more for a program.
func (c *Checks) hush(w *program) {
	if c.speakers[w.pid] == w {
		delete(c.speakers, w.pid)
	}
}

// expects reports whether a program is to send messages.
func (w *program) expects() bool {
	for _, k := range w.checks {
		if k.Kind == model.CheckNotify || k.Kind == model.CheckHeartbeat {
			return true
		}
	}
	return false
}

// hear believes a message; its MainPID is one of the program's.
func (c *Checks) hear(w *program, m notified.Message, now time.Duration) {
	if m.MainPID > 0 && m.MainPID != w.main {
		w.looksAt(m.MainPID)
	}
	if m.HasStatus {
		w.status = termtext.Line([]byte(m.Status), maxText)
	}
	if m.Ready {
		w.ends = 0
		c.keep(w, true)
	}
	if m.Stopping {
		c.keep(w, false)
		if w.ends == 0 {
			w.ends = now + w.spec.Stop.Wait
		}
	}
	more := now + min(m.Extend, maxExtend)
	if m.Extend > 0 && w.deadline.Waits() {
		c.queue.Set(&w.deadline, max(w.deadline.At(), more))
	}
	if m.Extend > 0 && w.ends > 0 {
		w.ends = max(w.ends, more)
	}
	for _, k := range w.checks {
		switch {
		case k.Kind == model.CheckNotify && m.Ready:
			k.answered = true
			c.poke(k, now)
		case k.Kind == model.CheckHeartbeat && (m.Beat || m.Trip):
			well := k.verdict == model.Passing && !k.tripped && k.fails == 0
			k.tripped, k.mute = m.Trip, false
			if !m.Trip {
				k.beat = now
			}
			if !well || m.Trip {
				c.poke(k, now)
			}
		}
	}
	if m.Stopping && w.spec.Staged(model.StageReady) {
		c.sayReady(w, false)
	}
}

// ear listens to the output of one instance.
type ear struct {
	inst  core.Instance
	early map[string]heard // what came before the instance was told, by the check
	tails map[string]*tail // what is followed since before the instance began, by the check
	of    [2]atomic.Pointer[[]pattern]
}

// heard are lines that a check looks for.
type heard struct {
	n    int
	line string // the last
}

// pattern is what a check looks for in a channel.
type pattern struct {
	name string
	re   *regexp.Regexp
}

// Lines gives what is to be called with each line that an instance writes to stdout (0) or stderr (1); nil = nobody wants
// to know. It is asked before the instance begins.
func (c *Checks) Lines(i core.Instance, p *model.Program, channel int) func(line []byte) {
	list := patterns(i, p, channel)
	if len(list) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.earOf(i, p.ID)
	e.of[channel].Store(&list)
	return func(line []byte) {
		for _, one := range *e.of[channel].Load() {
			if one.re.Match(line) {
				c.line(p.ID, e, one.name, termtext.Line(line, maxText))
			}
		}
	}
}

// earOf is the ear of an instance.
func (c *Checks) earOf(i core.Instance, id model.ID) *ear {
	e := c.ears[id]
	if e == nil || e.inst != i {
		c.deafen(id)
		e = &ear{inst: i, early: map[string]heard{}}
		c.ears[id] = e
	}
	return e
}

// deafen has nobody listen to a program any more.
func (c *Checks) deafen(id model.ID) {
	if e := c.ears[id]; e != nil {
		for _, t := range e.tails {
			c.shut(t)
		}
		delete(c.ears, id)
	}
}

// patterns are what the checks of a program look for in one channel.
func patterns(i core.Instance, p *model.Program, channel int) []pattern {
	var list []pattern
	for n := range p.Checks {
		k := &p.Checks[n]
		if k.Kind != model.CheckLog || channelOf(p, k) != channel {
			continue
		}
		if _, elsewhere := followed(i, p, k); elsewhere {
			continue
		}
		if re, err := regexp.Compile(k.Pattern); err == nil { // else the check says so
			list = append(list, pattern{k.Name, re})
		}
	}
	return list
}

// channelOf is where the lines of a check come from.
func channelOf(p *model.Program, k *model.Check) int {
	if k.Stderr && !p.IO.MergeStderr {
		return 1
	}
	return 0
}

// line takes a line that a check looks for.
func (c *Checks) line(id model.ID, e *ear, name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.programs[id]
	if w == nil || !w.up || w.inst != e.inst {
		if h := e.early[name]; c.ears[id] == e && h.n < maxEarly {
			e.early[name] = heard{h.n + 1, text}
		}
		return
	}
	for _, k := range w.checks {
		if k.Kind == model.CheckLog && k.Name == name {
			k.found(heard{1, text})
			c.poke(k, c.o.Now())
		}
	}
}

// maxEarly bounds a count.
const maxEarly = 1 << 20

func (k *check) found(h heard) {
	if h.n == 0 || k.answered {
		return
	}
	k.line = h.line
	k.matches += h.n
	k.answered = k.Stage != model.StageLive
}

// attune has an instance's ear listen for what its checks look for now, and takes what came before.
func (c *Checks) attune(w *program) {
	e := c.ears[w.spec.ID]
	if e != nil && e.inst != w.inst {
		c.deafen(w.spec.ID) // of an instance that never was
		e = nil
	}
	for _, k := range w.checks {
		if k.Kind != model.CheckLog || k.disabled != "" || k.follows || k.answered {
			continue
		}
		if path, ok := followed(w.inst, w.spec, &k.Check); ok {
			k.follow(path, e)
			continue
		}
		if e == nil || e.of[channelOf(w.spec, &k.Check)].Load() == nil {
			k.disabled = "what this instance writes is not read here: it begins with the next start, or file= says where it is"
			continue
		}
		k.found(e.early[k.Name])
	}
	if e == nil {
		return
	}
	for _, t := range e.tails { // of checks that are gone
		c.shut(t)
	}
	clear(e.tails)
	clear(e.early)
	for n := range e.of {
		if e.of[n].Load() != nil {
			list := patterns(w.inst, w.spec, n)
			e.of[n].Store(&list)
		}
	}
}

// follow has a check look through a file, from where it was when the instance began, or from its end at the first look.
func (k *check) follow(path string, e *ear) {
	k.follows = true
	if path == "" {
		k.disabled = "what the program writes goes nowhere, so that there is no line to be found"
		return
	}
	if e != nil {
		if t := e.tails[k.Name]; t != nil && t.path == path && t.re.String() == k.Pattern {
			k.tail = t
			delete(e.tails, k.Name)
			return
		}
	}
	k.tail = &tail{path: path, re: k.re}
}
