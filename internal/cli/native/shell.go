package native

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/peterh/liner"
	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

func (c *command) shellCommand() *cobra.Command {
	return &cobra.Command{
		Use: "shell", Short: "the same commands at a prompt", GroupID: groupWork,
		Long: "A prompt for the same commands without the word upkeep. Tab completes verbs and names; exit, quit or Ctrl-D leaves.\n" +
			"Without a terminal it runs the lines of its input, and its status is that of the last one that failed.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.shell(cmd.Context()) },
	}
}

// typed is where the lines of the shell come from; io.EOF at the end.
type typed interface {
	next() (string, error)
	close() error
}

// shell runs lines until there are no more.
func (c *command) shell(ctx context.Context) error {
	if c.environ(shellVariable) != "" {
		return usageError{errors.New("this is the shell already")}
	}
	in, err := c.typed()
	if err != nil {
		return err
	}
	status := 0
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(err, in.close())
		}
		words, err := shellwords.Split(line)
		if err != nil {
			fmt.Fprintln(c.err, err)
			status = statusUsage
			continue
		}
		if len(words) > 0 && words[0] == "upkeep" {
			words = words[1:]
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] == "exit" || words[0] == "quit" {
			break
		}
		if s := c.line(words); s != 0 {
			status = s
		}
		if !c.inTTY && ctx.Err() != nil {
			return errors.Join(ctx.Err(), in.close())
		}
	}
	if !c.inTTY {
		c.status = status
	}
	return in.close()
}

// shellVariable tells a command that it was typed at the prompt.
const shellVariable = "UPKEEP_IN_SHELL"

// line runs one line in a process of its own: a command may become another program, and Ctrl-C ends it alone.
func (c *command) line(words []string) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(c.err, err)
		return statusFailed
	}
	cmd := exec.Command(self, append(c.selection(), words...)...)
	cmd.Args[0] = "upkeep"
	cmd.Env = append(os.Environ(), shellVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	if !c.inTTY {
		cmd.Stdin = nil // the input is that of the shell
	}
	ctrlC := make(chan os.Signal, 1)
	signal.Notify(ctrlC, os.Interrupt) // it is for the command
	defer signal.Stop(ctrlC)
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(c.err, err)
		return statusFailed
	}
	return cmd.ProcessState.ExitCode()
}

// selection are the flags by which a command finds the same instance, and speaks in the same way.
func (c *command) selection() []string {
	var out []string
	for _, f := range []struct{ name, value string }{{"config", c.config}, {"socket", c.socket}, {"project", c.project}} {
		if f.value != "" {
			out = append(out, "--"+f.name+"="+f.value)
		}
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"system", c.system}, {"no-color", c.noColor}, {"verbose", c.verbose}, {"no-input", c.noInput || !c.inTTY}, {"yes", c.yes}} {
		if f.on {
			out = append(out, "--"+f.name)
		}
	}
	return out
}

// typed opens the prompt, or the input.
func (c *command) typed() (typed, error) {
	if !c.inTTY || !liner.TerminalSupported() {
		s := bufio.NewScanner(c.in)
		return plainLines{s}, nil
	}
	p := &promptLines{prompt: "upkeep> "}
	var err error
	if p.before, err = liner.TerminalMode(); err != nil {
		return nil, err
	}
	p.state = liner.NewLiner()
	if p.during, err = liner.TerminalMode(); err == nil {
		err = p.before.ApplyMode()
	}
	if err != nil {
		return nil, errors.Join(err, p.state.Close())
	}
	if host, err := os.Hostname(); err == nil {
		p.prompt = "upkeep(" + host + ")> "
	}
	p.state.SetCtrlCAborts(true)
	p.state.SetTabCompletionStyle(liner.TabPrints)
	p.state.SetWordCompleter(c.completeLine)
	if i, err := c.instance(); err == nil && i.State != "" {
		p.history = filepath.Join(filepath.Dir(i.State), "history")
		if f, err := os.Open(p.history); err == nil {
			_, _ = p.state.ReadHistory(f) // what cannot be read is not offered
			_ = f.Close()
		}
	}
	return p, nil
}

// plainLines are those of an input that is no terminal.
type plainLines struct{ s *bufio.Scanner }

func (l plainLines) next() (string, error) {
	if l.s.Scan() {
		return l.s.Text(), nil
	}
	if err := l.s.Err(); err != nil {
		return "", err
	}
	return "", io.EOF
}

func (plainLines) close() error { return nil }

// promptLines are typed by a person.
type promptLines struct {
	state           *liner.State
	before, during  liner.ModeApplier // the terminal as commands need it, and as the prompt does
	prompt, history string
}

func (l *promptLines) next() (string, error) {
	for {
		if err := l.during.ApplyMode(); err != nil {
			return "", err
		}
		line, err := l.state.Prompt(l.prompt)
		if merr := l.before.ApplyMode(); merr != nil {
			return "", merr
		}
		if errors.Is(err, liner.ErrPromptAborted) {
			continue
		}
		if err == nil && strings.TrimSpace(line) != "" {
			l.state.AppendHistory(line)
		}
		return line, err
	}
}

// close keeps the history, for this user alone: words on command lines may be secrets.
func (l *promptLines) close() error {
	var err error
	if l.history != "" {
		if err = statefile.MkdirAll(filepath.Dir(l.history)); err == nil {
			var f *os.File
			if f, err = os.OpenFile(l.history, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
				_, err = l.state.WriteHistory(f)
				err = errors.Join(err, f.Close())
			}
		}
	}
	return errors.Join(err, l.state.Close())
}

// completeLine completes the word before the cursor by what the shells' completion knows.
func (c *command) completeLine(line string, pos int) (head string, completions []string, tail string) {
	runes := []rune(line)
	before, tail := string(runes[:pos]), string(runes[pos:])
	at := strings.LastIndexAny(before, " \t") + 1
	words := strings.Fields(before[:at])
	var buf bytes.Buffer
	q := *c
	q.out, q.err = &buf, io.Discard
	q.run(context.Background(), append(append([]string{cobra.ShellCompNoDescRequestCmd}, words...), before[at:]))
	for text := range strings.Lines(buf.String()) {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, ":") {
			break
		}
		if strings.HasPrefix(text, before[at:]) && text != "" {
			completions = append(completions, text+" ")
		}
	}
	return before[:at], completions, tail
}
