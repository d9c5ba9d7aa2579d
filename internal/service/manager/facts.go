package manager

import (
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/explain"
)

// recall adds to the facts what the events tell of them: the process of the last run, and when a stop was ordered.
func recall(f *explain.Facts, events []model.Event) {
	last := len(f.Runs) - 1
	for i := len(events) - 1; i >= 0; i-- {
		e := &events[i]
		if e.ID != f.Status.ID {
			continue
		}
		switch e.Type {
		case model.EventProcessStopping:
			if f.Status.State == model.Stopping && f.StopSent.IsZero() {
				f.StopSent = e.Time
				if wait := f.Status.Program.Stop.Wait; wait > 0 {
					f.KillDue = e.Time.Add(wait)
				}
			}
		case model.EventProcessExited, model.EventProcessBackoff, model.EventProcessStopped:
			if last < 0 || e.PID == 0 || e.Time.Before(f.Runs[last].Start) {
				return
			}
			f.Runs[last].PID = e.PID
			return
		case model.EventProcessStarting: // an earlier run than that which is spoken of, or the present one
			if last >= 0 && e.Time.Before(f.Runs[last].Start) {
				return
			}
		}
	}
}
