package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	sys "github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/local"
	"github.com/upkeep-project/upkeep/internal/sys/rlimit"
)

// Finding is what doctor found out about one thing.
type Finding struct {
	About   string `json:"about"`
	OK      bool   `json:"ok"`
	Text    string `json:"text"`
	Command string `json:"command,omitempty"` // what helps
}

func (c *command) doctorCommand() *cobra.Command {
	bundle := ""
	cmd := &cobra.Command{
		Use: "doctor", Short: "check that everything upkeep needs is as it should be", GroupID: groupSystem, Args: noArgs,
		Long: "Looks at the daemon, its directories, definitions and limits, and at what starts it. Nothing is changed.\n\n" +
			"--bundle writes what somebody who is asked for help needs to know: no values of variables, no output of programs.\n\n" +
			"Exit status: 0 nothing is wrong, 1 something is.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.doctor(cmd.Context(), bundle) },
	}
	cmd.Flags().StringVar(&bundle, "bundle", "", "write a report for others into this directory, or FILE.tar.gz")
	return cmd
}

// doctor checks the instance and tells what it found.
func (c *command) doctor(ctx context.Context, bundle string) error {
	i, err := c.instance()
	if err != nil {
		return err
	}
	found := c.examine(ctx, i)
	bad := 0
	for _, f := range found {
		if !f.OK {
			bad++
		}
	}
	err = printAll(c, found, func(f *Finding) string { return f.About }, func(bool) error {
		for _, f := range found {
			sign := c.good()
			if !f.OK {
				sign = c.bad()
			}
			fmt.Fprintf(c.out, "%s %-12s %s\n", sign, f.About, f.Text)
			if f.Command != "" {
				fmt.Fprintf(c.out, "  %-12s     %s\n", "", f.Command)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if bundle != "" {
		if err := c.bundle(ctx, i, found, bundle); err != nil {
			return err
		}
		c.talk("written: %s   look through it before you give it away", bundle)
	}
	if bad > 0 {
		c.talk("%s", plural(bad, "problem", "problems"))
		return statusError{statusFailed, errQuiet}
	}
	return nil
}

// examine is every check. Source: interfaces 2.2.
func (c *command) examine(ctx context.Context, i instance.Instance) []Finding {
	out := c.examineDaemon(ctx, i)
	if i.Config == "" && c.socket == "" {
		for _, d := range []struct{ about, path string }{
			{"config", filepath.Dir(i.File)}, {"state", i.State}, {"logs", i.Logs}, {"runtime", filepath.Dir(i.Socket)},
		} {
			out = append(out, examineDir(d.about, d.path))
		}
		out = append(out, examineLogs(i.Logs))
	}
	out = append(out, examineLimits())
	if i.Run == "" && c.socket == "" {
		out = append(out, c.examineBoot(ctx, i))
	}
	return out
}

// examineDaemon is about the daemon: does it answer, is it this version, can all of its definitions be used.
func (c *command) examineDaemon(ctx context.Context, i instance.Instance) []Finding {
	s, err := i.Running(ctx)
	if nobody(err) {
		return []Finding{{"daemon", c.defined() == 0, "no daemon runs (looked at " + local.Name(i.Socket) + ")", map[bool]string{true: "upkeep daemon start"}[c.defined() > 0]}}
	}
	if err != nil {
		return []Finding{{About: "daemon", Text: err.Error()}}
	}
	out := []Finding{{About: "daemon", OK: true, Text: fmt.Sprintf("runs with pid %d, at %s", s.PID, local.Name(i.Socket))}}
	version := Finding{About: "version", OK: s.Version == c.version, Text: s.Version}
	if !version.OK {
		version.Text, version.Command = fmt.Sprintf("the daemon is %s, this command is %s", s.Version, c.version), "upkeep daemon upgrade"
	}
	out = append(out, version)
	if info, err := os.Stat(i.Socket); err == nil && i.Config == "" {
		f := Finding{About: "socket", OK: info.Mode().Perm()&0o077 == 0, Text: fmt.Sprintf("%s, rights %04o", i.Socket, info.Mode().Perm())}
		if !f.OK {
			f.Text, f.Command = f.Text+": others may use it", "chmod 600 "+words.Quote(i.Socket)
		}
		out = append(out, f)
	}
	if s.RolledBack != "" {
		out = append(out, Finding{About: "upgrade", Text: "the last one was taken back: " + s.RolledBack, Command: "upkeep daemon upgrade"})
	}
	definitions := Finding{About: "definitions", OK: len(s.Invalid) == 0, Text: "all can be used"}
	if !definitions.OK {
		definitions.Text, definitions.Command = "cannot be used: "+strings.Join(s.Invalid, ", "), "upkeep check"
	}
	return append(out, definitions, c.examinePrograms(ctx, i))
}

// examinePrograms is about the state of the programs.
func (c *command) examinePrograms(ctx context.Context, i instance.Instance) Finding {
	client := i.Client()
	defer client.Close()
	list, err := client.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return Finding{About: "programs", Text: err.Error()}
	}
	for k := range list {
		if s := list[k].State; s == "FATAL" || s == "BACKOFF" || s == "UNKNOWN" {
			return Finding{About: "programs", Text: list[k].ID + " is " + strings.ToLower(s) + ": " + list[k].Summary, Command: "upkeep why " + list[k].ID}
		}
	}
	return Finding{About: "programs", OK: true, Text: plural(len(list), "program", "programs") + ", none in trouble"}
}

// examineDir is about a directory of the instance: it is ours alone, we may write there, and there is room.
func examineDir(about, path string) Finding {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Finding{About: about, OK: true, Text: path + " is made when it is needed"}
	}
	if err != nil {
		return Finding{About: about, Text: err.Error()}
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return Finding{About: about, Text: fmt.Sprintf("others may write to %s (rights %04o)", path, info.Mode().Perm()), Command: "chmod go-w " + words.Quote(path)}
	}
	f, err := os.CreateTemp(path, ".upkeep-doctor-*")
	if err != nil {
		return Finding{About: about, Text: "nothing can be written there: " + err.Error()}
	}
	const enough = 1 << 20
	_, err = f.Write(make([]byte, enough))
	err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	if err != nil {
		return Finding{About: about, Text: "not even 1 MB can be written: " + err.Error(), Command: "df -h " + words.Quote(path)}
	}
	return Finding{About: about, OK: true, Text: path}
}

// manyLogs is how much output of programs is worth a look, in bytes.
const manyLogs = 5 << 30

func examineLogs(dir string) Finding {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil // what cannot be read is not counted
	})
	f := Finding{About: "log size", OK: total < manyLogs, Text: words.Size(total)}
	if !f.OK {
		f.Command = "ls -lS " + words.Quote(dir)
	}
	return f
}

// fewFiles is a limit on open files under which very many programs cannot be kept.
const fewFiles = 1024

func examineLimits() Finding {
	l, err := rlimit.Original()
	switch {
	case err != nil:
		return Finding{About: "limits", Text: err.Error()}
	case l.Hard == rlimit.Unlimited:
		return Finding{About: "limits", OK: true, Text: "as many open files as wanted"}
	case l.Hard < fewFiles:
		return Finding{About: "limits", Text: fmt.Sprintf("%d open files at the most", l.Hard), Command: "ulimit -Hn " + fmt.Sprint(fewFiles)}
	}
	return Finding{About: "limits", OK: true, Text: fmt.Sprintf("%d open files, %d at the most", l.Soft, l.Hard)}
}

// examineBoot is about what starts the instance. That nothing does is no problem, it is a choice.
func (c *command) examineBoot(ctx context.Context, i instance.Instance) Finding {
	host, err := sys.System()
	if err != nil {
		return Finding{About: "boot", Text: err.Error()}
	}
	t, err := c.target(i, booting{at: sys.AtBoot})
	if err != nil {
		return Finding{About: "boot", Text: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	entries, err := host.Entries(ctx, t)
	for _, e := range entries {
		switch s := e.State; {
		case s.Foreign != "":
			return Finding{About: "boot", OK: true, Text: s.Place + " is not ours: " + s.Foreign}
		case s.Stale != "":
			return Finding{About: "boot", Text: s.Place + " is not what would be written now: " + s.Stale, Command: "upkeep boot enable"}
		case s.Enabled:
			return Finding{About: "boot", OK: true, Text: "started at " + s.At + " by " + e.Backend.Name()}
		default:
			return Finding{About: "boot", Text: s.Place + " is there, but off", Command: "upkeep boot enable"}
		}
	}
	if err != nil {
		return Finding{About: "boot", Text: err.Error(), Command: "upkeep boot status"}
	}
	return Finding{About: "boot", OK: true, Text: "nothing starts it with the machine", Command: "upkeep boot enable"}
}

// report is a file of a bundle.
type report struct {
	name string
	data []byte
}

// reports are the files of a bundle. No values of variables are in them and no output of programs.
func (c *command) reports(ctx context.Context, i instance.Instance, found []Finding) []report {
	var out []report
	add := func(name string, v any, err error) {
		if err != nil {
			v = map[string]string{"error": err.Error()}
		}
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			data = []byte(err.Error())
		}
		out = append(out, report{name, append(data, '\n')})
	}
	add("doctor.json", found, nil)
	client := i.Client()
	defer client.Close()
	s, err := client.System(ctx)
	add("system.json", s, err)
	list, err := client.Processes(ctx, upkeep.Filter{Figures: true})
	for k := range list {
		list[k].Command, _, _ = strings.Cut(list[k].Command, " ") // arguments may be secrets
	}
	add("status.json", list, err)
	events, err := client.Events(ctx, upkeep.EventFilter{Limit: 500})
	add("events.json", events, err)
	seen := map[string]bool{}
	for k := range list {
		name := list[k].Program
		if seen[name] {
			continue
		}
		seen[name] = true
		d, err := client.Program(ctx, name)
		d.Text = ""
		for v := range d.Values {
			if key := d.Values[v].Key; key == "command" || strings.HasPrefix(key, "env") || strings.HasPrefix(key, "secret") {
				d.Values[v].Value = "(hidden)"
			}
		}
		add("program-"+strings.ReplaceAll(name, "/", "_")+".json", d, err)
	}
	return out
}
