package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// adopting is what `upkeep adopt` is told.
type adopting struct {
	upkeep.Adoption // Program = the name, empty = none is given
	env             []string
	argv            []string // with what the next start is to be made; nil = the process's own command line
}

func (c *command) adoptCommand() *cobra.Command {
	var a adopting
	cmd := &cobra.Command{
		Use: "adopt [PID|NAME] [-- COMMAND [ARGUMENT...]]", Short: "take over a process that runs already", GroupID: groupControl,
		Long: "Makes a process that somebody else has started the running instance of a program: it goes on undisturbed, is watched and\n" +
			"stopped like any other, and is started anew when it ends. A program is registered for it, with the command line and the\n" +
			"directory that it has, unless NAME is a program already.\n\n" +
			"Which process: its number, the port at which it listens, its pid file, or a pattern for its command line. When several\n" +
			"fit, none is taken. With nothing said, a terminal shows what there is to choose from; NAME alone is the process that the\n" +
			"definition of that program says: by pidfile, match, or its command.",
		Example: "  upkeep adopt --port 8000 --name web\n  upkeep adopt 911 --name web -- nginx -g 'daemon off;'\n  upkeep adopt --title 'app\\.py --port 8000'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				if args, a.argv = args[:at], args[at:]; len(a.argv) == 0 {
					return usageError{errors.New("no command is given behind the two dashes")}
				}
			}
			if err := a.word(args); err != nil {
				return err
			}
			if a.PIDFile != "" { // the daemon has another directory
				abs, err := filepath.Abs(a.PIDFile)
				if err != nil {
					return err
				}
				a.PIDFile = abs
			}
			return c.adopt(cmd.Context(), a)
		},
		ValidArgsFunction: c.completePrograms,
	}
	f := cmd.Flags()
	f.IntVar(&a.PID, "pid", 0, "the process with this number")
	f.IntVar(&a.Port, "port", 0, "the process that listens there")
	f.StringVar(&a.PIDFile, "pidfile", "", "the process whose number stands in this file")
	f.StringVar(&a.Title, "title", "", "the process whose command line fits this regular expression (RE2)")
	f.StringVar(&a.Program, "name", "", "the program whose instance it is to be")
	f.StringArrayVarP(&a.env, "env", "e", nil, "NAME: keep this variable of the process for later starts")
	return cmd
}

// word reads the one argument: a number or a name.
func (a *adopting) word(args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case len(args) > 1:
		return usageError{errors.New("one process at a time:  upkeep adopt [PID|NAME]")}
	}
	if pid, err := strconv.Atoi(args[0]); err == nil {
		if a.PID != 0 && a.PID != pid || pid <= 0 {
			return usageError{fmt.Errorf("%s is not the number of the process that is meant", args[0])}
		}
		a.PID = pid
		return nil
	}
	if a.Program != "" && a.Program != args[0] {
		return usageError{errors.New("two names are given")}
	}
	a.Program = args[0]
	return nil
}

// said reports whether anything says which process is meant.
func (a *adopting) said() bool {
	return a.PID != 0 || a.Port != 0 || a.PIDFile != "" || a.Title != ""
}

// adopt takes over a process.
func (c *command) adopt(ctx context.Context, a adopting) error {
	client, _, err := c.started(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	var known *upkeep.Process
	if a.Program != "" {
		p, err := client.Process(ctx, a.Program)
		var problem *upkeep.Problem
		switch {
		case err == nil:
			known = &p
		case !errors.As(err, &problem) || problem.Status != 404:
			return err
		}
	}
	if known != nil && known.PID != nil && !a.said() {
		return fmt.Errorf("%s runs already, as pid %d", a.Program, *known.PID)
	}
	found, err := c.meant(ctx, client, &a, known != nil)
	if err != nil {
		return err
	}
	a.Adoption = upkeep.Adoption{Program: a.Program, PID: found.PID, StartTime: found.StartTime}
	if known == nil {
		return c.adoptNew(ctx, client, a, found)
	}
	if a.argv != nil || len(a.env) > 0 {
		return usageError{fmt.Errorf("%s has a definition already:  upkeep set %s command=…", a.Program, a.Program)}
	}
	p, err := client.AdoptAs(ctx, a.Adoption)
	if err != nil {
		return err
	}
	return c.adopted(ctx, client, &p, found)
}

// meant is the process that is meant. Of a program that is known its definition says it, when nothing else does.
func (c *command) meant(ctx context.Context, client *upkeep.Client, a *adopting, known bool) (*upkeep.Adoptable, error) {
	asks, said := c.inTTY && !c.noInput && !c.yes, known || a.said()
	if !said && !asks && a.Program != "" {
		return nil, usageError{fmt.Errorf("there is no program named %s. To register one, say which process it is:  upkeep adopt --port N --name %s", a.Program, a.Program)}
	}
	q := a.Adoption
	if !known {
		q.Program = "" // it says nothing yet
	}
	list, err := client.Adoptable(ctx, q)
	var problem *upkeep.Problem
	if a.PID != 0 && errors.As(err, &problem) && problem.Code == "internal" { // a system that tells nothing of others
		return &upkeep.Adoptable{PID: a.PID}, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(list) == 0:
		return nil, statusError{statusFailed, errors.New("no process that could be adopted fits. Programs of upkeep, its own processes and those of other users cannot be")}
	case len(list) == 1 && said:
		return &list[0], nil
	}
	if !asks {
		if c.jsonWanted() {
			c.printJSON(c.out, list)
		} else {
			c.candidates(list, c.err)
		}
		if said {
			return nil, statusError{statusFailed, fmt.Errorf("%d processes fit, and none was taken. Say which one:  upkeep adopt PID", len(list))}
		}
		return nil, usageError{errors.New("which process?  upkeep adopt PID, or --port, --pidfile, --title")}
	}
	c.candidates(list, c.err)
	fmt.Fprint(c.err, "Which? ")
	n, err := strconv.Atoi(c.readLine())
	if err != nil || n < 1 || n > min(len(list), shownCandidates) {
		return nil, errDeclined
	}
	return &list[n-1], nil
}

// candidates shows processes with numbers to choose by.
func (c *command) candidates(list []upkeep.Adoptable, to io.Writer) {
	columns := []column{
		{right: true},
		{title: "PID", right: true},
		{title: "USER", drop: 3},
		{title: "UP", drop: 2},
		{title: "CPU", right: true, drop: 1},
		{title: "MEM", right: true, drop: 4},
		{title: "LISTENS", drop: 5},
		{title: "COMMAND", least: 20},
	}
	more := len(list) - shownCandidates
	list = list[:min(len(list), shownCandidates)]
	rows := make([][]cell, len(list))
	for k, p := range list {
		up := ""
		if p.StartTime != nil {
			up = words.Duration(c.now().Sub(*p.StartTime))
		}
		rows[k] = []cell{
			{text: strconv.Itoa(k + 1)},
			{text: strconv.Itoa(p.PID)},
			{text: p.User},
			{text: up},
			{text: fmt.Sprintf("%.1f%%", p.CPU)},
			{text: words.Size(p.Memory)},
			{text: strings.Join(p.Listen, " ")},
			{text: runewidth.Truncate(oneLine(strings.Join(p.Args, " ")), shownCommand, c.ellipsis())},
		}
	}
	shown := *c
	shown.out = to
	shown.table(columns, rows)
	if more > 0 {
		fmt.Fprintf(to, "and %d more; --port, --title and --pidfile say which\n", more)
	}
}

// Of how many processes, and how much of a command line, a list for people shows.
const shownCandidates, shownCommand = 40, 120

// readLine is one line that somebody types, without the spaces around it. It reads no further.
func (c *command) readLine() string {
	var line strings.Builder
	for b := make([]byte, 1); ; {
		n, err := c.in.Read(b)
		if n == 1 && b[0] != '\n' {
			line.WriteByte(b[0])
		}
		if n == 1 && b[0] == '\n' || err != nil {
			return strings.TrimSpace(line.String())
		}
	}
}

// adoptNew registers a program for a process and makes it its instance.
func (c *command) adoptNew(ctx context.Context, client *upkeep.Client, a adopting, found *upkeep.Adoptable) error {
	if a.Program == "" {
		a.Program = found.Name
		if c.inTTY && !c.noInput && !c.yes {
			fmt.Fprintf(c.err, "Name [%s]: ", found.Name)
			if line := c.readLine(); line != "" {
				a.Program = line
			}
		}
	}
	if err := managed.CheckName(a.Program); err != nil {
		return usageError{fmt.Errorf("%w:  upkeep adopt %d --name NAME", err, found.PID)}
	}
	sys, err := client.System(ctx)
	if err != nil {
		return err
	}
	text, argv, err := a.definition(found, sys.UID)
	if err != nil {
		return err
	}
	if _, err := client.Define(ctx, a.Program, []byte(text), ""); err != nil {
		var p *upkeep.Problem
		if errors.As(err, &p) {
			return c.notAdded(p, a.Program, fmt.Sprintf("upkeep adopt %d --name %s", found.PID, a.Program), argv)
		}
		return err
	}
	// It is defined as one that does not start by itself, lest there are two of it.
	if _, err := client.Apply(ctx, a.Program); err != nil {
		return errors.Join(err, client.Forget(context.WithoutCancel(ctx), a.Program))
	}
	p, err := client.AdoptAs(ctx, a.Adoption)
	var refused *upkeep.Problem
	switch {
	case errors.As(err, &refused): // it is as if nothing had been said
		return errors.Join(err, client.Forget(context.WithoutCancel(ctx), a.Program))
	case err != nil: // it may be adopted by now: to forget the program would end the process
		return fmt.Errorf("it is not known whether pid %d is managed now:  upkeep status %s\n%w", found.PID, words.Quote(a.Program), err)
	}
	if err := c.startsByItself(ctx, client, a.Program); err != nil {
		err = fmt.Errorf("%s is managed, but will not start with upkeep:  upkeep set %s autostart=true\n%v", a.Program, words.Quote(a.Program), err)
		return errors.Join(c.adopted(ctx, client, &p, found), err)
	}
	return c.adopted(ctx, client, &p, found)
}

// startsByItself has a program start with upkeep from the next time on.
func (c *command) startsByItself(ctx context.Context, client *upkeep.Client, name string) error {
	def, err := client.Program(ctx, name)
	if err != nil {
		return err
	}
	text, _, _, err := managed.Set(def.Text, managed.Section(name), "autostart", "true")
	if err != nil {
		return err
	}
	if _, err := client.Define(ctx, name, []byte(text), def.ETag); err != nil {
		return err
	}
	_, err = client.Apply(ctx, name)
	return err
}

// definition is the text of the definition of a process's program, for a daemon of that user, and its command.
func (a *adopting) definition(found *upkeep.Adoptable, uid int) (text string, argv []string, err error) {
	argv = a.argv
	if argv == nil {
		argv = found.Args
		if len(argv) == 0 {
			return "", nil, usageError{fmt.Errorf("the command line of pid %d is not known here. Say how it is started:  upkeep adopt %d --name %s -- COMMAND",
				found.PID, found.PID, a.Program)}
		}
		if titled(argv) {
			return "", nil, usageError{fmt.Errorf("pid %d shows a title in the place of its command line (%s). Say how it is started:  upkeep adopt %d -- COMMAND",
				found.PID, termtext.String(argv[0], termtext.Plain), found.PID)}
		}
	}
	options := []managed.Pair{
		{Key: "command", Value: managed.Literal("command", imports.CommandLine(argv))},
		{Key: "stop_reach", Value: "tree"},
		{Key: "autostart", Value: "false"},
	}
	if found.Directory != "" {
		options = append(options, managed.Pair{Key: "directory", Value: managed.Literal("directory", found.Directory)})
	}
	if uid == 0 && found.UID != 0 {
		options = append(options, managed.Pair{Key: "user", Value: managed.Literal("user", found.User)})
	}
	if len(a.env) > 0 {
		environ, err := procstat.Environ(found.PID)
		if err != nil {
			return "", nil, fmt.Errorf("the environment of pid %d cannot be read: %w", found.PID, err)
		}
		for _, name := range a.env {
			value, ok := variableOf(environ, name)
			if !ok {
				return "", nil, usageError{fmt.Errorf("pid %d has no variable %s", found.PID, name)}
			}
			options = append(options, managed.Pair{Key: "env." + name, Value: managed.Literal("env."+name, value)})
		}
	}
	text, err = managed.New(a.Program, options)
	return text, argv, err
}

// titled reports whether a command line is a title that the process has given itself.
func titled(argv []string) bool {
	for _, a := range argv[1:] {
		if a != "" {
			return false
		}
	}
	return strings.Contains(argv[0], " ")
}

func variableOf(environ []string, name string) (string, bool) {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// adopted says what has become of a process.
func (c *command) adopted(ctx context.Context, client *upkeep.Client, p *upkeep.Process, found *upkeep.Adoptable) error {
	if c.jsonWanted() {
		c.printJSON(c.out, p)
		return nil
	}
	fmt.Fprintf(c.out, "%s %s is managed: pid %d, not restarted, not a child of upkeep\n", c.good(), p.ID, found.PID)
	c.talk("  Its output goes where it went before, until the next start.")
	checks, _ := client.Checks(ctx, p.ID) // it is adopted, whatever they say
	c.unseen(checks)
	line := p.Command
	if p.Dir != "" {
		line += "   in " + shortPath(p.Dir, c.environ("HOME"))
	}
	c.talk("  When it ends it is started anew with:  %s", c.clean(line))
	if slices.Contains(found.Ignores, "TERM") {
		c.talk("  It ignores %s: a stop will need KILL, until the next start.", words.List(found.Ignores))
	}
	c.talk("  Undo:  upkeep release %s", words.Quote(p.ID))
	return nil
}

// unseen says which checks look for lines that do not come by here.
func (c *command) unseen(checks []upkeep.Check) {
	var names []string
	for i := range checks {
		if checks[i].Kind == "log" && checks[i].Disabled != "" {
			names = append(names, checks[i].Name)
		}
	}
	switch {
	case len(names) == 1:
		c.talk("  The check %s does not look until then: file= says where the lines are.", names[0])
	case len(names) > 1:
		c.talk("  The checks %s do not look until then: file= says where the lines are.", words.List(names))
	}
}
