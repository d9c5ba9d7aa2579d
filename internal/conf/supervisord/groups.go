package supervisord

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// groups reads everything that is to run. Source: spec/supervisor 1.8, 1.9.
func (r *reader) groups(global map[string]string) (*model.Config, error) {
	var list []*model.Group
	grouped := map[string]bool{}
	for _, pass := range []struct {
		prefix string
		read   func(*ini.Section) (*model.Group, error)
	}{
		{"group:", func(s *ini.Section) (*model.Group, error) { return r.group(s, grouped, global) }},
		{"program:", func(s *ini.Section) (*model.Group, error) { return r.single(s, global) }},
		{"eventlistener:", func(s *ini.Section) (*model.Group, error) { return r.listener(s, global) }},
		{"fcgi-program:", func(s *ini.Section) (*model.Group, error) { return r.fastCGI(s, global) }},
		{"rpcinterface:", func(s *ini.Section) (*model.Group, error) { return r.helper(s, global) }},
	} {
		for _, sect := range r.doc.Sections() {
			if !strings.HasPrefix(sect.Name, pass.prefix) || grouped[sect.Name] {
				continue
			}
			before := len(r.problems)
			g, err := pass.read(sect)
			if err != nil {
				return nil, err
			}
			if g != nil && len(r.problems) == before {
				list = append(list, g)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *model.Group) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	return &model.Config{Groups: r.distinct(list)}, nil
}

// distinct drops what can never be reached because something earlier has the same name: of groups the
// first stays, of the programs in a group the last. Each loss is reported.
func (r *reader) distinct(list []*model.Group) []*model.Group {
	groups := map[string]*model.Group{}
	kept := list[:0:0]
	for _, g := range list {
		if first := groups[g.Name]; first != nil {
			r.warn("Group " + g.Name + " is defined twice (" + place(first.Origin.File, first.Origin.Line) + "; " +
				place(g.Origin.File, g.Origin.Line) + "); the second has been ignored")
			continue
		}
		groups[g.Name] = g
		kept = append(kept, g)
		at := map[string]int{}
		var programs []*model.Program
		for _, p := range g.Programs {
			i, twice := at[p.ID.Name]
			if !twice {
				at[p.ID.Name] = len(programs)
				programs = append(programs, p)
				continue
			}
			first := programs[i].Origin
			r.warn("Process " + p.ID.Namespec() + " is defined twice (" + place(first.File, first.Line) + "; " +
				place(p.Origin.File, p.Origin.Line) + "); the first has been ignored")
			programs[i] = p
		}
		g.Programs = programs
	}
	return kept
}

// newGroup checks the name in a section header.
func (r *reader) newGroup(o *options, kind model.Kind) *model.Group {
	_, raw, _ := strings.Cut(o.sect.Name, ":")
	name, err := units.Name(raw)
	o.fail("", err)
	if name == "" && err == nil {
		r.warn("Section [" + o.sect.Name + "] has an empty name (" + place(o.sect.File, o.sect.Line) + ")")
	}
	return &model.Group{Name: name, Kind: kind, Origin: origin(o.sect)}
}

// single makes the group of an ungrouped program.
func (r *reader) single(sect *ini.Section, global map[string]string) (*model.Group, error) {
	o := r.options(sect, scope{"here": r.here})
	g := r.newGroup(o, model.KindProgram)
	g.Priority = o.number("priority", 999)
	return r.finish(o, g, global)
}

// finish adds the processes to a homogeneous group.
func (r *reader) finish(o *options, g *model.Group, global map[string]string) (*model.Group, error) {
	if err := o.failure(); err != nil {
		return nil, err
	}
	var err error
	g.Programs, err = r.programs(o.sect, g.Name, g.Kind, global)
	return g, err
}

// group reads a [group:x] section.
func (r *reader) group(sect *ini.Section, grouped map[string]bool, global map[string]string) (*model.Group, error) {
	o := r.options(sect, scope{"here": r.here})
	g := r.newGroup(o, model.KindProgram)
	members, _ := o.text("programs")
	g.Priority = o.number("priority", 999)
	if o.err == nil && members == "" {
		r.warn("For [" + sect.Name + "], programs is missing or empty (" + place(sect.File, sect.Line) + "); the group has no processes")
	}
	for _, member := range units.List(members) {
		if o.err != nil {
			break
		}
		program, fcgi := r.doc.Section("program:"+member), r.doc.Section("fcgi-program:"+member)
		switch {
		case program == nil && fcgi == nil && r.missing[member]:
			continue // what it is stands in a file that cannot be used
		case program == nil && fcgi == nil:
			o.fail("programs", errors.New("["+sect.Name+"] names unknown program or fcgi-program "+member))
			continue
		case program != nil && fcgi != nil:
			o.fail("programs", errors.New("["+sect.Name+"] name "+member+" is ambiguous (exists as program and fcgi-program)"))
			continue
		}
		list, err := r.member(cmp.Or(program, fcgi), g.Name, global)
		if err != nil {
			return nil, err
		}
		grouped[cmp.Or(program, fcgi).Name] = true
		g.Programs = append(g.Programs, list...)
	}
	return g, o.failure()
}

// member makes the processes of a section that a group lists. FastCGI programs keep their socket there (F32).
func (r *reader) member(sect *ini.Section, group string, global map[string]string) ([]*model.Program, error) {
	if !strings.HasPrefix(sect.Name, "fcgi-program:") {
		return r.programs(sect, group, model.KindProgram, global)
	}
	o := r.options(sect, scope{"here": r.here})
	s := r.sharedSocket(o)
	if err := o.failure(); err != nil {
		return nil, err
	}
	list, err := r.programs(sect, group, model.KindFastCGI, global)
	return sharing(list, s), err
}

// sharing gives processes their common socket.
func sharing(list []*model.Program, s *model.SocketSpec) []*model.Program {
	for _, p := range list {
		p.Socket = s
	}
	return list
}

// defaultHandler is the judge of listeners' results that is built in.
const defaultHandler = "supervisor.dispatchers:default_handler"

// listener reads an [eventlistener:x] section.
func (r *reader) listener(sect *ini.Section, global map[string]string) (*model.Group, error) {
	o := r.options(sect, scope{"here": r.here})
	_, name, _ := strings.Cut(sect.Name, ":") // checked with the programs, whose errors name the section
	g := &model.Group{Name: name, Kind: model.KindEventListener, Origin: origin(sect), Priority: o.number("priority", -1)}
	pool := &model.Pool{}
	g.Pool = pool
	size := o.integer("buffer_size", 10)
	if size < 1 {
		o.fail("buffer_size", errors.New("["+sect.Name+"] section sets invalid buffer_size ("+strconv.FormatInt(size, 10)+")"))
	}
	pool.Buffer = clampInt(size)
	pool.ResultHandler = o.word("result_handler", defaultHandler)
	events, _ := o.text("events")
	if o.err == nil {
		var err error
		pool.Events, err = subscriptions(sect.Name, events)
		o.fail("events", err)
	}
	if o.boolean("redirect_stderr", false) {
		o.fail("redirect_stderr", errors.New("["+sect.Name+"] section sets redirect_stderr=true but this is not allowed because "+
			"it will interfere with the eventlistener protocol"))
	}
	pool.LenBytes = value(o, "event_len", false, func(v string) (bool, error) { return choice("event_len", v, "bytes", "chars") })
	if pool.Timeout = seconds(o.integer("event_timeout", 0)); pool.Timeout < 0 {
		o.fail("event_timeout", errors.New("["+sect.Name+"] section sets invalid event_timeout ("+
			strconv.FormatInt(int64(pool.Timeout/time.Second), 10)+")"))
	}
	if err := o.failure(); err != nil {
		return nil, err
	}
	var err error
	if g.Programs, err = r.programs(sect, name, g.Kind, global); err != nil {
		return nil, err
	}
	if pool.ResultHandler != defaultHandler {
		r.warn(pool.ResultHandler + " cannot be resolved within [" + sect.Name + "]; its listeners are not started")
		for _, p := range g.Programs {
			p.Start.Retries = 0 // it would be in vain
		}
	}
	return g, nil
}

// eventTypes are the names a listener can subscribe to. Source: spec/supervisor 4.1.
func eventTypes() []string {
	return strings.Fields(`EVENT PROCESS_STATE PROCESS_STATE_STARTING PROCESS_STATE_RUNNING PROCESS_STATE_BACKOFF
		PROCESS_STATE_STOPPING PROCESS_STATE_EXITED PROCESS_STATE_STOPPED PROCESS_STATE_FATAL PROCESS_STATE_UNKNOWN
		PROCESS_COMMUNICATION PROCESS_COMMUNICATION_STDOUT PROCESS_COMMUNICATION_STDERR
		PROCESS_LOG PROCESS_LOG_STDOUT PROCESS_LOG_STDERR REMOTE_COMMUNICATION
		SUPERVISOR_STATE_CHANGE SUPERVISOR_STATE_CHANGE_RUNNING SUPERVISOR_STATE_CHANGE_STOPPING
		TICK TICK_5 TICK_60 TICK_3600 PROCESS_GROUP PROCESS_GROUP_ADDED PROCESS_GROUP_REMOVED
		CHECK_FAILED CHECK_PASSED CHECK_ACTION PROCESS_RELEASED`)
}

// subscriptions reads the events of a listener.
func subscriptions(section, text string) ([]string, error) {
	if text == "" {
		return nil, errors.New("[" + section + "] section requires an \"events\" line")
	}
	known := eventTypes()
	var names []string
	for _, name := range units.List(text) {
		name = strings.ToUpper(name)
		if !slices.Contains(known, name) {
			return nil, errors.New("Unknown event type " + name + " in [" + section + "] events")
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// fastCGI reads an [fcgi-program:x] section.
func (r *reader) fastCGI(sect *ini.Section, global map[string]string) (*model.Group, error) {
	o := r.options(sect, scope{"here": r.here})
	g := r.newGroup(o, model.KindFastCGI)
	g.Priority = o.number("priority", 999)
	s := r.sharedSocket(o)
	g, err := r.finish(o, g, global)
	if err != nil {
		return nil, err
	}
	sharing(g.Programs, s)
	return g, nil
}

// sharedSocket reads the socket of an [fcgi-program:x] section.
func (r *reader) sharedSocket(o *options) *model.SocketSpec {
	sect := o.sect
	var owner *model.Owner // the default one
	if name, ok := o.text("user"); ok {
		u, err := r.env.user(name)
		o.fail("user", err)
		if u.UID != r.env.UID {
			owner = &model.Owner{UID: u.UID, GID: u.GID}
		}
	}
	s := &model.SocketSpec{Mode: 0o700}
	if _, ok := o.raw("socket_backlog", ""); ok {
		n := o.integer("socket_backlog", 0)
		if n < 1 || n > 65535 {
			o.fail("socket_backlog", errors.New("Invalid socket_backlog value "+strconv.FormatInt(n, 10)))
		}
		s.Backlog = clampInt(n)
	}
	unixOnly := false
	if text, ok := o.text("socket_owner"); ok {
		unixOnly = true
		set, err := r.env.owner(text)
		if err != nil {
			o.fail("socket_owner", errors.New("Invalid socket_owner value "+text))
		}
		owner = &set
	}
	if text, ok := o.text("socket_mode"); ok {
		unixOnly = true
		mode, err := units.Octal(text)
		if err != nil {
			o.fail("socket_mode", errors.New("Invalid socket_mode value "+text))
		}
		s.Mode = uint32(mode & 0o777)
	}
	_, o.sc["program_name"], _ = strings.Cut(sect.Name, ":")
	url, _ := o.text("socket")
	if o.err == nil && url == "" {
		o.fail("socket", errors.New("["+sect.Name+"] section requires a \"socket\" line"))
	}
	if o.err == nil {
		if err := r.socket(s, url, owner, unixOnly); err != nil {
			o.fail("socket", errors.New(err.Error()+" in ["+sect.Name+"] socket"))
		}
	}
	return s
}

// tcpSocket is tcp://host:port, with brackets around an IPv6 address.
const tcpSocket = `^tcp://(\[[0-9a-fA-F:.]+\]|[^\s:]+):(\d+)$`

// socket reads the address of a FastCGI socket.
func (r *reader) socket(s *model.SocketSpec, url string, owner *model.Owner, unixOnly bool) error {
	if p, ok := strings.CutPrefix(url, "unix://"); ok {
		if !isAbs(p) {
			return errors.New("Unix socket path " + p + " is not an absolute path")
		}
		s.URL, s.Owner = "unix://"+r.env.normalize(p), owner
		return nil
	}
	if unixOnly {
		return errors.New("socket_owner and socket_mode params should only be used with a Unix domain socket")
	}
	m := regexp.MustCompile(tcpSocket).FindStringSubmatch(url)
	if m == nil {
		return errors.New("Bad socket format " + url)
	}
	port, err := strconv.Atoi(m[2])
	if err != nil || port > 65535 {
		return errors.New("Bad socket format " + url)
	}
	s.URL, s.Mode = "tcp://"+m[1]+":"+strconv.Itoa(port), 0
	return nil
}
