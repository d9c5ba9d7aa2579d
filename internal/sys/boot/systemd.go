package boot

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
)

// systemd starts units: of the machine, or of the user who asks.
type systemd struct {
	*Host
	perUser bool
}

// lingerLine is in a unit whose user was made to linger for it, so that this is taken back with it.
const lingerLine = "Lingering was turned on for this unit."

// Name implements Backend.
func (s systemd) Name() string {
	if s.perUser {
		return "systemd-user"
	}
	return "systemd"
}

// Detect implements Backend.
func (s systemd) Detect(ctx context.Context, t Target) (bool, string) {
	switch {
	case !s.exists("/run/systemd/system"):
		return false, "systemd does not run here"
	case !s.has("systemctl"):
		return false, "there is no systemctl"
	case !s.perUser:
		if why := s.forRoot(ctx, t); why != "" {
			return false, why
		}
		return true, "systemd runs this machine"
	case t.User != "" && t.User != s.User:
		return false, "only " + t.User + " has access to systemd's session of " + t.User
	case s.managed(ctx):
		return true, "systemd runs for " + s.User
	case t.atLogin():
		return false, fmt.Sprintf("systemd does not run for %s: log in as %s, not by su", s.User, s.User)
	case !s.has("loginctl"):
		return false, "there is no loginctl"
	}
	return true, "systemd will run for " + s.User + " from the start of the machine"
}

// control is where the user's systemd listens.
func (s systemd) control() string { return filepath.Join(s.runtimeDir(), "systemd/private") }

// ready answers with a word of its own when systemd can be spoken to; not while it stops.
func (s systemd) ready() Await {
	return Await{s.ctl(Target{}, "is-system-running"), s.env(), []string{"initializing", "starting", "running", "degraded", "maintenance"}}
}

// managed reports whether systemd runs for the user now.
func (s systemd) managed(ctx context.Context) bool {
	if !s.exists(strings.TrimPrefix(s.control(), s.Root)) {
		return false
	}
	r := s.ready()
	out, _ := s.Exec(ctx, Command{Argv: r.Argv, Env: r.Env}) // its exit status is about something else
	return slices.Contains(r.Words, strings.TrimSpace(out))
}

func (s systemd) lingers() bool { return s.exists("/var/lib/systemd/linger", s.User) }

func (s systemd) unit(t Target) string {
	if s.perUser {
		return filepath.Join(s.Home, ".config/systemd/user", t.Name+".service")
	}
	return filepath.Join("/etc/systemd/system", t.Name+".service")
}

// passing is where a unit is until the machine stops.
func (s systemd) passing(t Target) string {
	if s.perUser {
		return filepath.Join("/run/user", filepath.Base(s.runtimeDir()), "systemd/user", t.Name+".service")
	}
	return filepath.Join("/run/systemd/system", t.Name+".service")
}

// ctl is a call of systemctl for a unit.
func (s systemd) ctl(t Target, words ...string) []string {
	argv := []string{"systemctl"}
	if s.perUser {
		argv = append(argv, "--user")
	}
	argv = append(argv, words...)
	if t.Name == "" {
		return argv
	}
	name := t.Name
	if strings.Contains(name, ".") {
		name += ".service" // else what follows the dot could be taken for a kind of unit
	}
	return append(argv, name)
}

func (s systemd) env() []string {
	if s.perUser {
		return []string{"XDG_RUNTIME_DIR=" + strings.TrimPrefix(s.runtimeDir(), s.Root)}
	}
	return nil
}

func (s systemd) content(ctx context.Context, t Target, linger bool) (string, error) {
	data := struct {
		Target
		Marker, Linger string
		PerUser        bool
		UID            int // of User
		Paths          []string
	}{Target: t, Marker: marker, PerUser: s.perUser}
	if t.User == s.User || s.perUser {
		data.User = ""
	}
	if data.User != "" {
		uid, known := s.Account(ctx, t.User)
		if !known {
			return "", &TargetError{"user", fmt.Sprintf("there is no user %q", t.User)}
		}
		data.UID = uid
	}
	if linger {
		data.Linger = lingerLine
	}
	named := t.Command
	for _, e := range splitEnv(t.Env) {
		named = append(named[:len(named):len(named)], e.Value)
	}
	for _, w := range named {
		if filepath.IsAbs(w) {
			data.Paths = append(data.Paths, w)
		}
	}
	return render("systemd.service", data)
}

// Plan implements Backend.
func (s systemd) Plan(ctx context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	old, err := s.ours(s.unit(t))
	if err != nil {
		return Plan{}, err
	}
	hadSet := old != nil && strings.Contains(old.Content, lingerLine)
	wants := s.perUser && !t.atLogin()
	sets := wants && (hadSet || !s.lingers())
	content, err := s.content(ctx, t, sets)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Backend: s.Name()}
	linger := Run{
		Argv: []string{"loginctl", "enable-linger", s.User}, Undo: []string{"loginctl", "disable-linger", s.User},
		Why: "starts at boot, no root needed", Limit: startLimit,
		Hint: "Ask root for: loginctl enable-linger " + words.Quote(s.User) + "\nOr start with your first login instead: --at=login",
	}
	need, managed := wants && !s.lingers(), !s.perUser || s.managed(ctx)
	if need && !managed {
		p.Steps = append(p.Steps, linger)
	}
	if !managed {
		p.Steps = append(p.Steps, s.ready())
	}
	enable := Run{Argv: s.ctl(t, "enable"), Undo: s.ctl(t, "disable"), Env: s.env()}
	if t.Now {
		enable.Argv, enable.Undo, enable.Limit = s.ctl(t, "enable", "--now"), s.ctl(t, "disable", "--now"), startLimit
	}
	if old != nil {
		enable.Undo = nil // it was enabled, most probably, and goes on being what it was
	}
	p.Steps = append(p.Steps, File{s.unit(t), 0o644, content}, enable)
	if need && managed {
		p.Steps = append(p.Steps, linger)
	}
	if s.perUser && t.atLogin() {
		if hadSet && s.lingers() {
			p.Steps = append(p.Steps, s.unlinger())
		} else if s.lingers() {
			p.Notes = append(p.Notes, s.User+" lingers: what starts at login starts with the machine already (loginctl disable-linger "+s.User+" ends that)")
		}
	}
	return p, nil
}

func (s systemd) unlinger() Run {
	return Run{
		Argv: []string{"loginctl", "disable-linger", s.User}, Undo: []string{"loginctl", "enable-linger", s.User},
		Why: "was turned on by upkeep boot enable",
	}
}

// show are properties of the unit.
func (s systemd) show(ctx context.Context, t Target) (map[string]string, error) {
	out, err := s.Exec(ctx, Command{
		Argv: s.ctl(t, "show", "-p", "LoadState,UnitFileState,ActiveState,FragmentPath"), Env: s.env(),
	})
	return properties(out), err
}

// properties reads NAME=VALUE lines.
func properties(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok {
			out[name] = value
		}
	}
	return out
}

// Status implements Backend.
func (s systemd) Status(ctx context.Context, t Target) (State, error) {
	if t.User != "" && s.perUser || !s.perUser && !s.concerns(t) {
		return State{}, nil
	}
	st := State{Place: s.unit(t), At: AtBoot}
	if s.perUser && !s.lingers() {
		st.At = AtLogin
	}
	file, err := s.entry(&st)
	if err != nil {
		return st, err
	}
	if file != nil {
		want, err := s.content(ctx, t, strings.Contains(file.Content, lingerLine))
		if err != nil {
			return st, err
		}
		st.Stale = differ(file.Content, want)
	}
	if !s.exists("/run/systemd/system") || s.perUser && !s.managed(ctx) {
		if st.Found {
			st.Says = "systemd does not run here"
			st.Enabled = s.wanted(t)
		}
		return st, nil
	}
	props, err := s.show(ctx, t)
	if err != nil {
		return st, err
	}
	st.Active = props["ActiveState"] == "active" || props["ActiveState"] == "reloading" || props["ActiveState"] == "activating"
	st.Enabled = st.Found && (props["UnitFileState"] == "enabled" || props["UnitFileState"] == "enabled-runtime")
	st.Says = strings.TrimSpace(props["UnitFileState"] + " " + props["ActiveState"])
	return st, nil
}

// wanted reports whether the unit is enabled, by the links that enabling makes: for when nobody can be asked.
func (s systemd) wanted(t Target) bool {
	target := "multi-user.target.wants"
	if s.perUser {
		target = "default.target.wants"
	}
	link := filepath.Join(filepath.Dir(s.unit(t)), target, filepath.Base(s.unit(t)))
	return s.links(link)
}

// Undo implements Backend.
func (s systemd) Undo(ctx context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	p := Plan{Backend: s.Name()}
	if !s.perUser && !s.concerns(t) || s.perUser && t.User != "" {
		return Plan{}, nil
	}
	old, err := s.ours(s.unit(t))
	if err != nil || old == nil {
		return Plan{}, err
	}
	st, err := s.Status(ctx, t)
	if err != nil {
		return Plan{}, err
	}
	if st.Active {
		// Without its file systemd would forget how the running daemon is to be treated.
		p.Steps = append(p.Steps, File{s.passing(t), 0o644, old.Content})
		p.Notes = append(p.Notes, "the daemon that runs now goes on; a copy of the unit stays in "+s.passing(t)+" until the machine stops")
	} else if left, err := s.ours(s.passing(t)); err == nil && left != nil {
		p.Steps = append(p.Steps, Remove{s.passing(t)})
	}
	p.Steps = append(p.Steps,
		Run{Argv: s.ctl(t, "disable"), Undo: s.ctl(t, "enable"), Env: s.env(), MayFail: !st.Enabled},
		Remove{s.unit(t)},
		Run{Argv: s.ctl(Target{}, "daemon-reload"), Env: s.env(), MayFail: true},
	)
	switch {
	case !s.perUser || !strings.Contains(old.Content, lingerLine) || !s.lingers():
	case st.Active && !s.session(ctx):
		// To end the lingering would end the daemon now.
		p.Notes = append(p.Notes, s.User+" goes on lingering, for the daemon runs and nobody is logged in; when it is stopped: loginctl disable-linger "+s.User)
	default:
		p.Steps = append(p.Steps, s.unlinger())
		p.Notes = append(p.Notes, "what systemd runs for "+s.User+" ends with the last session of "+s.User)
	}
	return p, nil
}

// session reports whether the user is logged in.
func (s systemd) session(ctx context.Context) bool {
	out, err := s.run(ctx, "loginctl", "show-user", s.User, "-p", "Sessions")
	return err == nil && properties(out)["Sessions"] != ""
}
