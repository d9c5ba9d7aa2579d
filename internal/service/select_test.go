package service

import (
	"slices"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// world is programs by their namespecs.
func world(names string) []model.Status {
	var all []model.Status
	for _, name := range strings.Fields(names) {
		group, name, _ := strings.Cut(name, ":")
		all = append(all, model.Status{ID: model.ID{Group: group, Name: name}})
	}
	return all
}

func namespecs(list []model.Status) string {
	var names []string
	for i := range list {
		names = append(names, list[i].ID.Namespec())
	}
	return strings.Join(names, " ")
}

func TestSelect(t *testing.T) {
	const (
		shop  = "api:api shop:web shop:worker x:worker"
		globs = "a[1]:a[1] a1:a1 a?:a? b*:b* bc:bc g[x]:p g[x]:q gx:p dir/a:dir/a dir/b:dir/b"
	)
	for _, c := range []struct{ names, selectors, found, missing string }{
		{shop, "all", shop, ""},
		{"", "all", "", ""},
		{"all:all b:b", "all", "all:all b:b", ""},
		{shop, "api", "api:api", ""},
		{shop, "api:api", "api:api", ""},
		{shop, "shop:web", "shop:web", ""},
		{shop, "shop:*", "shop:web shop:worker", ""},
		{shop, "shop:", "shop:web shop:worker", ""},
		{shop, "shop", "", "shop"},
		{shop, "web", "shop:web", ""},  // only one has the name
		{shop, "worker", "", "worker"}, // two have it
		{shop, "*:worker", "shop:worker x:worker", ""},
		{shop, "shop:w*", "shop:web shop:worker", ""},
		{shop, "api api api:*", "api:api", ""},
		{shop, "x:worker api", "api:api x:worker", ""}, // in the order of all
		{shop, "nope api z*", "api:api", "nope z*"},
		{shop, "[", "", "["},
		{shop, "", "", ""},
		{"p:p g:p", "p", "p:p", ""}, // the full name counts for more
		{globs, "a[1]", "a[1]:a[1]", ""},
		{globs, "a?", "a?:a?", ""},
		{globs, "b*", "b*:b*", ""},
		{globs, "a*", "a[1]:a[1] a1:a1 a?:a?", ""},
		{globs, `a\[1\]*`, "a[1]:a[1]", ""},
		{globs, "g[x]:*", "g[x]:p g[x]:q", ""},
		{globs, "g[x]:", "g[x]:p g[x]:q", ""},
		{globs, "g[x-y]:p", "gx:p", ""},
		{globs, "dir/*", "dir/a:dir/a dir/b:dir/b", ""},
		{globs, "d*b", "dir/b:dir/b", ""},
		{globs, "dir/a", "dir/a:dir/a", ""},
	} {
		found, missing := Select(world(c.names), strings.Fields(c.selectors))
		if got := namespecs(found); got != c.found || strings.Join(missing, " ") != c.missing {
			t.Errorf("%q of %q: %q, missing %q; want %q, missing %q", c.selectors, c.names, got, missing, c.found, c.missing)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct{ names, name, want string }{
		{"web:web", "web", "web:web"},
		{"web:web", "web:web", "web:web"},
		{"shop:web", "web", "shop:web"},
		{"shop:web x:web", "web", "shop:web x:web"},
		{"web:web x:web", "web", "web:web"},
		{"web:web", "w*", ""},
		{"web:web", "all", ""},
		{"web:web", "", ""},
	} {
		if got := namespecs(Named(world(c.names), c.name)); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.name, c.names, got, c.want)
		}
	}
}

// FuzzSelect: whatever is typed, nothing is chosen twice, and a selector is either answered or missing.
func FuzzSelect(f *testing.F) {
	for _, s := range []string{"web", "a[1]", "shop:*", "*", "[", "\\", ":", "a/b", "\x00"} {
		f.Add(s)
	}
	all := world("a[1]:a[1] a1:a1 shop:web shop:worker dir/a:dir/a")
	f.Fuzz(func(t *testing.T, s string) {
		found, missing := Select(all, []string{s, s})
		if (len(found) > 0) == (len(missing) > 0) || len(found) > len(all) {
			t.Errorf("%q: %q, missing %q", s, namespecs(found), missing)
		}
		for i := range found {
			if slices.ContainsFunc(found[:i], func(o model.Status) bool { return o.ID == found[i].ID }) {
				t.Errorf("%q: %s twice", s, found[i].ID)
			}
		}
	})
}
