package manager

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/explain"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/engine/timeindex"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/usage"
)

var _ service.Insight = (*Manager)(nil)

// Events are the events after a number.
func (m *Manager) Events(_ context.Context, after uint64, limit int) ([]model.Event, uint64, error) {
	events, lost := m.o.Ring.Since(after, limit)
	return events, lost, nil
}

// WaitEvent waits for an event after a number.
func (m *Manager) WaitEvent(ctx context.Context, after uint64) error {
	return m.o.Ring.Wait(ctx, after)
}

// LastEvent is the number of the newest event.
func (m *Manager) LastEvent() uint64 { return m.o.Ring.Last() }

// Place says what the instance is and where it keeps its files.
func (m *Manager) Place() service.Place { return m.o.Place }

// Figures are what the live instances of programs use.
func (m *Manager) Figures(ctx context.Context, ids []model.ID) map[model.ID]service.Figures {
	out := map[model.ID]service.Figures{}
	t := m.o.Core.Table()
	var all *usage.Table
	if len(ids) <= fewDetailed {
		all, _ = usage.Look() // nil where the system does not tell
	}
	for _, id := range ids {
		s := t.Slot(id)
		if s == nil {
			continue
		}
		pid := s.Status().PID
		if pid == 0 {
			continue
		}
		u, err := procstat.Usage(pid)
		if err != nil {
			continue
		}
		f := service.Figures{CPU: percent(u), Memory: u.Memory, Threads: u.Threads, Listen: []string{}}
		if len(ids) <= manyPrograms {
			f.Listen = listening(ctx, pid)
		}
		detail(all, pid, &f)
		out[id] = f
	}
	return out
}

// manyPrograms is from when on it would take too long to look at the sockets of all.
const manyPrograms = 64

// listening are the addresses at which a process and its children listen.
func listening(ctx context.Context, pid int) []string {
	pids := []int{pid}
	if children, err := procstat.Children(pid); err == nil {
		pids = append(pids, children...)
	}
	addrs, err := procnet.Listening(ctx, pids...)
	out := []string{}
	if err != nil {
		return out
	}
	for _, a := range addrs {
		if text := a.String(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// tail is how much of the end of a log an explanation looks at, in bytes.
const tail = 8 << 10

// Why explains the state of a program.
func (m *Manager) Why(ctx context.Context, id model.ID) (service.Explanation, error) {
	s, err := m.slot(id)
	if err != nil {
		return service.Explanation{}, err
	}
	st := s.Status()
	f := explain.Facts{
		Now: time.Now(), Status: st, Runs: runsOf(&st), NextTry: model.NextTry(st), Off: !st.Program.Start.Auto,
		Environ: m.o.Programs.Environ(st.Program), PathFrom: "upkeep, not from your shell",
	}
	f.PathOfPrograms = launch.SearchPath(st.Program, m.o.Environ)
	f.Stdout, f.Stderr = m.lastWords(ctx, id, service.Stdout), m.lastWords(ctx, id, service.Stderr)
	if st.State == model.Running {
		f.Listening, _ = procnet.Listening(ctx, st.PID) // none are shown then
	}
	f.StdinEnds = st.Program.IO.NoStdin
	f.Left = m.left(&f)
	events, _ := m.o.Ring.Since(0, 0)
	recall(&f, events)
	remember(&f)
	if m.o.FilesLimit != nil {
		f.FilesLimit = m.o.FilesLimit()
	}
	for _, other := range m.o.Core.Table().Sorted {
		if o := other.Status(); o.ID != id {
			f.Neighbours = append(f.Neighbours, explain.Neighbour{ID: o.ID, State: o.State, PID: o.PID, Disabled: o.Program.Disabled})
		}
	}
	x := explanation(explain.Explain(ctx, f, m.machine), f.NextTry)
	x.Facts = append(x.Facts, m.unwell(ctx, id)...)
	return x, nil
}

// left are the processes that a program has left, where it looks as if there were some: it sent itself away, or what it
// wants is taken. What cannot be found out is not there.
func (m *Manager) left(f *explain.Facts) []int {
	if len(f.Runs) == 0 || f.Status.PID != 0 {
		return nil
	}
	last, id := &f.Runs[len(f.Runs)-1], f.Status.ID
	var after time.Time
	switch taken := []byte("in use"); {
	case last.Exit.Known && last.Exit.Code() == 0:
		after = last.Start
	case !bytes.Contains(f.Stderr, taken) && !bytes.Contains(f.Stdout, taken):
		return nil
	}
	pids, _ := procfd.Remains(procfd.Wanted{Group: id.Group, Name: id.Name, Server: m.o.Place.URL}, after)
	return pids
}

func explanation(v explain.Verdict, next time.Time) service.Explanation {
	out := service.Explanation{
		Headline: v.Headline, Cause: string(v.Cause), Failed: v.Failed, Facts: v.Facts, Checked: v.Checked, NextTry: next,
	}
	for _, e := range v.Evidence {
		out.Evidence = append(out.Evidence, service.Evidence(e))
	}
	for _, h := range v.Hints {
		out.Hints = append(out.Hints, service.Hint(h))
	}
	return out
}

// lastWords is the end of a log; what cannot be read is not shown.
func (m *Manager) lastWords(ctx context.Context, id model.ID, c service.Channel) []byte {
	data, _, _, err := m.TailLog(ctx, service.LogRef{ID: id, Channel: c}, 0, tail)
	if err != nil {
		return nil
	}
	return data
}

// recentRuns is how many runs an explanation is told about.
const recentRuns = 8

// runsOf are the last runs of a program that have ended, the newest last: as the index of its log has noted them, or else
// what the status tells of the last one.
func runsOf(st *model.Status) []explain.Run {
	path := st.StdoutLog
	if path == "" {
		path = st.StderrLog
	}
	if runs := indexedRuns(path, st); len(runs) > 0 {
		return runs
	}
	r := explain.Run{Start: st.Start, End: st.Stop, Exit: st.Exit}
	switch {
	case st.Past.Ended != 0:
		r.Start = st.Stop.Add(-st.Past.Lasted)
	case st.PID != 0 || st.Stop.IsZero() || st.Stop.Before(st.Start):
		return nil
	}
	return []explain.Run{r}
}

// indexedRuns reads them from the index of a log, which may not be there.
func indexedRuns(path string, st *model.Status) []explain.Run {
	if path == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(filepath.Dir(path), timeindex.Name(filepath.Base(path))))
	if err != nil {
		return nil
	}
	defer f.Close()
	r := timeindex.NewReader(f)
	if r == nil {
		return nil
	}
	var runs []explain.Run
	for i := r.Len() - 1; i >= 0 && len(runs) < recentRuns; i-- {
		rec, ok := r.At(i)
		if !ok || rec.Kind < timeindex.Exited || rec.Run.IsZero() {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].Start.Equal(rec.Run) {
			continue
		}
		runs = append(runs, explain.Run{Start: rec.Run, End: rec.Time, Exit: exitOf(rec)})
	}
	slices.Reverse(runs)
	return runs
}

func exitOf(rec timeindex.Record) model.Exit {
	switch rec.Kind {
	case timeindex.Exited:
		return model.Exit{Known: true, Status: int(rec.Value)}
	case timeindex.Killed:
		return model.Exit{Known: true, Signal: int(rec.Value)}
	}
	return model.Exit{}
}
