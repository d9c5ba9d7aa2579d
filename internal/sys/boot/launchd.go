package boot

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// launchd starts daemons of the machine, or agents of the user who asks.
type launchd struct {
	*Host
	agent bool
}

// labelPrefix makes names ours among all software of a machine.
const labelPrefix = "io.github.upkeep-project."

// Name implements Backend.
func (l launchd) Name() string {
	if l.agent {
		return "launchd-agent"
	}
	return "launchd"
}

// Detect implements Backend.
func (l launchd) Detect(ctx context.Context, t Target) (bool, string) {
	switch {
	case l.OS != "darwin":
		return false, "launchd is of macOS"
	case !l.agent:
		if why := l.forRoot(ctx, t); why != "" {
			return false, why
		}
		return true, "launchd runs this machine"
	case t.User != "" && t.User != l.User:
		return false, "only " + t.User + " can make agents of " + t.User
	case !t.atLogin():
		return false, "an agent starts at login; a start at boot needs root"
	}
	return true, "launchd runs the session of " + l.User
}

func (l launchd) domain() string {
	if l.agent {
		return fmt.Sprintf("gui/%d", l.UID)
	}
	return "system"
}

func (l launchd) file(t Target) string {
	if l.agent {
		return filepath.Join(l.Home, "Library/LaunchAgents", labelPrefix+t.Name+".plist")
	}
	return filepath.Join("/Library/LaunchDaemons", labelPrefix+t.Name+".plist")
}

func (l launchd) content(t Target) (string, error) {
	if l.agent || t.User == l.User {
		t.User = ""
	}
	return render("launchd.plist", struct {
		Target
		Marker, Label string
	}{t, marker, labelPrefix + t.Name})
}

// Plan implements Backend. launchd reads the file at the next start, and now only when it is told to.
func (l launchd) Plan(_ context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	if _, err := l.ours(l.file(t)); err != nil {
		return Plan{}, err
	}
	text, err := l.content(t)
	if err != nil {
		return Plan{}, err
	}
	service := l.domain() + "/" + labelPrefix + t.Name
	p := Plan{Backend: l.Name(), Steps: []Step{
		File{l.file(t), 0o644, text},
		Run{Argv: []string{"launchctl", "enable", service}},
	}}
	if t.Now {
		p.Steps = append(p.Steps, Run{
			Argv: []string{"launchctl", "bootstrap", l.domain(), l.file(t)}, Undo: []string{"launchctl", "bootout", service}, Limit: startLimit,
		})
	}
	return p, nil
}

// Status implements Backend.
func (l launchd) Status(ctx context.Context, t Target) (State, error) {
	if l.OS != "darwin" || l.agent && t.User != "" || !l.agent && !l.concerns(t) {
		return State{}, nil
	}
	st := State{Place: l.file(t), At: AtBoot}
	if l.agent {
		st.At = AtLogin
	}
	file, err := l.entry(&st)
	if err != nil || file == nil {
		return st, err
	}
	want, err := l.content(t)
	if err != nil {
		return st, err
	}
	st.Stale = differ(file.Content, want)
	off, err := l.run(ctx, "launchctl", "print-disabled", l.domain())
	if err != nil {
		return st, err
	}
	st.Enabled = !disabledRE(labelPrefix + t.Name).MatchString(off)
	out, err := l.run(ctx, "launchctl", "print", l.domain()+"/"+labelPrefix+t.Name)
	st.Active = err == nil && strings.Contains(out, "state = running")
	st.Says = "enabled"
	if !st.Enabled {
		st.Says = "disabled"
	}
	return st, nil
}

// disabledRE finds a label among the disabled ones: "label" => disabled, or => true on older systems.
func disabledRE(label string) *regexp.Regexp {
	return regexp.MustCompile(`"` + regexp.QuoteMeta(label) + `"\s*=>\s*(disabled|true)`)
}

// Undo implements Backend. To unload the entry would end the daemon, so that it stays loaded until the
// session or the machine ends.
func (l launchd) Undo(ctx context.Context, t Target) (Plan, error) {
	st, err := l.Status(ctx, t)
	if err != nil || !st.Found {
		return Plan{}, err
	}
	old, err := l.ours(l.file(t))
	if err != nil || old == nil {
		return Plan{}, err
	}
	p := Plan{Backend: l.Name(), Steps: []Step{Remove{l.file(t)}}}
	if st.Active {
		p.Notes = append(p.Notes, "the daemon that runs now goes on until it is stopped")
	}
	return p, nil
}
