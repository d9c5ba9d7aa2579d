// Package supervisord is the daemon as Supervisor's users know it: its command line, its way into the
// background, its exit statuses. What it runs is wired in package app.
//
// Source: spec/supervisor 1.1, 1.2, 2.8.
package supervisord

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/app"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/rlimit"
)

// Version is the release whose behaviour we provide. Source: one-model 7.
const Version = "4.3.0"

// usageStatus is the exit status of every refused command line and configuration.
const usageStatus = 2

// Command is the daemon's command of one version of the product.
type Command struct{ Version string }

// Main runs the daemon and returns its exit status. prog is how it was called, for people to read.
func (cmd Command) Main(prog string, argv []string) int {
	env, err := conf.SystemEnviron()
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	args, err := conf.ParseArgsIn(env, prog, argv)
	switch {
	case err != nil:
		return refuse(os.Stderr, prog, err)
	case args.Help:
		fmt.Print(conf.HelpText(prog))
		return 0
	case args.Version:
		fmt.Println(Version)
		return 0
	}
	awaited := daemon.Awaited()
	if warning := args.SearchWarning(env.UID); warning != "" && !awaited && !rlimit.Reexecuted() {
		fmt.Fprintln(os.Stderr, warning)
	}
	location, err := conf.Locate(args, env)
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	load := func() (*conf.Config, error) { return conf.LoadFrom(args, location, app.Settled(env)) }
	o := app.Options{Load: load, Program: ident(prog), Version: cmd.Version, Environ: os.Environ(), Conf: env}
	if handled, err := app.Manage(o); handled && err != nil {
		return refuse(os.Stderr, prog, err)
	} else if handled {
		return 0
	}
	c, err := load()
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	if !c.Settings.NoDaemon && !awaited {
		status, err := daemon.Start(os.Args)
		if err != nil {
			return refuse(os.Stderr, prog, err)
		}
		return status
	}
	status, err := boot.Daemon(func(stop <-chan struct{}) (int, error) {
		o.Stop = stop
		return app.Launch(o, c, args.NoKeeper)
	})
	if err != nil {
		return refuse(os.Stderr, prog, err)
	}
	return status
}

// refuse prints an error in the form of both programs. Source: spec/supervisor 1.1.
func refuse(w io.Writer, prog string, err error) int {
	fmt.Fprint(w, conf.UsageText(prog, err))
	return usageStatus
}

// ident is the daemon's name in the system's log: supervisord, however it was called.
func ident(prog string) string {
	words := strings.Fields(prog)
	if len(words) == 0 {
		return "supervisord"
	}
	return filepath.Base(words[len(words)-1])
}
