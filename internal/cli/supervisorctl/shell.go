package supervisorctl

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Completer proposes what the word before pos (in bytes) may become: the line is head + one of the
// candidates + tail.
type Completer func(line string, pos int) (head string, candidates []string, tail string)

// Editor reads lines from a terminal.
type Editor interface {
	// Prompt is the next line: io.EOF after Ctrl-D, ErrInterrupted after Ctrl-C.
	Prompt(text string) (string, error)
	// Password is Prompt without echo.
	Password(text string) (string, error)
	// Remember adds a line to the history; ReadHistory and WriteHistory are the whole of it, one line
	// each.
	Remember(line string)
	ReadHistory(r io.Reader) error
	WriteHistory(w io.Writer) error
	// Lend gives the terminal back in the mode in which it was before, until back is called.
	Lend() (back func(), err error)
	Close() error
}

// ErrInterrupted is what an Editor answers after Ctrl-C.
var ErrInterrupted = errors.New("interrupted by the user")

// shell reads and carries out lines until the end. Source: spec/supervisor 6.6.
func (s *session) shell(ctx context.Context) {
	s.opts.interactive = true
	if s.env.Interrupts != nil {
		c, stop := s.env.Interrupts()
		defer stop()
		s.interrupts = c
		defer func() { s.interrupts = nil }()
	}
	words := &words{session: s}
	s.editor = s.openEditor(words)
	defer func() {
		s.saveHistory()
		_ = s.editor.Close()
		s.editor = nil
	}()
	s.loadHistory()
	if s.shellLine(ctx, "status") != nil {
		return
	}
	for !s.done {
		words.forget()
		line, err := s.ask(ctx, s.opts.prompt+"> ")
		if err != nil {
			s.out.raw("\n")
			return
		}
		if strings.TrimSpace(line) != "" {
			s.editor.Remember(line)
		}
		if s.shellLine(ctx, line) != nil {
			return
		}
	}
}

// shellLine carries out one line. An error ends the shell: Ctrl-C came while the command ran.
func (s *session) shellLine(ctx context.Context, line string) error {
	s.cut = false
	s.do(ctx, line)
	if s.cut {
		s.out.raw("\n")
		return errInterrupted
	}
	return nil
}

// openEditor is the line editor of the terminal, or plain lines where there is none.
func (s *session) openEditor(w *words) Editor {
	if s.env.Editor != nil {
		if e, err := s.env.Editor(w.complete); err == nil {
			return e
		}
		s.env.Editor = nil
	}
	return &plainEditor{s}
}

// ask reads the answer to a prompt.
func (s *session) ask(ctx context.Context, prompt string) (string, error) {
	if e := s.editor; e != nil {
		_ = s.out.flush()
		return e.Prompt(prompt)
	}
	return (&plainEditor{s}).prompt(ctx, prompt)
}

// secret reads a password.
func (s *session) secret(ctx context.Context) (string, error) {
	const prompt = "Password:"
	if e := s.editor; e != nil {
		_ = s.out.flush()
		return e.Password(prompt)
	}
	return (&plainEditor{s}).password(ctx, prompt)
}

// historyPath is the history file, or empty.
func (s *session) historyPath() string {
	p := s.opts.historyFile
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.env.Conf.Cwd, p)
}

// loadHistory reads the history. A history that cannot be read is no history.
func (s *session) loadHistory() {
	if p := s.historyPath(); p != "" {
		if f, err := os.Open(p); err == nil {
			_ = s.editor.ReadHistory(f)
			_ = f.Close()
		}
	}
}

// saveHistory writes the history, for the user's eyes only.
func (s *session) saveHistory() {
	if p := s.historyPath(); p != "" {
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
			_ = s.editor.WriteHistory(f)
			_ = f.Close()
		}
	}
}

// plainEditor reads lines from an input that is no terminal, or from one without editing.
type plainEditor struct{ s *session }

func (e *plainEditor) prompt(ctx context.Context, text string) (string, error) {
	e.s.out.text(text)
	_ = e.s.out.flush()
	if e.s.interrupts != nil {
		var stop func()
		ctx, stop = e.s.interruptible(ctx)
		defer stop()
	}
	return e.s.in.read(ctx)
}

func (e *plainEditor) password(ctx context.Context, text string) (string, error) {
	if e.s.env.Password == nil {
		return e.prompt(ctx, text)
	}
	e.s.out.text(text)
	_ = e.s.out.flush()
	pw, err := e.s.env.Password()
	e.s.out.raw("\n")
	return pw, err
}

// Prompt implements Editor.
func (e *plainEditor) Prompt(text string) (string, error) {
	return e.prompt(context.Background(), text)
}

// Password implements Editor.
func (e *plainEditor) Password(text string) (string, error) {
	return e.password(context.Background(), text)
}

// Remember implements Editor.
func (e *plainEditor) Remember(string) {}

// ReadHistory implements Editor.
func (e *plainEditor) ReadHistory(io.Reader) error { return nil }

// WriteHistory implements Editor.
func (e *plainEditor) WriteHistory(io.Writer) error { return nil }

// Lend implements Editor.
func (e *plainEditor) Lend() (func(), error) { return func() {}, nil }

// Close implements Editor.
func (e *plainEditor) Close() error { return nil }
