package native

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// exporter writes programs in a form of somebody else.
type exporter struct {
	programs []*model.Program
	values   func(p *model.Program, reveal bool) ([]supervisord.Value, error)
}

func (c *command) exportCommand() *cobra.Command {
	format := "supervisord"
	cmd := &cobra.Command{
		Use: "export [SELECTOR...]", Short: "write programs for other tools", GroupID: groupPrograms,
		Long: "Writes programs, all or those selected, to standard output: as a supervisord.conf that Supervisor itself understands, as a\n" +
			"Procfile, as units of systemd, or as JSON. The first three have the values of environment variables in them. No daemon is needed.",
		Example:           "  upkeep export > programs.conf\n  upkeep export web -f systemd > web.service",
		RunE:              func(_ *cobra.Command, args []string) error { return c.export(args, format) },
		ValidArgsFunction: c.completePrograms,
	}
	cmd.Flags().StringVarP(&format, "format", "f", format, "supervisord, procfile, systemd or json")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"supervisord", "procfile", "systemd", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// export writes programs.
func (c *command) export(selectors []string, format string) error {
	if c.jsonWanted() {
		format = "json"
	}
	if !slices.Contains([]string{"supervisord", "procfile", "systemd", "json"}, format) {
		return usageError{fmt.Errorf("there is no format %q: supervisord, procfile, systemd, json", format)}
	}
	e, err := c.exporter(selectors)
	if err != nil {
		return err
	}
	switch format {
	case "procfile":
		return e.procfile(c)
	case "systemd":
		return e.systemd(c)
	case "json":
		return e.json(c)
	}
	return e.supervisord(c)
}

// exporter reads the configuration and selects programs of it.
func (c *command) exporter(selectors []string) (*exporter, error) {
	i, err := c.instance()
	if err != nil {
		return nil, err
	}
	if c.socket != "" {
		return nil, usageError{errors.New("what is exported is read from files, which a socket does not name: say -c FILE instead")}
	}
	e := &exporter{}
	var conf *supervisord.Config
	if i.Config != "" {
		env, err := supervisord.SystemEnviron()
		if err != nil {
			return nil, err
		}
		location := supervisord.Location{Given: c.config, Path: i.Config}
		if conf, err = supervisord.LoadFrom(&supervisord.Args{}, location, env); err != nil {
			return nil, c.badConfig(err)
		}
		e.values = func(p *model.Program, reveal bool) ([]supervisord.Value, error) {
			return supervisord.Effective(location, env, p.ID, reveal)
		}
	} else {
		r, err := i.Resting()
		if err != nil {
			return nil, c.badConfig(err)
		}
		conf, e.values = r.Config(), r.Values
	}
	var all []model.Status
	var known []string
	for _, g := range conf.Model.Groups {
		for _, p := range g.Programs {
			all = append(all, model.Status{ID: p.ID, Program: p})
			known = append(known, p.ID.String())
		}
	}
	if len(selectors) == 0 {
		selectors = []string{service.SelectAll}
	}
	found, missing := service.Select(all, selectors)
	if len(missing) > 0 && len(all) > 0 {
		text := fmt.Sprintf("no program named %q.", missing[0])
		if close := words.Close(missing[0], known, 3); len(close) > 0 {
			text += " Close: " + strings.Join(close, ", ") + "."
		}
		return nil, statusError{statusNoProgram, errors.New(text)}
	}
	for i := range found {
		e.programs = append(e.programs, found[i].Program)
	}
	if len(e.programs) == 0 {
		c.talk("there are no programs")
	}
	return e, nil
}

// definition is a process as a program of its own, with nothing in it that Supervisor does not know.
func (e *exporter) definition(p *model.Program) (*imports.Program, error) {
	values, err := e.values(p, false)
	if err != nil {
		return nil, err
	}
	out := &imports.Program{Name: strings.ReplaceAll(p.ID.String(), ":", "-"), On: p.Start.Auto}
	section := keys.Sections().Find(p.Kind.String() + ":x")
	skip := []string{"autostart", "process_name", "numprocs", "numprocs_start", "environment", "stopasgroup", "killasgroup", "directory"}
	for _, v := range values {
		k := section.Key(v.Key)
		if v.Line == 0 || k == nil || k.Ours || slices.Contains(skip, v.Key) {
			continue
		}
		if v.Key == "startretries" && p.Start.Retries == model.Endless {
			v.Text = strconv.Itoa(math.MaxInt32) // the original knows numbers alone
		}
		out.Keys = append(out.Keys, imports.Key{Name: v.Key, Value: v.Text})
	}
	if p.Command.Dir != "" {
		out.Keys = append(out.Keys, imports.Key{Name: "directory", Value: p.Command.Dir})
	}
	if p.Stop.Reach != model.ReachProcess {
		out.Keys = append(out.Keys, imports.Key{Name: "stopasgroup", Value: "true"})
	}
	if p.Stop.KillReach != model.ReachProcess {
		out.Keys = append(out.Keys, imports.Key{Name: "killasgroup", Value: "true"})
	}
	for _, v := range p.Command.Env {
		out.Env = append(out.Env, imports.EnvVar{Name: v.Name, Value: v.Value})
	}
	return out, nil
}

func (e *exporter) supervisord(c *command) error {
	for i, p := range e.programs {
		def, err := e.definition(p)
		if err != nil {
			return err
		}
		text := string(def.INI())
		if p.Kind != model.KindProgram {
			_, rest, _ := strings.Cut(text, "\n")
			text = "[" + p.Kind.String() + ":" + def.Name + "]\n" + rest
		}
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		fmt.Fprint(c.out, text)
	}
	return nil
}

// shellWord is a text as one word of a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_/.+-:=,@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// procfile writes a line for each program; what a Procfile cannot say is told.
func (e *exporter) procfile(c *command) error {
	for _, p := range e.programs {
		argv, err := shellwords.Split(p.Command.Line)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
		line := ""
		if p.Command.Dir != "" {
			line = "cd " + shellWord(p.Command.Dir) + " && "
		}
		line += "exec"
		if len(p.Command.Env) > 0 {
			line += " env"
		}
		for _, v := range p.Command.Env {
			line += " " + shellWord(v.Name+"="+v.Value)
		}
		for _, w := range argv {
			line += " " + shellWord(w)
		}
		if strings.ContainsAny(line, "\r\n") {
			c.talk("%s is left out: there is a line end in its command or environment, which a Procfile cannot hold", p.ID)
			continue
		}
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
				return r
			}
			return '-'
		}, p.ID.String())
		fmt.Fprintf(c.out, "%s: %s\n", name, line)
	}
	c.talk("a Procfile says only what is run: when and how to restart and stop is not in it")
	return nil
}

// unitWord is a text as one word of a unit file.
func unitWord(s string, dollar bool) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "%", "%%").Replace(s)
	if dollar {
		s = strings.ReplaceAll(s, "$", "$$")
	}
	if s == "" || strings.ContainsAny(s, " '\"\\;#") {
		return `"` + s + `"`
	}
	return s
}

// systemd writes a unit for each program.
func (e *exporter) systemd(c *command) error {
	for i, p := range e.programs {
		argv, err := shellwords.Split(p.Command.Line)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		var b strings.Builder
		name := strings.ReplaceAll(p.ID.String(), ":", "-")
		say := func(key, value string) { b.WriteString(key + "=" + value + "\n") }
		fmt.Fprintf(&b, "# %s.service\n[Unit]\nDescription=%s\n", name, strings.ReplaceAll(p.ID.String(), "%", "%%"))
		if p.Exit.Restart != model.RestartNever {
			if p.Start.Retries == model.Endless {
				say("StartLimitIntervalSec", "0")
			} else {
				say("StartLimitIntervalSec", strconv.Itoa(int(startWindow/time.Second)))
				say("StartLimitBurst", strconv.Itoa(max(0, p.Start.Retries)+1))
			}
		}
		b.WriteString("\n[Service]\n")
		for j, w := range argv {
			argv[j] = unitWord(w, true)
		}
		say("ExecStart", strings.Join(argv, " "))
		if p.Command.Dir != "" {
			say("WorkingDirectory", strings.ReplaceAll(p.Command.Dir, "%", "%%"))
		}
		if p.Command.User != "" {
			say("User", p.Command.User)
		}
		if p.Command.Umask >= 0 {
			say("UMask", fmt.Sprintf("%04o", p.Command.Umask))
		}
		for _, v := range p.Command.Env {
			say("Environment", unitWord(v.Name+"="+v.Value, false))
		}
		e.unitEnds(p, say)
		b.WriteString("\n[Install]\nWantedBy=default.target\n")
		fmt.Fprint(c.out, b.String())
	}
	return nil
}

// startWindow is the time in which systemd counts starts that are too many.
const startWindow = time.Minute

// unitEnds says how a program is stopped and started again.
func (e *exporter) unitEnds(p *model.Program, say func(key, value string)) {
	say("Restart", map[model.Restart]string{model.RestartAlways: "always", model.RestartUnexpected: "on-failure"}[p.Exit.Restart])
	say("RestartSec", "1")
	var codes []string
	for _, code := range p.Exit.Codes {
		if code != 0 {
			codes = append(codes, strconv.Itoa(code))
		}
	}
	if len(codes) > 0 {
		say("SuccessExitStatus", strings.Join(codes, " "))
	}
	say("KillSignal", units.SignalName(int(p.Stop.Signal)))
	say("TimeoutStopSec", strconv.Itoa(int(p.Stop.Wait/time.Second)))
	if p.Stop.Reach == model.ReachProcess {
		say("KillMode", "mixed")
	}
}

// json writes what is known of each program; of environment variables the names alone.
func (e *exporter) json(c *command) error {
	out := []upkeep.Definition{}
	for _, p := range e.programs {
		values, err := e.values(p, false)
		if err != nil {
			return err
		}
		d := upkeep.Definition{Name: p.ID.String(), Origin: upkeep.Origin{File: p.Origin.File, Line: p.Origin.Line}}
		d.Origin.Managed = filepath.Base(filepath.Dir(p.Origin.File)) == "programs" && c.config == ""
		for i := range values {
			d.Values = append(d.Values, upkeep.Value{Key: values[i].Key, Value: values[i].Text, Source: values[i].Source()})
		}
		out = append(out, d)
	}
	if c.output == "ndjson" {
		for i := range out {
			c.printJSON(c.out, out[i])
		}
		return nil
	}
	c.printJSON(c.out, out)
	return nil
}
