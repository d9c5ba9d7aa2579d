// Package supervisorctl is the command line that controls a supervisord, ours or the original: the same
// verbs, the same bytes and the same exit statuses. Source: spec/supervisor 6.
//
// One command is one line of text, given as arguments or typed into the shell. The table in table.go
// says everything about a command that is data; one method of session carries it out.
//
// Terminal safety: when the standard output is a terminal, control characters in names, states and
// messages of the server are shown escaped. The bytes of logs (tail, maintail, fg) are passed on as they
// are, because people expect to see the colours that their programs write; a pipe always gets everything
// unchanged.
package supervisorctl

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"

	"golang.org/x/term"

	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// Streams are the standard streams of a run.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Environ is what a run needs to know of the world. The zero value is a program without a terminal that
// nobody can interrupt.
type Environ struct {
	Conf           conf.Environ // environment variables, current directory, users
	StdoutTerminal bool
	// Editor opens a line editor on the terminal; nil = lines are read from Stdin.
	Editor func(Completer) (Editor, error)
	// Password reads a password from the terminal without echo; nil = a line of Stdin.
	Password func() (string, error)
	// Interrupts delivers the Ctrl-C of the user until stop is called; while nobody listens it ends the
	// process. nil = there are none.
	Interrupts func() (c <-chan os.Signal, stop func())
	// Lines opens what a user types for fg while an Editor reads the terminal; closing it ends a read. nil,
	// and an error, mean Stdin, which keeps a line that came too late for the next fg.
	Lines func() (io.ReadCloser, error)
}

// Run does what the command line says and returns the exit status. prog is argv[0], argv what follows it.
func Run(prog string, argv []string, std Streams, env Environ) int {
	out := newOutput(std, env.StdoutTerminal)
	defer out.flush()
	o, err := parse(prog, argv, &env)
	switch {
	case err != nil:
		out.fail("Error: %s\nFor help, use %s -h", err, prog)
		return statusInvalidArgs
	case o.help:
		out.raw(helpText(prog))
		return statusOK
	}
	s := newSession(o, std, env, out)
	defer s.close()
	ctx := context.Background()
	if o.action != nil {
		s.do(ctx, *o.action)
		if !o.interactive {
			return s.status
		}
	}
	acted := s.status
	s.shell(ctx)
	// The shell itself always succeeds; the action before it keeps its say.
	return acted
}

// Main is Run for the process itself.
func Main(prog string, argv []string) int {
	// The HTTP client mentions odd answers of a server in the standard logger, in the middle of our output;
	// whatever matters about them is in the error of the call.
	log.SetOutput(io.Discard)
	return Run(prog, argv, Streams{os.Stdin, os.Stdout, os.Stderr}, SystemEnviron())
}

// SystemEnviron is the environment of this process, with a line editor when it has a terminal.
func SystemEnviron() Environ {
	env := Environ{
		Conf:           systemConf(),
		StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		Interrupts: func() (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 1)
			signal.Notify(c, os.Interrupt)
			return c, func() { signal.Stop(c) }
		},
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		env.Password = func() (string, error) {
			b, err := term.ReadPassword(int(os.Stdin.Fd()))
			return string(b), err
		}
		if env.StdoutTerminal {
			env.Editor, env.Lines = openLiner, openTerminalLines
		}
	}
	return env
}
