package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/sys/home"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
)

// foreign reports whether the programs are defined in the dialect of another tool.
func (a *App) foreign() bool { return a.o.Config.Foreign != nil }

// passive reports whether nothing comes by itself.
func (a *App) passive() bool { return a.foreign() && a.o.Config.Foreign.Passive }

// foreignPlace is the place of an instance that runs the configuration of another tool.
func foreignPlace(c *supervisord.Config, roots home.Roots) Place {
	n := roots.Foreign(c.Foreign.Dialect, c.Settings.ConfigFile)
	return Place{State: n.State, Runtime: n.Runtime}
}

// meaning is what a signal asks for here. Under another tool's name the programs are not the daemon's: what ends it leaves
// them alone, and what is an upgrade elsewhere has it read its configuration. Source: one-model C6.
func (a *App) meaning(s signals.Signal) signals.Signal {
	if a.foreign() && s.Kind == signals.Upgrade {
		s.Kind = signals.Restart
	}
	return s
}

// detach ends the daemon and leaves the programs as they are; what is known of them is in the journal, for the next one. stop
// ends the core.
func (a *App) detach(s signals.Signal, stop func()) Outcome {
	a.log.Logf(activity.Warn, "received %s: the daemon ends, the programs run on", s.Name)
	stop()
	a.detached = true
	if a.o.Keeper != nil {
		if err := a.o.Keeper.link.End(0); err != nil {
			a.log.Logf(activity.Error, "keeper: %v", err)
		}
	}
	return Ended
}

// awaitApplies waits for changes of the configuration that are under way. When the core has left before its programs, nobody
// finishes them here: another process does, by the journal.
func (a *App) awaitApplies() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.applies.Wait()
	}()
	var over <-chan time.Time
	if a.left || a.detached {
		t := time.NewTimer(hurry)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-done:
	case <-over:
	}
}

// anew brings a foreign instance that begins, and finds what an earlier one has left, to what its configuration says now:
// what is down and starts by itself is started, what runs goes on under its new definition, and what is not configured any
// more is let go. Source: spec/usrsvc US-02, US-61.
func (a *App) anew(ctx context.Context) {
	if !a.foreign() || a.o.Continue || a.saved == nil || a.o.Bad != "" {
		return
	}
	a.applies.Go(func() {
		if _, err := a.manager.Apply(ctx, nil); err != nil {
			a.log.Logf(activity.Error, "what an earlier daemon has left is not brought up to the configuration: %v", err)
		}
	})
}

// refusal is why a foreign configuration is not applied as a whole: nothing of it counts while there is a mistake in it. nil =
// there is none. Source: spec/usrsvc US-56.
func (a *App) refusal() error {
	if !a.foreign() {
		return nil
	}
	c, err := a.o.Load()
	if err != nil {
		return err
	}
	var errs []error
	for _, in := range c.Invalid {
		for _, p := range in.Problems {
			errs = append(errs, errors.New(p.Text))
		}
	}
	return errors.Join(errs...)
}

// reopen opens the daemon's own log files anew where a reread is also that. Source: spec/usrsvc 8.2.
func (a *App) reopen() {
	if !a.foreign() {
		return
	}
	if err := errors.Join(a.log.Reopen(), a.files.Reopen()); err != nil {
		a.log.Logf(activity.Error, "cannot reopen a log: %v", err)
	}
}

// problems passes lines of the activity log on, and writes those that tell of trouble to a file too.
type problems struct {
	file *logs.File
	next io.Writer // nil = nobody
}

// Write takes whole lines. What one of the two cannot take the other one gets.
func (p *problems) Write(text []byte) (int, error) {
	var errs []error
	for line := range bytes.Lines(text) {
		if troubled(line) {
			_, err := p.file.Write(line)
			errs = append(errs, err)
		}
	}
	if p.next != nil {
		_, err := p.next.Write(text)
		errs = append(errs, err)
	}
	return len(text), errors.Join(errs...)
}

// troubled reports whether a line of the activity log is a warning or worse.
func troubled(line []byte) bool {
	words := bytes.SplitN(line, []byte(" "), 4) // date, time, level, text
	if len(words) < 3 {
		return false
	}
	for _, l := range []activity.Level{activity.Warn, activity.Error, activity.Critical} {
		if string(words[2]) == l.Tag() {
			return true
		}
	}
	return false
}

// openProblems has trouble written to a file of its own, where that is configured. Source: spec/usrsvc US-85.
func (a *App) openProblems(o *activity.Options) error {
	f := a.o.Config.Foreign
	if f == nil || f.Passive || f.Stderr == "" || filepath.Clean(f.Stderr) == filepath.Clean(o.Path) {
		return nil
	}
	file, err := a.files.Open(f.Stderr, logs.Options{})
	if err != nil {
		return fmt.Errorf("cannot open the log file %s: %w", f.Stderr, err)
	}
	a.troubles = file
	o.Stdout = &problems{file, o.Stdout}
	return nil
}
