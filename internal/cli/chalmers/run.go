package chalmers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/upkeep-project/upkeep/internal/cli/instance"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// rootVariable relocates everything: the original's store and the instance of ours. Source: spec/chalmers CH-06.
const rootVariable = "CHALMERS_ROOT"

// Command is the program `chalmers`.
type Command struct{ Version string }

// Main runs the command with the words after its name, and returns the exit status.
func (c Command) Main(_ string, argv []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	e, err := c.env()
	if err != nil {
		fmt.Fprintf(os.Stderr, "[ERROR] %v\n", err)
		return exitFailed
	}
	if len(argv) > 0 && argv[0] == "daemon" { // where this name is that of the binary itself, the daemon is started under it
		return e.serve(c.Version, len(argv) > 1 && argv[1] == instance.Background)
	}
	return Main(ctx, e, argv)
}

// env is the world as it is.
func (c Command) env() (*Env, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	e := &Env{
		Cwd: cwd, Vars: map[string]string{}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now, Version: c.Version,
		Color: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "", Terminal: term.IsTerminal(int(os.Stdout.Fd())),
		Root: os.Getuid() == 0,
	}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		e.Vars[name] = value
	}
	if root := e.Vars[rootVariable]; root != "" {
		if root, err = filepath.Abs(root); err != nil {
			return nil, err
		}
		e.Vars[rootVariable] = root
		if err := relocate(root); err != nil {
			return nil, err
		}
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	e.World = instance.World(dir, cwd, e.Vars)
	e.Within = func(root string) (Instance, error) {
		if err := relocate(root); err != nil {
			return nil, err
		}
		return own(e.Stderr)
	}
	e.Instance, err = own(e.Stderr)
	return e, err
}

// relocate makes the instance below a folder that of this process, and of the daemon that it starts.
func relocate(root string) error {
	return errors.Join(os.Setenv(rootVariable, root), os.Setenv(home.RootVariable, filepath.Join(root, "upkeep")))
}

// own is the instance that the environment names.
func own(stderr io.Writer) (*native, error) {
	i, err := instance.Native(false)
	return &native{i, func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}, err
}

// serve is the daemon.
func (e *Env) serve(version string, background bool) int {
	i, err := instance.Native(false)
	if err == nil {
		var status int
		if status, err = i.Serve(version, background); err == nil {
			return status
		}
	}
	fmt.Fprintf(e.Stderr, "[ERROR] %v\n", err)
	return exitFailed
}
