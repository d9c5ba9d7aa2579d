package boot

import (
	"context"
	"errors"
	"strings"
)

// cron starts what a table of a user marks with @reboot: the last resort, for nothing restarts the daemon
// or stops it in order. Source: spec/chalmers CH-75.
type cron struct{ *Host }

// Name implements Backend.
func (cron) Name() string { return "cron" }

// Detect implements Backend.
func (c cron) Detect(ctx context.Context, t Target) (bool, string) {
	switch {
	case c.OS == "windows":
		return false, "there is no cron on Windows"
	case t.atLogin():
		return false, "cron starts at boot, not at login"
	case t.User != "" && t.User != c.User && c.UID != 0:
		return false, "needs root to change the table of " + t.User
	case !c.has("crontab"):
		return false, "there is no crontab"
	}
	if why := c.known(ctx, t); why != "" {
		return false, why
	}
	if running := c.processes(); running != nil && !running["cron"] && !running["crond"] {
		return false, "cron does not run here"
	}
	return true, "cron starts it once per boot; nothing else does"
}

// tag is at the end of a line of ours: a comment for the shell that runs it.
func tag(t Target) string { return " # upkeep boot: " + t.Name }

// line is the line of the table. cron takes a % for the end of the line unless it is escaped.
func (c cron) line(t Target) string {
	words := quoteAll(t.Command)
	if len(t.Env) > 0 {
		words = append(append([]string{"env"}, quoteAll(t.Env)...), words...)
	}
	command := "exec " + strings.Join(words, " ") + " </dev/null >/dev/null 2>&1" + tag(t)
	return "@reboot " + strings.ReplaceAll(command, "%", `\%`)
}

func (c cron) user(t Target) string {
	if t.User == c.User {
		return ""
	}
	return t.User
}

// Line is a line in the table of a user: added unless it is there, or removed. Every other line stays.
type Line struct {
	User string // "" = who asks
	Text string // "" = removed
	Tag  string // what a line of ours ends with
}

// Says implements Step.
func (l Line) Says() (string, string) {
	if l.Text == "" {
		return "remove", "the line of crontab -l that ends in \"" + strings.TrimSpace(l.Tag) + "\""
	}
	return "add", "to crontab: " + l.Text
}

// crontab is a call of crontab for a user.
func crontab(user string, words ...string) []string {
	argv := []string{"crontab"}
	if user != "" {
		argv = append(argv, "-u", user)
	}
	return append(argv, words...)
}

// table reads a user's table; a missing one is empty.
func (h *Host) table(ctx context.Context, user string) (string, error) {
	out, err := h.run(ctx, crontab(user, "-l")...)
	var failed *CommandError
	if errors.As(err, &failed) && strings.Contains(failed.Output, "no crontab for") {
		return "", nil
	}
	return out, err
}

// write replaces a user's table; an empty one is removed.
func (h *Host) write(ctx context.Context, user, table string) error {
	c := Command{Argv: crontab(user, "-"), Input: table}
	if table == "" {
		c.Argv = crontab(user, "-r")
	}
	_, err := h.Exec(ctx, c)
	return err
}

// tagged reports whether a line is ours. One that a person has turned into a comment is theirs.
func tagged(line, tag string) bool {
	return strings.HasSuffix(strings.TrimRight(line, "\n"), tag) && !strings.HasPrefix(strings.TrimSpace(line), "#")
}

// edit is the table with the line replaced, added or removed.
func (l Line) edit(table string) string {
	var out strings.Builder
	for line := range strings.Lines(table) {
		if !tagged(line, l.Tag) {
			out.WriteString(line)
		}
	}
	if l.Text == "" {
		return out.String()
	}
	if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
		out.WriteString("\n")
	}
	return out.String() + l.Text + "\n"
}

func (l Line) do(ctx context.Context, h *Host) (func(context.Context) error, error) {
	old, err := h.table(ctx, l.User)
	if err != nil {
		return nil, err
	}
	next := l.edit(old)
	if next == old {
		return nil, nil
	}
	if err := h.write(ctx, l.User, next); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return h.write(ctx, l.User, old) }, nil
}

// Plan implements Backend.
func (c cron) Plan(_ context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	return Plan{
		Backend: c.Name(),
		Steps:   []Step{Line{c.user(t), c.line(t), tag(t)}},
		Notes:   []string{"cron only starts the daemon, at the next boot: nothing restarts it when it is killed as a whole, and nothing stops it in order"},
	}, nil
}

// Status implements Backend.
func (c cron) Status(ctx context.Context, t Target) (State, error) {
	if !c.has("crontab") || t.User != "" && t.User != c.User && c.UID != 0 {
		return State{}, nil
	}
	st := State{Place: strings.Join(crontab(c.user(t)), " "), At: AtBoot}
	table, err := c.table(ctx, c.user(t))
	if err != nil {
		return st, err
	}
	for line := range strings.Lines(table) {
		if !tagged(line, tag(t)) {
			continue
		}
		line = strings.TrimRight(line, "\n")
		st.Found, st.Enabled, st.Says = true, strings.HasPrefix(line, "@reboot"), line
		st.Stale = differ(line, c.line(t))
	}
	return st, nil
}

// Undo implements Backend.
func (c cron) Undo(ctx context.Context, t Target) (Plan, error) {
	if err := t.Check(); err != nil {
		return Plan{}, err
	}
	st, err := c.Status(ctx, t)
	if err != nil || !st.Found {
		return Plan{}, err
	}
	return Plan{Backend: c.Name(), Steps: []Step{Line{c.user(t), "", tag(t)}}}, nil
}
