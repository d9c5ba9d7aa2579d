package model

import (
	"slices"
	"strings"
)

// Condition is what a dependent waits for.
type Condition uint8

// The conditions.
const (
	DependReady     Condition = iota // RUNNING, and its readiness checks pass
	DependStarted                    // its process exists
	DependCompleted                  // it has ended with an expected exit code
)

// String is the configuration word: ready, started, completed.
func (c Condition) String() string { return [...]string{"ready", "started", "completed"}[c] }

// Dependency is one condition of a start.
type Dependency struct {
	On        string // a program's name ("db", "shop:db") or a group ("shop:*"), each of whose programs it is about
	Condition Condition
}

// String is as people read it: "db: ready". In a configuration it is db:ready.
func (d Dependency) String() string { return d.On + ": " + d.Condition.String() }

// About reports whether a dependency is about a program: by its full name, by its name or its group's.
func (d Dependency) About(id ID) bool {
	if group, ok := strings.CutSuffix(d.On, ":*"); ok {
		return id.Group == group
	}
	if group, name, ok := strings.Cut(d.On, ":"); ok {
		return id.Group == group && id.Name == name
	}
	return d.On == id.Name || d.On == id.Group
}

// Circle finds programs that wait for each other: the path from one of them back to itself, nil when there is none.
func Circle(c *Config) []ID {
	const (
		unseen = iota
		open
		done
	)
	var all []*Program
	for _, g := range c.Groups {
		all = append(all, g.Programs...)
	}
	meant := meant(all)
	state := make(map[ID]int, len(all))
	var path, found []ID
	var visit func(p *Program) bool
	visit = func(p *Program) bool {
		state[p.ID] = open
		path = append(path, p.ID)
		for _, d := range p.Depends {
			for _, q := range meant(d) {
				if state[q.ID] == open {
					for i, id := range path {
						if id == q.ID {
							found = append(append(found, path[i:]...), q.ID)
							return true
						}
					}
				}
				if state[q.ID] == unseen && visit(q) {
					return true
				}
			}
		}
		state[p.ID] = done
		path = path[:len(path)-1]
		return false
	}
	for _, p := range all {
		if len(p.Depends) > 0 && state[p.ID] == unseen && visit(p) {
			return found
		}
	}
	return nil
}

// meant finds the programs that a dependency is about, without looking at all of them each time.
func meant(all []*Program) func(Dependency) []*Program {
	names, groups, ids := map[string][]*Program{}, map[string][]*Program{}, map[ID][]*Program{}
	for _, p := range all {
		if p.ID.Name != p.ID.Group {
			names[p.ID.Name] = append(names[p.ID.Name], p)
		}
		groups[p.ID.Group] = append(groups[p.ID.Group], p)
		ids[p.ID] = append(ids[p.ID], p)
	}
	return func(d Dependency) []*Program {
		if group, ok := strings.CutSuffix(d.On, ":*"); ok {
			return groups[group]
		}
		if group, name, ok := strings.Cut(d.On, ":"); ok {
			return ids[ID{group, name}]
		}
		return slices.Concat(names[d.On], groups[d.On])
	}
}
