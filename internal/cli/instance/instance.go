// Package instance is the native instance of a user as the commands see it: where it is, how it is run in the foreground
// or started, and how a client reaches it.
package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/app"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// Background is the argument of `upkeep daemon` by which a start in the background is told from one in the foreground.
const Background = "--background"

// Run is the argument of `upkeep daemon` that names the file of a folder's programs.
const Run = "--run"

// Instance is one instance.
type Instance struct {
	home.Instance
	// Config is the supervisord.conf that it runs; empty = it is the native one.
	Config string
	// Username and Password are those of its socket.
	Username, Password string
	// Run is the file whose programs it runs when it is that of a folder, and Root is where it keeps its own files; empty = it
	// is not.
	Run, Root string
	// Stop is closed when Serve is to end, beside what the signals say; nil = they alone say it.
	Stop <-chan struct{}
}

// Native is the native instance of this user, or root's.
func Native(system bool) (Instance, error) {
	i, err := home.Own(system)
	return Instance{Instance: i}, err
}

// Started is the instance that a daemon is told to be: that of the user, or of the file of a folder, whose place is in the
// environment then.
func Started(system bool, file string) (Instance, error) {
	i, err := Native(system)
	if err == nil && file != "" {
		i.run(file)
	}
	return i, err
}

// Of is the instance of a supervisord.conf. It must have a unix socket: only there the native commands can be sure who asks.
func Of(file string) (Instance, error) {
	env, err := conf.SystemEnviron()
	if err != nil {
		return Instance{}, err
	}
	args := &conf.Args{Configuration: &file}
	location, err := conf.Locate(args, env)
	if err != nil {
		return Instance{}, err
	}
	c, err := conf.LoadFrom(args, location, env)
	if err != nil {
		return Instance{}, err
	}
	for _, s := range c.Servers {
		if s.Unix {
			i := Instance{Config: location.Path, Username: s.Username, Password: s.Password}
			i.Socket, i.File = s.File, location.Path
			return i, nil
		}
	}
	return Instance{}, fmt.Errorf("%s has no [unix_http_server]: add one, it is the only way in for these commands", file)
}

// Client is a client of the instance, whether it runs or not.
func (i Instance) Client() *upkeep.Client {
	return upkeep.New(upkeep.Options{Socket: i.Socket, Username: i.Username, Password: i.Password})
}

// native is the instance as its configuration is read.
func (i Instance) native() conf.Native {
	return conf.Native{File: i.File, Programs: i.Programs, Logs: i.Logs, Socket: i.Socket, PIDFile: i.PIDFile}
}

// Load reads the configuration of a native instance.
func (i Instance) Load() (*conf.Config, error) {
	env, err := conf.SystemEnviron()
	if err != nil {
		return nil, err
	}
	return conf.LoadNative(i.native(), app.Settled(env))
}

// Serve runs the native instance in this process until it ends: the exit status.
func (i Instance) Serve(version string, background bool) (int, error) {
	environ := Base(os.Environ())
	if i.Run != "" { // a folder's programs see what the shell in that folder does
		environ = os.Environ()
		if err := os.Chdir(filepath.Dir(i.Run)); err != nil {
			return 0, err
		}
	}
	env, err := conf.SystemEnviron()
	if err != nil {
		return 0, err
	}
	for _, dir := range []string{i.Logs, filepath.Dir(i.Socket), filepath.Dir(i.File)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return 0, err
		}
	}
	load := func() (*conf.Config, error) {
		c, err := conf.LoadNative(i.native(), app.Settled(env))
		if err == nil {
			c.Settings.NoDaemon = !background
		}
		return c, err
	}
	o := app.Options{Load: load, Program: "upkeep", Version: version, Environ: environ, Conf: env, Stop: i.Stop}
	o.Good = func(c *conf.Config, bad error) (*conf.Config, string, error) {
		c, why, err := app.LastGood(i.State, c, bad)
		if err == nil {
			c.Settings.NoDaemon = !background
		}
		return c, why, err
	}
	if handled, err := app.Manage(o); handled {
		return 0, err
	}
	c, err := o.First()
	if err != nil {
		return 0, err
	}
	status, err := app.Launch(o, c, false)
	if background && errors.As(err, new(*app.RunsError)) {
		return statusTaken, nil // whoever waits for this one looks at the other
	}
	return status, err
}

// statusTaken is with what a start in the background ends when another daemon has the instance.
const statusTaken = 75

// Base is the environment that programs of a native instance inherit: the same however the instance was started. Source:
// one-model C10.
func Base(environ []string) []string {
	if fresh := daemon.Session(); fresh != nil {
		ours := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return !daemon.Private(kv) })
		return append(fresh, ours...)
	}
	kept := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(inherited, name) && !strings.HasPrefix(name, "LC_") && !strings.HasPrefix(name, "UPKEEP_")
	})
	return append(kept, "PATH="+path(os.Getuid()))
}

// inherited are the variables that say where and who one is, beside LC_*.
var inherited = []string{
	"HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
	"XDG_DATA_HOME", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS",
}

// path is the PATH of programs.
func path(uid int) string {
	if uid == 0 {
		return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return "/usr/local/bin:/usr/bin:/bin"
}

// Running is the daemon's own account of itself; an *upkeep.AbsentError when there is none.
func (i Instance) Running(ctx context.Context) (upkeep.System, error) {
	c := i.Client()
	defer c.Close()
	return c.System(ctx)
}

// startPatience is how long a daemon may take until it answers.
const startPatience = 20 * time.Second

// Start starts the native instance in the background, unless it runs, and returns when it answers. started says that it was
// not there before.
func (i Instance) Start(ctx context.Context) (s upkeep.System, started bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return s, false, err
	}
	argv, extra := []string{self, "daemon", Background}, []string(nil)
	if i.Run != "" {
		argv, extra = append(argv, Run+"="+i.Run), []string{home.RootVariable + "=" + i.Root}
	}
	begin := func(context.Context, upkeep.System) (bool, error) {
		status, err := daemon.Start(argv, extra...)
		switch {
		case err != nil && !errors.As(err, new(*exec.ExitError)):
			return false, err
		case status == statusTaken:
			return false, nil
		case status != 0:
			return false, fmt.Errorf("the daemon has ended with status %d; its log is %s", status, i.Logs)
		}
		return true, nil
	}
	seen := func(ctx context.Context) (upkeep.System, bool, error) {
		s, err := i.Running(ctx)
		if absent := new(*upkeep.AbsentError); errors.As(err, absent) && !errors.Is(err, os.ErrPermission) {
			return s, false, nil
		}
		return s, err == nil, err
	}
	_ = os.MkdirAll(i.State, 0o700) // else the daemon says that there is no place
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	s, started, err = Once(ctx, i.State, seen, begin)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the daemon does not answer; its log is %s", i.Logs)
	}
	return s, started, err
}
