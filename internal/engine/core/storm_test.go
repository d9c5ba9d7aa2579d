package core

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/agenda"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestStormUnderKills: programs that wait for their turn in a storm of restarts keep their order when we are killed
// again and again, and none of them is forgotten for the others.
func TestStormUnderKills(t *testing.T) {
	const (
		up, down = 600 * time.Millisecond, time.Second
		cycles   = 60
		longest  = 10 * time.Second // twice what a round of all takes at 50 a second of the time that we are up
	)
	s := survivor{newStage(t), &notebook{map[string][]byte{}, map[string][]byte{}}}
	s.renew()
	var names []string
	for i := range 120 {
		name := fmt.Sprintf("p%03d", i)
		names = append(names, name)
		s.script[name] = script{lives: 100 * time.Millisecond, status: 1}
		g := members(name, name)
		g.Programs[0].Start.Secs = 0
		g.Programs[0].Exit.Restart = model.RestartAlways
		s.activate(g)
	}
	last := map[string]time.Time{}
	for range cycles {
		s.pass(up)
		s.w.coming, s.alive = agenda.Queue[func()]{}, map[string]*actor{} // what lived ends while nobody is there
		s.w.now += down
		sv, errs := Read(maps.Clone(s.journal.kept))
		if errs != nil {
			t.Fatal(errs)
		}
		s.renew()
		s.core.Restore(sv)
		s.pass(time.Millisecond)
		for _, name := range names {
			start := s.slot(name).Status().Start
			if start.Before(last[name]) {
				t.Fatalf("%s: began at %v, before %v", name, start, last[name])
			}
			last[name] = start
		}
	}
	for _, name := range names {
		if ago := s.w.Wall().Sub(last[name]); ago > longest {
			t.Errorf("%s was started %v ago", name, ago)
		}
	}
}
