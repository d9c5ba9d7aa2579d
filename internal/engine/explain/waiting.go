package explain

import (
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// waiting says for what a start waits, and what has become of it.
func (q *inquiry) waiting() {
	q.v = Verdict{Headline: "waits for " + q.st.Waiting, Cause: CauseWaiting}
	name := q.st.Waiting
	if at := strings.LastIndex(name, ": "); at >= 0 {
		name = name[:at]
	}
	for _, n := range q.f.Neighbours {
		if n.ID.String() != name {
			continue
		}
		if n.Disabled && n.State.Down() {
			q.fact(name + " is disabled")
			q.hint("To have it started again:", "upkeep set "+words.Quote(name)+" enabled=true && upkeep start "+words.Quote(name))
			return
		}
		q.fact(name + " is " + n.State.String())
		switch {
		case n.State == model.Stopped || n.State == model.Exited:
			q.hint("It does not start by itself:", "upkeep start "+words.Quote(name))
		case n.State == model.Running && strings.HasSuffix(q.st.Waiting, ": ready"):
			q.hint("Why it is not ready:", "upkeep why "+words.Quote(name))
		case n.State != model.Running && n.State != model.Starting:
			q.hint("Why it is not there:", "upkeep why "+words.Quote(name))
		}
		return
	}
	q.fact("there is no program " + name)
}

// delayed is a program that has ended and only waits until it may be started again.
func (q *inquiry) delayed() {
	text := "is started again"
	if wait := q.f.NextTry.Sub(q.f.Now); !q.f.NextTry.IsZero() && wait > 0 {
		text += " in " + words.Duration(wait)
	}
	q.v = Verdict{Headline: text + " (restart_delay=" + words.Limit(q.p.Start.Delay) + ")", Cause: CauseDelayed}
	if past := &q.st.Past; past.CheckText != "" {
		q.fact("it was ended by the check " + past.Check + ": " + past.CheckText)
		return
	}
	q.ends(1)
}
