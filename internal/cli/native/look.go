package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
)

// selecting adds the flags that select programs beside their names.
func selecting(cmd *cobra.Command, f *upkeep.Filter, groups *[]string) {
	cmd.Flags().StringSliceVar(&f.States, "state", nil, "only programs in these states: running, fatal, backoff, …")
	cmd.Flags().StringSliceVar(groups, "group", nil, "only programs of these groups")
}

// withGroups are selectors with the groups of a flag.
func withGroups(selectors, groups []string) []string {
	for _, g := range groups {
		selectors = append(selectors, g+":")
	}
	return selectors
}

func (c *command) statusCommand() *cobra.Command {
	var f upkeep.Filter
	var groups []string
	cmd := &cobra.Command{
		Use: "status [SELECTOR...]", Aliases: []string{"ls", "ps", "list"}, Short: "what runs, and what does not", GroupID: groupLook,
		Long: "The state of the programs: of all, or of those selected. Of a single one in detail.\n\n" +
			"Exit status: 0 everything is as it should be, 3 some program is not running, 4 nobody can tell.",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Select = withGroups(args, groups)
			return c.showStatus(cmd.Context(), f, len(args) == 1 && !strings.ContainsAny(args[0], "*?[") && args[0] != "all" && !strings.HasSuffix(args[0], ":"))
		},
		ValidArgsFunction: c.completePrograms,
	}
	selecting(cmd, &f, &groups)
	return cmd
}

// showStatus prints the status of programs.
func (c *command) showStatus(ctx context.Context, f upkeep.Filter, one bool) error {
	client, i, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	form, _, err := c.form()
	if err != nil {
		return err
	}
	f.Figures, f.Few = form != "name", form == "table" // figures of very many take longer than all else
	switch {
	case form == "name":
		f.Fields = []string{"id", "state", "last_exit"}
	case form == "table" && !one:
		f.Fields = strings.Fields(statusFields)
	}
	list, err := client.Processes(ctx, f)
	if err != nil {
		var absent *upkeep.AbsentError
		if errors.As(err, &absent) {
			c.absent(absent)
			return statusError{statusUnknown, errQuiet}
		}
		return err
	}
	if one && len(list) == 1 && form == "table" {
		err = c.detail(ctx, client, &list[0])
	} else {
		err = printAll(c, list, func(p *upkeep.Process) string { return p.ID }, func(wide bool) error { return c.statusTable(list, wide, i) })
	}
	if err == nil && !allFine(list) {
		c.status = statusNotRunning
	}
	if err == nil && form == "table" && !one {
		if s, err := client.System(ctx); err == nil && len(s.Invalid) > 0 {
			for k, f := range s.Invalid {
				s.Invalid[k] = c.path(f)
			}
			c.talk("cannot be used, so that what it defines is as it was: %s   upkeep check", words.List(s.Invalid))
		}
		if told, err := client.Notifiers(ctx); err == nil { // what has no notifiers says so, and is no reason to fail
			if text := undelivered(told); text != "" {
				c.talk("%s", text)
			}
		}
	}
	return err
}

// statusFields are the members of a program that the table of the status shows, and what tells whether all is fine.
const statusFields = "id group name state since pid last_exit summary health cpu_percent memory_bytes listen"

// allFine reports whether programs are as they should be: one that has ended as expected and is not to be started again is.
func allFine(list []upkeep.Process) bool {
	for i := range list {
		p := &list[i]
		if p.State != "RUNNING" && !(p.State == "EXITED" && p.LastExit != nil && p.LastExit.Expected) {
			return false
		}
	}
	return true
}

func (c *command) statusTable(list []upkeep.Process, wide bool, i instance.Instance) error {
	if len(list) == 0 {
		c.talk("no programs.   upkeep add -- COMMAND   keeps one running")
		return nil
	}
	columns := []column{
		{title: "GROUP", drop: 5},
		{title: "NAME"},
		{title: "STATE"},
		{title: "UP", drop: 6},
		{title: "CPU", right: true, drop: 2},
		{title: "MEM", right: true, drop: 3},
		{title: "PORTS", drop: 1},
		{title: "NOTE", drop: 7, least: 28},
	}
	if wide {
		columns = append(columns, column{title: "PID", right: true}, column{title: "COMMAND"}, column{title: "FROM"})
	}
	var rows [][]cell
	grouped := false
	for k := range list {
		grouped = grouped || list[k].Group != list[k].Name
	}
	attention, fatal := "", false // the one to look at first
	running, failed := 0, 0
	for k := range list {
		p := &list[k]
		sign, colour := c.glyph(p.State)
		group := ""
		if grouped {
			group = p.Group
		}
		row := []cell{
			{text: group},
			{text: p.Name},
			{text: sign + " " + strings.ToLower(p.State), colour: colour},
			{text: c.up(p)},
			{text: percent(p.CPU)},
			{text: memory(p.Memory)},
			{text: strings.Join(p.Listen, " ")},
			{text: termtext.String(p.Summary, termtext.Plain)},
		}
		if wide {
			pid := ""
			if p.PID != nil {
				pid = strconv.Itoa(*p.PID)
			}
			row = append(row, cell{text: pid}, cell{text: oneLine(p.Command)}, cell{text: fmt.Sprintf("%s:%d", p.Origin.File, p.Origin.Line)})
		}
		rows = append(rows, row)
		switch {
		case p.State == "RUNNING":
			running++
			if p.Health == "unhealthy" {
				failed++
				attention = cmp.Or(attention, p.ID)
			}
		case troubled(p):
			failed++
			if attention == "" || p.State == "FATAL" && !fatal {
				attention, fatal = p.ID, p.State == "FATAL"
			}
		}
	}
	c.table(columns, rows)
	text := fmt.Sprintf("\n%s: %d running", plural(len(list), "program", "programs"), running)
	if failed > 0 {
		text += fmt.Sprintf(", %s attention.   upkeep why %s", plural(failed, "needs", "need"), words.Quote(attention))
	}
	c.talk("%s", text)
	return nil
}

// oneLine makes a command safe to show in one line.
func oneLine(text string) string {
	return termtext.String(strings.Join(strings.Fields(text), " "), termtext.Plain)
}

// up is how long a program has been running.
func (c *command) up(p *upkeep.Process) string {
	if p.PID == nil || p.Since == nil {
		return ""
	}
	return words.Duration(max(0, c.now().Sub(*p.Since)))
}

func percent(v *float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%.1f%%", *v)
}

func memory(n *int64) string {
	if n == nil {
		return ""
	}
	return words.Size(*n)
}

// used says what a program uses beside memory: "12s of cpu, 3 threads, 9 files, read 1 MB, wrote 2 MB".
func used(u *upkeep.Usage) string {
	if u == nil {
		return ""
	}
	text := fmt.Sprintf("%.1fs of cpu, ", u.CPUUser+u.CPUSystem)
	if u.Processes > 1 {
		text += fmt.Sprintf("%d processes, ", u.Processes)
	}
	text += plural(u.Threads, "thread", "threads")
	if u.Files != nil {
		text += fmt.Sprintf(", %d open files", *u.Files)
	}
	if u.Read != nil && u.Written != nil {
		text += ", read " + words.Size(*u.Read) + ", wrote " + words.Size(*u.Written)
	}
	return text
}

// detail shows one program: what is known of it, and its last lines.
func (c *command) detail(ctx context.Context, client *upkeep.Client, p *upkeep.Process) error {
	sign, colour := c.glyph(p.State)
	head := c.paint(colour, sign) + " " + c.paint(bold, p.ID) + "   " + c.paint(colour, strings.ToLower(p.State))
	if p.PID != nil && p.Since != nil {
		head += fmt.Sprintf(" since %s (%s), pid %d", words.Clock(*p.Since, c.now()), c.up(p), *p.PID)
	} else if p.Summary != "" {
		head += ": " + termtext.String(p.Summary, termtext.Plain)
	}
	fmt.Fprintln(c.out, head)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(c.out, "  %-10s %s\n", name, value)
		}
	}
	row("command", oneLine(p.Command))
	row("directory", p.Dir)
	boot := "no"
	if p.Boot {
		boot = "yes"
	}
	row("from", fmt.Sprintf("%s:%d   starts with upkeep: %s", p.Origin.File, p.Origin.Line, boot))
	if p.CPU != nil && p.Memory != nil {
		row("cpu, mem", percent(p.CPU)+"   "+memory(p.Memory))
	}
	row("uses", used(p.Usage))
	if p.TreeUsage != nil && p.TreeUsage.Processes > 1 {
		row("with tree", memory(&p.TreeUsage.Memory)+", "+used(p.TreeUsage))
	}
	row("ports", strings.Join(p.Listen, " "))
	if p.State == "RUNNING" {
		row("note", termtext.String(p.Summary, termtext.Plain))
	}
	if err := c.checkRows(ctx, client, p, row); err != nil {
		return err
	}
	if p.LastExit != nil && p.PID == nil {
		row("last exit", p.Summary)
	}
	first := true
	return client.Logs(ctx, upkeep.LogFilter{Select: []string{p.ID}, Tail: 4}, func(l upkeep.LogLine) error {
		if l.Mark != "" {
			return nil
		}
		name := ""
		if first {
			name, first = "log", false
		}
		fmt.Fprintf(c.out, "  %-10s %s %s\n", name, c.paint(dim, l.Time.Format("15:04:05")), c.clean(l.Text))
		return nil
	})
}

// home is `upkeep` alone: a short status with at most one suggestion.
func (c *command) home(ctx context.Context) error {
	client, i, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Processes(ctx, upkeep.Filter{Figures: true, Few: true, Fields: strings.Fields(statusFields)})
	var absent *upkeep.AbsentError
	if errors.As(err, &absent) && c.defined() > 0 {
		return err
	}
	if errors.As(err, &absent) || err == nil && len(list) == 0 {
		fmt.Fprintf(c.out, "Nothing is set up for %s yet.\n\n"+
			"  upkeep add -- npm start       keep a command running\n"+
			"  upkeep up                     run the Procfile in this folder\n"+
			"  upkeep import                 look for Supervisor, pm2, systemd… programs here\n", c.me())
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.statusTable(list, false, i); err != nil {
		return err
	}
	if allFine(list) {
		c.hintBoot(ctx, i)
	}
	return nil
}
