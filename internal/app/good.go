package app

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/sys/statefile"
	"github.com/upkeep-project/upkeep/internal/sys/steady"
)

// Settled is an environment in which files of the configuration are read when nobody writes to them, and not before.
func Settled(env supervisord.Environ) supervisord.Environ {
	env.ReadFile = func(path string) ([]byte, error) {
		text, err := steady.Read(path, steady.Patience)
		if errors.As(err, new(*steady.BusyError)) {
			err = &supervisord.UnsettledError{Path: path}
		}
		return text, err
	}
	return env
}

// goodName is the file in the state directory of an instance that holds the configuration that was in force last.
const goodName = "last-good.json"

// goodVersion is the form of that file; another one is not read.
const goodVersion = 1

// maxGood bounds it, in bytes.
const maxGood = 1 << 30

// good is what the file holds.
type good struct {
	Version int                 `json:"version"`
	Since   time.Time           `json:"since"` // when it came into force
	Files   []string            `json:"files"` // what it was read from
	Config  *supervisord.Config `json:"config"`
}

// LastGood completes what was read for a start by what the instance, whose state is in a directory, had in force last. When
// nothing could be read (bad), it is all of that, and why says so; when some files cannot be used, what these defined. Errors:
// bad, when there is nothing to take its place, joined with what is wrong with it.
// Source: one-model C7.
func LastGood(state string, c *supervisord.Config, bad error) (_ *supervisord.Config, why string, err error) {
	if bad == nil && len(c.Invalid) == 0 {
		return c, "", nil
	}
	g, err := readGood(filepath.Join(state, goodName))
	if bad == nil {
		switch {
		case err == nil:
			c.KeepLast(g.Config.Model.Groups)
		case !errors.Is(err, fs.ErrNotExist):
			c.Say(activity.Error, fmt.Sprintf("what cannot be used of the configuration is not there, as the last good one cannot be used either: %v", err))
		}
		return c, "", nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", bad
	}
	if err != nil {
		return nil, "", errors.Join(bad, fmt.Errorf("the last good configuration cannot be used either: %w", err))
	}
	why = fmt.Sprintf("the configuration cannot be used: %s; the last good one is in force, which is of %s",
		placed(bad), g.Since.Local().Format("2006-01-02 15:04:05"))
	g.Config.Messages = []supervisord.Message{{Level: activity.Critical, Text: why}}
	return g.Config, why, nil
}

// placed is a mistake with its place.
func placed(err error) string {
	var e *supervisord.Error
	if errors.As(err, &e) && e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, err)
	}
	return err.Error()
}

// readGood reads such a file.
func readGood(path string) (*good, error) {
	f, _, err := statefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxGood))
	if err != nil {
		return nil, err
	}
	g := &good{}
	if err := json.Unmarshal(text, g); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if g.Version != goodVersion || g.Config == nil || g.Config.Model == nil {
		return nil, fmt.Errorf("%s is of another version", path)
	}
	for _, one := range g.Config.Model.Groups {
		if one == nil || slices.Contains(one.Programs, nil) {
			return nil, fmt.Errorf("%s is damaged", path)
		}
	}
	return g, nil
}

// sum is that of its configuration.
func (g *good) sum() (sum [sha256.Size]byte) {
	if text, err := json.Marshal(g.Config); err == nil {
		sum = sha256.Sum256(text)
	}
	return sum
}

// goodKeeper writes the configuration in force to the disk whenever it has changed.
type goodKeeper struct {
	dir   string
	due   chan struct{}
	force func() *supervisord.Config // the configuration in force; nil = it is not known
	log   *activity.Logger
	sum   [sha256.Size]byte // of what was written last
	told  string            // the trouble that was told last
}

// keepGood makes the keeper of an instance; nil when there is nothing to keep it in, or nobody who would read it, as of a
// supervisord.conf.
func (a *App) keepGood() *goodKeeper {
	if a.o.State == nil || a.o.Config.Native == nil {
		return nil
	}
	return &goodKeeper{dir: a.o.State.dir, due: make(chan struct{}, 1), force: a.inForce, log: a.log}
}

// changed says that the configuration in force is another one now.
func (k *goodKeeper) changed() {
	if k == nil {
		return
	}
	select {
	case k.due <- struct{}{}:
	default: // it will be seen
	}
}

// run works until the function that it returns is called; that one writes what is still to be written.
func (k *goodKeeper) run() (stop func()) {
	if k == nil {
		return func() {}
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-k.due:
				k.save()
			case <-over:
				select {
				case <-k.due:
					k.save()
				default:
					if k.told != "" { // there may be room by now
						k.save()
					}
				}
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// save writes the configuration in force, unless it is there already. Trouble is told once: the instance works without it.
func (k *goodKeeper) save() {
	c := k.force()
	if c == nil {
		return
	}
	path := filepath.Join(k.dir, goodName)
	if k.sum == [sha256.Size]byte{} { // a daemon before this one may have written the same
		if g, err := readGood(path); err == nil {
			k.sum = g.sum()
		}
	}
	text, err := json.Marshal(c)
	if sum := sha256.Sum256(text); err == nil && sum != k.sum {
		if text, err = json.Marshal(&good{Version: goodVersion, Since: time.Now(), Files: c.Files, Config: c}); err == nil {
			err = statefile.Write(path, text)
		}
		if err == nil {
			k.sum = sum
		}
	}
	switch {
	case err == nil:
		k.told = ""
	case err.Error() != k.told:
		k.told = err.Error()
		k.log.Logf(activity.Warn, "the last good configuration is not kept for a start with a broken one: %v", err)
	}
}

// inForce is the configuration in force: the programs as they are, with what was said about the rest when it was read last.
func (a *App) inForce() *supervisord.Config {
	a.latest.mu.Lock()
	head := a.latest.config
	a.latest.mu.Unlock()
	if head == nil {
		return nil
	}
	c := *head
	c.Messages, c.Invalid = nil, nil
	c.Model = &model.Config{Notifiers: head.Model.Notifiers}
	for _, g := range a.core.Table().Groups {
		c.Model.Groups = append(c.Model.Groups, g.Spec)
	}
	return &c
}

// First is the configuration of a start: that of the files, completed by what was in force last.
func (o *Options) First() (*supervisord.Config, error) {
	c, err := o.Load()
	if o.Good == nil {
		return c, err
	}
	c, o.Bad, err = o.Good(c, err)
	return c, err
}

// mistaken is an error of reading the configuration as what is told of it.
func mistaken(err error, main string) supervisord.Invalid {
	var e *supervisord.Error
	if !errors.As(err, &e) {
		e = &supervisord.Error{Text: err.Error()}
	}
	file := e.File
	if file == "" {
		file = main
	}
	return supervisord.Invalid{File: file, Problems: []*supervisord.Error{e}}
}
