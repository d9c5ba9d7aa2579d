package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/daemon"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// The statuses of a command that cannot be executed, as those of shells.
const (
	statusNotExecutable = 126
	statusNotFound      = 127
)

func (c *command) execCommand() *cobra.Command {
	return &cobra.Command{
		Use: "exec NAME -- COMMAND [ARGUMENT...]", Short: "run a command in the surroundings of a program", GroupID: groupWork,
		Long: "Runs a command as the program would be run: in its directory, with its variables, its user and its umask. It belongs to this\n" +
			"terminal and is not kept running.\n\nExit status: that of the command.",
		Example: "  upkeep exec web -- env\n  upkeep exec web -- ./manage.py migrate",
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 1 || len(args) < 2 {
				return usageError{errors.New("a program, two dashes, a command:  upkeep exec NAME -- COMMAND")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.exec(cmd.Context(), args[0], args[1:]) },
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return c.completePrograms(cmd, args, word)
		},
	}
}

// exec becomes a command in the surroundings of a program.
func (c *command) exec(ctx context.Context, name string, argv []string) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	p, err := client.Reveal(ctx, name)
	client.Close()
	if err != nil {
		return err
	}
	if p.Surroundings == nil {
		return statusError{statusFailed, errors.New("this daemon is too old to tell the surroundings of a program.   upkeep daemon upgrade")}
	}
	if err := enter(p.ID, p.Surroundings); err != nil {
		return err
	}
	path, err := lookUp(argv[0], p.Surroundings.Env)
	if err != nil {
		status := statusNotFound
		if errors.Is(err, fs.ErrPermission) {
			status = statusNotExecutable
		}
		return statusError{status, fmt.Errorf("%s: %w", argv[0], err)}
	}
	err = syscall.Exec(path, argv, p.Surroundings.Env)
	if errors.Is(err, errors.ErrUnsupported) {
		return c.child(ctx, path, argv, p.Surroundings.Env)
	}
	return statusError{statusNotExecutable, fmt.Errorf("%s: %w", path, err)}
}

// enter makes the surroundings of a program those of this process.
func enter(id string, s *upkeep.Surroundings) error {
	if s.UID != nil && *s.UID != privilege.UID() {
		if privilege.UID() != 0 {
			return statusError{statusUnknown, fmt.Errorf("%s runs as another user (%d): only root can become that one", id, *s.UID)}
		}
		cred, err := spawn.LookupCred(*s.UID)
		if err != nil {
			return err
		}
		if cred.Refused != "" {
			return errors.New(cred.Refused)
		}
		if err := privilege.Drop(cred.UID, cred.GID, cred.Groups); err != nil {
			return err
		}
	}
	if s.Umask != nil {
		daemon.Umask(*s.Umask)
	}
	if s.Dir != "" {
		return os.Chdir(s.Dir)
	}
	return nil
}

// lookUp finds a command in the PATH of an environment.
func lookUp(command string, environ []string) (string, error) {
	for _, kv := range environ {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	path, err := exec.LookPath(command)
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return path, err
}

// child runs a command where a process cannot become another program.
func (c *command) child(ctx context.Context, path string, argv, environ []string) error {
	cmd := exec.CommandContext(ctx, path)
	cmd.Args, cmd.Env = argv, environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		c.status = exit.ExitCode()
		return nil
	}
	return err
}
