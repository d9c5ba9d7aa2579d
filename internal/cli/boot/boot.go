// Package boot is what "upkeep boot enable|disable|status" does: it shows what it will touch, asks, does it,
// and believes only what the init system says afterwards. The mechanisms are in sys/boot; names, flags and
// where the instance is are the caller's. Source: interfaces 2.1 (5, 7), 2.3, 2.4, one-model C15.
package boot

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// The exit statuses. Source: interfaces 2.3.
const (
	statusFailed  = 1
	statusUsage   = 2
	statusOff     = 3 // of status: it is not enabled
	statusUnknown = 4 // of status: the init system did not say
	statusRights  = 4 // of enable and disable
)

// Options are one call.
type Options struct {
	Host   *boot.Host
	Target boot.Target
	// Backend is the mechanism to be used; "" = the one that runs here.
	Backend string
	// Yes goes ahead without asking, DryRun shows the plan only, NoStart leaves the start to the next boot.
	Yes, DryRun, NoStart bool
	// JSON has one object printed, for status alone.
	JSON bool
	// Running is the pid of the instance's daemon that runs now, whoever started it; 0 = none. May be nil.
	Running func(context.Context) int
	// Programs are the names of the programs that are on, for people. May be nil.
	Programs func(context.Context) []string
	// Stop is the command that stops the daemon, and Prog the words before enable and disable, as a person types
	// them.
	Stop, Prog string
	// In answers the question; Terminal says that a person is there.
	In       io.Reader
	Terminal bool
	Out, Err io.Writer
	// Good and Bad begin a line about a success and a failure; "" = ✓ and ✕.
	Good, Bad string
}

// call is a call at work.
type call struct {
	Options
	pid int // of the daemon that runs now
}

// Run does verb (enable, disable, status) and returns the exit status.
func Run(ctx context.Context, verb string, o Options) int {
	c := &call{Options: o}
	if c.Good == "" {
		c.Good = "✓"
	}
	if c.Bad == "" {
		c.Bad = "✕"
	}
	if c.Target.At == "" {
		c.Target.At = boot.AtBoot
	}
	if c.Running != nil {
		c.pid = c.Running(ctx)
	}
	switch verb {
	case "enable":
		return c.enable(ctx)
	case "disable":
		return c.disable(ctx)
	case "status":
		return c.status(ctx)
	}
	fmt.Fprintf(c.Err, "%s: there is no %q; there are enable, disable and status\n", c.Prog, verb)
	return statusUsage
}

// enable makes the entry and checks that it is one.
func (c *call) enable(ctx context.Context) int {
	b, seen, err := c.Host.Choose(ctx, c.Target, c.Backend)
	if err != nil {
		return c.refuse(err, seen)
	}
	was, err := b.Status(ctx, c.Target)
	if err != nil {
		return c.fail(err)
	}
	started := was.Active || c.pid != 0
	c.Target.Now = !c.NoStart && !started && b.Name() != "cron"
	plan, err := b.Plan(ctx, c.Target)
	if err != nil {
		return c.fail(err)
	}
	older, err := c.older(ctx, b)
	if err != nil {
		return c.fail(err)
	}
	if was.Enabled && was.Stale == "" && was.At == c.Target.At && !c.Target.Now && older.Empty() {
		fmt.Fprintf(c.Out, "%s %s already.     undo: %s disable\n", c.Good, c.subject(ctx), c.Prog)
		return 0
	}
	plan = plan.Then(older)
	if c.pid != 0 && !was.Active {
		plan.Notes = append(plan.Notes, c.takesOver(b, plan))
	}
	if b.Name() == "cron" && c.Backend == "" {
		plan.Notes = append(plan.Notes, c.considered(seen)...)
	}
	if status, ahead := c.agree(plan); !ahead {
		return status
	}
	if err := c.Host.Apply(ctx, plan); err != nil {
		return c.fail(err)
	}
	return c.verify(ctx, b)
}

// takesOver says when an entry takes effect while a daemon that it has not started runs: two of one instance
// cannot be, and to exchange them would restart every program.
func (c *call) takesOver(b boot.Backend, p boot.Plan) string {
	text := fmt.Sprintf("the daemon that runs now (pid %d) goes on; the entry takes effect when the machine starts", c.pid)
	if c.Target.At == boot.AtLogin {
		text = fmt.Sprintf("the daemon that runs now (pid %d) goes on; the entry takes effect at the next login", c.pid)
	}
	if start := startCommand(b.Name(), c.Target.Name); start != "" && c.Stop != "" && p.Backend == b.Name() {
		text += "\n  or at once, with a restart of every program:  " + c.Stop + " && " + start
	}
	return text
}

// startCommand starts an entry that is there; "" = no command does.
func startCommand(backend, name string) string {
	return map[string]string{
		"systemd":         "systemctl start " + name,
		"systemd-user":    "systemctl --user start " + name,
		"openrc":          "rc-service " + name + " start",
		"sysv":            "/etc/init.d/" + name + " start",
		"upstart":         "initctl start " + name,
		"windows-service": "sc start " + name,
	}[backend]
}

// older is the removal of entries of ours in other mechanisms, made when another one ran: two of them would
// start two daemons.
func (c *call) older(ctx context.Context, b boot.Backend) (boot.Plan, error) {
	entries, err := c.Host.Entries(ctx, c.Target)
	if err != nil {
		return boot.Plan{}, err
	}
	plan := boot.Plan{Backend: b.Name()}
	for _, e := range entries {
		if e.Backend.Name() == b.Name() || e.State.Foreign != "" {
			continue
		}
		undo, err := e.Backend.Undo(ctx, c.Target)
		if err != nil {
			return boot.Plan{}, err
		}
		plan = plan.Then(undo)
	}
	return plan, nil
}

// verify asks the init system whether what was done is so. An entry that it does not know is taken away
// again.
func (c *call) verify(ctx context.Context, b boot.Backend) int {
	now, err := b.Status(ctx, c.Target)
	if err == nil && !now.Enabled {
		err = fmt.Errorf("%s does not say that it is enabled: %s", b.Name(), orNothing(now.Says))
	}
	if err != nil {
		undo, back := b.Undo(ctx, c.Target)
		if back == nil {
			back = c.Host.Apply(ctx, undo)
		}
		if back != nil {
			err = fmt.Errorf("%w (and it could not be taken back: %w)", err, back)
		}
		return c.fail(err)
	}
	if c.Target.Now && !now.Active && b.Name() != "windows-logon" {
		fmt.Fprintf(c.Err, "%s the entry is there, but what it starts does not run: %s\n", c.Bad, orNothing(now.Says))
		return statusFailed
	}
	fmt.Fprintf(c.Out, "%s %s.     undo: %s disable\n", c.Good, c.subject(ctx), c.Prog)
	return 0
}

func orNothing(s string) string {
	if s == "" {
		return "it says nothing"
	}
	return clean(s)
}

// subject is who starts when: "web and db start at boot".
func (c *call) subject(ctx context.Context) string {
	var names []string
	if c.Programs != nil {
		names = c.Programs(ctx)
	}
	who, verb := "programs that are on", "start"
	const show = 5
	if n := len(names); n > show {
		names = append(names[:show-1:show-1], fmt.Sprintf("%d more", n-show+1))
	}
	if len(names) > 0 {
		who = clean(words.List(names))
	}
	if len(names) == 1 {
		verb = "starts"
	}
	if c.Target.User != "" {
		who += " for " + c.Target.User
	}
	return who + " " + verb + " at " + c.Target.At
}

// disable removes every entry of ours.
func (c *call) disable(ctx context.Context) int {
	entries, err := c.Host.Entries(ctx, c.Target)
	if err != nil {
		return c.fail(err)
	}
	var plan boot.Plan
	for _, e := range entries {
		undo, err := e.Backend.Undo(ctx, c.Target)
		if err != nil {
			return c.fail(err)
		}
		plan = plan.Then(undo)
	}
	if plan.Empty() {
		fmt.Fprintln(c.Out, "nothing starts it at boot or login; nothing was changed")
		return 0
	}
	if status, ahead := c.agree(plan); !ahead {
		return status
	}
	if err := c.Host.Apply(ctx, plan); err != nil {
		return c.fail(err)
	}
	left, err := c.Host.Entries(ctx, c.Target)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s still has it: %s", left[0].Backend.Name(), left[0].State.Place)
	}
	if err != nil {
		return c.fail(err)
	}
	fmt.Fprintf(c.Out, "%s nothing starts at boot or login any more.     undo: %s enable\n", c.Good, c.Prog)
	return 0
}

// Report is what status tells a program.
type Report struct {
	Enabled bool          `json:"enabled"`
	At      string        `json:"at,omitempty"`
	Entries []ReportEntry `json:"entries"`
	Ways    []ReportWay   `json:"ways"`
	Error   string        `json:"error,omitempty"`
}

// ReportEntry is one entry, ours or not.
type ReportEntry struct {
	Backend string `json:"backend"`
	Place   string `json:"place"`
	At      string `json:"at"`
	Enabled bool   `json:"enabled"`
	Active  bool   `json:"active"`
	Foreign string `json:"foreign,omitempty"`
	Stale   string `json:"stale,omitempty"`
	Says    string `json:"says,omitempty"`
}

// ReportWay is a mechanism that enable considers.
type ReportWay struct {
	Backend string `json:"backend"`
	Usable  bool   `json:"usable"`
	Why     string `json:"why"`
}

// status tells what starts the instance.
func (c *call) status(ctx context.Context) int {
	if err := c.Target.Check(); err != nil {
		return c.fail(err)
	}
	r := Report{Entries: []ReportEntry{}, Ways: []ReportWay{}}
	entries, err := c.Host.Entries(ctx, c.Target)
	for _, e := range entries {
		s := e.State
		r.Entries = append(r.Entries, ReportEntry{e.Backend.Name(), s.Place, s.At, s.Enabled, s.Active, s.Foreign, s.Stale, s.Says})
		if s.Enabled && s.Foreign == "" && !r.Enabled {
			r.Enabled, r.At = true, s.At
		}
	}
	for _, b := range c.Host.Backends() {
		usable, why := b.Detect(ctx, c.Target)
		r.Ways = append(r.Ways, ReportWay{b.Name(), usable, why})
	}
	code := 0
	switch {
	case !r.Enabled && err != nil:
		code = statusUnknown
	case !r.Enabled:
		code = statusOff
	}
	if err != nil {
		r.Error = err.Error()
	}
	if c.JSON {
		enc := json.NewEncoder(c.Out)
		enc.SetIndent("", "  ")
		_ = enc.Encode(r)
		return code
	}
	c.tell(r)
	return code
}

// tell is a report for a person.
func (c *call) tell(r Report) {
	for _, e := range r.Entries {
		word := "starts at " + e.At
		switch {
		case e.Foreign != "":
			word = "not ours"
		case !e.Enabled:
			word = "off"
		}
		active := ""
		if e.Active {
			active = "   running"
		}
		fmt.Fprintf(c.Out, "%s   %s   %s%s\n", word, e.Backend, c.short(e.Place), active)
		if e.Stale != "" {
			fmt.Fprintf(c.Out, "  it is not what would be written now: %s\n  %s enable writes it anew\n", clean(e.Stale), c.Prog)
		}
		if e.Foreign != "" {
			fmt.Fprintf(c.Out, "  %s\n", clean(e.Foreign))
		}
	}
	if r.Error != "" {
		fmt.Fprintln(c.Err, clean(r.Error))
	}
	if !r.Enabled {
		fmt.Fprintf(c.Out, "nothing starts it at boot or login.   %s enable\n", c.Prog)
	}
}

// agree shows a plan and asks. ahead is false when it is not to be carried out, and then status is the exit
// status.
func (c *call) agree(p boot.Plan) (status int, ahead bool) {
	last := ""
	for _, s := range p.Steps {
		kind, what := s.Says()
		if kind == "" {
			continue
		}
		label := ""
		if kind != last {
			label = "will " + kind
		}
		last = kind
		fmt.Fprintf(c.Out, "%-12s %s\n", label, c.short(clean(what)))
	}
	for _, n := range p.Notes {
		fmt.Fprintln(c.Out, n)
	}
	if c.DryRun {
		return 0, false
	}
	if c.Yes {
		return 0, true
	}
	if !c.Terminal {
		fmt.Fprintf(c.Err, "%s: nobody is there to be asked; --yes goes ahead\n", c.Prog)
		return statusUsage, false
	}
	fmt.Fprint(c.Out, "Go ahead? [Y/n] ")
	line, err := bufio.NewReader(io.LimitReader(c.In, 1024)).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(c.Out)
		line = "n"
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "", "y", "yes":
		return 0, true
	}
	fmt.Fprintln(c.Out, "Nothing was changed.")
	return statusFailed, false
}

// considered are the mechanisms that were passed over, with the reason.
func (c *call) considered(seen []boot.Considered) []string {
	var out []string
	for _, s := range seen {
		if c.Host.OS == "windows" && !strings.HasPrefix(s.Name, "windows-") {
			continue // of other systems
		}
		if !s.Usable && !strings.Contains(s.Why, " of Windows") && !strings.Contains(s.Why, " of macOS") {
			out = append(out, fmt.Sprintf("not %s: %s", s.Name, s.Why))
		}
	}
	return out
}

// refuse says why there is no mechanism.
func (c *call) refuse(err error, seen []boot.Considered) int {
	var target *boot.TargetError
	var unusable *boot.UnusableError
	switch {
	case errors.As(err, &target), errors.As(err, &unusable) && len(unusable.Known) > 0:
		fmt.Fprintf(c.Err, "%s: %v\n", c.Prog, err)
		return statusUsage
	}
	fmt.Fprintf(c.Err, "%s %v at %s\n", c.Bad, err, c.Target.At)
	rights := false
	for _, line := range c.considered(seen) {
		fmt.Fprintln(c.Err, "  "+line)
	}
	for _, s := range seen {
		rights = rights || strings.HasPrefix(s.Why, "needs root") || s.Why == "needs an administrator"
	}
	if rights {
		return statusRights
	}
	return statusFailed
}

// fail says what went wrong; a plan that failed was taken back.
func (c *call) fail(err error) int {
	var step *boot.StepError
	tail := ""
	if errors.As(err, &step) && step.Left == nil {
		tail = "\n  Everything is as it was before."
	}
	fmt.Fprintf(c.Err, "%s %s%s\n", c.Bad, clean(err.Error()), tail)
	var hint *boot.HintError
	if errors.As(err, &hint) {
		for line := range strings.Lines(hint.Hint) {
			fmt.Fprintln(c.Err, "  "+strings.TrimSuffix(line, "\n"))
		}
	}
	var target *boot.TargetError
	if errors.As(err, &target) {
		return statusUsage
	}
	return statusFailed
}

// short is a text with the home folder as ~.
func (c *call) short(s string) string {
	if home := c.Host.Home; len(home) > 1 && strings.HasPrefix(s, home+"/") {
		return "~" + s[len(home):]
	}
	return s
}

// clean makes what other programs say safe to be shown: no control characters but line ends, which are
// indented.
func clean(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
