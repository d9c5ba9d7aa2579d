package model

import (
	"context"
	"time"
)

// Past is what has happened to a program and its state does not show any more.
type Past struct {
	// Restarts counts the starts that nobody asked for since somebody, or the daemon, last asked for one.
	Restarts int `json:",omitzero"`
	// Ended is the generation of which Status.Exit and Status.Stop tell, 0 = none yet; Lasted is how long it lived.
	Ended  uint64        `json:",omitzero"`
	Lasted time.Duration `json:",omitzero"`
	// Tries is how many attempts had failed in a row at the last BACKOFF.
	Tries int `json:",omitzero"`
	// StopBy is who asked for the stop of the present or last instance, empty = nobody, or it is not known.
	StopBy string `json:",omitzero"`
	// Signal is the last signal that somebody has sent to that instance without asking for a stop, 0 = none; SignalBy is
	// who it was, as far as that is known.
	Signal   int    `json:",omitzero"`
	SignalBy string `json:",omitzero"`
	// Check is the check for which the present instance was started anew, or the last one was ended, and CheckText what it
	// had found; empty = none.
	Check     string `json:",omitzero"`
	CheckText string `json:",omitzero"`
	// Released is the process that the last instance was when it was let go of: it lived on; 0 = it was not.
	Released int `json:",omitzero"`
	// Unseen: the end of which Ended tells came while no process of the daemon was there.
	Unseen bool `json:",omitzero"`
	// Forced: after that stop KILL followed, since it had not ended in time.
	Forced bool `json:",omitzero"`
	// Adopted: the present or last instance was started by somebody else and taken over.
	Adopted bool `json:",omitzero"`
}

// Begin is what remains of the past when a new instance is started: by itself, or because somebody wants it.
func (p Past) Begin(byItself bool) Past {
	next := Past{Ended: p.Ended, Lasted: p.Lasted}
	if byItself {
		next.Restarts, next.Tries = p.Restarts+1, p.Tries
		next.Check, next.CheckText = p.Check, p.CheckText
	}
	return next
}

// actorKey is the place of the actor in a context.
type actorKey struct{}

// WithActor says who gives the orders that are given with a context, in a word for people: the name of a user.
func WithActor(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

// Actor is who gives the orders of a context; empty = that is not known.
func Actor(ctx context.Context) string {
	who, _ := ctx.Value(actorKey{}).(string)
	return who
}
