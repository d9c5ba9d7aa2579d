package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// projectCommands run the programs of a folder.
func (c *command) projectCommands() []*cobra.Command {
	return []*cobra.Command{c.upCommand(), c.downCommand()}
}

// raising is what `upkeep up` is told.
type raising struct {
	file               string
	detach, wait, time bool
}

func (c *command) upCommand() *cobra.Command {
	var r raising
	cmd := &cobra.Command{
		Use: "up", Short: "run the programs of this folder: upkeep.conf or Procfile", GroupID: groupProject,
		Long: "Runs what ./upkeep.conf or ./Procfile names, in a daemon of its own, and shows what the programs write. Ctrl-C stops them in\n" +
			"order, a second one kills them. They see the environment of this shell; .env and PORT are as foreman does it.\n\n" +
			"Other commands reach them with --project:  upkeep status --project\n\n" +
			"Exit status: 0, or 1 when a program has failed.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.raise(cmd.Context(), r) },
	}
	f := cmd.Flags()
	f.StringVarP(&r.file, "file", "f", ".", "a Procfile or a configuration, or the folder of one")
	f.BoolVarP(&r.detach, "detach", "d", false, "in the background; upkeep down stops them")
	f.BoolVar(&r.wait, "wait", false, "with -d: until all are running")
	f.BoolVarP(&r.time, "timestamps", "t", false, "with the time of each line")
	return cmd
}

func (c *command) downCommand() *cobra.Command {
	file := "."
	cmd := &cobra.Command{
		Use: "down", Short: "stop what up has started", GroupID: groupProject, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.down(cmd.Context(), file) },
	}
	cmd.Flags().StringVarP(&file, "file", "f", file, "as it was given to up")
	return cmd
}

// folder makes the instance of a folder's programs that which the command is about.
func (c *command) folder(file string) (instance.Instance, error) {
	if c.project == "" {
		c.project = file
	}
	return c.instance()
}

// down stops the instance of a folder.
func (c *command) down(ctx context.Context, file string) error {
	i, err := c.folder(file)
	if err != nil {
		return err
	}
	_, err = i.Running(ctx)
	if nobody(err) {
		c.talk("nothing of %s is running", i.Run)
		c.told(ended{})
		return nil
	}
	if err != nil {
		return err
	}
	return c.daemonStop(ctx)
}

// nobody reports whether an error says that no daemon is there.
func nobody(err error) bool {
	var absent *upkeep.AbsentError
	return errors.As(err, &absent) && !errors.Is(err, fs.ErrPermission)
}

// raise runs the programs of a folder.
func (c *command) raise(ctx context.Context, r raising) error {
	if c.jsonWanted() && !r.detach {
		return usageError{errors.New("in the foreground up shows what programs write, as text; with --detach it answers in JSON")}
	}
	i, err := c.folder(r.file)
	if err != nil {
		return err
	}
	_, err = i.Running(ctx)
	running := err == nil
	if err != nil && !nobody(err) {
		return err
	}
	if !running {
		if err := os.RemoveAll(i.Root); err != nil { // what another run has left
			return err
		}
	}
	if i.File != i.Run {
		if err := c.readProcfile(i); err != nil {
			return err
		}
	}
	began := c.now()
	s, _, err := i.Start(ctx)
	if err != nil {
		return err
	}
	client := i.Client()
	defer client.Close()
	if running {
		if _, err := client.Apply(ctx); err != nil {
			return err
		}
		c.talk("it is running already (pid %d); its configuration was read again", s.PID)
	}
	if len(s.Invalid) > 0 {
		c.talk("%s cannot be used:  upkeep daemon status --project", words.List(s.Invalid))
	}
	if r.detach {
		return c.raised(ctx, client, r)
	}
	return c.foreground(context.WithoutCancel(ctx), client, began, r)
}

// readProcfile writes what a Procfile names as definitions of its instance.
func (c *command) readProcfile(i instance.Instance) error {
	w := &imports.World{Vars: map[string]string{}, GOOS: runtime.GOOS, UID: privilege.UID(), CPUs: runtime.NumCPU()}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		w.Vars[name] = value
	}
	w.Home, w.Cwd = w.Vars["HOME"], filepath.Dir(i.Run)
	report, err := imports.Read("procfile", i.Run, w)
	if err != nil {
		return err
	}
	for i := 0; i < len(report.Problems) && !c.jsonWanted(); i++ {
		fmt.Fprintln(c.err, report.Problems[i])
	}
	if len(report.Programs) == 0 {
		return statusError{statusInvalid, fmt.Errorf("%s names no program", i.Run)}
	}
	if err := os.RemoveAll(i.Programs); err != nil {
		return err
	}
	if err := statefile.MkdirAll(i.Programs); err != nil {
		return err
	}
	for k := range report.Programs {
		p := &report.Programs[k]
		if err := managed.CheckName(p.Name); err != nil {
			return statusError{statusInvalid, err}
		}
		if err := os.WriteFile(filepath.Join(i.Programs, p.Name+managed.Suffix), p.INI(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the programs that are started with the instance.
func wanted(list []upkeep.Process) []string {
	var ids []string
	for i := range list {
		if list[i].Boot {
			ids = append(ids, list[i].ID)
		}
	}
	return ids
}

// raised tells of programs in the background, once they run if that is asked for.
func (c *command) raised(ctx context.Context, client *upkeep.Client, r raising) error {
	list, err := client.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return err
	}
	ids := wanted(list)
	var failed error
	if r.wait && len(ids) > 0 {
		failed = c.waitFor(ctx, upkeep.Filter{Select: ids}, goals[0])
		var own statusError
		if errors.As(failed, &own) && own.status == statusNotRunning {
			failed = statusError{statusFailed, errQuiet}
		}
	}
	if !r.wait || len(ids) == 0 { // else the wait has told it
		c.told(list)
	}
	c.talk("%s in the background.   upkeep status --project   upkeep down", plural(len(ids), "program", "programs"))
	return failed
}

// foreground shows what the programs of a folder write until they have ended or somebody ends them.
func (c *command) foreground(ctx context.Context, client *upkeep.Client, began time.Time, r raising) error {
	list, err := client.Processes(ctx, upkeep.Filter{})
	if err != nil {
		return err
	}
	if len(wanted(list)) == 0 {
		c.talk("no program is to be started")
		return c.lower(ctx, client)
	}
	signals := make(chan os.Signal, 2) // the first two mean something
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	work, end := context.WithCancel(ctx)
	s := &show{c: c, client: client, since: began, stamps: r.time}
	for i := range list {
		s.names = append(s.names, list[i].ID)
		s.wide = max(s.wide, len(list[i].ID))
	}
	changed := make(chan struct{}, 1)
	var helpers sync.WaitGroup
	helpers.Go(func() { s.follow(work) })
	helpers.Go(func() { s.watch(work, changed) })
	failed, err := c.attend(ctx, client, signals, changed)
	c.quiesce(ctx, &s.written)
	if lerr := c.lower(ctx, client); err == nil {
		err = lerr
	}
	end()
	helpers.Wait()
	if err == nil && failed {
		err = statusError{statusFailed, errQuiet}
	}
	return err
}

// attend waits until all programs have ended, and obeys those who want that; whether one has failed.
func (c *command) attend(ctx context.Context, client *upkeep.Client, signals <-chan os.Signal, changed <-chan struct{}) (failed bool, err error) {
	var stopped chan error // once they are being stopped
	for {
		select {
		case <-signals:
			if stopped != nil {
				c.talk("killing them")
				_, _ = client.Do(ctx, upkeep.Action{Action: "signal", Signal: "KILL", Select: []string{"all"}}, time.Minute) // some are gone by now
				continue
			}
			list, lerr := client.Processes(ctx, upkeep.Filter{})
			if nobody(lerr) {
				return failed, nil
			}
			_, bad := over(list)
			failed = bad
			c.talk("stopping %s; Ctrl-C again kills them", plural(len(list), "program", "programs"))
			stopped = make(chan error, 1)
			go func() {
				_, err := client.Do(ctx, upkeep.Action{Action: "stop", Select: []string{"all"}}, time.Hour)
				stopped <- err
			}()
		case err := <-stopped:
			if nobody(err) {
				err = nil
			}
			return failed, err
		case <-changed:
			if stopped != nil {
				continue
			}
			list, err := client.Processes(ctx, upkeep.Filter{})
			if nobody(err) {
				c.talk("somebody has stopped them")
				return failed, nil
			}
			if err != nil {
				continue // the daemon is being replaced
			}
			if all, bad := over(list); all {
				return bad, nil
			}
		}
	}
}

// over reports whether all programs that are started with the instance have ended for good, and whether one has failed.
func over(list []upkeep.Process) (all, failed bool) {
	all = true
	for i := range list {
		p := &list[i]
		switch {
		case p.State == "FATAL", p.State == "EXITED" && (p.LastExit == nil || !p.LastExit.Expected):
			failed = true
		case p.State == "BACKOFF":
			all, failed = false, true
		case p.State == "EXITED", p.State == "STOPPED" && (!p.Boot || p.Run > 0):
		default:
			all = false
		}
	}
	return all, failed
}

// lower ends the instance of a folder, and waits until it is gone.
func (c *command) lower(ctx context.Context, client *upkeep.Client) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	err := client.Stop(ctx)
	for err == nil { // its pid tells nothing: it may be a child of ours, which remains until it is waited for
		<-tick.C
		_, err = client.System(ctx)
		var problem *upkeep.Problem
		if errors.As(err, &problem) {
			err = nil // it is about to end
		}
	}
	if nobody(err) {
		return nil
	}
	return err
}

// show prints the output of several programs, each line with the name of its program before it.
type show struct {
	c       *command
	client  *upkeep.Client
	names   []string
	wide    int // of the longest name
	stamps  bool
	since   time.Time    // no line before it is wanted
	written atomic.Int64 // when a line was shown last
	mu      sync.Mutex
}

// palette are the colours of the names.
var palette = [...]string{"36", "33", "32", "35", "34", "31"}

// prefix is what stands before the lines of a program.
func (s *show) prefix(id string, at time.Time) string {
	colour := dim
	for i, name := range s.names {
		if name == id {
			colour = palette[i%len(palette)]
		}
	}
	text := fmt.Sprintf("%-*s | ", s.wide, id)
	if s.stamps {
		text = at.Local().Format("15:04:05.000 ") + text
	}
	return s.c.paint(colour, text)
}

func (s *show) say(id string, at time.Time, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written.Store(s.c.now().UnixNano())
	fmt.Fprintln(s.c.out, s.prefix(id, at)+text)
}

// follow shows lines until its context ends; it goes on when the daemon was replaced.
func (s *show) follow(ctx context.Context) {
	again := time.NewTicker(look)
	defer again.Stop()
	for ctx.Err() == nil {
		_ = s.client.Logs(ctx, upkeep.LogFilter{Since: s.since, Follow: true}, func(l upkeep.LogLine) error {
			if l.Mark == "" {
				s.since = l.Time.Add(1)
				s.say(l.ID, l.Time, s.c.clean(l.Text))
			}
			return nil
		})
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}

// watch shows what happens to the programs, and tells of each change, also of the daemon's end.
func (s *show) watch(ctx context.Context, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // one is waiting
		}
	}
	again := time.NewTicker(look)
	defer again.Stop()
	var last uint64
	for ctx.Err() == nil {
		tell()
		_ = s.client.Watch(ctx, upkeep.EventFilter{After: last}, func(e upkeep.Event, _ uint64) error {
			last = e.Seq
			switch strings.TrimPrefix(e.Type, "PROCESS_STATE_") {
			case "EXITED", "BACKOFF", "FATAL", "STOPPED":
				s.say(e.ID, e.Time, s.c.paint(dim, "-- "+e.Text+" --"))
			}
			tell()
			return nil
		})
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}
