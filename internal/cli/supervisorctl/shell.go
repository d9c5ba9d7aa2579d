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

// Editor reads lines from a terminal, which it leaves as it was in between.
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
			if !errors.Is(err, ErrInterrupted) { // an Editor has ended the line itself then
				s.out.raw("\n")
			}
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

// ask reads the answer to a prompt. The errors are errNoInput and that of Ctrl-C.
func (s *session) ask(ctx context.Context, prompt string) (line string, err error) {
	_ = s.out.flush()
	if e := s.lineEditor(); e != nil {
		line, err = s.unlessInterrupted(func() (string, error) { return e.Prompt(prompt) })
	} else {
		line, err = (&plainEditor{s}).prompt(ctx, prompt)
	}
	return line, noInput(err)
}

// lineEditor is the editor when it is one of a terminal.
func (s *session) lineEditor() Editor {
	if _, plain := s.editor.(*plainEditor); plain {
		return nil
	}
	return s.editor
}

// unlessInterrupted reads from a terminal until Ctrl-C comes as a signal. An editor takes the key itself,
// but not in the instant before it does, nor when the terminal is too narrow for it. The shell ends then,
// and the process with the read that nobody waits for.
func (s *session) unlessInterrupted(read func() (string, error)) (string, error) {
	c := make(chan lineRead, 1)
	go func() {
		line, err := read()
		c <- lineRead{line, err}
	}()
	select {
	case got := <-c:
		return got.line, got.err
	case <-s.interrupts:
		return "", errInterrupted
	}
}

// noInput tells the end of the input from that of a connection.
func noInput(err error) error {
	if errors.Is(err, io.EOF) {
		return errNoInput
	}
	return err
}

// secret reads a password.
func (s *session) secret(ctx context.Context) (pw string, err error) {
	const prompt = "Password:"
	_ = s.out.flush()
	if e := s.lineEditor(); e != nil {
		pw, err = s.unlessInterrupted(func() (string, error) { return e.Password(prompt) })
	} else {
		pw, err = (&plainEditor{s}).password(ctx, prompt)
	}
	return pw, noInput(err)
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

// Close implements Editor.
func (e *plainEditor) Close() error { return nil }
