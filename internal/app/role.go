package app

import (
	"encoding/json"
	"os"

	"github.com/upkeep-project/upkeep/internal/engine/keeper"
	"github.com/upkeep-project/upkeep/internal/engine/spawner"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// Role is called first thing in main, also in the main of tests that run a daemon: when this process was
// started to be one of the daemon's helpers it works as that and ends; otherwise Role returns.
func Role() {
	if spawn.ShimMain() || spawner.Main() {
		os.Exit(0)
	}
	if handled, status := keeper.Main(); handled {
		os.Exit(status)
	}
}

// notesVariable carries what is to be told in the activity log about the time before there was one.
const notesVariable = "UPKEEP_NOTES"

// NotesEnviron hands notes to the process that opens the activity log.
func NotesEnviron(notes []Note) []string {
	if len(notes) == 0 {
		return nil
	}
	text, err := json.Marshal(notes)
	if err != nil {
		return nil
	}
	return []string{notesVariable + "=" + string(text)}
}

// InheritedNotes are the notes of NotesEnviron.
func InheritedNotes() []Note {
	var notes []Note
	_ = json.Unmarshal([]byte(os.Getenv(notesVariable)), &notes) // nothing to tell is no mistake
	return notes
}
