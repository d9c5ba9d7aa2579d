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

// remember adds what the status tells of the past: restarts, and who has ended the last run.
func remember(f *explain.Facts) {
	st := &f.Status
	past := &st.Past
	f.Restarts, f.Adopted = past.Restarts, past.Adopted && st.PID != 0
	if st.State == model.Stopped || st.State == model.Stopping {
		f.StoppedBy = past.StopBy
	}
	if len(f.Runs) == 0 {
		return
	}
	last := &f.Runs[len(f.Runs)-1]
	if past.Ended != 0 {
		last.OOMKills = st.Exit.OOMKills
	}
	if past.Ended != st.Generation && st.State != model.Stopped { // what is known is of the instance after it
		return
	}
	switch {
	case past.CheckText != "" && (st.State == model.Backoff || st.State == model.Fatal):
		last.By = explain.Check
	case st.State == model.Stopped && past.Forced:
		last.By, last.Who = explain.Kill, past.StopBy
	case st.State == model.Stopped:
		last.By, last.Who = explain.Stop, past.StopBy
	case past.Signal != 0 && past.Signal == last.Exit.Signal:
		last.By, last.Who = explain.SignalOrder, past.SignalBy
	}
}
