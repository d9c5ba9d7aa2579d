package core

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestAdd(t *testing.T) {
	group := func(name string) NewGroup { return NewGroup{Spec: &model.Group{Name: name}} }
	sv, errs := Read(nil)
	if len(errs) > 0 || !sv.Empty() {
		t.Fatalf("%v, %+v", errs, sv)
	}
	sv.Add([]NewGroup{group("b"), group("a")})
	sv.Add(nil)
	sv.Add([]NewGroup{group("c")})
	if sv.Empty() {
		t.Error("there is something to go on with")
	}
	var names []string
	var orders []uint64
	for _, g := range sv.groups {
		names, orders = append(names, g.Spec.Name), append(orders, g.Order)
	}
	if d := cmp.Diff([]string{"b", "a", "c"}, names); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]uint64{1, 2, 3}, orders); d != "" {
		t.Error(d)
	}
}
