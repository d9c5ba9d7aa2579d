package checks

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"regexp"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
)

// tail follows a file that a check looks through, since its lines do not come by here. It is used by one look after the other.
type tail struct {
	path  string
	re    *regexp.Regexp
	begun bool           // what there was at the begin is left behind
	file  *logs.Follower // nil = it was not there yet
	lines streams.Lines
	room  [4 << 10]byte
}

// followed is the file in which the lines of a check are looked for; false when they come by here. The path is empty when they go
// nowhere.
func followed(i core.Instance, p *model.Program, k *model.Check) (path string, ok bool) {
	switch {
	case k.Kind != model.CheckLog:
		return "", false
	case k.Target != "":
		return k.Target, true
	case !p.IO.Direct:
		return "", false
	case channelOf(p, k) == 1:
		return i.Slot.Logs().Stderr, true
	}
	return i.Slot.Logs().Stdout, true
}

// begin leaves behind what is in the file now.
func (t *tail) begin() error {
	if t.begun {
		return nil
	}
	return t.open(0)
}

// open opens the file at its last bytes. That it is not there is no error.
func (t *tail) open(backlog int64) (err error) {
	t.file, err = logs.Follow(context.Background(), t.path, backlog)
	if err != nil {
		t.file = nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	t.begun = err == nil
	return err
}

// look looks for lines that have come since the last look, until ctx ends: the next one goes on there.
func (t *tail) look(ctx context.Context) Finding {
	err := t.begin()
	if err == nil && t.file == nil {
		err = t.open(math.MaxInt64)
	}
	var f Finding
	for err == nil && t.file != nil && ctx.Err() == nil {
		var n int
		if n, err = t.file.Next(t.room[:]); n == 0 {
			break
		}
		t.lines.Feed(t.room[:n], func(line []byte) {
			if t.re.Match(line) {
				f.heard = heard{f.heard.n + 1, termtext.Line(line, maxText)}
			}
		})
	}
	if f.heard.n == 0 {
		f.Trouble = err
	}
	return f
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
	}
}

// Begin is told before an instance begins: what it says, and what it writes to files, counts from then on.
func (c *Checks) Begin(i core.Instance, p *model.Program) {
	tails := map[string]*tail{}
	for n := range p.Checks {
		k := &p.Checks[n]
		path, ok := followed(i, p, k)
		if !ok || path == "" {
			continue
		}
		if re, err := regexp.Compile(k.Pattern); err == nil { // else the check says so
			t := &tail{path: path, re: re}
			if c.within(func() { _ = t.begin() }, t.close) { // the first look tries it again
				tails[k.Name] = t
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if len(tails) > 0 {
		c.earOf(i, p.ID).tails = tails
	}
	c.beginsToSpeak(i, p)
}

// beginPatience is how long a start waits for a file that is to be followed, and maxBegins how many of them may hang.
const (
	beginPatience = time.Second
	maxBegins     = 32
)

// within does something that may hang, and reports whether it was done soon; late is called when it is done too late.
func (c *Checks) within(do, late func()) bool {
	done, over := make(chan struct{}), make(chan struct{})
	c.mu.Lock()
	full := c.closed || c.begins >= maxBegins
	if !full {
		c.begins++
		c.flying.Go(func() {
			do()
			c.mu.Lock()
			c.begins--
			c.mu.Unlock()
			select {
			case done <- struct{}{}:
			case <-over:
				late()
			}
		})
	}
	c.mu.Unlock()
	if full {
		return false
	}
	wait := time.NewTimer(beginPatience)
	defer wait.Stop()
	select {
	case <-done:
		return true
	case <-wait.C:
		close(over)
		return false
	}
}

// shut closes a file that is not looked through any more: beside, since a file system may hang.
func (c *Checks) shut(t *tail) {
	if t != nil {
		c.flying.Go(t.close)
	}
}
