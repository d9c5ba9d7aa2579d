package supervisorctl

import (
	"errors"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/peterh/liner"
)

// linerEditor is the line editor of the process's own terminal.
type linerEditor struct {
	state  *liner.State
	before liner.ModeApplier // the terminal as we found it
	during liner.ModeApplier // and as the editor needs it
}

// openLiner opens the line editor. It fails on terminals without cursor movement, where plain lines serve
// better.
func openLiner(complete Completer) (Editor, error) {
	if !liner.TerminalSupported() {
		return nil, errors.New("the terminal cannot edit lines")
	}
	before, err := liner.TerminalMode()
	if err != nil {
		return nil, err
	}
	e := &linerEditor{state: liner.NewLiner(), before: before}
	if e.during, err = liner.TerminalMode(); err == nil {
		err = before.ApplyMode()
	}
	if err != nil {
		return nil, errors.Join(err, e.state.Close())
	}
	e.state.SetCtrlCAborts(true)
	e.state.SetTabCompletionStyle(liner.TabPrints)
	e.state.SetWordCompleter(func(line string, pos int) (string, []string, string) {
		// The position counts characters there.
		return complete(line, len(string([]rune(line)[:pos])))
	})
	return e, nil
}

// line reads a line with the terminal in the editor's mode, so that commands find echo and line ends as
// they are used to.
func (e *linerEditor) line(read func(string) (string, error), prompt string) (string, error) {
	if err := e.during.ApplyMode(); err != nil {
		return "", err
	}
	line, err := read(neutral(prompt))
	if errors.Is(err, liner.ErrPromptAborted) {
		err = ErrInterrupted
	}
	return line, errors.Join(err, e.before.ApplyMode())
}

// Prompt implements Editor.
func (e *linerEditor) Prompt(text string) (string, error) { return e.line(e.state.Prompt, text) }

// Password implements Editor.
func (e *linerEditor) Password(text string) (string, error) {
	return e.line(e.state.PasswordPrompt, text)
}

// Remember implements Editor.
func (e *linerEditor) Remember(line string) { e.state.AppendHistory(line) }

// ReadHistory implements Editor.
func (e *linerEditor) ReadHistory(r io.Reader) error {
	_, err := e.state.ReadHistory(r)
	return err
}

// WriteHistory implements Editor.
func (e *linerEditor) WriteHistory(w io.Writer) error {
	_, err := e.state.WriteHistory(w)
	return err
}

// Close implements Editor.
func (e *linerEditor) Close() error { return e.state.Close() }

// openTerminalLines opens the terminal a second time, because such a file can be closed under a read,
// whereas a forgotten read of the standard input would steal from the next prompt. Only Linux is known to
// do both.
func openTerminalLines() (io.ReadCloser, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.ErrUnsupported
	}
	// The first fails after a change of user, the second without a controlling terminal.
	f, err := os.Open("/proc/self/fd/0")
	if err != nil {
		f, err = os.Open("/dev/tty")
	}
	if err != nil {
		return nil, err
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil { // it cannot be closed under a read
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
