// Package usrsvc is the command lines of usrsvc and usrsvcd, over an instance of their own for each usrsvc.cfg: with that
// tool's actions, options, messages and return codes. What differs is what was a trap: details are JSON, queries change
// nothing, a broken program concerns no other, what was stopped by hand stays stopped, and a start of the daemon tells
// whether it works.
//
// Without usrsvcd the commands start an instance that only watches: it starts nothing by itself.
// Source: spec/usrsvc 4, 8, one-model C1.
package usrsvc

import (
	"context"
	_ "embed" // the manual
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/base/getopt"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// Command is both programs, of one version of the product.
type Command struct{ Version string }

// Tool is `usrsvc`: it runs the words after its name and returns the code.
func (c Command) Tool(_ string, argv []string) int {
	return int(c.begin(toolUsage, toolOptions(), argv, func(ctx context.Context, v *voice, a *arguments) Code {
		t := &tool{voice: v}
		if len(a.words) > 0 {
			t.action = a.words[0]
		}
		switch {
		case len(a.words) < 2:
			return t.failed("", fail(GeneralFailure, "an action and the name of a program are needed\n%s", toolUsage))
		case !isAction(t.action):
			return t.failed("", fail(InvalidAction, "there is no action %q; there are %s", t.action, strings.Join(actions(), ", ")))
		}
		var err error
		t.set, t.instance, err = open(a.file)
		if t.action == "status" || t.action == "stop" {
			err = t.recall(err)
		}
		if err != nil {
			return t.failed("", err)
		}
		return t.run(ctx, a)
	}))
}

// Daemon is `usrsvcd`: it runs the words after its name and returns the code.
func (c Command) Daemon(_ string, argv []string) int {
	return int(c.begin(daemonUsage, daemonOptions(), argv, func(ctx context.Context, v *voice, a *arguments) Code {
		if a.instance != "" {
			status, err := c.serve(a.file, a.instance, true)
			switch {
			case errors.As(err, new(*app.RunsError)): // whoever has started us tells that, or tries again
				return UsrsvcdAlreadyRunning
			case err != nil:
				v.complain("%v", err)
				return max(codeOf(err), GeneralFailure)
			}
			return Code(status)
		}
		order := "start"
		if len(a.words) > 0 {
			order = a.words[0]
		}
		refuse := func(err error) Code {
			v.complain("%v", err)
			code := codeOf(err)
			v.tell(Outcome{Program: "usrsvcd", Action: order, Code: int(code), Name: code.Name(), Text: err.Error()})
			return code
		}
		switch {
		case len(a.words) > 1:
			return refuse(fail(GeneralFailure, "give one action\n%s", daemonUsage))
		case !slices.Contains(orders(), order):
			return refuse(fail(InvalidAction, "there is no action %q; there are %s", order, strings.Join(orders(), ", ")))
		case a.has("foreground") && order != "start":
			return refuse(fail(GeneralFailure, "only start can be in the foreground\n%s", daemonUsage))
		}
		m := &manage{voice: v}
		m.set, m.instance, m.broken = open(a.file)
		if m.set == nil && m.instance.Socket == "" {
			return refuse(m.broken)
		}
		m.file = m.instance.File
		m.serve = func() (int, error) { return c.serve(m.file, modeActive, false) }
		return m.run(ctx, order, a.has("foreground"))
	}))
}

// begin answers what needs no configuration, and runs the rest.
func (c Command) begin(usage string, options []getopt.Option, argv []string, rest func(context.Context, *voice, *arguments) Code) Code {
	v := &voice{out: os.Stdout, err: os.Stderr, now: time.Now}
	for _, word := range argv { // wherever they stand
		switch word {
		case "--help", "-h":
			fmt.Fprint(v.out, usage)
			return Success
		case "--version":
			fmt.Fprintf(v.out, "upkeep %s\n", c.Version)
			return Success
		case "--readme":
			fmt.Fprint(v.out, readme)
			return Success
		}
	}
	a, err := parse(options, argv)
	if err != nil {
		v.json = slices.Contains(argv, "--json")
		v.complain("%v\n%s", err, usage)
		v.tell(Outcome{Code: int(codeOf(err)), Name: codeOf(err).Name(), Text: err.Error()})
		return codeOf(err)
	}
	v.debug, v.json = a.has("debug"), a.has("json")
	v.trace("debugging messages are shown")
	if a.instance != "" {
		return rest(context.Background(), v, a) // the daemon sees to its signals itself
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return rest(ctx, v, a)
}

// open reads a configuration and finds its instance, which may be there although the configuration cannot be read.
func open(given string) (*settings, instance, error) {
	file, dir, err := locate(given)
	if err != nil {
		return nil, instance{}, err
	}
	at, err := place(file)
	if err != nil {
		return nil, instance{}, fail(UnknownFailure, "%v", err)
	}
	at.File = file
	i := instance{Instance: at}
	set, err := read(file, dir)
	if set != nil {
		i.pidfile = set.pidfile
	}
	return set, i, err
}

// serve is the daemon in this process, until it ends.
func (c Command) serve(file, mode string, background bool) (int, error) {
	file, dir, err := locate(file)
	if err != nil {
		return 0, err
	}
	at, err := place(file)
	if err != nil {
		return 0, err
	}
	if err := (instance{Instance: at}).ready(); err != nil {
		return 0, err
	}
	env, err := conf.SystemEnviron()
	if err != nil {
		return 0, err
	}
	load := func() (*conf.Config, error) {
		set, err := read(file, dir)
		if err != nil {
			return nil, err
		}
		return set.config(at, mode, background, env)
	}
	o := app.Options{
		Load: load, Program: "usrsvcd", Version: c.Version, Environ: os.Environ(), Conf: env, Good: good(at, mode, background, env),
	}
	if handled, err := app.Manage(o); handled {
		return 0, err
	}
	first, err := o.First()
	if err != nil {
		return 0, err
	}
	return boot.Daemon(func(stop <-chan struct{}) (int, error) {
		o.Stop = stop
		return app.Launch(o, first, false)
	})
}

//go:embed readme.txt
var readme string

const toolUsage = `usage: usrsvc [options] start|stop|restart|status NAME...
       usrsvc [options] start|stop|restart|status all [--parallel]

NAME is the name of a program, or a pattern as of a shell.

  -P, --parallel     work on several programs at the same time
  -c, --config FILE  the configuration (default: usrsvc.cfg in the home directory)
      --json         one JSON object for each program instead of messages
      --debug        say more
      --version      print the version
      --readme       print the manual

This is upkeep's usrsvc. Modern commands: upkeep help
`

const daemonUsage = `usage: usrsvcd [options] [start|stop|restart|reread|checkconfig|status|upgrade]

Without an action it is started.

  -f, --foreground   start: stay in the foreground, as an init system wants it
  -c, --config FILE  the configuration (default: usrsvc.cfg in the home directory)
      --json         one JSON object instead of messages
      --debug        say more
      --version      print the version
      --readme       print the manual

This is upkeep's usrsvcd. Modern commands: upkeep help
`
