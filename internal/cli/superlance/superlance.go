// Package superlance holds what the event listeners memmon, httpok, crashmail and the batch mailers have in
// common: options, the conversation with the daemon, and mail. Options, texts and exit statuses are those
// of superlance 2.0, which people have in their configurations.
package superlance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/upkeep-project/upkeep/client/listener"
	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/getopt"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
)

// StatusUsage is the exit status after a mistake in the options.
const StatusUsage = 255

// DefaultSendmail is the command that mail is given to unless another one is named.
const DefaultSendmail = "/usr/sbin/sendmail -t -i"

// Env is what surrounds a command.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
}

// System is the real surroundings.
func System() *Env {
	return &Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now}
}

// Sayf writes to standard error, which the daemon logs. What cannot be written there can be said nowhere.
func (e *Env) Sayf(format string, a ...any) { fmt.Fprintf(e.Err, format, a...) }

// Listening reports whether a daemon has started the command; if not it says so.
func (e *Env) Listening(name string) bool {
	if e.Getenv("SUPERVISOR_SERVER_URL") != "" {
		return true
	}
	e.Sayf("%s must be run as a supervisor event listener\n", name)
	return false
}

// Serve gives every event to handle until the daemon ends, and returns the exit status. An event is
// answered when handle returns; after an error the command ends instead, so that the daemon starts it anew
// and sends the event again.
func (e *Env) Serve(handle func(*listener.Event) error) int {
	l := listener.New(e.In, e.Out)
	for {
		ev, err := l.Next()
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err == nil {
			err = handle(ev)
		}
		if err == nil {
			err = l.OK()
		}
		if err != nil {
			e.Sayf("%v\n", err)
			return 1
		}
	}
}

// Usage shows a help text, and before it what is wrong unless that is ErrHelp, and returns the exit status.
func (e *Env) Usage(text string, err error) int {
	if err == nil || errors.Is(err, ErrHelp) {
		fmt.Fprintln(e.Out, text)
		return 0
	}
	if err.Error() != "" {
		e.Sayf("%v\n", err)
	}
	fmt.Fprintln(e.Out, text)
	return StatusUsage
}

// Opt is an option of a command line. Set gets its value and the spelling that was used; Flag is for
// options without a value.
type Opt struct {
	Short rune
	Long  string
	Set   func(value, spelling string) error
	Flag  func()
}

// ErrHelp is Parse's answer to -h and --help.
var ErrHelp = errors.New("help is wanted")

// Parse reads the options, which come before the other words, and returns those. Errors: ErrHelp, a
// complete message for the user, or the error of a Set.
func Parse(opts []Opt, argv []string) (rest []string, err error) {
	names := []getopt.Option{{Short: 'h', Long: "help"}}
	for _, o := range opts {
		names = append(names, getopt.Option{Short: o.Short, Long: o.Long, Arg: o.Set != nil})
	}
	found, rest, err := getopt.Parse(names, argv)
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		if m.Option == &names[0] {
			return nil, ErrHelp
		}
	}
	for _, m := range found {
		for i := range opts {
			if m.Option != &names[i+1] {
				continue
			}
			if opts[i].Set == nil {
				opts[i].Flag()
			} else if err := opts[i].Set(m.Value, m.Spelling); err != nil {
				return nil, err
			}
		}
	}
	return rest, nil
}

// Text makes a Set that stores the value.
func Text(to *string) func(string, string) error {
	return func(value, _ string) error { *to = value; return nil }
}

// Words makes a Set that collects the values of an option that may be repeated.
func Words(to *[]string) func(string, string) error {
	return func(value, _ string) error { *to = append(*to, value); return nil }
}

// callTime bounds one call of the daemon. A stop takes stopwaitsecs, which the user chooses.
const callTime = time.Hour

// Call runs a call of the daemon's interface under a limit of time.
func Call[T any](do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	return do(ctx)
}

// Do is Call for calls that return nothing.
func Do(do func(context.Context) error) error {
	_, err := Call(func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

// ErrorText shows an error as superlance does: a fault with its number and text.
func ErrorText(err error) string {
	var fault *supervisor.Fault
	if errors.As(err, &fault) {
		return fmt.Sprintf("<Fault %d: %s>", fault.Code, pytext.Repr(fault.Text))
	}
	return err.Error()
}

// Namespec is a program's name as commands write it: GROUP:NAME, or NAME where the two are equal.
func Namespec(group, name string) string {
	if group == name {
		return name
	}
	return group + ":" + name
}

// Asctime is a time as the activity log writes it. Source: spec/supervisor 3.1.
func Asctime(t time.Time) string { return t.Format("2006-01-02 15:04:05,000") }

// Sendmail gives a message, headers and text, to a mail command, which a shell runs.
func Sendmail(command, to, subject, text string) (message string, err error) {
	message = "To: " + to + "\nSubject: " + subject + "\n\n" + text
	_, err = Shell(command, message)
	return message, err
}

// outputLimit bounds what is kept of a command's output, in bytes.
const outputLimit = 1 << 20

// Shell has a shell run a command, gives it the text and the words ("$1" …), and returns its output.
func Shell(command, text string, words ...string) (string, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", command, "sh"}, words...)...)
	cmd.Stdin = bytes.NewBufferString(text)
	out := limited{left: outputLimit}
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return out.text.String(), fmt.Errorf("%s: %w", command, err)
	}
	return out.text.String(), nil
}

// limited keeps the beginning of what is written to it.
type limited struct {
	text bytes.Buffer
	left int
}

// Write never fails.
func (l *limited) Write(p []byte) (int, error) {
	kept := p[:min(len(p), l.left)]
	l.left -= len(kept)
	l.text.Write(kept)
	return len(p), nil
}
