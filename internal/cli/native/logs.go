package native

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
)

// logsFlags is what `upkeep logs` is told.
type logsFlags struct {
	follow         bool
	lines          string
	since, until   string
	grep           string
	run            int
	stdout, stderr bool
	times          bool
	noPrefix       bool
	daemon         bool
	filter         upkeep.Filter
	groups         []string
}

func (c *command) logsCommand() *cobra.Command {
	var l logsFlags
	cmd := &cobra.Command{
		Use: "logs [SELECTOR...]", Short: "what programs have written", GroupID: groupLook,
		Long: "The output of programs, of all or of those selected, in the order in which it came. Lines of several programs begin with their names.\n\n" +
			"Followed logs go on through restarts of programs and of the daemon. Times are written as 10m, 14:02, yesterday, 2026-11-19 14:02.",
		Example: "  upkeep logs web -f\n  upkeep logs 'shop:*' -S 10m -g error -t\n  upkeep logs worker --run -1",
		RunE: func(cmd *cobra.Command, args []string) error {
			l.filter.Select = withGroups(args, l.groups)
			return c.logs(cmd.Context(), l)
		},
		ValidArgsFunction: c.completePrograms,
	}
	f := cmd.Flags()
	f.BoolVarP(&l.follow, "follow", "f", false, "go on with what comes")
	f.StringVarP(&l.lines, "lines", "n", "", "the last so many lines, or all (default 10, all with --since)")
	f.StringVarP(&l.since, "since", "S", "", "what came from this time on")
	f.StringVarP(&l.until, "until", "U", "", "what came before this time")
	f.StringVarP(&l.grep, "grep", "g", "", "only lines that match this regular expression")
	f.BoolVarP(&l.times, "timestamps", "t", false, "say when each line came")
	f.BoolVar(&l.stdout, "stdout", false, "only the standard output")
	f.BoolVar(&l.stderr, "stderr", false, "only the error output")
	f.IntVar(&l.run, "run", 0, "only one run: -1 the previous one, -2 the one before it")
	f.BoolVar(&l.noPrefix, "no-prefix", false, "no names before lines")
	f.BoolVar(&l.daemon, "daemon", false, "the log of the daemon itself")
	selecting(cmd, &l.filter, &l.groups)
	return cmd
}

// defaultLines is how many lines are shown when nothing is said about it.
const defaultLines = 10

// query is what is asked of the daemon.
func (l *logsFlags) query(now time.Time) (upkeep.LogFilter, error) {
	q := upkeep.LogFilter{Follow: l.follow, Run: l.run, Grep: l.grep, Daemon: l.daemon, Tail: defaultLines}
	var err error
	for _, m := range []struct {
		text string
		into *time.Time
	}{{l.since, &q.Since}, {l.until, &q.Until}} {
		if m.text == "" {
			continue
		}
		if *m.into, err = parseWhen(m.text, now); err != nil {
			return q, usageError{err}
		}
	}
	switch n, err := strconv.Atoi(l.lines); {
	case l.lines == "all", l.lines == "" && l.since != "":
		q.Tail = 0
	case l.lines == "":
	case err != nil || n < 0:
		return q, usageError{fmt.Errorf("%q is no number of lines, and not \"all\"", l.lines)}
	case n == 0:
		q.Tail = -1
	default:
		q.Tail = n
	}
	switch {
	case l.stdout && !l.stderr:
		q.Stream = "stdout"
	case l.stderr && !l.stdout:
		q.Stream = "stderr"
	}
	if _, err := regexp.Compile(l.grep); err != nil {
		return q, usageError{fmt.Errorf("--grep: %w", err)}
	}
	switch {
	case l.run > 0:
		return q, usageError{errors.New("--run counts back: -1 is the previous run")}
	case l.run != 0 && l.follow:
		return q, usageError{errors.New("a run that is over cannot be followed")}
	case l.daemon && (len(l.filter.Select) > 0 || len(l.filter.States) > 0 || l.run != 0 || l.stdout || l.stderr):
		return q, usageError{errors.New("the daemon's log is not that of a program")}
	case l.daemon && (l.times || l.since != "" || l.until != ""):
		return q, usageError{errors.New("the lines of the daemon's log have their times in them:  upkeep logs --daemon -n all -g '14:0'")}
	}
	return q, nil
}

// logs shows the logs of programs, or that of the daemon.
func (c *command) logs(ctx context.Context, l logsFlags) error {
	q, err := l.query(c.now())
	if err != nil {
		return err
	}
	client, i, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	view, err := c.logView(&l)
	if err != nil {
		return err
	}
	if !l.daemon {
		list, err := client.Processes(ctx, l.filter)
		if err != nil {
			return c.noLogs(err, i.Logs, i.Config == "" && c.socket == "")
		}
		if len(list) == 0 {
			c.talk("no programs")
			view.end()
			return nil
		}
		view.names(list)
		q.Select = l.filter.Select
		if len(l.filter.States) > 0 { // the programs that are in these states now
			q.Select = nil
			for k := range list {
				q.Select = append(q.Select, list[k].ID)
			}
		}
	}
	err = c.follow(ctx, client, q, view.put)
	view.end()
	var absent *upkeep.AbsentError
	if l.daemon && errors.As(err, &absent) {
		return c.noLogs(err, i.Logs, i.Config == "" && c.socket == "")
	}
	return err
}

// noLogs says where the logs are, when nobody is there to read them.
func (c *command) noLogs(err error, dir string, native bool) error {
	var absent *upkeep.AbsentError
	if !errors.As(err, &absent) || !native {
		return err
	}
	var more []string
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		more = append(more, "The logs are files:  "+filepath.Join(shortPath(dir, c.environ("HOME")), "*.log"))
	}
	return statusError{c.absent(absent, more...), errQuiet}
}

// follow gives the lines of a query. When it follows, it goes on with another daemon in the place of one that has ended.
func (c *command) follow(ctx context.Context, client *upkeep.Client, q upkeep.LogFilter, put func(upkeep.LogLine) error) error {
	r := newResume()
	began := false
	err := client.Logs(ctx, q, func(l upkeep.LogLine) error { began = true; return r.put(l, put) })
	if !q.Follow || ctx.Err() != nil || err != nil && !began && !broken(err) {
		return errors.Join(ctx.Err(), err)
	}
	told := time.Time{} // since when it has been away
	for {
		if told.IsZero() {
			told = c.now()
			c.talk("the daemon has gone away; waiting until it is back. End with Ctrl-C")
		}
		if !pause(ctx, reconnectEvery) {
			return ctx.Err()
		}
		err := client.Logs(ctx, r.query(q), func(l upkeep.LogLine) error { told = time.Time{}; return r.put(l, put) })
		var p *upkeep.Problem
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &p) && c.now().Sub(told) > reconnectPatience:
			return err // it is back, and does not have them any more
		case err == nil || broken(err) && p == nil:
			var absent *upkeep.AbsentError
			if !errors.As(err, &absent) { // it was there
				told = time.Time{}
			}
		}
	}
}

const (
	// reconnectEvery is how often a daemon that is away is looked for.
	reconnectEvery = 200 * time.Millisecond
	// reconnectPatience is how long one that is back may take until it has its programs.
	reconnectPatience = 20 * time.Second
)

// broken reports whether an answer was cut off, or nobody was there to give one.
func broken(err error) bool {
	var p *upkeep.Problem
	return err != nil && (!errors.As(err, &p) || p.Code == "unavailable")
}

// pause waits; false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// resume knows which lines were given out lately, so that a query that begins anew goes on behind them.
type resume struct {
	seed   maphash.Seed
	recent []given
	newest time.Time
	skip   map[uint64]int // what a resumed query gives once more, and how often
	until  time.Time      // none of that is newer
}

// given is a line that was given out.
type given struct {
	time time.Time
	hash uint64
}

// overlap is by how much a resumed query begins before the newest line: lines of several programs may be so much out of order.
const overlap = 200 * time.Millisecond

// retimed is by how much later the same line may seem to have come when it is read again: what was moved while nobody noted
// the time gets that of the next note.
const retimed = 2 * time.Second

func newResume() *resume { return &resume{seed: maphash.MakeSeed()} }

// put gives a line out, unless it was before.
func (r *resume) put(l upkeep.LogLine, put func(upkeep.LogLine) error) error {
	h := maphash.String(r.seed, l.ID+"\x00"+l.Stream+"\x00"+l.Mark+"\x00"+l.Text)
	if !l.Time.After(r.until.Add(retimed)) && r.skip[h] > 0 {
		r.skip[h]--
		return nil // it is among the recent ones still
	}
	r.recent = append(r.recent, given{l.Time, h})
	if l.Time.After(r.newest) {
		r.newest = l.Time
	}
	for len(r.recent) > 0 && r.recent[0].time.Before(r.newest.Add(-overlap)) {
		r.recent = r.recent[1:]
	}
	return put(l)
}

// query is the one that goes on where another one was cut off. It may come to nothing, and be asked for again.
func (r *resume) query(q upkeep.LogFilter) upkeep.LogFilter {
	if r.newest.IsZero() {
		return q // nothing was given out yet
	}
	from := r.newest.Add(-overlap)
	r.skip, r.until = map[uint64]int{}, r.newest
	for _, g := range r.recent {
		if !g.time.Before(from) {
			r.skip[g.hash]++
		}
	}
	if q.Daemon { // its lines have no times of their own
		q.Tail = daemonOverlap
		return q
	}
	q.Tail, q.Since = 0, from
	return q
}

// daemonOverlap is how many lines of the daemon's log are looked at again.
const daemonOverlap = 1000

// logView shows lines.
type logView struct {
	c        *command
	form     string
	print    func(any) error // ndjson, template
	l        *logsFlags
	width    int // of the names; 0 = none are shown
	all      []upkeep.LogLine
	coloured bool
	raw      bool // nobody looks at a terminal
	uni      bool
}

func (c *command) logView(l *logsFlags) (*logView, error) {
	form, text, err := c.form()
	if c.output == "" && !c.json {
		form = "table" // quiet: no marks
	}
	if form == "name" {
		err = usageError{errors.New("lines have no names: -o table, json, ndjson or template=TEXT")}
	}
	if form == "json" && l.follow {
		form = "ndjson" // there is no end
	}
	v := &logView{c: c, form: form, l: l, coloured: c.coloured(c.outTTY), raw: !c.outTTY, uni: c.unicodeWanted()}
	if err == nil && (form == "ndjson" || form == "template") {
		v.print, err = c.printer(form, text)
	}
	return v, err
}

// names makes room for the names of programs, when there are several.
func (v *logView) names(list []upkeep.Process) {
	if len(list) < 2 || v.l.noPrefix {
		return
	}
	for i := range list {
		v.width = max(v.width, min(textWidth(list[i].ID), maxPrefix))
	}
}

// maxPrefix is how much room names get at most; longer ones take more, on their own lines.
const maxPrefix = 24

// put shows a line.
func (v *logView) put(l upkeep.LogLine) error {
	switch v.form {
	case "json":
		v.all = append(v.all, l)
	case "ndjson", "template":
		return v.print(&l)
	default:
		if l.Mark != "" && v.c.quiet {
			return nil
		}
		_, _ = v.c.out.Write(v.append(nil, l)) // who has closed the output does not want it
	}
	return nil
}

// end shows what was kept for the end.
func (v *logView) end() {
	if v.form == "json" {
		if v.all == nil {
			v.all = []upkeep.LogLine{}
		}
		v.c.printJSON(v.c.out, v.all)
	}
}

// append renders a line, with its end.
func (v *logView) append(b []byte, l upkeep.LogLine) []byte {
	at := ""
	if v.l.times {
		at = l.Time.In(v.c.now().Location()).Format("2006-01-02 15:04:05.000") + " "
	}
	b = append(b, paint(v.coloured, dim, at)...)
	if l.Mark != "" {
		rule := "--"
		if v.uni {
			rule = "──"
		}
		text := l.Mark
		if v.width > 0 {
			text = l.ID + " " + text
		}
		return append(append(b, paint(v.coloured, dim, rule+" "+termtext.String(text, termtext.Plain)+" "+rule)...), '\n')
	}
	if v.width > 0 {
		bar := " | "
		if v.uni {
			bar = " │ "
		}
		name := l.ID + spaces(v.width-textWidth(l.ID))
		b = append(b, paint(v.coloured, colourOf(l.ID), name+bar)...)
	}
	if v.raw {
		b = append(b, l.Text...)
	} else {
		b = termtext.Append(b, []byte(l.Text), termtext.Keep(v.coloured))
	}
	return append(b, '\n')
}

// colourOf is the colour of a name, always the same one.
func colourOf(name string) string {
	colours := [...]string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return colours[h%uint32(len(colours))]
}
