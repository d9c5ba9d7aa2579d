//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

const (
	clientCount = 8
	callLimit   = 40 * time.Second // no answer for so long is a broken promise

	// Codes of refusals that say that what was asked for is so already.
	faultAlreadyStarted = 60
	faultNotRunning     = 70
)

// answer is what became of a call.
type answer int

const (
	answerYes     answer = iota // done, or so already
	answerLost                  // the connection ended: nobody knows
	answerRefused               // any other fault
	answerNever                 // nothing within the limit
)

// api is the interface of one daemon.
type api struct{ *supervisor.Client }

func newAPI(socket string) (api, error) {
	c, err := supervisor.New(supervisor.Options{URL: "unix://" + socket})
	return api{c}, err
}

// alive makes one call that has no effect.
func (a api) alive(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_, err := a.GetState(ctx)
	return err
}

// order starts or stops a program and waits for the outcome.
func (a api) order(ctx context.Context, name string, up bool) (answer, error) {
	call, fine := a.StopProcess, faultNotRunning
	if up {
		call, fine = a.StartProcess, faultAlreadyStarted
	}
	in, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	err := call(in, name, true)
	var fault *supervisor.Fault
	switch {
	case err != nil && errors.As(err, &fault) && fault.Code == fine && a.stopping(in, name):
		return answerRefused, err // to an order given again while the first is being carried out; it is over soon
	case err == nil || fault != nil && fault.Code == fine:
		return answerYes, nil
	case fault != nil:
		return answerRefused, err
	case in.Err() != nil && ctx.Err() == nil:
		return answerNever, err
	}
	return answerLost, err
}

// stopping reports whether a program is being stopped: NOT_RUNNING is said of it too, and is no promise that it is gone.
func (a api) stopping(ctx context.Context, name string) bool {
	info, err := a.GetProcessInfo(ctx, name)
	return err == nil && info.StateName == "STOPPING"
}

// client owns some programs and starts and stops them at random, one order after the other. An order whose
// answer was lost is given again.
type client struct {
	api    api
	rng    *rand.Rand
	names  []string
	report func(violation)
	phases map[string][]phase
	calls  int
}

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		name := c.names[c.rng.IntN(len(c.names))]
		list := c.phases[name]
		p := phase{up: len(list) == 0 || !list[len(list)-1].up, sent: monotonic()}
		c.phases[name] = append(list, p)
		if t := c.insist(ctx, name, p.up); t != 0 {
			c.phases[name][len(c.phases[name])-1].acked = t
		}
		pause := time.Duration(c.rng.IntN(400)) * time.Millisecond
		if c.rng.IntN(4) == 0 {
			pause = 0 // a start and a stop right after each other
		}
		wait(ctx, pause)
	}
}

// insist gives an order until it is acknowledged and returns when that was; 0 = never.
func (c *client) insist(ctx context.Context, name string, up bool) int64 {
	for begin := time.Now(); ctx.Err() == nil; {
		c.calls++
		a, err := c.api.order(ctx, name, up)
		now := monotonic()
		switch {
		case a == answerYes:
			return now
		case ctx.Err() != nil:
			return 0
		case a == answerRefused && time.Since(begin) > callLimit, a == answerNever:
			c.report(violation{vAnswer, 1, fmt.Sprintf("%s, up=%v: %v", name, up, err)})
			return 0
		}
		// A refusal may be about an earlier order of ours whose answer was lost: that comes to an end.
		wait(ctx, 5*time.Millisecond)
	}
	return 0
}

// wait pauses until d has passed or ctx is done.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// clients run together and are judged together.
type clients struct {
	list   []*client
	wg     sync.WaitGroup
	cancel context.CancelFunc
}

// startClients gives every client its share of the programs that are for clients.
func startClients(ctx context.Context, a api, programs []*program, seed uint64, report func(violation)) *clients {
	ctx, cancel := context.WithCancel(ctx)
	cs := &clients{cancel: cancel}
	share := make([][]string, clientCount)
	n := 0
	for _, p := range programs {
		if p.rule == served {
			share[n%clientCount] = append(share[n%clientCount], p.name)
			n++
		}
	}
	for i, names := range share {
		if len(names) == 0 {
			continue
		}
		c := &client{
			api: a, rng: rand.New(rand.NewPCG(seed, uint64(i))), names: names, report: report, phases: map[string][]phase{},
		}
		cs.list = append(cs.list, c)
		cs.wg.Go(func() { c.run(ctx) })
	}
	return cs
}

// stop ends the clients and returns what they were promised, by program.
func (cs *clients) stop() (phases map[string][]phase, calls int) {
	cs.cancel()
	cs.wg.Wait()
	phases = map[string][]phase{}
	for _, c := range cs.list {
		calls += c.calls
		for name, list := range c.phases {
			phases[name] = list
		}
	}
	return phases, calls
}
