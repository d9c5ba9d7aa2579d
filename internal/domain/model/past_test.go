package model

import (
	"context"
	"testing"
	"time"
)

func TestPastBegin(t *testing.T) {
	old := Past{Restarts: 2, Ended: 7, Lasted: time.Second, Tries: 3, StopBy: "ann", Forced: true, Signal: 15, SignalBy: "bob", Adopted: true}
	for _, c := range []struct {
		byItself bool
		want     Past
	}{
		{true, Past{Restarts: 3, Ended: 7, Lasted: time.Second, Tries: 3}},
		{false, Past{Ended: 7, Lasted: time.Second}},
	} {
		if got := old.Begin(c.byItself); got != c.want {
			t.Errorf("by itself %v: %+v, want %+v", c.byItself, got, c.want)
		}
	}
}

func TestActor(t *testing.T) {
	if who := Actor(context.Background()); who != "" {
		t.Errorf("nobody is %q", who)
	}
	ctx, cancel := context.WithCancel(WithActor(context.Background(), "ann"))
	defer cancel()
	if who := Actor(context.WithoutCancel(ctx)); who != "ann" {
		t.Errorf("ann is %q", who)
	}
}
