package model

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestMeant: what is found by the index is what About says.
func TestMeant(t *testing.T) {
	var all []*Program
	for _, g := range []string{"a", "b", "c"} {
		for _, n := range []string{"a", "b", "d"} {
			all = append(all, &Program{ID: ID{g, n}})
		}
	}
	for _, on := range []string{"a", "b", "c", "d", "e", "a:*", "a:", "a:b", "c:d", "e:*", "a:e", ":", ""} {
		d := Dependency{On: on}
		var want, got []string
		for _, p := range all {
			if d.About(p.ID) {
				want = append(want, p.ID.Namespec())
			}
		}
		for _, p := range meant(all)(d) {
			got = append(got, p.ID.Namespec())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", on, got, want)
		}
	}
}

func TestCircle(t *testing.T) {
	config := func(depends ...string) *Config {
		c := &Config{}
		for i := 0; i+1 < len(depends); i += 2 {
			d := Dependency{On: depends[i+1]}
			if n := len(c.Groups); n > 0 && c.Groups[n-1].Name == depends[i] { // one more of the same program
				c.Groups[n-1].Programs[0].Depends = append(c.Groups[n-1].Programs[0].Depends, d)
				continue
			}
			p := &Program{ID: ID{depends[i], depends[i]}}
			if d.On != "" {
				p.Depends = []Dependency{d}
			}
			c.Groups = append(c.Groups, &Group{Name: depends[i], Programs: []*Program{p}})
		}
		return c
	}
	for _, c := range []struct {
		config *Config
		want   string
	}{
		{config("a", "", "b", "a", "c", "b"), "[]"},
		{config("a", "a"), "[a a]"},
		{config("a", "b", "b", "c", "c", "b"), "[b c b]"},
		{config("a", "b", "b", "nothing"), "[]"},
		{config("a", "b", "a", "c", "b", "", "c", "d", "c", "e", "d", "", "e", "a"), "[a c e a]"}, // b and d are no part of it
		{config("a", "b", "a", "c", "b", "c", "c", ""), "[]"},                                     // two ways to c are none
	} {
		if got := fmt.Sprint(Circle(c.config)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestCircleOfVeryMany: looking for circles does not grow with the square of the programs.
func TestCircleOfVeryMany(t *testing.T) {
	c := &Config{Groups: []*Group{{Name: "db", Programs: []*Program{{ID: ID{"db", "db"}}}}}}
	for i := range 50_000 {
		name := fmt.Sprint("p", i)
		c.Groups = append(c.Groups, &Group{Name: name, Programs: []*Program{{ID: ID{name, name}, Depends: []Dependency{{On: "db"}}}}})
	}
	for i := range 60 { // 2^60 ways lead through these
		name, next := fmt.Sprint("q", i), fmt.Sprint("q", i+1)
		p := &Program{ID: ID{name, name}, Depends: []Dependency{{On: next}, {On: next}}}
		c.Groups = append(c.Groups, &Group{Name: name, Programs: []*Program{p}})
	}
	begin := time.Now()
	if got := Circle(c); got != nil {
		t.Error(got)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("%v for %d programs", took, len(c.Groups))
	}
}
