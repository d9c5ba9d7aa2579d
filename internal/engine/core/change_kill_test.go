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

// cutting is a journal that keeps its records in order, and of one Flush only the first.
type cutting struct {
	waiting []putting
	kept    map[string][]byte
	flushes int
	at, n   int // of that Flush so many
}

func (j *cutting) Put(key string, value []byte) {
	j.waiting = append(j.waiting, putting{key: key, kept: kept{value: value}})
}

func (j *cutting) Flush() error {
	if len(j.waiting) == 0 {
		return nil
	}
	n := len(j.waiting)
	if j.flushes++; j.flushes == j.at {
		n = min(n, j.n)
	}
	for _, w := range j.waiting[:n] {
		if j.kept[w.key] = w.value; w.value == nil {
			delete(j.kept, w.key)
		}
	}
	j.waiting = nil
	if j.flushes == j.at {
		panic(killed{})
	}
	return nil
}

// TestKilledWhileAChangeIsWritten: whatever part of it is known, the definition in force is that of the process, and nothing
// lives of which nobody knows.
func TestKilledWhileAChangeIsWritten(t *testing.T) {
	for flush := 1; ; flush++ {
		for n := 0; ; n++ {
			s := survivor{stage: newStage(t)}
			j := &cutting{kept: map[string][]byte{}}
			renew := func() {
				s.core = New(Options{Host: s, Log: s, Ring: events.New(1000), Journal: j})
				s.w.core = s.core
			}
			renew()
			s.activate(members("g", "stays", "changes", "goes"), members("o", "old"))
			next := members("g", "stays", "changes")
			next.Programs[1].Command.Dir = "/new"
			j.flushes, j.at, j.n = 0, flush, n
			whole := 0
			cut := func() (cut bool) {
				defer func() {
					if x := recover(); x != nil {
						if _, cut = x.(killed); !cut {
							panic(x)
						}
					}
				}()
				s.apply("o", next)
				whole = len(j.waiting)
				s.pass(0)
				return false
			}()
			if !cut {
				return
			}
			j.at, j.waiting = 0, nil
			dirs := map[string]string{}
			for name, a := range s.alive {
				dirs[name] = a.inst.Slot.spec.Command.Dir
			}
			sv, errs := Read(maps.Clone(j.kept))
			if errs != nil {
				t.Fatal(errs)
			}
			renew()
			s.core.Restore(sv)
			for name := range s.alive {
				group := "g"
				if name == "old" {
					group = "o"
				}
				slot := s.in(group, name)
				switch {
				case slot == nil:
					t.Errorf("flush %d, %d records: %s lives, and nobody knows of it", flush, n, name)
				case slot.Program().Command.Dir != dirs[name]:
					t.Errorf("flush %d, %d records: %s runs in %q, and its definition says %q", flush, n, name, dirs[name], slot.Program().Command.Dir)
				}
			}
			s.pass(time.Minute)
			for _, g := range s.core.Table().Groups {
				if g.Spec.Name == "o" && len(g.Slots) == 0 {
					t.Errorf("flush %d, %d records: nothing is left of a group, and it stays", flush, n)
				}
				for _, slot := range g.Slots {
					if st := slot.Status(); st.State != model.Running {
						t.Errorf("flush %d, %d records: %s is %s", flush, n, st.ID, st.State)
					}
				}
			}
			if n > whole+20 {
				break
			}
		}
	}
}
