package supervisorctl

import (
	"errors"
	"io"
	"os"
	"runtime"

	"github.com/peterh/liner"
)

// linerEditor is the line editor of the process's own terminal.
type linerEditor struct {
	state  *liner.State
	before liner.ModeApplier // the terminal as we found it
	during liner.ModeApplier // and as the editor keeps it between lines
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
	if e.during, err = liner.TerminalMode(); err != nil {
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

func (e *linerEditor) answer(line string, err error) (string, error) {
	if errors.Is(err, liner.ErrPromptAborted) {
		err = ErrInterrupted
	}
	return line, err
}

// Prompt implements Editor.
func (e *linerEditor) Prompt(text string) (string, error) {
	return e.answer(e.state.Prompt(neutral(text)))
}

// Password implements Editor.
func (e *linerEditor) Password(text string) (string, error) {
	return e.answer(e.state.PasswordPrompt(text))
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

// Lend implements Editor.
func (e *linerEditor) Lend() (func(), error) {
	if err := e.before.ApplyMode(); err != nil {
		return nil, err
	}
	return func() { _ = e.during.ApplyMode() }, nil
}

// Close implements Editor.
func (e *linerEditor) Close() error { return e.state.Close() }

// openTerminalLines opens the terminal a second time where the system can, because such a file can be
// closed under a read, whereas a forgotten read of the standard input would steal from the next prompt.
func openTerminalLines() (io.ReadCloser, error) {
	if runtime.GOOS == "linux" {
		if f, err := os.OpenFile("/proc/self/fd/0", os.O_RDONLY, 0); err == nil {
			return f, nil
		}
	}
	return io.NopCloser(os.Stdin), nil
}
