package core

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/events"
)

// notebook is a journal in memory: what was put counts once it was flushed.
type notebook struct{ put, kept map[string][]byte }

func (n *notebook) Put(key string, value []byte) { n.put[key] = value }

func (n *notebook) Flush() error {
	maps.Copy(n.kept, n.put)
	maps.DeleteFunc(n.kept, func(_ string, v []byte) bool { return v == nil })
	clear(n.put)
	return nil
}

// survivor is a stage whose processes outlive the core.
type survivor struct {
	*stage
	journal *notebook
}

func (s survivor) Resume(i Instance, _ bool) Resumed {
	a := s.alive[i.Slot.Status().ID.Name]
	if a == nil {
		return Resumed{}
	}
	a.inst = i
	return Resumed{Process: a}
}

func (s survivor) renew() {
	s.core = New(Options{Host: s, Log: s, Ring: events.New(1000), Journal: s.journal})
	s.w.core = s.core
}

// TestKilledDuringAChange: the change is finished by the next process, whenever the kill comes.
func TestKilledDuringAChange(t *testing.T) {
	for _, kill := range []time.Duration{0, 100 * time.Millisecond, 3 * time.Second, 6 * time.Second, time.Minute} {
		t.Run(fmt.Sprint(kill), func(t *testing.T) {
			s := survivor{newStage(t), &notebook{map[string][]byte{}, map[string][]byte{}}}
			s.renew()
			for _, slow := range []string{"goes", "old"} {
				s.script[slow] = script{dies: 5 * time.Second}
			}
			s.script["changes"] = script{dies: 2 * time.Second}
			s.activate(members("g", "stays", "changes", "goes"), members("o", "old"))
			next := members("g", "stays", "changes", "comes")
			next.Programs[1].Command.Dir = "/new"
			next.Programs[0].Stop.Signal = 2
			s.apply("o", next, members("n", "new"))
			s.pass(kill)

			sv, errs := Read(maps.Clone(s.journal.kept))
			if errs != nil {
				t.Fatal(errs)
			}
			s.renew()
			s.core.Restore(sv)
			s.pass(time.Minute)
			s.are("stays RUNNING 101, changes RUNNING 105, comes RUNNING 106, new RUNNING 107")
		})
	}
}

// TestKilledBeforeTheExchange: the definition of the process is in force as long as it lives.
func TestKilledBeforeTheExchange(t *testing.T) {
	s := survivor{newStage(t), &notebook{map[string][]byte{}, map[string][]byte{}}}
	s.renew()
	s.script["x"] = script{refuses: true}
	s.activate(members("x", "x"))
	next := members("x", "x")
	next.Programs[0].Command.Dir = "/new"
	s.applied(s.apply("", next), "replace x:x unknown process state")
	sv, _ := Read(s.journal.kept)
	s.renew()
	s.core.Restore(sv)
	s.pass(time.Second)
	slot := s.in("x", "x")
	if target, _ := slot.Target(); slot.Program().Command.Dir != "" || target.Command.Dir != "/new" {
		t.Errorf("in force %q, then %q", slot.Program().Command.Dir, target.Command.Dir)
	}
	if got := s.core.Table().Group("x").Spec.Programs[0].Command.Dir; got != "/new" {
		t.Errorf("the group says %q", got)
	}
	s.script["x"] = script{}
	s.alive["x"].end(model.Exit{Known: true})
	s.pass(2 * time.Second)
	if slot.Program().Command.Dir != "/new" || slot.Status().State != model.Running {
		t.Errorf("%s in %q", slot.Status().State, slot.Program().Command.Dir)
	}
}
