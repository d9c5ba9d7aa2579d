package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// state says what the state is and why as far as the state machine knows, and whether it is a failure. The cause is the
// state's own until a rule finds a deeper one.
func (q *inquiry) state() {
	if q.f.Adding && q.st.SpawnErr != "" {
		q.refused()
		return
	}
	switch q.st.State {
	case model.Running:
		q.running()
	case model.Starting:
		q.starting()
	case model.Backoff:
		q.backoff()
	case model.Stopping:
		q.stopping()
	case model.Stopped:
		q.stopped()
	case model.Exited:
		q.exited()
	case model.Fatal:
		q.fatal()
	default:
		q.v = Verdict{Headline: "is in a state that cannot be told", Cause: CauseUnknownEnd, Failed: true}
		q.reason()
	}
}

// troubled reports whether a state that is no failure itself tells of one: earlier attempts have failed, or something is
// left of a program that has ended.
func (q *inquiry) troubled() bool {
	return (q.st.State == model.Starting && q.st.Tries > 0) || (q.st.State == model.Exited && len(q.f.Left) > 0)
}

func (q *inquiry) refused() {
	q.v = Verdict{Headline: "cannot start", Cause: CauseStartFailed, Failed: true}
	q.reason()
}

// reason adds the daemon's own words about a start that failed, unless they only say that the program ended.
func (q *inquiry) reason() {
	if s := q.st.SpawnErr; s != "" && !ended(s) {
		q.fact(s)
	}
}

// ended reports whether a spawn error tells of a process that ran and ended.
func ended(spawnErr string) bool {
	return strings.HasPrefix(spawnErr, "Exited too quickly") || strings.HasPrefix(spawnErr, "Exited before its startup checks") || strings.HasPrefix(spawnErr, "Bad exit code")
}

func (q *inquiry) running() {
	q.v = Verdict{
		Headline: fmt.Sprintf("is running for %s (since %s), pid %d", words.Duration(q.f.Now.Sub(q.st.Start)), words.Clock(q.st.Start, q.f.Now), q.st.PID),
		Cause:    CauseRunning,
	}
	if !q.st.Ready && q.p.Staged(model.StageReady) {
		q.v.Cause = CauseNotReady
		q.v.Headline += ", and is not ready: what depends on it waits"
	}
	if q.p.Disabled {
		q.fact("it is disabled (enabled=false): when it has ended it is not started again")
	}
	if q.f.Adopted {
		q.v.Cause = CauseAdopted
		q.fact("upkeep did not start this process but took it over: its output is not logged until its next start")
	}
	if len(q.f.Listening) > 0 {
		var at []string
		for _, a := range q.f.Listening {
			at = append(at, a.String())
		}
		q.fact("listening on " + words.List(at))
	}
	if q.f.Restarts > 0 {
		text := words.Count(q.f.Restarts, "restart", "restarts") + ", the last one " + words.Duration(q.f.Now.Sub(q.st.Start)) + " ago"
		past := &q.st.Past
		switch {
		case past.Check != "":
			text += ", by the check " + past.Check + ": " + past.CheckText
		case q.last != nil && (past.Ended == 0 || past.Ended+1 == q.st.Generation):
			text += ", since it " + end(q.last.Exit).String() + " after " + words.Duration(q.last.Lasted())
		}
		q.fact(text)
	}
}

func (q *inquiry) starting() {
	q.v = Verdict{Headline: "is starting", Cause: CauseStarting}
	switch {
	case q.st.Waiting != "":
		q.waiting()
	case q.st.PID != 0 && q.p.Staged(model.StageStartup):
		q.v = Verdict{
			Headline: fmt.Sprintf("is starting: it lives for %s, and its startup checks have not passed yet", words.Duration(q.f.Now.Sub(q.st.Start))),
			Cause:    CauseUnproved,
		}
		if limit := q.p.Start.Timeout; limit > 0 {
			q.fact("they have " + words.Limit(limit) + " to pass (start_timeout)")
		}
	case q.st.PID != 0:
		q.v.Headline = fmt.Sprintf("is starting: it lives for %s, and counts as running after %s (startsecs)",
			words.Duration(q.f.Now.Sub(q.st.Start)), words.Limit(q.p.Start.Secs))
	}
	if q.st.Tries > 0 {
		q.v.Headline += ", " + q.tries()
		q.ends(q.st.Tries)
	}
}

// tries says which attempt has failed: "try 2 of 4".
func (q *inquiry) tries() string {
	if q.p.Start.Retries == model.Endless {
		return "try " + strconv.Itoa(q.st.Tries)
	}
	return "try " + strconv.Itoa(q.st.Tries) + " of " + strconv.Itoa(max(0, q.p.Start.Retries)+1)
}

func (q *inquiry) backoff() {
	text := "does not stay up (" + q.tries()
	if q.st.Tries == 0 && q.p.Start.Delay > 0 {
		q.delayed()
		return
	}
	switch wait := q.f.NextTry.Sub(q.f.Now); {
	case q.f.NextTry.IsZero():
	case wait <= 0:
		text += ", next now"
	default:
		text += ", next in " + words.Duration(wait)
	}
	q.v = Verdict{Headline: text + ")", Cause: q.cause(), Failed: true}
	q.reason()
	q.ends(q.st.Tries)
}

func (q *inquiry) fatal() {
	text := "gave up"
	if q.st.Tries > 0 {
		text += " after " + words.Count(q.st.Tries, "try", "tries")
	}
	if n := len(q.f.Runs); q.st.Tries > 1 && n >= q.st.Tries {
		text += " in " + words.Duration(q.f.Runs[n-1].End.Sub(q.f.Runs[n-q.st.Tries].Start))
	}
	q.v = Verdict{Headline: text, Cause: q.cause(), Failed: true}
	q.reason()
	q.ends(max(q.st.Tries, 1))
}

// cause is the state's own cause of a failure.
func (q *inquiry) cause() Cause {
	switch {
	case q.st.SpawnErr != "" && q.last != nil && q.last.By == Check:
		return CauseCheck
	case q.st.SpawnErr != "" && !ended(q.st.SpawnErr):
		return CauseStartFailed
	case q.last == nil || !q.last.Exit.Known:
		return CauseUnknownEnd
	case q.last.Exit.Signal != 0:
		return CauseSignal
	}
	return CauseExited
}

func (q *inquiry) stopping() {
	text := "is stopping"
	sig := units.SignalName(q.p.Stop.Signal)
	if !q.f.StopSent.IsZero() {
		text = fmt.Sprintf("is stopping: %s was sent %s ago", sig, words.Duration(q.f.Now.Sub(q.f.StopSent)))
	}
	q.v = Verdict{Headline: text, Cause: CauseStopping}
	defer q.asked()
	switch wait := q.f.KillDue.Sub(q.f.Now); {
	case q.f.KillDue.IsZero():
		q.fact("it has " + words.Limit(q.p.Stop.Wait) + " to end, then SIGKILL follows (stopwaitsecs)")
	case wait > 0:
		q.fact("SIGKILL follows in " + words.Duration(wait) + " (stopwaitsecs=" + words.Limit(q.p.Stop.Wait) + ")")
		q.hint("It need not be waited for:", "upkeep stop "+words.Quote(q.name)+" --now")
	default:
		q.fact("SIGKILL was sent, since " + words.Limit(q.p.Stop.Wait) + " (stopwaitsecs) were over; the system has not ended it yet")
	}
}

// asked says who wanted it down.
func (q *inquiry) asked() {
	if q.f.StoppedBy != "" {
		q.fact("asked for by " + q.f.StoppedBy)
	}
}

func (q *inquiry) stopped() {
	start := "Start it:"
	switch {
	case q.p.Disabled:
		q.v = Verdict{Headline: "is disabled: nobody can start it (enabled=false)", Cause: CauseDisabled}
		q.hint("To have it started again:", q.set("enabled=true"))
		return
	case q.st.Start.IsZero() && (q.f.Off || !q.p.Start.Auto):
		q.v = Verdict{Headline: "is off: it does not start by itself, and nobody has started it", Cause: CauseOff}
	case q.st.Start.IsZero():
		q.v = Verdict{Headline: "has not been started yet", Cause: CauseNotStarted}
	case q.st.Past.Released != 0:
		q.v = Verdict{Headline: "was let go of" + q.when(), Cause: CauseReleased}
		q.fact("its process, pid " + strconv.Itoa(q.st.Past.Released) + ", ran on without upkeep")
		q.hint("Take it back while it runs:", "upkeep adopt "+words.Quote(q.name))
		start = "Start another one:"
	case q.f.StoppedBy != "":
		q.v = Verdict{Headline: "was stopped by " + q.f.StoppedBy + q.when(), Cause: CauseStopped}
		q.howEnded()
	default:
		q.v = Verdict{Headline: "was stopped" + q.when(), Cause: CauseStopped}
		q.howEnded()
	}
	q.hint(start, "upkeep start "+words.Quote(q.name))
	if q.f.Off {
		q.fact("it does not start at boot")
		q.hint("Start it at boot too:", "upkeep on "+words.Quote(q.name))
	}
}

// when is how long ago the program stopped.
func (q *inquiry) when() string {
	if q.st.Stop.IsZero() {
		return ""
	}
	return " " + words.Duration(q.f.Now.Sub(q.st.Stop)) + " ago (" + words.Clock(q.st.Stop, q.f.Now) + ")"
}

// howEnded says how the last run ended, and that it took force if it did.
func (q *inquiry) howEnded() {
	if q.last == nil {
		return
	}
	text := "it " + end(q.last.Exit).String()
	if q.last.By == Kill {
		text += ": it had not ended within " + words.Limit(q.p.Stop.Wait) + " (stopwaitsecs)"
	}
	q.fact(text)
}

func (q *inquiry) exited() {
	e := q.st.Exit
	if q.last != nil {
		e = q.last.Exit
	}
	text := end(e).String()
	if q.last != nil {
		text += " after " + words.Duration(q.last.Lasted())
	}
	expected := e.Known && q.p.Exit.Expected(e.Code())
	if expected {
		q.v = Verdict{Headline: "has finished: " + text, Cause: CauseFinished}
		q.fact("code " + strconv.Itoa(e.Code()) + " is one that is expected (exitcodes)")
	} else {
		q.v = Verdict{Headline: text, Cause: q.cause(), Failed: true}
	}
	if when := q.when(); when != "" {
		q.fact("that was" + when)
	}
	switch q.p.Exit.Restart {
	case model.RestartNever:
		q.fact("it is not started again since autorestart=false")
	case model.RestartUnexpected:
		if expected {
			q.fact("it is not started again since only an unexpected end asks for that (autorestart=unexpected)")
		}
	}
	if !expected && q.p.Exit.Restart == model.RestartNever {
		q.hint("To have it started again when it fails:", q.set("autorestart=unexpected"))
	}
}

// ends says how the last n runs ended.
func (q *inquiry) ends(n int) {
	runs := q.f.Runs[max(0, len(q.f.Runs)-n):]
	var how []words.End
	var lasted []time.Duration
	for _, r := range runs {
		how, lasted = append(how, end(r.Exit)), append(lasted, r.Lasted())
	}
	if text := words.Ends(how, lasted); text != "" {
		q.fact(text)
	}
}

// end puts an exit into words.
func end(e model.Exit) words.End {
	return words.End{Known: e.Known, Code: e.Status, Signal: e.Signal, Core: e.Core, Reason: e.Reason}
}
