package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
)

// importing is what `upkeep import` is told.
type importing struct {
	dryRun, start, force, takeOver bool
	as                             []string
}

// imported is what came of one program.
type imported struct {
	Name    string           `json:"name"`
	Result  string           `json:"result"` // added, replaced, unchanged, exists, taken over, failed; dry run: read
	On      bool             `json:"on"`
	File    string           `json:"file,omitempty"`
	Text    string           `json:"text,omitempty"` // dry run
	Kept    []string         `json:"kept"`
	Changed []importedChange `json:"changed"`
	Dropped []string         `json:"dropped"`
	Error   string           `json:"error,omitempty"`
}

// importedChange is a value that is not what it was.
type importedChange struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
	Why string `json:"why"`
}

func (c *command) importCommand() *cobra.Command {
	var o importing
	cmd := &cobra.Command{
		Use: "import [KIND] [PATH]", Short: "bring programs from another tool", GroupID: groupPrograms, Args: atMost(2),
		Long: "Defines programs as another tool has them, and tells what was kept, changed and dropped. Nothing of the source is run or changed.\n" +
			"Without arguments: looks what there is to import here. Programs that are defined already are passed over; nothing is started\n" +
			"unless --start is said.\n\n" + kindsHelp(),
		Example: "  upkeep import\n  upkeep import Procfile --dry-run\n  upkeep import supervisor /etc/supervisor/supervisord.conf",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.bring(cmd.Context(), args, o) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, k := range imports.Kinds() {
				names = append(names, k.Name+"\t"+k.About)
			}
			if len(args) > 0 {
				names = nil
			}
			return names, cobra.ShellCompDirectiveDefault
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "print the definitions, and define nothing")
	f.BoolVar(&o.start, "start", false, "start those that are on")
	f.BoolVar(&o.force, "force", false, "replace definitions that are there")
	f.StringSliceVar(&o.as, "as", nil, "other names, in the order of the source")
	f.BoolVar(&o.takeOver, "take-over", false, "chalmers, usrsvc: go on with the processes that run, without a restart")
	return cmd
}

func kindsHelp() string {
	var b strings.Builder
	b.WriteString("KIND is")
	for i, k := range imports.Kinds() {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s (%s)", k.Name, k.About)
	}
	return b.String() + "."
}

// world is this machine as importers see it.
func world() (*imports.World, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir() // empty: there is none to look in
	vars := map[string]string{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return instance.World(home, cwd, vars), nil
}

// bring is the verb import.
func (c *command) bring(ctx context.Context, args []string, o importing) error {
	w, err := world()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return c.scan(w)
	}
	kind, path, err := c.source(args, w)
	if err != nil {
		return err
	}
	if o.takeOver && kind != "chalmers" && kind != "usrsvc" {
		return usageError{errors.New("--take-over is for chalmers and usrsvc: programs of other tools end with them, or keep writing into their pipes")}
	}
	report, err := imports.Read(kind, path, w)
	if err != nil {
		return statusError{statusInvalid, err}
	}
	if len(o.as) > len(report.Programs) {
		return usageError{fmt.Errorf("--as has %s, and there are %s", plural(len(o.as), "name", "names"), plural(len(report.Programs), "program", "programs"))}
	}
	for i, name := range o.as {
		if err := managed.CheckName(name); err != nil {
			return usageError{err}
		}
		report.Programs[i].Name = name
	}
	if o.dryRun {
		return c.dryRun(report)
	}
	return c.define(ctx, report, o)
}

// scan lists what there is to import.
func (c *command) scan(w *imports.World) error {
	found := imports.Scan(w)
	type source struct {
		Kind     string `json:"kind"`
		Path     string `json:"path"`
		Programs int    `json:"programs"`
		Problems int    `json:"problems"`
		PID      int    `json:"pid,omitempty"`
	}
	list := make([]source, len(found))
	for i, f := range found {
		list[i] = source(f)
	}
	return printAll(c, list, func(s *source) string { return s.Kind + " " + s.Path }, func(bool) error {
		if len(list) == 0 {
			c.talk("nothing to import was found here. If there is something:   upkeep import KIND PATH")
			return nil
		}
		fmt.Fprintln(c.out, "found on this machine")
		var rows [][]cell
		for _, s := range list {
			note := ""
			if s.PID > 0 {
				note = fmt.Sprintf("running (pid %d)", s.PID)
			}
			if s.Problems > 0 {
				note = strings.TrimSpace(note + "  " + plural(s.Problems, "problem", "problems"))
			}
			rows = append(rows, []cell{{text: "  " + s.Kind}, {text: c.path(s.Path)}, {text: plural(s.Programs, "program", "programs")}, {text: note}})
		}
		c.rows(rows)
		c.talk("Import one:  upkeep import %s      See first: --dry-run", list[0].Kind)
		return nil
	})
}

// rows prints rows in aligned columns, without titles.
func (c *command) rows(rows [][]cell) {
	var width []int
	for _, r := range rows {
		for i := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(r[i].text)))
		}
	}
	for _, r := range rows {
		line := ""
		for i := range r {
			line += fmt.Sprintf("%-*s   ", width[i], r[i].text)
		}
		fmt.Fprintln(c.out, strings.TrimRight(line, " "))
	}
}

// source finds the kind and the path that arguments mean.
func (c *command) source(args []string, w *imports.World) (kind, path string, err error) {
	known := func(word string) string {
		for _, k := range imports.Kinds() {
			if strings.EqualFold(k.Name, word) {
				return k.Name
			}
		}
		return map[string]string{"supervisord": "supervisor", "docker-compose": "compose"}[strings.ToLower(word)]
	}
	if len(args) == 2 {
		if kind = known(args[0]); kind == "" {
			return "", "", usageError{fmt.Errorf("there is no kind %q.   %s", args[0], kindsHelp())}
		}
		return kind, args[1], nil
	}
	_, gone := os.Stat(args[0])
	if kind = known(args[0]); kind == "" || args[0] != kind && gone == nil {
		if gone != nil {
			return "", "", usageError{fmt.Errorf("%s is neither a kind nor a file that is there.   What there is: upkeep import", args[0])}
		}
		if kind = guess(args[0]); kind == "" {
			return "", "", usageError{fmt.Errorf("it cannot be told what %s is: say  upkeep import KIND %s", args[0], args[0])}
		}
		return kind, args[0], nil
	}
	var paths []string
	for _, f := range imports.Scan(w) {
		if f.Kind == kind {
			paths = append(paths, f.Path)
		}
	}
	switch len(paths) {
	case 0:
		return "", "", usageError{fmt.Errorf("nothing of %s was found here. If there is something:   upkeep import %s PATH", kind, kind)}
	case 1:
		return kind, paths[0], nil
	}
	return "", "", usageError{fmt.Errorf("there is more than one: say which.   upkeep import %s %s", kind, strings.Join(paths, " or "))}
}

// guess is the kind of a file by its name; empty when the name says nothing.
func guess(path string) string {
	name := strings.ToLower(filepath.Base(path))
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		if _, err := os.Stat(filepath.Join(path, "programs")); err == nil {
			return "chalmers"
		}
		return "systemd"
	}
	ext := filepath.Ext(name)
	switch {
	case strings.HasPrefix(name, "procfile"):
		return "procfile"
	case ext == ".cfg":
		return "usrsvc"
	case ext == ".service":
		return "systemd"
	case ext == ".conf" || ext == ".ini":
		return "supervisor"
	case ext == ".pm2" || ext == ".json" || strings.HasPrefix(name, "ecosystem"):
		return "pm2"
	case (ext == ".yml" || ext == ".yaml") && strings.Contains(name, "compose"):
		return "compose"
	}
	return ""
}

// dryRun prints the definitions on standard output and the report beside it.
func (c *command) dryRun(report *imports.Report) error {
	if c.jsonWanted() {
		var list []imported
		for i := range report.Programs {
			p := &report.Programs[i]
			r := result(p, "read")
			r.Text = string(p.INI())
			list = append(list, r)
		}
		if err := printAll(c, list, func(i *imported) string { return i.Name }, nil); err != nil {
			return err
		}
		return c.importProblems(report)
	}
	for i := range report.Programs {
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		fmt.Fprint(c.out, string(report.Programs[i].INI()))
	}
	if !c.quiet {
		c.report(c.err, report)
	}
	return c.importProblems(report)
}

func result(p *imports.Program, what string) imported {
	r := imported{Name: p.Name, Result: what, On: p.On, Kept: p.Kept, Dropped: p.Dropped}
	for _, ch := range p.Changed {
		r.Changed = append(r.Changed, importedChange(ch))
	}
	return r
}

// importProblems tells what could not be read.
func (c *command) importProblems(report *imports.Report) error {
	for _, p := range report.Problems {
		fmt.Fprintln(c.err, c.clean(p.String()))
	}
	if len(report.Problems) > 0 {
		return statusError{statusInvalid, errQuiet}
	}
	return nil
}

// report tells what was kept, changed and dropped.
func (c *command) report(w io.Writer, report *imports.Report) {
	c.reportTitle(w, report)
	for i := range report.Programs {
		p := &report.Programs[i]
		fmt.Fprintf(w, "\n%s%s\n", p.Name, map[bool]string{false: "   off"}[p.On])
		c.reportOne(w, p)
	}
}

func (c *command) reportTitle(w io.Writer, report *imports.Report) {
	fmt.Fprintf(w, "%s   %s   %s\n", report.Source, c.path(report.Path), plural(len(report.Programs), "program", "programs"))
}

// reportOne tells what was kept, changed and dropped of one program.
func (c *command) reportOne(w io.Writer, p *imports.Program) {
	arrow := " → "
	if !c.unicodeWanted() {
		arrow = " -> "
	}
	line := func(title *string, text string) {
		fmt.Fprintf(w, "  %-8s  %s\n", *title, c.clean(strings.ReplaceAll(text, "\n", " ")))
		*title = ""
	}
	title := "kept"
	if len(p.Kept) > 0 {
		line(&title, strings.Join(p.Kept, ", "))
	}
	title = "changed"
	for _, ch := range p.Changed {
		text := ch.Key + ": "
		if ch.Old != "" {
			text += ch.Old + arrow
		}
		text += ch.New
		if ch.Why != "" {
			text += "   " + ch.Why
		}
		line(&title, text)
	}
	title = "dropped"
	for _, d := range p.Dropped {
		line(&title, d)
	}
}

// define defines the programs of a report.
func (c *command) define(ctx context.Context, report *imports.Report, o importing) error {
	d, client, err := c.importDesk(ctx, o)
	if err != nil {
		return err
	}
	defer d.Close()
	if !c.jsonWanted() && !c.quiet {
		c.reportTitle(c.out, report)
	}
	if o.takeOver && report.Daemon > 0 {
		if err := instance.EndUsrsvcd(ctx, report.Daemon); err != nil {
			return statusError{statusFailed, err}
		}
		fmt.Fprintf(c.out, "%s usrsvcd (pid %d) has ended, its programs run on\n", c.good(), report.Daemon)
	}
	var list []imported
	failed := false
	for i := range report.Programs {
		r := d.defineOne(ctx, &report.Programs[i], o)
		if !c.jsonWanted() {
			c.importLine(&r)
		}
		fresh := r.Result == "added" || r.Result == "replaced"
		if fresh && !c.jsonWanted() && !c.quiet {
			c.reportOne(c.out, &report.Programs[i])
		}
		switch live := report.Programs[i].Live; {
		case fresh && o.takeOver && live != nil:
			if err := c.takeProcess(ctx, client, &report.Programs[i]); err != nil {
				r.Result, r.Error = "failed", err.Error()
				fmt.Fprintf(c.err, "%s %s was not taken over: %v\n", c.bad(), r.Name, err)
			} else {
				r.Result = "taken over"
			}
		case fresh && o.start && r.On:
			if err := c.takeOver(ctx, client, r.Name, true); err != nil {
				r.Error, failed = "it does not run", true
			}
		}
		failed = failed || r.Result == "failed"
		list = append(list, r)
	}
	if c.jsonWanted() {
		if err := printAll(c, list, func(i *imported) string { return i.Name }, nil); err != nil {
			return err
		}
	}
	c.afterImport(d, list, o)
	err = c.importProblems(report)
	if err == nil && failed {
		err = statusError{statusFailed, errQuiet}
	}
	return err
}

// importDesk is where programs are defined: an instance that runs, when something is to run.
func (c *command) importDesk(ctx context.Context, o importing) (*desk, *upkeep.Client, error) {
	if !o.start && !o.takeOver {
		d, err := c.desk(ctx)
		return d, nil, err
	}
	client, i, err := c.started(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &desk{programs: client, c: c, i: i, running: true}, client, nil
}

// defineOne defines a program, unless there is one of its name.
func (d *desk) defineOne(ctx context.Context, p *imports.Program, o importing) imported {
	r := result(p, "added")
	text, etag := p.INI(), ""
	if def, err := d.Program(ctx, p.Name); err == nil {
		r.File = def.Origin.File
		switch {
		case def.Text == string(text):
			r.Result = "unchanged"
			return r
		case !o.force || def.ETag == "":
			r.Result = "exists"
			return r
		}
		r.Result, etag = "replaced", def.ETag
	}
	if o.takeOver && p.Live != nil { // until it has been adopted nothing may start it
		off, _, _, err := managed.Set(string(text), managed.Section(p.Name), "autostart", "false")
		if err != nil {
			r.Result, r.Error = "failed", err.Error()
			return r
		}
		text = []byte(off)
	}
	e, err := d.Define(ctx, p.Name, text, etag)
	if err != nil {
		r.Result, r.Error = "failed", err.Error()
		var problem *upkeep.Problem
		if errors.As(err, &problem) && len(problem.Errors) > 0 {
			var lines []string
			for _, m := range problem.Errors {
				lines = append(lines, m.Message)
			}
			r.Error = strings.Join(lines, "; ")
		}
		return r
	}
	r.File = e.File
	return r
}

// importLine tells what came of a program.
func (c *command) importLine(r *imported) {
	switch r.Result {
	case "added", "replaced":
		fmt.Fprintf(c.out, "%s %s is %s   %s\n", c.good(), r.Name, map[string]string{"added": "defined", "replaced": "replaced"}[r.Result], c.path(r.File))
	case "unchanged":
		fmt.Fprintf(c.out, "%s %s is defined already, just so\n", c.good(), r.Name)
	case "exists":
		fmt.Fprintf(c.out, "%s %s is passed over: there is another program of that name (%s); --force replaces it, --as gives another name\n",
			c.bad(), r.Name, c.path(r.File))
	default:
		fmt.Fprintf(c.err, "%s %s is not imported: %s\n", c.bad(), r.Name, c.clean(r.Error))
	}
}

// afterImport says what to do next.
func (c *command) afterImport(d *desk, list []imported, o importing) {
	fresh := slices.ContainsFunc(list, func(r imported) bool { return r.On && (r.Result == "added" || r.Result == "replaced") })
	switch {
	case !fresh || o.start:
	case d.running:
		c.talk("nothing was started. Start those that are on:   upkeep apply")
	default:
		c.talk("nothing was started. Those that are on start with the daemon:   upkeep daemon start")
	}
}
