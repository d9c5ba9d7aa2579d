package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/journal"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// overKey is in the journal from an ordered end to the next start: nothing of ours lives, and the journal
// knows it.
const overKey = "over"

// configKey is where the journal has the configuration in force.
const configKey = "config"

// syncPatience is how long an end waits for the disk of the wishes.
const syncPatience = 2 * time.Second

// State is what an instance keeps on disk: the journal of this boot, and the wishes.
type State struct {
	journal, wishes *journal.Store
	alerts          *journal.Store // incidents, and what people are to be told
	marks           *spawn.Marks   // nil = nowhere to have them
	// held is what the image before this one has handed over, or what this one is to hand over: without a keeper.
	held    []launch.Held
	dir     string
	runtime string // the directory of what belongs to this boot
	boot    string // the id of this boot
	over    bool   // what ran before has ended in order, or with its boot
	// Notes tell the activity log what was found.
	Notes []Note
}

// OpenState opens the state of an instance. It never fails: what cannot be read is set aside, what cannot
// be written is kept in memory, and the notes say so.
func OpenState(p Place) (*State, error) {
	s := &State{dir: p.State, runtime: p.Runtime}
	boot, err := procstat.BootID()
	if err != nil {
		boot = "unknown" // one era for ever: identities are checked one by one
	}
	// What is said later than at the beginning has no other way out than the notes of the next start; the
	// stores report trouble once, when it begins.
	note := func(format string, args ...any) {
		s.Notes = append(s.Notes, Note{activity.Warn, fmt.Sprintf(format, args...)})
	}
	s.boot = boot
	if s.journal, err = journal.Open(journal.Options{Dir: p.Runtime, Name: "journal", Stamp: boot, Runtime: true, Log: note}); err != nil {
		return nil, err
	}
	if s.wishes, err = journal.Open(journal.Options{Dir: p.State, Name: "wishes", Log: note}); err != nil {
		s.journal.Close()
		return nil, err
	}
	if s.alerts, err = journal.Open(journal.Options{Dir: p.State, Name: "alerts", Log: note}); err != nil {
		s.journal.Close()
		s.wishes.Close()
		return nil, err
	}
	found := s.journal.Recovered()
	_, ended := s.journal.Snapshot()[overKey]
	s.over = found.Same && ended && !s.damaged() || !found.Same && found.Stamp != ""
	if s.marks, err = spawn.OpenMarks(filepath.Join(p.Runtime, "marks")); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		note("which programs have begun is not known after a crash of all processes: %v", err)
	}
	return s, nil
}

// bootKey is where the wishes have the id of the boot for which they count.
const bootKey = "boot"

// thisBoot forgets the wishes of an earlier boot: what was stopped by hand comes back with the machine when it starts by
// itself. Source: spec/usrsvc US-66.
func (s *State) thisBoot() {
	all := s.wishes.Snapshot()
	of, marked := all[bootKey]
	if marked && string(of) == s.boot {
		return
	}
	if marked {
		for key := range all {
			s.wishes.Put(key, nil)
		}
	}
	s.wishes.Put(bootKey, []byte(s.boot))
	s.wishes.Sync(func(error) {}) // the store tells of its own trouble
}

// damaged reports whether something in the journal could not be read.
func (s *State) damaged() bool { return len(s.journal.Recovered().Damage) > 0 }

// entries is the journal's content, as far as it is of this boot.
func (s *State) entries() map[string][]byte {
	if r := s.journal.Recovered(); !r.Same {
		return nil
	}
	return s.journal.Snapshot()
}

// Config is the configuration that was in force when the last process of this boot was killed; nil when there
// is none, or its programs are not known.
func (s *State) Config() *supervisord.Config {
	entries := s.entries()
	value, ok := entries[configKey]
	if !ok {
		return nil
	}
	c := &supervisord.Config{}
	if err := json.Unmarshal(value, c); err != nil {
		return nil
	}
	saved, _ := core.Read(entries) // whoever goes on with it reports what is damaged
	if saved.Empty() {
		return nil
	}
	c.Model = &model.Config{Groups: saved.Groups()}
	return c
}

// keepConfig records the configuration in force, without the programs: their groups have records of their own.
func (s *State) keepConfig(c *supervisord.Config) {
	s.journal.Put(overKey, nil)
	head := *c
	head.Model = nil
	if value, err := json.Marshal(&head); err == nil {
		s.journal.Put(configKey, value)
	}
}

// clear forgets the journal: after an ordered end there is nothing to go on with.
func (s *State) clear() {
	for key := range s.journal.Snapshot() {
		s.journal.Put(key, nil)
	}
	s.journal.Put(overKey, []byte("{}"))
	s.over = true
	_ = s.journal.Flush()
	done := make(chan error, 1)
	s.wishes.Sync(func(err error) { done <- err })
	t := time.NewTimer(syncPatience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Close closes the files.
func (s *State) Close() {
	s.journal.Close()
	s.wishes.Close()
	s.alerts.Close()
	if s.marks != nil {
		s.marks.Close()
	}
}
