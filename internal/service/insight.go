package service

import (
	"context"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Insight is what there is to be known beside the states: what has happened, why something is as it is, what it uses.
type Insight interface {
	// Events are up to limit events (≤ 0: all) with numbers above after, oldest first, and how many of them are no longer held.
	Events(ctx context.Context, after uint64, limit int) (events []model.Event, lost uint64, err error)
	// WaitEvent blocks until there is an event with a number above after, or ctx ends: its error.
	WaitEvent(ctx context.Context, after uint64) error
	// LastEvent is the number of the newest event, 0 = there was none.
	LastEvent() uint64
	// Why explains the state of a program. CodeNoSuchProgram.
	Why(ctx context.Context, id model.ID) (Explanation, error)
	// Figures are what the live instances of programs use, by program; those without an instance are left out.
	Figures(ctx context.Context, ids []model.ID) map[model.ID]Figures
	// Tree are the processes of programs, by program: the live instance first, children behind their parents.
	Tree(ctx context.Context, ids []model.ID) map[model.ID][]Branch
	// Place says what the instance is and where it keeps its files.
	Place() Place
}

// Place is what an instance is and where it keeps its files.
type Place struct {
	Native   bool
	Passive  bool   // nothing is started by itself
	Config   string // its file, whether it exists or not
	Programs string // the directory of managed definitions; empty = there are none
	Log      string // the activity log; empty = none
	UID      int    // who it runs as
	Path     string // PATH that programs get
	URL      string // under which they reach it by XML-RPC
}

// Figures are what one instance uses.
type Figures struct {
	CPU     float64 // percent of one processor, since it began
	Memory  int64   // resident bytes
	Threads int
	Listen  []string // addresses: ":8000", "127.0.0.1:5432"
	// Own is all of the process alone, Tree of it and all that it has started; nil where many programs are asked for or the
	// system does not tell.
	Own, Tree *Usage
}

// Branch is one process of a program.
type Branch struct {
	PID, Parent int     // Parent: 0 for the instance itself
	Command     string  // its arguments as they are now, or its name where it shows none
	Ended       bool    // it is not there any more, but for its parent to take notice
	CPU         float64 // as in Figures
	Memory      int64
}

// Explanation says why a program is in its state. All texts are for people, one line each.
type Explanation struct {
	Headline string // "gave up after 4 tries in 11s"
	Cause    string // a stable word
	Failed   bool   // somebody is needed
	Facts    []string
	Evidence []Evidence
	Checked  []string
	Hints    []Hint
	NextTry  time.Time // zero = none is planned
}

// Evidence is a few lines of one kind: stderr, stdout, check.
type Evidence struct {
	Kind  string
	Lines []string
}

// Hint is one thing to do: why, and what to type.
type Hint struct{ Text, Command string }

// Definitions is the editing of what programs are made of.
type Definitions interface {
	// Definition is the definition of a program section. CodeNoSuchProgram.
	Definition(ctx context.Context, name string) (Definition, error)
	// Define stores the text of a managed definition, and says what Apply would now do to the groups that it defines; match
	// is the ETag of the text that it replaces, empty = there must be none, "*" = any.
	// CodeInvalid (with Mistakes), CodeConflict, CodeAlreadyAdded, CodeNotManaged.
	Define(ctx context.Context, name string, text []byte, match string) (Definition, []Step, error)
	// Forget deletes a managed definition, and stops and removes what runs by it. CodeNoSuchProgram, CodeNotManaged.
	Forget(ctx context.Context, name string) error
	// Invalid are the mistakes in files of definitions that were found when they were read last.
	Invalid() []Mistake
}

// Definition is what a program section says.
type Definition struct {
	Name    string
	Origin  model.Origin
	Managed bool
	Text    []byte // of a managed one
	ETag    string
	Values  []Value // in force
}

// Value is a value in force and where it comes from: "default", "web.conf:3".
type Value struct{ Key, Value, Source string }

// Mistake is something wrong in a configuration.
type Mistake struct {
	File, Key, Message, Suggestion string
	Line                           int // 0 = the file as a whole
}
