package boot

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown is a plan as a person sees it.
func shown(p Plan) []string {
	var out []string
	for _, s := range p.Steps {
		if kind, what := s.Says(); kind != "" {
			out = append(out, kind+" "+what)
		}
	}
	return out
}

func (f *fake) enable(b Backend, t Target) error {
	f.t.Helper()
	p, err := b.Plan(context.Background(), t)
	if err != nil {
		return err
	}
	return f.Apply(context.Background(), p)
}

func (f *fake) disable(b Backend, t Target) error {
	f.t.Helper()
	p, err := b.Undo(context.Background(), t)
	if err != nil {
		return err
	}
	return f.Apply(context.Background(), p)
}

func (f *fake) state(b Backend, t Target) State {
	f.t.Helper()
	s, err := b.Status(context.Background(), t)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// roundTrips are the mechanisms that the fake machine has.
func roundTrips(t *testing.T) map[string]struct {
	*fake
	Backend
} {
	type pair = struct {
		*fake
		Backend
	}
	out := map[string]pair{}
	for _, c := range []struct {
		machine, backend string
		uid              int
	}{{"systemd", "systemd", 0}, {"systemd", "systemd-user", 1000}, {"sysv", "sysv", 0}, {"sysv", "cron", 1000}} {
		f := newFake(t, c.uid, machines[c.machine]...)
		b, _, err := f.Choose(context.Background(), plain(), c.backend)
		if err != nil {
			t.Fatal(err)
		}
		out[c.backend] = pair{f, b}
	}
	return out
}

// TestRoundTrip: enable, again, with another binary, disable; then everything is as it was.
func TestRoundTrip(t *testing.T) {
	for name, m := range roundTrips(t) {
		t.Run(name, func(t *testing.T) {
			f, b, target := m.fake, m.Backend, plain()
			if name == "cron" {
				f.table[""] = "# mine\n@daily x"
			}
			before := f.tree()
			if s := f.state(b, target); s.Found || s.Enabled {
				t.Errorf("before: %+v", s)
			}
			for range 2 {
				if err := f.enable(b, target); err != nil {
					t.Fatal(err)
				}
				if s := f.state(b, target); !s.Found || !s.Enabled || s.Stale != "" || s.Foreign != "" || s.At != AtBoot || s.Place == "" {
					t.Errorf("enabled: %+v", s)
				}
			}
			moved := target
			moved.Command = []string{"/usr/bin/upkeep", "daemon"}
			if s := f.state(b, moved); !strings.Contains(s.Stale, "/usr/local/bin/upkeep") || !s.Enabled {
				t.Errorf("the binary has moved: %+v", s)
			}
			if err := f.enable(b, moved); err != nil {
				t.Fatal(err)
			}
			if s := f.state(b, moved); s.Stale != "" {
				t.Errorf("after it was written anew: %+v", s)
			}
			if err := f.disable(b, target); err != nil {
				t.Fatal(err)
			}
			if s := f.state(b, target); s.Found || s.Enabled {
				t.Errorf("after disable: %+v", s)
			}
			if p, err := b.Undo(context.Background(), target); err != nil || !p.Empty() {
				t.Errorf("a second disable: %v %v", shown(p), err)
			}
			after := f.tree()
			delete(after, "/run/user/1000/systemd/private") // systemd itself
			if name == "cron" {
				before["crontab of "] += "\n"
			}
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("disable does not take away what enable has made: %s", d)
			}
		})
	}
}

// TestRollback: each command fails in turn, and the machine is as it was before.
func TestRollback(t *testing.T) {
	for name, m := range roundTrips(t) {
		for _, fail := range []string{"systemctl enable", "systemctl --user enable", "loginctl enable-linger", "update-rc.d", "/etc/init.d/upkeep start", "crontab -"} {
			f, b, target := m.fake, m.Backend, plain()
			target.Now = true
			p, err := b.Plan(context.Background(), target)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(shown(p), "\n"), "run "+fail) && (name != "cron" || fail != "crontab -") {
				continue
			}
			t.Run(name+" "+fail, func(t *testing.T) {
				before := f.tree()
				f.fail = fail
				defer func() { f.fail = "" }()
				err := f.Apply(context.Background(), p)
				var step *StepError
				var command *CommandError
				if !errors.As(err, &step) || step.Left != nil || !errors.As(err, &command) || !strings.Contains(err.Error(), "it is broken") {
					t.Fatalf("%v", err)
				}
				after := f.tree()
				delete(after, "/run/user/1000/systemd/private")
				delete(before, "/run/user/1000/systemd/private")
				if d := cmp.Diff(before, after); d != "" {
					t.Errorf("%v left behind: %s", err, d)
				}
			})
		}
	}
}

// TestForeign: what is not ours is neither written over nor removed.
func TestForeign(t *testing.T) {
	for name, place := range map[string]string{
		"systemd": "/etc/systemd/system/upkeep.service", "systemd-user": "/home/sam/.config/systemd/user/upkeep.service",
		"sysv": "/etc/init.d/upkeep",
	} {
		t.Run(name, func(t *testing.T) {
			m := roundTrips(t)[name]
			m.put(place, "[Service]\nExecStart=/bin/true\n")
			before := m.tree()
			var foreign *ForeignError
			if err := m.enable(m.Backend, plain()); !errors.As(err, &foreign) || foreign.Place != place {
				t.Errorf("enable: %v", err)
			}
			if err := m.disable(m.Backend, plain()); !errors.As(err, &foreign) {
				t.Errorf("disable: %v", err)
			}
			if s := m.state(m.Backend, plain()); !s.Found || s.Foreign == "" {
				t.Errorf("%+v", s)
			}
			// Between the plan and its execution somebody may write the file.
			if err := m.Apply(context.Background(), Plan{Steps: []Step{Remove{place}}}); !errors.As(err, &foreign) {
				t.Errorf("remove: %v", err)
			}
			if d := cmp.Diff(before, m.tree()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLinger: it is turned on when it was off, and off again only when it was turned on by us.
func TestLinger(t *testing.T) {
	ctx := context.Background()
	for _, lingered := range []bool{false, true} {
		f := newFake(t, 1000, machines["systemd"]...)
		f.put("/run/user/1000/systemd/private", "")
		if lingered {
			f.put("/var/lib/systemd/linger/sam", "")
		}
		b := systemd{f.Host, true}
		target := plain()
		target.Now = true
		p, err := b.Plan(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"write /home/sam/.config/systemd/user/upkeep.service", "run systemctl --user enable --now upkeep"}
		if !lingered {
			want = append(want, "run loginctl enable-linger sam   (starts at boot, no root needed)")
		}
		if d := cmp.Diff(want, shown(p)); d != "" {
			t.Error(d)
		}
		if err := f.Apply(ctx, p); err != nil {
			t.Fatal(err)
		}
		if err := f.enable(b, target); err != nil { // the second time it lingers, by us or not
			t.Fatal(err)
		}
		if err := f.disable(b, target); err != nil {
			t.Fatal(err)
		}
		if b.lingers() != lingered {
			t.Errorf("lingered before: %t, after: %t", lingered, b.lingers())
		}
	}
}

// TestLogin: at login needs no lingering, and takes back one that was ours.
func TestLogin(t *testing.T) {
	f := newFake(t, 1000, machines["systemd"]...)
	f.put("/run/user/1000/systemd/private", "")
	b, target := systemd{f.Host, true}, plain()
	if err := f.enable(b, target); err != nil {
		t.Fatal(err)
	}
	target.At = AtLogin
	if err := f.enable(b, target); err != nil {
		t.Fatal(err)
	}
	if s := f.state(b, target); s.At != AtLogin || !s.Enabled || b.lingers() {
		t.Errorf("%+v, lingers: %t", s, b.lingers())
	}
}

// TestScope: what root has for its own instance is not about that of an ordinary user with the same name.
func TestScope(t *testing.T) {
	root := newFake(t, 0, machines["systemd"]...)
	if err := root.enable(systemd{root.Host, false}, plain()); err != nil {
		t.Fatal(err)
	}
	sam := *root.Host
	sam.UID, sam.User, sam.Home = 1000, "sam", "/home/sam"
	entries, err := sam.Entries(context.Background(), plain())
	if err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if entries, err = root.Entries(context.Background(), plain()); err != nil || len(entries) != 1 || entries[0].Backend.Name() != "systemd" {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestActive: a daemon that runs is not touched, and systemd goes on knowing how to treat it.
func TestActive(t *testing.T) {
	f := newFake(t, 0, machines["systemd"]...)
	b, target := systemd{f.Host, false}, plain()
	target.Now = true
	if err := f.enable(b, target); err != nil {
		t.Fatal(err)
	}
	if err := f.disable(b, target); err != nil {
		t.Fatal(err)
	}
	if s := f.state(b, target); s.Found || s.Enabled || !s.Active {
		t.Errorf("%+v", s)
	}
	if copied := f.tree()["/run/systemd/system/upkeep.service"]; !strings.Contains(copied, "KillMode=process") {
		t.Errorf("what systemd knows: %q", copied)
	}
	for _, call := range f.calls {
		if strings.Contains(call, "stop") || strings.Contains(call, "disable --now") {
			t.Error(call)
		}
	}
}

func TestCronLines(t *testing.T) {
	l := Line{Text: "@reboot x # upkeep boot: upkeep", Tag: " # upkeep boot: upkeep"}
	for _, c := range []struct{ name, table, with, without string }{
		{"empty", "", l.Text + "\n", ""},
		{"others", "a\nb\n", "a\nb\n" + l.Text + "\n", "a\nb\n"},
		{"no end of line", "a", "a\n" + l.Text + "\n", "a"},
		{"an older one of ours", "a\n@reboot old # upkeep boot: upkeep\nb\n", "a\nb\n" + l.Text + "\n", "a\nb\n"},
		{"a comment of somebody", "#@reboot x # upkeep boot: upkeep\n", "#@reboot x # upkeep boot: upkeep\n" + l.Text + "\n", "#@reboot x # upkeep boot: upkeep\n"},
		{"of another instance", "@reboot y # upkeep boot: upkeep-b\n", "@reboot y # upkeep boot: upkeep-b\n" + l.Text + "\n", "@reboot y # upkeep boot: upkeep-b\n"},
	} {
		if got := l.edit(c.table); got != c.with {
			t.Errorf("%s: added: %q, want %q", c.name, got, c.with)
		}
		if got := (Line{Tag: l.Tag}).edit(c.table); got != c.without {
			t.Errorf("%s: removed: %q, want %q", c.name, got, c.without)
		}
	}
}

// FuzzCron: every line that is not ours stays, byte by byte and in order.
func FuzzCron(f *testing.F) {
	f.Add("a\n@reboot x # upkeep boot: upkeep\nb")
	f.Add("#\r\n\x00\n\n")
	l := Line{Text: "@reboot x # upkeep boot: upkeep", Tag: " # upkeep boot: upkeep"}
	f.Fuzz(func(t *testing.T, table string) {
		var want strings.Builder
		for line := range strings.Lines(table) {
			if !tagged(line, l.Tag) {
				want.WriteString(line)
			}
		}
		there := l.edit(table)
		if again := l.edit(there); again != there {
			t.Errorf("%q becomes %q", there, again)
		}
		if s := want.String(); s != "" && !strings.HasSuffix(s, "\n") { // ours cannot follow without
			want.WriteString("\n")
		}
		if back := (Line{Tag: l.Tag}).edit(there); back != want.String() {
			t.Errorf("%q, want %q", back, want.String())
		}
	})
}

// FuzzAnswers: what init systems say is read without harm.
func FuzzAnswers(f *testing.F) {
	f.Add("A=b\nC\n  x | default\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, value := range properties(text) {
			if strings.ContainsAny(name+value, "\n") {
				t.Errorf("%q=%q", name, value)
			}
		}
		if inRunlevel(text, "upkeep") && !strings.Contains(text, "upkeep") {
			t.Error("found in", text)
		}
	})
}

// registry is a Registry in memory.
type registryFake struct {
	services    map[string]Service
	logon, mine map[string]string
	broken      error
}

func (r *registryFake) Service(name string) (*Service, error) {
	if s, ok := r.services[name]; ok {
		return &s, nil
	}
	return nil, nil
}

func (r *registryFake) Put(s Service) error {
	old := r.services[s.Name]
	s.Active = old.Active
	r.services[s.Name] = s
	return nil
}

func (r *registryFake) Delete(name string) error { delete(r.services, name); return nil }

func (r *registryFake) Start(name string) error {
	if r.broken != nil {
		return r.broken
	}
	s := r.services[name]
	s.Active = true
	r.services[name] = s
	return nil
}

func (r *registryFake) Logon(name string) (string, string, error) {
	return r.logon[name], r.mine[name], nil
}

func (r *registryFake) Set(name, line string) error {
	r.logon[name], r.mine[name] = line, line
	if line == "" {
		delete(r.logon, name)
		delete(r.mine, name)
	}
	return nil
}

func newWindows(t *testing.T, uid int) (*fake, *registryFake) {
	f := newFake(t, uid)
	r := &registryFake{map[string]Service{}, map[string]string{}, map[string]string{}, nil}
	f.OS, f.Windows = "windows", r
	return f, r
}

func TestWindows(t *testing.T) {
	ctx := context.Background()
	target := plain()
	target.Command = []string{`C:\Program Files\upkeep.exe`, "daemon"}
	target.Launch = []string{`C:\Program Files\upkeep.exe`, "daemon", "start"}
	target.Now = true
	f, r := newWindows(t, 0)
	if _, _, err := f.Choose(ctx, target, ""); !errors.Is(err, ErrNone) {
		t.Errorf("a person's programs with all rights: %v", err)
	}
	target.System = true
	b, _, err := f.Choose(ctx, target, "")
	if err != nil || b.Name() != "windows-service" {
		t.Fatal(b, err)
	}
	if err := f.enable(b, target); err != nil {
		t.Fatal(err)
	}
	if s := f.state(b, target); !s.Enabled || !s.Active || s.Stale != "" || s.Says != `"C:\Program Files\upkeep.exe" daemon` {
		t.Errorf("%+v", s)
	}
	if err := f.disable(b, target); err != nil || len(r.services) != 0 {
		t.Errorf("%v %v", err, r.services)
	}
	r.broken = errors.New("it does not start")
	if err := f.enable(b, target); !errors.Is(err, r.broken) || len(r.services) != 0 {
		t.Errorf("%v %v", err, r.services)
	}
	r.services["upkeep"] = Service{Name: "upkeep", Description: "somebody's"}
	var foreign *ForeignError
	if err := f.enable(b, target); !errors.As(err, &foreign) {
		t.Errorf("%v", err)
	}
	if err := f.disable(b, target); !errors.As(err, &foreign) || len(r.services) != 1 {
		t.Errorf("%v", err)
	}

	f, r = newWindows(t, 1)
	if _, _, err := f.Choose(ctx, target, ""); !errors.Is(err, ErrNone) {
		t.Errorf("a service without rights: %v", err)
	}
	target.At, target.Env = AtLogin, []string{`UPKEEP_ROOT=D:\a b`}
	if b, _, err = f.Choose(ctx, target, ""); err != nil || b.Name() != "windows-logon" {
		t.Fatal(b, err)
	}
	if err := f.enable(b, target); err != nil {
		t.Fatal(err)
	}
	if want := `cmd.exe /d /c "set "UPKEEP_ROOT=D:\a b"& "C:\Program Files\upkeep.exe" daemon start"`; r.logon["upkeep"] != want {
		t.Errorf("%s\nwant %s", r.logon["upkeep"], want)
	}
	if s := f.state(b, target); !s.Enabled || s.At != AtLogin || s.Stale != "" {
		t.Errorf("%+v", s)
	}
	r.logon["upkeep"] = "somebody's"
	if err := f.disable(b, target); !errors.As(err, &foreign) || r.logon["upkeep"] != "somebody's" {
		t.Errorf("%v", err)
	}
	r.logon["upkeep"] = r.mine["upkeep"]
	if err := f.disable(b, target); err != nil || len(r.logon)+len(r.mine) != 0 {
		t.Errorf("%v %v", err, r)
	}
}

func TestWinLine(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{`C:\x.exe`, "daemon"}, `C:\x.exe daemon`},
		{[]string{`C:\a b\x.exe`, ""}, `"C:\a b\x.exe" ""`},
		{[]string{"x", `a"b`}, `x "a\"b"`},
		{[]string{"x", `a b\`}, `x "a b\\"`},
		{[]string{"x", `a\\"b`}, `x "a\\\\\"b"`},
		{[]string{"x", `a\b c`}, `x "a\b c"`},
	} {
		if got := winLine(c.words); got != c.want {
			t.Errorf("%q: %s, want %s", c.words, got, c.want)
		}
	}
}
