package boot

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
)

// whole is the part that mechanisms of the whole machine with one file have in common.
type whole struct {
	*Host
	name    string
	file    string
	mode    fs.FileMode
	text    func() (string, error)
	enable  []Step // after the file is there
	disable []Step // before the file is removed
	after   []Step // after it was removed
	enabled func(ctx context.Context) (bool, string, error)
	active  func(ctx context.Context) bool
}

func (w whole) plan(t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	if _, err := w.ours(w.file); err != nil {
		return Plan{}, err
	}
	text, err := w.text()
	if err != nil {
		return Plan{}, err
	}
	return Plan{Backend: w.name, Steps: append([]Step{File{w.file, w.mode, text}}, w.enable...)}, nil
}

func (w whole) status(ctx context.Context, t Target) (State, error) {
	if !w.concerns(t) {
		return State{}, nil
	}
	st := State{Place: w.file, At: AtBoot}
	file, err := w.entry(&st)
	if err != nil {
		return st, err
	}
	if file == nil {
		return st, nil
	}
	want, err := w.text()
	if err != nil {
		return st, err
	}
	st.Stale = differ(file.Content, want)
	st.Enabled, st.Says, err = w.enabled(ctx)
	st.Active = w.active(ctx)
	return st, err
}

func (w whole) undo(t Target) (Plan, error) {
	if err := t.Check(); err != nil || !w.concerns(t) {
		return Plan{}, err
	}
	old, err := w.ours(w.file)
	if err != nil || old == nil {
		return Plan{}, err
	}
	steps := append(w.disable[:len(w.disable):len(w.disable)], Remove{w.file})
	return Plan{Backend: w.name, Steps: append(steps, w.after...)}, nil
}

// scriptData is what the texts of scripts are made from.
type scriptData struct {
	Target
	Marker     string
	Background string // a shell's line that starts the daemon and prints its pid
	ReadPid    string // a shell's line that prints what is in the pidfile
	Plain      string // the description without what could end a quoted text
}

func (h *Host) scriptData(t Target) scriptData {
	if t.User == h.User {
		t.User = ""
	}
	if t.Description == "" {
		t.Description = t.Name
	}
	return scriptData{
		Target: t, Marker: marker, Plain: strings.NewReplacer(`"`, "'", `\`, "/").Replace(t.Description),
		ReadPid:    "cat " + words.Quote(t.PidFile),
		Background: "setsid " + strings.Join(quoteAll(t.Command), " ") + " </dev/null >/dev/null 2>&1 & echo $!",
	}
}

// openrc starts services by its own scripts; its supervise-daemon restarts the keeper.
type openrc struct{ *Host }

// Name implements Backend.
func (openrc) Name() string { return "openrc" }

// Detect implements Backend.
func (o openrc) Detect(ctx context.Context, t Target) (bool, string) {
	switch {
	case !o.exists("/run/openrc/softlevel"):
		return false, "OpenRC does not run here"
	case !o.has("rc-update"):
		return false, "there is no rc-update"
	}
	if why := o.forRoot(ctx, t); why != "" {
		return false, why
	}
	return true, "OpenRC runs this machine"
}

func (o openrc) whole(t Target) whole {
	w := whole{
		Host: o.Host, name: o.Name(), file: filepath.Join("/etc/init.d", t.Name), mode: 0o755,
		text:    func() (string, error) { return render("openrc", o.scriptData(t)) },
		enable:  []Step{Run{Argv: []string{"rc-update", "add", t.Name, "default"}, Undo: []string{"rc-update", "del", t.Name, "default"}}},
		disable: []Step{Run{Argv: []string{"rc-update", "del", t.Name, "default"}, Undo: []string{"rc-update", "add", t.Name, "default"}, MayFail: true}},
		enabled: func(ctx context.Context) (bool, string, error) {
			out, err := o.run(ctx, "rc-update", "show", "default")
			return err == nil && inRunlevel(out, t.Name), strings.TrimSpace(t.Name + " in default"), err
		},
		active: func(ctx context.Context) bool {
			_, err := o.run(ctx, "rc-service", t.Name, "status")
			return err == nil
		},
	}
	if t.Now {
		w.enable = append(w.enable, Run{
			Argv: []string{"rc-service", t.Name, "start"}, Undo: []string{"rc-service", t.Name, "stop"}, Limit: startLimit,
		})
	}
	return w
}

// inRunlevel finds a service in what rc-update shows: "  name | default".
func inRunlevel(out, name string) bool {
	for line := range strings.Lines(out) {
		if service, levels, ok := strings.Cut(line, "|"); ok && strings.TrimSpace(service) == name && strings.TrimSpace(levels) != "" {
			return true
		}
	}
	return false
}

// Plan implements Backend.
func (o openrc) Plan(_ context.Context, t Target) (Plan, error) { return o.whole(t).plan(t) }

// Status implements Backend.
func (o openrc) Status(ctx context.Context, t Target) (State, error) {
	if !o.has("rc-update") {
		return State{}, nil
	}
	return o.whole(t).status(ctx, t)
}

// Undo implements Backend. A service that runs goes on without its script.
func (o openrc) Undo(_ context.Context, t Target) (Plan, error) {
	if !o.has("rc-update") {
		return Plan{}, nil
	}
	return o.whole(t).undo(t)
}

// sysv starts scripts by links in the directories of run levels.
type sysv struct{ *Host }

// Name implements Backend.
func (sysv) Name() string { return "sysv" }

// Detect implements Backend.
func (s sysv) Detect(ctx context.Context, t Target) (bool, string) {
	first, _ := readBounded(s.path("/proc/1/comm"))
	switch {
	case s.exists("/run/systemd/system") || s.exists("/run/openrc/softlevel"):
		return false, "another init runs here"
	case strings.TrimSpace(first) != "init" || !s.exists("/etc/inittab"):
		return false, "SysV init does not run here"
	case s.tool() == "":
		return false, "there is neither update-rc.d nor chkconfig"
	}
	if why := s.forRoot(ctx, t); why != "" {
		return false, why
	}
	return true, "SysV init runs this machine"
}

// tool is the command that makes the links; "" = there is none.
func (s sysv) tool() string {
	for _, name := range []string{"update-rc.d", "chkconfig"} {
		if s.has(name) {
			return name
		}
	}
	return ""
}

func (s sysv) whole(t Target) whole {
	script := filepath.Join("/etc/init.d", t.Name)
	add, del := []string{"update-rc.d", t.Name, "defaults"}, []string{"update-rc.d", "-f", t.Name, "remove"}
	if s.tool() == "chkconfig" {
		add, del = []string{"chkconfig", "--add", t.Name}, []string{"chkconfig", "--del", t.Name}
	}
	w := whole{
		Host: s.Host, name: s.Name(), file: script, mode: 0o755,
		text:    func() (string, error) { return render("sysv", s.scriptData(t)) },
		enable:  []Step{Run{Argv: add, Undo: del}},
		disable: []Step{Run{Argv: del, Undo: add}},
		enabled: func(context.Context) (bool, string, error) {
			links := s.startLinks(t.Name)
			return len(links) > 0, strings.Join(links, " "), nil
		},
		active: func(ctx context.Context) bool {
			_, err := s.run(ctx, script, "status")
			return err == nil
		},
	}
	if t.Now {
		w.enable = append(w.enable, Run{Argv: []string{script, "start"}, Undo: []string{script, "stop"}, Limit: startLimit})
	}
	return w
}

// startLinks are the links that start a script, in the run levels of a running machine.
func (s sysv) startLinks(name string) []string {
	var out []string
	for level := 2; level <= 5; level++ {
		for _, dir := range []string{"/etc/rc%d.d", "/etc/rc.d/rc%d.d"} {
			found, _ := filepath.Glob(s.path(fmt.Sprintf(dir, level), "S[0-9][0-9]"+name))
			for _, f := range found {
				out = append(out, strings.TrimPrefix(f, s.Root))
			}
		}
	}
	return out
}

// Plan implements Backend.
func (s sysv) Plan(_ context.Context, t Target) (Plan, error) { return s.whole(t).plan(t) }

// Status implements Backend. Where OpenRC is installed, the scripts in the same folder are its own.
func (s sysv) Status(ctx context.Context, t Target) (State, error) {
	if s.tool() == "" || s.has("rc-update") {
		return State{}, nil
	}
	return s.whole(t).status(ctx, t)
}

// Undo implements Backend.
func (s sysv) Undo(_ context.Context, t Target) (Plan, error) {
	if s.tool() == "" || s.has("rc-update") {
		return Plan{}, nil
	}
	return s.whole(t).undo(t)
}

// upstart starts jobs.
type upstart struct{ *Host }

// Name implements Backend.
func (upstart) Name() string { return "upstart" }

// Detect implements Backend.
func (u upstart) Detect(ctx context.Context, t Target) (bool, string) {
	if !u.has("initctl") {
		return false, "upstart is not installed"
	}
	if out, err := u.run(ctx, "initctl", "version"); err != nil || !strings.Contains(out, "upstart") {
		return false, "upstart does not run here"
	}
	if why := u.forRoot(ctx, t); why != "" {
		return false, why
	}
	return true, "upstart runs this machine"
}

func (u upstart) whole(t Target) whole {
	w := whole{
		Host: u.Host, name: u.Name(), file: filepath.Join("/etc/init", t.Name+".conf"), mode: 0o644,
		text:   func() (string, error) { return render("upstart.conf", u.scriptData(t)) },
		enable: []Step{Run{Argv: []string{"initctl", "reload-configuration"}}},
		after:  []Step{Run{Argv: []string{"initctl", "reload-configuration"}, MayFail: true}},
		enabled: func(ctx context.Context) (bool, string, error) {
			out, err := u.run(ctx, "initctl", "status", t.Name)
			return err == nil, strings.TrimSpace(out), nil
		},
		active: func(ctx context.Context) bool {
			out, err := u.run(ctx, "initctl", "status", t.Name)
			return err == nil && strings.Contains(out, "start/")
		},
	}
	if t.Now {
		w.enable = append(w.enable, Run{Argv: []string{"initctl", "start", t.Name}, Undo: []string{"initctl", "stop", t.Name}, Limit: startLimit})
	}
	return w
}

// Plan implements Backend.
func (u upstart) Plan(_ context.Context, t Target) (Plan, error) { return u.whole(t).plan(t) }

// Status implements Backend.
func (u upstart) Status(ctx context.Context, t Target) (State, error) {
	return u.whole(t).status(ctx, t)
}

// Undo implements Backend.
func (u upstart) Undo(_ context.Context, t Target) (Plan, error) { return u.whole(t).undo(t) }
