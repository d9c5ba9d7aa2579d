package core

import (
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// onlooker is a host that is told of programs at rest.
type onlooker struct {
	*stage
	rested []string
}

func (o *onlooker) Rest(id model.ID) { o.rested = append(o.rested, id.Name) }

// have fails unless exactly these have come to rest since the last call.
func (o *onlooker) have(when, want string) {
	o.t.Helper()
	o.pass(0)
	if got := strings.Join(o.rested, " "); got != want {
		o.t.Errorf("%s: %q have come to rest, want %q", when, got, want)
	}
	o.rested = nil
}

// A program is at rest when it is down and stays so, not between two of its processes.
func TestRest(t *testing.T) {
	s := newStage(t)
	o := &onlooker{stage: s}
	s.core.host = o
	s.script["once"] = script{lives: 5 * time.Second}
	s.script["again"] = script{lives: 5 * time.Second}
	s.script["never"] = script{fails: "no such file"}
	s.add("once again never steady", func(p *model.Program, _ *model.Group) {
		p.Start.Retries, p.Exit.Restart = 1, model.RestartNever
		if p.ID.Name == "again" {
			p.Exit.Restart = model.RestartAlways
		}
	})
	s.pass(500 * time.Millisecond)
	s.state("never", model.Backoff)
	o.have("while a start is to be tried again", "")
	s.pass(4 * time.Second)
	s.state("never", model.Fatal)
	o.have("after the last attempt", "never")
	s.pass(3 * time.Second)
	s.state("once", model.Exited)
	s.state("again", model.Running)
	o.have("after an end", "once")
	if _, err := s.stop("steady", true); err != nil {
		t.Fatal(err)
	}
	o.have("after a stop", "steady")
}

// A start that waits for a stop leaves nobody at rest.
func TestNoRestBeforeAStart(t *testing.T) {
	s := newStage(t)
	o := &onlooker{stage: s}
	s.core.host = o
	s.script["a"] = script{dies: time.Second}
	s.add("a", nil)
	s.pass(2 * time.Second)
	down := s.core.stop([]*Slot{s.slot("a")}, Each, true)
	s.pass(10 * time.Millisecond)
	if _, err := s.start("a", Each, true); err != nil {
		t.Fatal(err)
	}
	s.until(down)
	s.state("a", model.Running)
	o.have("after a start during a stop", "")
}

// An applied change that restarts programs leaves nobody at rest.
func TestNoRestWithinARestart(t *testing.T) {
	s := newStage(t)
	o := &onlooker{stage: s}
	s.core.host = o
	s.script["a"] = script{dies: time.Second}
	s.activate(members("g", "a", "b", "c"))
	next := with(members("g", "a", "b"), func(p *model.Program) { p.Command.Dir = "/new" })
	s.finished(s.apply("", next))
	o.have("after a change that restarts two and removes one", "c")
}
