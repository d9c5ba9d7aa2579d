package boot

import (
	"context"
	"fmt"
	"strings"
)

// Registry is what Windows keeps entries in: its services, and the values of one key that say what starts
// with a session.
type Registry interface {
	// Service reads a service; nil = there is none.
	Service(name string) (*Service, error)
	// Put makes a service that is started again when it fails, or changes the one of this name.
	Put(s Service) error
	Delete(name string) error
	Start(name string) error
	// Logon reads the command line that starts with the session of who asks; mine is the one that Set wrote last,
	// "" for none.
	Logon(name string) (line, mine string, err error)
	// Set writes it; an empty line removes it.
	Set(name, line string) error
}

// Service is a service of Windows. It is a step of a plan as well: it is made, and started if Active.
type Service struct {
	Name        string
	Line        string // the command line
	Description string
	Env         []string
	Automatic   bool
	Active      bool
}

// serviceMark ends the description of a service of ours.
const serviceMark = ` (made by "upkeep boot enable")`

// Says implements Step.
func (s Service) Says() (string, string) {
	text := "service " + s.Name + ": " + s.Line
	if s.Active {
		text += "   (and start it)"
	}
	return "make", text
}

func (s Service) do(_ context.Context, h *Host) (func(context.Context) error, error) {
	old, err := h.Windows.Service(s.Name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if !strings.HasSuffix(old.Description, serviceMark) {
			return nil, &ForeignError{"service " + s.Name, "its description does not say so"}
		}
	}
	if err := h.Windows.Put(s); err != nil {
		return nil, err
	}
	back := func(context.Context) error { return h.Windows.Delete(s.Name) }
	if old != nil {
		back = func(context.Context) error { return h.Windows.Put(*old) }
	}
	if !s.Active || old != nil && old.Active {
		return back, nil // one that runs is left alone
	}
	return back, h.Windows.Start(s.Name)
}

// Unservice removes a service of ours; one that runs ends at its own time.
type Unservice struct{ Name string }

// Says implements Step.
func (u Unservice) Says() (string, string) { return "remove", "service " + u.Name }

func (u Unservice) do(_ context.Context, h *Host) (func(context.Context) error, error) {
	return nil, h.Windows.Delete(u.Name)
}

// windowsService is a service of the machine.
type windowsService struct{ *Host }

// Name implements Backend.
func (windowsService) Name() string { return "windows-service" }

// Detect implements Backend.
func (w windowsService) Detect(_ context.Context, t Target) (bool, string) {
	switch {
	case w.OS != "windows" || w.Windows == nil:
		return false, "services are of Windows"
	case w.UID != 0:
		return false, "needs an administrator"
	case t.atLogin():
		return false, "starts at boot, not at login"
	case !t.System:
		return false, "a service runs the instance of the machine, as LocalSystem: --system; your own can start --at login"
	case t.User != "":
		return false, "a service of another account needs its password: services.msc can set it"
	}
	return true, "Windows runs services"
}

// Plan implements Backend.
func (w windowsService) Plan(_ context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	s, err := w.Windows.Service(t.Name)
	if err != nil {
		return Plan{}, err
	}
	if s != nil && !strings.HasSuffix(s.Description, serviceMark) {
		return Plan{}, &ForeignError{"service " + t.Name, "its description does not say so"}
	}
	p := Plan{Backend: w.Name(), Steps: []Step{w.service(t)}}
	p.Notes = append(p.Notes, "the service runs as LocalSystem, not as "+w.User)
	if s != nil && s.Active {
		p.Notes = append(p.Notes, "the service that runs now goes on as it was started")
	}
	return p, nil
}

func (w windowsService) service(t Target) Service {
	return Service{
		Name: t.Name, Line: winLine(t.Command), Description: t.Description + serviceMark, Env: t.Env, Automatic: true, Active: t.Now,
	}
}

// Status implements Backend.
func (w windowsService) Status(_ context.Context, t Target) (State, error) {
	if w.Windows == nil {
		return State{}, nil
	}
	st := State{Place: "service " + t.Name, At: AtBoot}
	s, err := w.Windows.Service(t.Name)
	if err != nil || s == nil {
		return st, err
	}
	st.Found, st.Enabled, st.Active = true, s.Automatic, s.Active
	if !strings.HasSuffix(s.Description, serviceMark) {
		st.Foreign = "its description does not say so"
	}
	st.Says, st.Stale = s.Line, differ(s.Line, winLine(t.Command))
	return st, nil
}

// Undo implements Backend.
func (w windowsService) Undo(ctx context.Context, t Target) (Plan, error) {
	st, err := w.Status(ctx, t)
	switch {
	case err != nil || !st.Found:
		return Plan{}, err
	case st.Foreign != "":
		return Plan{}, &ForeignError{st.Place, st.Foreign}
	}
	p := Plan{Backend: w.Name(), Steps: []Step{Unservice{t.Name}}}
	if st.Active {
		p.Notes = append(p.Notes, "the service that runs now goes on until it is stopped")
	}
	return p, nil
}

// Value is a command line that starts with the session of who asks; "" removes it.
type Value struct{ Name, Line string }

// Says implements Step.
func (v Value) Says() (string, string) {
	if v.Line == "" {
		return "remove", `HKCU\` + runKey + `\` + v.Name
	}
	return "set", `HKCU\` + runKey + `\` + v.Name + " to " + v.Line
}

func (v Value) do(_ context.Context, h *Host) (func(context.Context) error, error) {
	old, mine, err := h.Windows.Logon(v.Name)
	switch {
	case err != nil:
		return nil, err
	case old != mine:
		return nil, &ForeignError{`HKCU\` + runKey + `\` + v.Name, "it is not what was written there"}
	case old == v.Line:
		return nil, nil
	}
	return func(context.Context) error { return h.Windows.Set(v.Name, old) }, h.Windows.Set(v.Name, v.Line)
}

// Where Windows has the command lines that start with a session, and where we remember ours.
const (
	runKey  = `Software\Microsoft\Windows\CurrentVersion\Run`
	mineKey = `Software\upkeep\Boot`
)

// windowsLogon is a command line that starts with the session.
type windowsLogon struct{ *Host }

// Name implements Backend.
func (windowsLogon) Name() string { return "windows-logon" }

// Detect implements Backend.
func (w windowsLogon) Detect(_ context.Context, t Target) (bool, string) {
	switch {
	case w.OS != "windows" || w.Windows == nil:
		return false, "logon commands are of Windows"
	case t.User != "" && t.User != w.User:
		return false, "only " + t.User + " can change what starts with the session of " + t.User
	case !t.atLogin():
		return false, "starts at login; a start at boot needs an administrator"
	}
	return true, "Windows starts it with the session of " + w.User
}

// line is the command line. There is no place for variables beside it: the command interpreter sets them.
func (windowsLogon) line(t Target) (string, error) {
	words := t.Command
	if len(t.Launch) > 0 {
		words = t.Launch
	}
	if len(t.Env) == 0 {
		return winLine(words), nil
	}
	line := "cmd.exe /d /c \""
	for _, e := range t.Env {
		if strings.ContainsAny(e, `"%^&|<>`) {
			return "", &TargetError{"environment", fmt.Sprintf("%q has a character that the command interpreter takes for its own", e)}
		}
		line += `set "` + e + `"& `
	}
	return line + winLine(words) + `"`, nil
}

// Plan implements Backend.
func (w windowsLogon) Plan(_ context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	line, err := w.line(t)
	if err != nil {
		return Plan{}, err
	}
	have, mine, err := w.Windows.Logon(t.Name)
	if err != nil {
		return Plan{}, err
	}
	if have != mine {
		return Plan{}, &ForeignError{`HKCU\` + runKey + `\` + t.Name, "it is not what was written there"}
	}
	return Plan{Backend: w.Name(), Steps: []Step{Value{t.Name, line}}, Notes: []string{"it takes effect at the next login"}}, nil
}

// Status implements Backend.
func (w windowsLogon) Status(_ context.Context, t Target) (State, error) {
	if w.Windows == nil || t.User != "" {
		return State{}, nil
	}
	st := State{Place: `HKCU\` + runKey + `\` + t.Name, At: AtLogin}
	have, mine, err := w.Windows.Logon(t.Name)
	if err != nil || have == "" {
		return st, err
	}
	st.Found, st.Enabled, st.Says = true, true, have
	if have != mine {
		st.Foreign = "it is not what was written there"
	}
	want, err := w.line(t)
	st.Stale = differ(have, want)
	return st, err
}

// Undo implements Backend.
func (w windowsLogon) Undo(ctx context.Context, t Target) (Plan, error) {
	st, err := w.Status(ctx, t)
	switch {
	case err != nil || !st.Found:
		return Plan{}, err
	case st.Foreign != "":
		return Plan{}, &ForeignError{st.Place, st.Foreign}
	}
	return Plan{Backend: w.Name(), Steps: []Step{Value{t.Name, ""}}}, nil
}

// winLine is a command line for Windows, where a program itself takes its line apart: a word is quoted, a
// quotation mark gets a backslash, and so do the backslashes right before one.
func winLine(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if w != "" && !strings.ContainsAny(w, " \t\"") {
			out[i] = w
			continue
		}
		var b strings.Builder
		b.WriteByte('"')
		slashes := 0
		for _, c := range []byte(w) {
			switch c {
			case '\\':
				slashes++
			case '"':
				b.WriteString(strings.Repeat(`\`, slashes+1))
				slashes = 0
			default:
				slashes = 0
			}
			b.WriteByte(c)
		}
		b.WriteString(strings.Repeat(`\`, slashes))
		b.WriteByte('"')
		out[i] = b.String()
	}
	return strings.Join(out, " ")
}
