package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// group makes a group from a short description: its name and the command lines of its programs.
func group(name string, lines ...string) *model.Group {
	g := &model.Group{Name: name, Priority: 999}
	for i, line := range lines {
		g.Programs = append(g.Programs, &model.Program{
			ID: model.ID{Group: name, Name: string(rune('a' + i))}, Command: model.Command{Line: line},
		})
	}
	return g
}

func at(line int, g *model.Group) *model.Group {
	g.Origin.Line = line
	return g
}

func config(groups ...*model.Group) *model.Config { return &model.Config{Groups: groups} }

// show is a plan in one line: its steps, a change with its greatest effect.
func show(p Plan) string {
	var out []string
	for _, s := range p.Steps() {
		word := s.Kind.String() + " " + s.Name
		if s.Kind == Replace {
			word += "=" + s.Effect().String()
		}
		out = append(out, word)
	}
	return strings.Join(out, ", ")
}

func TestMake(t *testing.T) {
	listener := func(events ...string) *model.Group {
		return &model.Group{Name: "l", Kind: model.KindEventListener, Pool: &model.Pool{Events: events}}
	}
	cases := []struct {
		name   string
		active []*model.Group
		next   *model.Config
		want   string
	}{
		{"nothing at all", nil, nil, ""},
		{"empty configuration", nil, config(), ""},
		{"unchanged", []*model.Group{group("a", "x"), group("b", "y")}, config(group("a", "x"), group("b", "y")), ""},
		{"groups in another order", []*model.Group{group("b"), group("a")}, config(group("a"), group("b")), ""},
		{"added in configuration order", nil, config(group("z"), group("a")), "add z, add a"},
		{"removed in active order", []*model.Group{group("z"), group("a")}, nil, "remove z, remove a"},
		{
			"changed in configuration order",
			[]*model.Group{group("a", "1"), group("z", "1")},
			config(group("z", "2"), group("a", "2")), "replace z=restart, replace a=restart",
		},
		{
			"removal, change, refresh, addition",
			[]*model.Group{group("c", "1"), group("m"), group("r"), group("s")},
			config(group("n"), group("c", "2"), at(9, group("m")), group("s")), "remove r, replace c=restart, refresh m, add n",
		},
		{"an empty group may come", nil, config(&model.Group{Name: "e"}), "add e"},
		{"events in another order", []*model.Group{listener("A", "B")}, config(listener("B", "A")), ""},
		{"another event", []*model.Group{listener("A")}, config(listener("B")), "replace l=live"},
		{"only moved in the file", []*model.Group{at(1, group("a"))}, config(at(2, group("a"))), "refresh a"},
		{"the first of two of one name counts", []*model.Group{group("a", "1")}, config(group("a", "1"), group("a", "2")), ""},
		{"two active of one name are removed once", []*model.Group{group("a", "1"), group("a", "2")}, nil, "remove a"},
	}
	for _, c := range cases {
		if got := show(Make(c.active, c.next)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMakeTellsWhatChanges(t *testing.T) {
	id := func(g, n string) model.ID { return model.ID{Group: g, Name: n} }
	p := Make([]*model.Group{group("c", "1", "1"), group("r", "1")}, config(group("c", "1", "2"), group("n", "1", "1")))
	for _, c := range []struct {
		name string
		got  []Change
		want []model.FieldChange
	}{
		{"changed", p.Changed, []model.FieldChange{{Program: id("c", "b"), Field: "command", Old: "1", New: "2", Effect: model.EffectRestart}}},
		{"removed", p.Removed, []model.FieldChange{{Program: id("r", "a"), Field: model.FieldMember, Old: "a", Effect: model.EffectRestart}}},
		{"added", p.Added, []model.FieldChange{
			{Program: id("n", "a"), Field: model.FieldMember, New: "a", Effect: model.EffectLive},
			{Program: id("n", "b"), Field: model.FieldMember, New: "b", Effect: model.EffectLive},
		}},
	} {
		if len(c.got) != 1 {
			t.Errorf("%s: %d groups, want 1", c.name, len(c.got))
			continue
		}
		if d := cmp.Diff(c.want, c.got[0].Fields); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
	added, changed, removed := p.Names()
	if d := cmp.Diff([][]string{{"n"}, {"c"}, {"r"}}, [][]string{added, changed, removed}); d != "" {
		t.Error(d)
	}
	if p.Empty() {
		t.Error("a plan with three changes is called empty")
	}
	if p := Make([]*model.Group{at(1, group("a"))}, config(at(2, group("a")))); !p.Empty() || len(p.Moved) != 1 {
		t.Errorf("a moved definition: empty is %v, moved %d", p.Empty(), len(p.Moved))
	}
	if p.Removed[0].New != nil || p.Removed[0].Old == nil || p.Added[0].Old != nil || p.Added[0].New == nil {
		t.Error("definitions stand on the wrong side")
	}
}

// table is a toy engine: the active groups in the order in which they came.
type table []*model.Group

func (t table) apply(tb *rapid.T, p Plan) table {
	phase := Remove
	t = slices.Clone(t)
	for _, s := range p.Steps() {
		if s.Kind < phase {
			tb.Fatalf("a %s after a %s", s.Kind, phase)
		}
		phase = s.Kind
		i := slices.IndexFunc(t, func(g *model.Group) bool { return g.Name == s.Name })
		if (i < 0) != (s.Kind == Add) {
			tb.Fatalf("%s %s: the group is at %d", s.Kind, s.Name, i)
		}
		switch s.Kind {
		case Remove:
			t = slices.Delete(t, i, i+1)
		case Replace, Refresh:
			if t[i] != s.Old {
				tb.Fatalf("%s %s: not the active definition", s.Kind, s.Name)
			}
			t[i] = s.New
		case Add:
			t = append(t, s.New)
		}
	}
	return t
}

func drawConfig(t *rapid.T, label string) *model.Config {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 5, rapid.ID[string]).Draw(t, label)
	c := config()
	for _, n := range names {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2"}), 0, 2).Draw(t, label+" "+n)
		g := group(n, lines...)
		g.Priority = rapid.IntRange(1, 2).Draw(t, "priority")
		g.Origin.Line = rapid.IntRange(1, 2).Draw(t, "line")
		if rapid.Bool().Draw(t, "backwards") {
			slices.Reverse(g.Programs)
		}
		c.Groups = append(c.Groups, g)
	}
	return c
}

// TestApplyingAPlanLeadsThere: whatever was active, the plan leads to exactly what is desired; then there
// is nothing left to do.
func TestApplyingAPlanLeadsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		active := table(drawConfig(t, "active").Groups)
		next := drawConfig(t, "next")
		p := Make(active, next)
		if d := cmp.Diff(p, Make(active, next)); d != "" {
			t.Fatalf("planned twice:\n%s", d)
		}
		done := active.apply(t, p)
		byName := func(x, y *model.Group) int { return strings.Compare(x.Name, y.Name) }
		want := slices.SortedFunc(slices.Values(next.Groups), byName)
		got := slices.SortedFunc(slices.Values(done), byName)
		if d := cmp.Diff(want, got, cmp.Transformer("empty", func(l []*model.Program) []*model.Program {
			return append([]*model.Program{}, l...)
		})); d != "" {
			t.Fatalf("not what was desired:\n%s", d)
		}
		if rest := Make(done, next); len(rest.Steps()) != 0 {
			t.Fatalf("still to be done: %s", show(rest))
		}
		for _, c := range p.Changed {
			if !model.Differs(c.Fields) {
				t.Fatalf("%s is called changed for %v", c.Name, c.Fields)
			}
		}
	})
}
