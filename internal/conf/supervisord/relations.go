package supervisord

import (
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// relations is what programs may say about each other and about notifiers.
type relations struct {
	config   *model.Config
	names    map[string]bool       // of programs
	groups   map[string]int        // how many programs each has
	ids      map[model.ID]bool     // of programs
	sections map[string][]model.ID // by the name of the section, the processes of it
	// missing are the names that files define which cannot be used: what they would be is not known.
	missing map[string]bool
}

// relate indexes what there is.
func relate(c *model.Config, missing map[string]bool) *relations {
	r := &relations{
		config: c, names: map[string]bool{}, groups: map[string]int{}, ids: map[model.ID]bool{}, sections: map[string][]model.ID{},
		missing: missing,
	}
	for _, g := range c.Groups {
		for _, p := range g.Programs {
			r.names[p.ID.Name], r.ids[p.ID] = true, true
			r.groups[g.Name]++
			r.sections[p.Section] = append(r.sections[p.Section], p.ID)
		}
	}
	return r
}

// unrelated is a mistake in what a program says about others.
type unrelated struct {
	p   *model.Program
	key string
	err error
}

// check fills in whom programs depend on, and finds what is wrong with it. The programs must not have been published.
func (r *relations) check(fresh []*model.Program) (bad []unrelated) {
	for _, p := range fresh {
		if err := r.depends(p); err != nil {
			bad = append(bad, unrelated{p, "depends_on", err})
		}
		if err := r.notified(p); err != nil {
			bad = append(bad, unrelated{p, "notify", err})
		}
	}
	circle := model.Circle(r.config)
	if len(circle) == 0 {
		return bad
	}
	path := make([]string, len(circle))
	for i, id := range circle {
		path[i] = id.String()
	}
	for _, p := range fresh {
		if slices.Contains(circle, p.ID) && !slices.ContainsFunc(bad, func(u unrelated) bool { return u.p == p && u.key == "depends_on" }) {
			bad = append(bad, unrelated{p, "depends_on", refuse("depends_on: these wait for each other: " + strings.Join(path, " -> "))})
		}
	}
	return bad
}

// depends resolves the dependencies of a program: what is not the name of a program or group is that of a section, all of
// whose processes are meant.
func (r *relations) depends(p *model.Program) error {
	var list []model.Dependency
	for _, d := range p.Depends {
		names, err := r.resolve(d.On)
		if err != nil {
			return err
		}
		for _, name := range names {
			one := model.Dependency{On: name, Condition: d.Condition}
			if one.About(p.ID) {
				return refuse("depends_on: " + p.ID.String() + " would wait for itself")
			}
			if !slices.Contains(list, one) {
				list = append(list, one)
			}
		}
	}
	p.Depends = list
	return nil
}

// resolve gives the names by which the programs are found that a dependency means.
func (r *relations) resolve(on string) ([]string, error) {
	group, name, full := strings.Cut(on, ":")
	var list []string
	switch {
	case full && (name == "*" || name == ""):
		if r.groups[group] > 0 {
			return []string{group + ":*"}, nil
		}
	case full && r.ids[model.ID{Group: group, Name: name}]:
		return []string{on}, nil
	case full:
		for _, id := range r.sections[name] {
			if id.Group == group {
				list = append(list, id.Namespec())
			}
		}
	case r.names[on] && r.groups[on] > 0 && (r.groups[on] > 1 || !r.ids[model.ID{Group: on, Name: on}]):
		// A group has the name of a program: the program is meant, wherever it is.
		for id := range r.ids {
			if id.Name == on {
				list = append(list, id.Namespec())
			}
		}
		slices.Sort(list)
	case r.names[on] || r.groups[on] > 0:
		return []string{on}, nil
	default:
		for _, id := range r.sections[on] {
			list = append(list, id.Namespec())
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	if r.missing[group] || full && r.missing[name] {
		return []string{on}, nil
	}
	return nil, &plainError{"depends_on: nothing is called " + pytext.Repr(on), r.near(on)}
}

// near is the name that may have been meant; also of a condition.
func (r *relations) near(on string) string {
	var known []string
	for name := range r.groups {
		known = append(known, name)
	}
	for id := range r.ids {
		known = append(known, id.String(), id.Name)
	}
	if name, _, ok := strings.Cut(on, ":"); ok && slices.Contains(known, name) {
		for _, c := range []model.Condition{model.DependReady, model.DependStarted, model.DependCompleted} {
			known = append(known, name+":"+c.String())
		}
	}
	slices.Sort(known)
	return closest(on, slices.Compact(known))
}

// notified makes sure that there are the notifiers that a program names.
func (r *relations) notified(p *model.Program) error {
	for _, name := range p.Notify {
		var known []string
		for _, n := range r.config.Notifiers {
			known = append(known, n.Name)
		}
		if name != "none" && !slices.Contains(known, name) {
			return &plainError{"notify: there is no section [" + notifyPrefix + name + "]", closest(name, known)}
		}
	}
	return nil
}

// programsOf are all programs of groups.
func programsOf(groups []*model.Group) (list []*model.Program) {
	for _, g := range groups {
		list = append(list, g.Programs...)
	}
	return list
}

// section is the section of a program; nil when it is not in what was read.
func (r *reader) section(p *model.Program) *ini.Section {
	return r.doc.Section(p.Kind.String() + ":" + p.Section)
}

// misplaced is a mistake about other programs, with its place.
func (r *reader) misplaced(u unrelated) *Error {
	sect := r.section(u.p)
	var e *Error
	if sect != nil {
		e = r.options(sect, nil).refusal(u.key, u.err)
	} else {
		e = &Error{File: u.p.Origin.File, Line: r.lineOf(u.p, u.key), Key: u.key}
	}
	e.Text, e.Suggestion = inWords(u.err)
	return e
}

// lineOf is where the file of a program says an option, else where its section begins.
func (r *reader) lineOf(p *model.Program, key string) int {
	text, err := r.env.readRegular(p.Origin.File)
	if err != nil {
		return p.Origin.Line
	}
	header := p.Kind.String() + ":" + p.Section
	for i, l := range ini.Scan(string(text), keys.Fold) {
		if l.Kind == ini.KindOption && l.Section == header && l.Key == key {
			return i + 1
		}
	}
	return p.Origin.Line
}

// relate judges what the programs of a whole configuration say about each other. Source: one-model C7.
func (r *reader) relate(c *model.Config) error {
	bad := relate(c, r.missing).check(programsOf(c.Groups))
	if len(bad) > 0 {
		e := r.misplaced(bad[0])
		e.Text, e.Suggestion = bad[0].err.Error(), ""
		return e
	}
	for _, text := range doubtful(c) {
		r.warn(text)
	}
	return nil
}

// doubtful are warnings about what has to do with each other: notifiers for groups that are not there; programs that have
// one pid file, as each would take it for its own.
func doubtful(c *model.Config) (texts []string) {
	for _, n := range c.Notifiers {
		for _, g := range n.Groups {
			if c.Group(g) == nil {
				texts = append(texts, "For ["+notifyPrefix+n.Name+"], groups: there is no group "+g+" ("+place(n.Origin.File, n.Origin.Line)+")")
			}
		}
	}
	first := map[string]*model.Program{}
	for _, p := range programsOf(c.Groups) {
		path := p.Attach.PIDFile
		if path == "" {
			continue
		}
		if other := first[path]; other != nil {
			texts = append(texts, "For ["+p.Kind.String()+":"+p.Section+"], the pidfile "+path+" is also that of "+other.ID.String())
			continue
		}
		first[path] = p
	}
	return texts
}

// definedIn are the names of programs and groups that a text defines, whatever else is wrong with it.
func (r *reader) definedIn(text []byte) []string {
	var names []string
	for _, l := range ini.Scan(string(text), keys.Fold) {
		if kind := r.table.Find(l.Section); l.Kind == ini.KindHeader && kind != nil && kind.Runs() {
			_, name, _ := strings.Cut(l.Section, ":")
			names = append(names, name)
		}
	}
	return names
}

// lack notes what a file defines that cannot be used.
func (r *reader) lack(text []byte) {
	for _, name := range r.definedIn(text) {
		r.missing[name] = true
	}
}

// relateTo judges what the programs of one file say about each other, and about all others.
func (r *reader) relateTo(s Shared, c *model.Config) {
	if s.others == nil {
		return // the instance does it, when all are known
	}
	all := &model.Config{Groups: slices.Clone(c.Groups), Notifiers: s.others.Notifiers}
	for _, g := range s.others.Groups {
		if g.Origin.File != r.loc.Path && c.Group(g.Name) == nil {
			all.Groups = append(all.Groups, g)
		}
	}
	fresh := programsOf(c.Groups)
	for _, u := range relate(all, s.missing).check(fresh) {
		r.problem(r.misplaced(u))
	}
}
