package supervisorctl

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// commands are those of the table, then those of the plugins. A plugin never takes the name of another command.
func (s *session) commands() []command {
	list := commands()
	for _, p := range s.opts.plugins {
		if find(p.Name) != nil {
			continue
		}
		list = append(list, command{
			name: p.Name, help: p.Help, complete: completionOf(p.Complete), local: true, ownsInterrupt: true, hidden: true,
			run: func(s *session, ctx context.Context, arg string) error { return s.plugin(ctx, &p, arg) },
		})
		if p.Help == "" {
			list[len(list)-1].help = p.Name + " [...]\tRuns " + p.Command
		}
	}
	return list
}

func completionOf(word string) completion {
	switch word {
	case "processes":
		return completeProcesses
	case "groups":
		return completeGroups
	}
	return completeNothing
}

// find is the command of that name, or nil.
func (s *session) find(name string) *command {
	for _, c := range s.commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// pluginPatience is how long the program of a plugin may take to end after Ctrl-C.
const pluginPatience = 5 * time.Second

// plugin runs the program of a plugin with the words as its arguments. It finds the server and the credentials in
// its environment, in the variables that programs of the daemon have. Its status is ours.
func (s *session) plugin(ctx context.Context, p *conf.CtlPlugin, arg string) error {
	argv, err := shellwords.Split(p.Command)
	if err != nil || len(argv) == 0 {
		s.fail(statusGeneric, "*** %s: the command cannot be read: %s", p.Name, p.Command)
		return nil
	}
	_ = s.out.flush()
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], strings.Fields(arg)...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = pluginPatience
	cmd.Env = append(os.Environ(), "SUPERVISOR_SERVER_URL="+s.url)
	if s.opts.username != "" {
		cmd.Env = append(cmd.Env, "SUPERVISOR_USERNAME="+s.opts.username, "SUPERVISOR_PASSWORD="+s.opts.password)
	}
	cmd.Stdout, cmd.Stderr = s.std.Stdout, s.std.Stderr
	if f, ok := s.std.Stdin.(*os.File); ok && (s.editor == nil || s.env.Editor != nil) {
		cmd.Stdin = f // else we are reading lines from it
	}
	err = cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		s.status = max(ended.ExitCode(), statusGeneric)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		s.fail(statusGeneric, "*** %s: there is no program %s", p.Name, argv[0])
	case err != nil:
		s.fail(statusGeneric, "*** %s: %v", p.Name, err)
	}
	return nil
}
