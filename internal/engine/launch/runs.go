package launch

import (
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// runBegins notes in the logs of a program that what comes is of a new instance. Nothing of it has been moved yet.
func (h *Host) runBegins(i core.Instance) {
	now := h.Wall() // the same in both logs: that is how they are known to be of one run
	h.eachLog(i.Slot, func(path string, o logs.Options) error { return h.o.Files.Began(path, o, now, i.Gen) })
}

// runEnds notes how the instance has ended. What it wrote is in the logs, as far as they could be written.
func (h *Host) runEnds(s *core.Slot, e model.Exit) {
	now := h.Wall()
	h.eachLog(s, func(path string, o logs.Options) error { return h.o.Files.Ended(path, o, now, e) })
}

// eachLog does something to the logs of a program when their times are kept. That it fails costs no more than the note.
func (h *Host) eachLog(s *core.Slot, do func(path string, o logs.Options) error) {
	if !h.o.LogTimes {
		return
	}
	p, paths := s.Program(), s.Logs()
	for k, st := range [2]*model.Stream{&p.IO.Stdout, &p.IO.Stderr} {
		path := [2]string{paths.Stdout, paths.Stderr}[k]
		if path == "" {
			continue
		}
		if err := do(path, h.logOptions(st)); err != nil {
			h.o.Log.Logf(activity.Debug, "no note in the times of %s: %v", path, err)
		}
	}
}
