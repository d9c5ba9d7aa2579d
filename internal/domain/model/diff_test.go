package model

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleProgram() *Program {
	return &Program{
		ID: ID{"web", "web_01"}, Section: "web", Kind: KindFastCGI, Priority: 5,
		Command: Command{
			Line: "/bin/cat -u", Dir: "/srv", Umask: 0o22, UID: 1000, User: "www",
			Env: []EnvVar{{"A", "1"}, {"B", "2"}}, IgnoreSIGPIPE: true,
		},
		Start: StartPolicy{Auto: true, Secs: time.Second, Retries: 3},
		Stop:  StopPolicy{Signal: 15, Wait: 10 * time.Second, Reach: ReachProcess, KillReach: ReachGroup},
		Exit:  ExitPolicy{Restart: RestartUnexpected, Codes: []int{0, 2}},
		IO: IOSpec{
			Stdout: Stream{Log: LogFile, Path: "/var/log/a", MaxBytes: 100, Backups: 3, CaptureBytes: 7, Events: true},
			Stderr: Stream{Log: LogFile, Path: "/var/log/b", MaxBytes: 200, Backups: 4, CaptureBytes: 8, Syslog: true},
		},
		Reload:  1,
		Attach:  AttachSpec{PIDFile: "/run/a.pid", Match: "cat"},
		Depends: []Dependency{{"db", DependReady}},
		Checks:  []Check{{Name: "page", Kind: CheckHTTP, Target: "http://x", Every: time.Second}},
		Notify:  []string{"ops"}, Email: []string{"a@b"},
		ServerURL: "http://localhost:9001",
		Socket:    &SocketSpec{URL: "unix:///p.sock", Owner: &Owner{1, 2}, Mode: 0o700, Backlog: 5},
		Origin:    Origin{"a.conf", 7, "supervisord"},
	}
}

func sampleGroup() *Group {
	return &Group{
		Name: "web", Priority: 20, Kind: KindFastCGI, Programs: []*Program{sampleProgram()},
		Pool:   &Pool{Events: []string{"TICK_5", "EVENT"}, Buffer: 10, ResultHandler: "h"},
		Origin: Origin{"a.conf", 1, "supervisord"},
	}
}

// leaves are the paths of all values below t that can be set one by one.
func leaves(t reflect.Type, path string) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return leaves(t.Elem(), path)
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Struct || e.Kind() == reflect.Pointer {
			return append([]string{path + "[]"}, leaves(e, path+".0")...)
		}
		return []string{path + "[]"}
	case reflect.Struct:
		var out []string
		for i := range t.NumField() {
			out = append(out, leaves(t.Field(i).Type, path+"."+t.Field(i).Name)...)
		}
		return out
	}
	return []string{path}
}

// alter changes the one value at the path; "[]" at its end takes the elements of a list away.
func alter(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	empty := strings.HasSuffix(path, "[]")
	for _, name := range strings.Split(strings.TrimSuffix(path, "[]"), ".")[1:] {
		v = reflect.Indirect(v)
		if v.Kind() == reflect.Slice {
			v = v.Index(0)
			continue
		}
		v = v.FieldByName(name)
	}
	v = reflect.Indirect(v)
	switch {
	case empty:
		v.Set(v.Slice(0, v.Len()-1))
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint() && v.Uint() > 0:
		v.SetUint(v.Uint() - 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	default:
		t.Fatalf("%s: the test does not know how to change a %s", path, v.Kind())
	}
}

// TestDiffSeesEveryField walks the types by reflection: a value that is added to the model and forgotten
// in the comparison fails here.
func TestDiffSeesEveryField(t *testing.T) {
	ignored := map[string]bool{".ID.Group": true, ".ID.Name": true} // what makes it the same program
	want := map[string]string{
		".Section": "section/none", ".Kind": "type/restart", ".Priority": "priority/live",
		".Command.Line": "command/restart", ".Command.Dir": "directory/restart", ".Command.Env[]": "environment/restart",
		".Command.Env.0.Name": "environment/restart", ".Command.Env.0.Value": "environment/restart",
		".Command.Umask": "umask/restart", ".Command.UID": "user/restart", ".Command.User": "user/none",
		".Command.IgnoreSIGPIPE": "child_sigpipe/restart", ".Command.Clear": "inherit_env/restart",
		".Start.Auto": "autostart/live", ".Start.Secs": "startsecs/live", ".Start.Retries": "startretries/live",
		".Start.Delay": "restart_delay/live", ".Start.Timeout": "start_timeout/live", ".Disabled": "enabled/live",
		".Attach.PIDFile": "pidfile/live", ".Attach.Track": "track/live", ".Attach.Match": "match/live", ".Attach.Scan": "scan/live",
		".Depends[]": "depends_on/live", ".Depends.0.On": "depends_on/live", ".Depends.0.Condition": "depends_on/live",
		".Notify[]": "notify/live", ".Email[]": "email_alerts/live", ".IO.Direct": "log_mode/restart",
		".Stop.Signal": "stopsignal/live", ".Reload": "reload_signal/live", ".Stop.Wait": "stopwaitsecs/live",
		".Stop.Reach": "stopasgroup/live", ".Stop.KillReach": "killasgroup/live",
		".Exit.Restart": "autorestart/live", ".Exit.Codes[]": "exitcodes/live",
		".IO.MergeStderr": "redirect_stderr/restart", ".IO.BlockWhenFull": "log_full/restart",
		".IO.NoStdin": "stdin/restart", ".ServerURL": "serverurl/restart",
		".Socket.URL": "socket/restart", ".Socket.Owner.UID": "socket_owner/restart",
		".Socket.Owner.GID": "socket_owner/restart", ".Socket.Mode": "socket_mode/restart",
		".Socket.Backlog": "socket_backlog/restart",
		".Origin.File":    "origin/none", ".Origin.Line": "origin/none", ".Origin.Dialect": "origin/none",
	}
	for _, s := range []string{"Stdout", "Stderr"} {
		at, key := ".IO."+s, strings.ToLower(s)
		for name, effect := range map[string]string{
			".Log": "_logfile/restart", ".Path": "_logfile/restart", ".MaxBytes": "_logfile_maxbytes/live",
			".Backups": "_logfile_backups/live", ".CaptureBytes": "_capture_maxbytes/restart",
			".Events": "_events_enabled/live", ".Syslog": "_syslog/restart",
		} {
			want[at+name] = key + effect
		}
	}
	for _, path := range leaves(reflect.TypeFor[Check](), ".Checks.0") {
		want[path] = "checks/live"
	}
	want[".Checks[]"] = "checks/live"
	for _, path := range leaves(reflect.TypeFor[Program](), "") {
		old, next := sampleProgram(), sampleProgram()
		alter(t, reflect.ValueOf(next), path)
		got := Diff(old, next)
		if ignored[path] {
			if len(got) != 0 {
				t.Errorf("%s: %v, want no change", path, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Program != next.ID {
			t.Errorf("%s: %v, want exactly one change, of the program", path, got)
			continue
		}
		if s := got[0].Field + "/" + got[0].Effect.String(); s != want[path] {
			t.Errorf("%s: %s, want %q", path, s, want[path])
		}
		if got[0].Old == got[0].New && !strings.HasSuffix(path, "Dialect") && !strings.Contains(path, "Env.0.Value") && path != ".Command.UID" {
			t.Errorf("%s: shown as %q both before and after", path, got[0].Old)
		}
		back := Diff(next, old)
		if len(back) != 1 || back[0].Field != got[0].Field || back[0].Effect != got[0].Effect {
			t.Errorf("%s: the other way round %v", path, back)
		}
		delete(want, path)
	}
	for path := range want {
		t.Errorf("%s is in the table and not in the model", path)
	}
}

func TestDiffGroupSeesEveryField(t *testing.T) {
	want := map[string]string{
		".Priority": "priority/live", ".Kind": "type/restart",
		".Pool.Events[]": "events/live", ".Pool.Buffer": "buffer_size/live",
		".Pool.ResultHandler": "result_handler/live", ".Pool.LenBytes": "event_len/live", ".Pool.Timeout": "event_timeout/live",
		".Programs[]":  "process_name/restart",
		".Origin.File": "origin/none", ".Origin.Line": "origin/none", ".Origin.Dialect": "origin/none",
	}
	for _, path := range leaves(reflect.TypeFor[Group](), "") {
		if path == ".Name" || strings.HasPrefix(path, ".Programs.0.ID") {
			continue // identity
		}
		old, next := sampleGroup(), sampleGroup()
		alter(t, reflect.ValueOf(next), path)
		got := DiffGroup(old, next)
		if strings.HasPrefix(path, ".Programs.0") {
			if d := cmp.Diff(Diff(old.Programs[0], next.Programs[0]), got); d != "" {
				t.Errorf("%s: differs from the program's own comparison:\n%s", path, d)
			}
			continue
		}
		if len(got) != 1 {
			t.Errorf("%s: %v, want exactly one change", path, got)
			continue
		}
		if s := got[0].Field + "/" + got[0].Effect.String(); s != want[path] {
			t.Errorf("%s: %s, want %q", path, s, want[path])
		}
		delete(want, path)
	}
	for path := range want {
		t.Errorf("%s is in the table and not in the model", path)
	}
}

func TestDiffOfEqualsIsNil(t *testing.T) {
	if d := Diff(sampleProgram(), sampleProgram()); d != nil {
		t.Error(d)
	}
	if d := DiffGroup(sampleGroup(), sampleGroup()); d != nil {
		t.Error(d)
	}
	if d := DiffGroup(&Group{}, &Group{}); d != nil {
		t.Error(d)
	}
}

func TestDiffShows(t *testing.T) {
	cases := []struct {
		name             string
		change           func(p *Program)
		field, old, next string
	}{
		{"fraction of a second", func(p *Program) { p.Start.Secs = 2500 * time.Millisecond }, "startsecs", "1", "2.5"},
		{"signal with a name", func(p *Program) { p.Stop.Signal = 3 }, "stopsignal", "TERM", "QUIT"},
		{"signal without one", func(p *Program) { p.Stop.Signal = 99 }, "stopsignal", "TERM", "signal 99"},
		{"reload", func(p *Program) { p.Reload = 0 }, "reload_signal", "HUP", ""},
		{"umask", func(p *Program) { p.Command.Umask = -1 }, "umask", "022", ""},
		{"path to AUTO", func(p *Program) { p.IO.Stdout.Log, p.IO.Stdout.Path = LogAuto, "" }, "stdout_logfile", "/var/log/a", "AUTO"},
		{"path to NONE", func(p *Program) { p.IO.Stderr.Log, p.IO.Stderr.Path = LogNone, "" }, "stderr_logfile", "/var/log/b", "NONE"},
		{"codes", func(p *Program) { p.Exit.Codes = nil }, "exitcodes", "0,2", ""},
		{"whole tree", func(p *Program) { p.Stop.Reach = ReachTree }, "stopasgroup", "false", "tree"},
		{"a group", func(p *Program) { p.Stop.Reach = ReachGroup }, "stopasgroup", "false", "true"},
		{"restart", func(p *Program) { p.Exit.Restart = RestartAlways }, "autorestart", "unexpected", "true"},
		{"server", func(p *Program) { p.ServerURL = "" }, "serverurl", "http://localhost:9001", "AUTO"},
		{"user by number", func(p *Program) { p.Command.UID, p.Command.User = 33, "" }, "user", "www", "33"},
		{"no user", func(p *Program) { p.Command.UID, p.Command.User = -1, "" }, "user", "www", ""},
		{"environment of its own", func(p *Program) { p.Command.Clear = true }, "inherit_env", "true", "false"},
		{"sigpipe", func(p *Program) { p.Command.IgnoreSIGPIPE = false }, "child_sigpipe", "ignore", "default"},
		{"no input", func(p *Program) { p.IO.NoStdin = !p.IO.NoStdin }, "stdin", "pipe", "none"},
		{"origin without a line", func(p *Program) { p.Origin.Line = 0 }, "origin", "a.conf:7", "a.conf"},
	}
	for _, c := range cases {
		next := sampleProgram()
		c.change(next)
		got := Diff(sampleProgram(), next)
		if len(got) != 1 || got[0].Field != c.field || got[0].Old != c.old || got[0].New != c.next {
			t.Errorf("%s: %+v, want %s: %q → %q", c.name, got, c.field, c.old, c.next)
		}
	}
}

func TestDiffEnvironmentKeepsSecrets(t *testing.T) {
	env := func(pairs ...string) *Program {
		p := sampleProgram()
		p.Command.Env = nil
		for i := 0; i < len(pairs); i += 2 {
			p.Command.Env = append(p.Command.Env, EnvVar{pairs[i], pairs[i+1]})
		}
		return p
	}
	cases := []struct {
		name       string
		old, next  *Program
		was, is    string
		unaffected bool
	}{
		{"value", env("A", "1", "TOKEN", "s3cret-old"), env("A", "1", "TOKEN", "s3cret-new"), "~TOKEN", "~TOKEN", false},
		{"came", env("A", "1"), env("A", "1", "TOKEN", "s3cret"), "", "+TOKEN", false},
		{"went", env("TOKEN", "s3cret"), env(), "-TOKEN", "", false},
		{"all at once, by name", env("D", "s3cret", "B", "1", "C", "0"), env("C", "s3cret", "A", "s3cret", "B", "1"), "~C,-D", "+A,~C", false},
		{"value became empty", env("A", "s3cret"), env("A", ""), "~A", "~A", false},
		{"empty came", env(), env("A", ""), "", "+A", false},
		{"order alone", env("A", "1", "B", "2"), env("B", "2", "A", "1"), "", "", true},
		{"last one counts", env("A", "s3cret", "A", "2"), env("A", "2"), "", "", true},
	}
	for _, c := range cases {
		got := Diff(c.old, c.next)
		if c.unaffected {
			if got != nil {
				t.Errorf("%s: %v, want no change", c.name, got)
			}
			continue
		}
		want := []FieldChange{{c.next.ID, "environment", c.was, c.is, EffectRestart}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
		if strings.Contains(fmt.Sprintf("%+v", got), "s3cret") {
			t.Errorf("%s: a value is shown: %+v", c.name, got)
		}
	}
}

func TestDiffGroupSpecials(t *testing.T) {
	named := func(names ...string) []*Program {
		var out []*Program
		for _, n := range names {
			p := sampleProgram()
			p.ID.Name = n
			out = append(out, p)
		}
		return out
	}
	pool := func(events ...string) *Pool { return &Pool{Events: events, Buffer: 10} }
	member := func(old, next string, e Effect) FieldChange {
		return FieldChange{ID{"web", old + next}, FieldMember, old, next, e}
	}
	cases := []struct {
		name      string
		old, next *Group
		want      []FieldChange
		differs   bool
	}{
		{"events are a set", &Group{Pool: pool("A", "B")}, &Group{Pool: pool("B", "A")}, nil, false},
		{"events named twice", &Group{Pool: pool("A", "B")}, &Group{Pool: pool("B", "A", "B")}, nil, false},
		{"another event", &Group{Pool: pool("A", "B")}, &Group{Pool: pool("A", "C")}, []FieldChange{{ID{}, "events", "A,B", "A,C", EffectLive}}, true},
		{"pool comes", &Group{}, &Group{Pool: pool("A")}, []FieldChange{{ID{}, "events", "", "A", EffectRestart}}, true},
		{"pool goes", &Group{Pool: pool("A")}, &Group{}, []FieldChange{{ID{}, "events", "A", "", EffectRestart}}, true},
		{"event_len", &Group{Pool: &Pool{}}, &Group{Pool: &Pool{LenBytes: true}}, []FieldChange{{ID{}, "event_len", "characters", "bytes", EffectLive}}, true},
		{"a program comes", &Group{Programs: named("a")}, &Group{Programs: named("b", "a")}, []FieldChange{member("", "b", EffectLive)}, true},
		{"a program goes", &Group{Programs: named("a", "b", "c")}, &Group{Programs: named("a", "c")}, []FieldChange{member("b", "", EffectRestart)}, true},
		{"order", &Group{Programs: named("a", "b")}, &Group{Programs: named("b", "a")}, []FieldChange{{ID{}, FieldOrder, "a,b", "b,a", EffectNone}}, true},
		{
			"order of those that stay", &Group{Programs: named("a", "b", "c")}, &Group{Programs: named("c", "d", "a")},
			[]FieldChange{member("", "d", EffectLive), member("b", "", EffectRestart), {ID{}, FieldOrder, "a,c", "c,a", EffectNone}},
			true,
		},
		{"origin alone is no difference", &Group{Origin: Origin{Line: 1, File: "f"}}, &Group{Origin: Origin{Line: 2, File: "f"}}, []FieldChange{{ID{}, FieldOrigin, "f:1", "f:2", EffectNone}}, false},
	}
	for _, c := range cases {
		got := DiffGroup(c.old, c.next)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
		if Differs(got) != c.differs {
			t.Errorf("%s: Differs is %v", c.name, !c.differs)
		}
	}
}

// A socket that comes or goes is told once; the order of its values is that of the configuration.
func TestDiffSocket(t *testing.T) {
	with := func(s *SocketSpec) *Program { return &Program{ID: ID{"f", "f"}, Socket: s} }
	change := func(key, before, after string) []FieldChange {
		return []FieldChange{{ID{"f", "f"}, key, before, after, EffectRestart}}
	}
	for _, c := range []struct {
		name      string
		old, next *SocketSpec
		want      []FieldChange
	}{
		{"comes", nil, &SocketSpec{URL: "u", Mode: 0o700}, change("socket", "", "u")},
		{"goes", &SocketSpec{URL: "u", Backlog: 3}, nil, change("socket", "u", "")},
		{"owner set", &SocketSpec{}, &SocketSpec{Owner: &Owner{0, -1}}, change("socket_owner", "", "0:-1")},
		{"equal owners", &SocketSpec{Owner: &Owner{0, -1}}, &SocketSpec{Owner: &Owner{0, -1}}, nil},
		{"mode", &SocketSpec{Mode: 0o700}, &SocketSpec{Mode: 0o660}, change("socket_mode", "0700", "0660")},
		{"backlog", &SocketSpec{}, &SocketSpec{Backlog: 7}, change("socket_backlog", "0", "7")},
	} {
		if d := cmp.Diff(c.want, Diff(with(c.old), with(c.next))); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}

func TestEffects(t *testing.T) {
	list := func(effects ...Effect) []FieldChange {
		var out []FieldChange
		for _, e := range effects {
			out = append(out, FieldChange{Field: "x", Effect: e})
		}
		return out
	}
	for _, c := range []struct {
		changes []FieldChange
		want    Effect
	}{
		{nil, EffectNone},
		{list(EffectNone), EffectNone},
		{list(EffectLive, EffectNone), EffectLive},
		{list(EffectLive, EffectRestart, EffectLive), EffectRestart},
	} {
		if got := EffectOf(c.changes); got != c.want {
			t.Errorf("%v: %s, want %s", c.changes, got, c.want)
		}
	}
	if got := EffectNone.String() + EffectLive.String() + EffectRestart.String(); got != "noneliverestart" {
		t.Error(got)
	}
	respelled := sampleProgram()
	respelled.Command.User = "1000"
	if d := Diff(sampleProgram(), respelled); len(d) != 1 || Differs(d) {
		t.Errorf("another spelling of the same account: %v", d)
	}
}
