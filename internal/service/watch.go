package service

import (
	"context"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Watching is what checks have found out.
type Watching interface {
	// Checks are the states of the checks of programs, by program, in the order of their definition; programs without
	// checks or without an instance are left out.
	Checks(ctx context.Context, ids []model.ID) map[model.ID][]model.CheckState
}

// Alerting is who is told about what.
type Alerting interface {
	// Notifiers are all that are configured, in the order of their sections.
	Notifiers(ctx context.Context) ([]NotifierState, error)
	// TestNotifier sends a labelled message to all destinations of a notifier now, and says what happened; a delivery that
	// fails is no error of the call. CodeNoSuchProgram for an unknown name.
	TestNotifier(ctx context.Context, name string) ([]Delivery, error)
}

// NotifierState is a notifier and what has become of its messages since the daemon's state began.
type NotifierState struct {
	Name      string
	To        []string // without secrets
	Via       string   // without secrets
	On        []model.Trigger
	Groups    []string
	Sent      uint64
	Failed    uint64 // given up
	Waiting   int    // to be sent, or sent again
	LastError string // of the last attempt, if that has failed
	LastTime  time.Time
}

// Delivery is what became of one message to one destination. Transcript is the dialogue, line by line, without secrets.
type Delivery struct {
	To         string
	Error      string // empty = delivered
	Transcript []string
}

// HealthOf is the health of an instance by its checks: "none" when it has no live check that has looked, else "healthy" or
// "unhealthy"; text is what the first that fails has found.
func HealthOf(checks []model.CheckState) (health, text string) {
	health = "none"
	for i := range checks {
		c := &checks[i]
		if c.Check.Stage == model.StageLive && c.Verdict == model.Passing {
			health = "healthy"
		}
	}
	if text = failing(checks, model.StageLive); text != "" {
		health = "unhealthy"
	}
	return health, text
}

// Condition is what the checks of an instance that runs have found and others should know: "unhealthy, up: connection refused",
// "not ready, …"; empty when there is nothing.
func Condition(checks []model.CheckState) string {
	if text := failing(checks, model.StageLive); text != "" {
		return "unhealthy, " + text
	}
	if text := failing(checks, model.StageReady); text != "" {
		return "not ready, " + text
	}
	return ""
}

// failing is what the first failing check of a stage has found, after its name.
func failing(checks []model.CheckState, stage model.Stage) string {
	for i := range checks {
		if c := &checks[i]; c.Check.Stage == stage && c.Verdict == model.Failing {
			return c.Check.Name + ": " + c.Text
		}
	}
	return ""
}
