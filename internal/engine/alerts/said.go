package alerts

import (
	"fmt"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// said is what is said of one program, before it is known how it comes out.
type said struct {
	State string
	Item  report.Item
}

// telling is one thing that is to be told.
type telling struct {
	n     *note
	kind  model.TriggerKind
	in    *incident // that lasts; nil = it is over
	said  said
	times int
	found bool     // the program was found dead
	fault string   // of the daemon: which
	but   []string // those who are told something else of it
}

// clock is a moment as a message says it: with day and zone, since it is read elsewhere and later.
func clock(t time.Time) string { return t.Format("15:04:05 MST (2 Jan 2006)") }

func end(e model.Exit) words.End {
	return words.End{Known: e.Known, Code: e.Status, Signal: e.Signal, Core: e.Core, Reason: e.Reason}
}

// ending is how an instance has ended, in a few words, and its fact.
func (n *note) ending() (short string, fact report.Fact, ok bool) {
	switch {
	case n.Past.Ended == 0:
		return "", report.Fact{}, false
	case !n.Exit.Known:
		text := end(n.Exit).String()
		return "nobody saw how it ended", report.Fact{Name: "exit", Text: text}, true
	}
	lasted := " after " + words.Duration(n.Past.Lasted)
	return end(n.Exit).Short() + lasted, report.Fact{Name: "exit", Text: "it " + end(n.Exit).String() + lasted}, true
}

// failure is why a start has failed, where nothing of it ran.
func (n *note) failure() string {
	if n.SpawnErr == "" || strings.HasPrefix(n.SpawnErr, "Exited too quickly") || strings.HasPrefix(n.SpawnErr, "Bad exit code") {
		return ""
	}
	return n.SpawnErr
}

// telling collects what there is to say at this moment: the output is that which led to it.
func (a *Alerts) telling(n *note, st *model.Status, k model.TriggerKind) telling {
	it := report.Item{Name: n.ID.String(), Process: n.ID.Name, Since: n.Time}
	s := said{Item: it}
	short, exit, ended := n.ending()
	failure := a.hide.Line(n.failure())
	if failure != "" {
		short, exit, ended = failure, report.Fact{Name: "start", Text: failure}, true
	}
	p := a.of(n.ID)
	switch k {
	case model.TriggerFatal:
		s.State, s.Item.Lead = "FATAL", "is down since "+clock(n.Time)+"."
		s.Item.Headline = joined(short, "gave up after ") + words.Count(max(st.Tries, n.Past.Tries, 1), "try", "tries")
		if n.Type == model.EventProcessExited {
			s.State, s.Item.Headline = "EXITED", joined(short, "and is not to be started again")
		}
	case model.TriggerBackoff:
		s.State, s.Item.Lead = "BACKOFF", "does not stay up since "+clock(n.Time)+"."
		s.Item.Headline = joined(short, n.try(st))
	case model.TriggerUnhealthy:
		s.State, s.Item.Lead, ended = "UNHEALTHY", "is unhealthy since "+clock(n.Time)+".", false
		s.Item.Headline = n.Key + ": " + n.Text
		s.fact("check", n.Key+": "+n.Text)
	case model.TriggerCheck:
		s.State, s.Item.Lead, ended = "RESTARTED", "is started anew since "+clock(n.Time)+": a check has failed.", false
		s.Item.Headline = p.Check + ": " + p.Found
		s.fact("check", p.Check+": "+p.Found)
		s.fact("up", "for "+words.Duration(n.Time.Sub(n.Start))+", since "+clock(n.Start))
	case model.TriggerOOM:
		s.State, s.Item.Lead = "OOM", "had not enough memory at "+clock(n.Time)+"."
		s.Item.Headline = "the kernel has killed " + words.Count(n.Exit.OOMKills, "process", "processes") + " of it"
		s.fact("memory", s.Item.Headline+" for lack of memory")
	case model.TriggerRestart:
		s.State, s.Item.Headline = "RESTARTED", short
		s.Item.Lead = "ended at " + clock(n.Stop) + " and was started again."
	case model.TriggerStarted:
		s.State = "STARTED"
		s.Item.Headline, s.Item.Lead = "by autostart", "was started with the daemon at "+clock(n.Start)+"."
		ended = ended && !n.Auto
	}
	if ended {
		s.Item.Facts = append(s.Item.Facts, exit)
	}
	if k != model.TriggerUnhealthy && k != model.TriggerCheck && !p.Since.IsZero() && !p.Until.IsZero() {
		s.fact("last up", "for "+words.Duration(p.Until.Sub(p.Since))+", until "+clock(p.Until))
	}
	if n.Past.Check != "" && k != model.TriggerCheck && k != model.TriggerUnhealthy {
		s.fact("check", n.Past.Check+": "+n.Past.CheckText)
	}
	a.output(&s, st)
	a.conceal(&s)
	return telling{n: n, kind: k, said: s}
}

// output adds the last lines of a program. Nobody is to wait for a disk who asks how alerts do: the lock is let go of meanwhile.
// What it guards is changed by this goroutine alone.
func (a *Alerts) output(s *said, st *model.Status) {
	a.mu.Unlock()
	defer a.mu.Lock()
	read, ok := soon(a, func() (i report.Item) {
		i.Stream, i.Lines = a.o.Tail(*st)
		return i
	})
	if !ok {
		s.fact("log", "could not be read in time")
	}
	s.Item.Stream, s.Item.Lines = read.Stream, a.hide.Lines(read.Lines)
}

// soon is what a look has found. One that does not return in time is left behind, as one at a dead disk, and keeps its place until
// it does; while all places are taken nothing is looked at.
func soon[T any](a *Alerts, look func() T) (found T, ok bool) {
	select {
	case a.looks <- struct{}{}:
	default:
		return found, false
	}
	done := make(chan T, 1)
	go func() {
		defer func() { <-a.looks }()
		done <- look()
	}()
	late := time.NewTimer(a.o.Pace.Patience)
	defer late.Stop()
	select {
	case found = <-done:
		return found, true
	case <-late.C:
		return found, false
	}
}

// joined leaves out what is not known.
func joined(short, rest string) string {
	if short == "" {
		return rest
	}
	return short + ", " + rest
}

func (s *said) fact(name, text string) {
	s.Item.Facts = append(s.Item.Facts, report.Fact{Name: name, Text: text})
}

// conceal takes secrets out of what others have written.
func (a *Alerts) conceal(s *said) {
	s.Item.Headline = a.hide.Line(s.Item.Headline)
	for i := range s.Item.Facts {
		s.Item.Facts[i].Text = a.hide.Line(s.Item.Facts[i].Text)
	}
}

// dead changes what is said of a start into that of a program that was found dead.
func (s *said) dead(n *note) {
	s.Item.Headline = "found dead and started"
	s.Item.Lead = "was found dead and was started at " + clock(n.Start) + "."
	if short, _, ok := n.ending(); ok && !n.Auto {
		s.Item.Headline += ", " + short
	} else {
		s.fact("exit", "nobody saw how it ended: the daemon was not there, or the machine was down")
	}
}

// recovery is what is said when an incident is over.
func recovery(in *incident, n *note) said {
	lasted := words.Duration(n.Time.Sub(in.Since))
	s := said{State: "RECOVERED", Item: report.Item{Since: n.Time}}
	if in.ID != (model.ID{}) {
		s.Item.Name, s.Item.Process = in.ID.String(), in.ID.Name
	}
	what := "down"
	switch in.Kind {
	case model.TriggerUnhealthy:
		what = "unhealthy"
	case model.TriggerRestart:
		what = "restarted again and again"
	case model.TriggerDaemon:
		s.Item.Headline = fmt.Sprintf("the trouble (%s) is over after %s", in.Name, lasted)
		s.Item.Lead = "is well again: " + s.Item.Headline + "."
		return s
	}
	s.Item.Headline = "well again after " + lasted
	s.Item.Lead = fmt.Sprintf("is well again since %s; it was %s for %s.", clock(n.Time), what, lasted)
	s.fact("from", clock(in.Since))
	s.fact("to", clock(n.Time))
	return s
}

// daemonSaid is what is said of a fault of the daemon.
func daemonSaid(n *note) said {
	s := said{State: "DAEMON", Item: report.Item{Since: n.Time, Headline: n.Text, Lead: "needs somebody since " + clock(n.Time) + "."}}
	s.fact("trouble", n.Text)
	return s
}
