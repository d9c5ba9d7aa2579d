// Package definitions keeps the definitions of programs that the product writes itself: a directory with one file
// NAME.conf for each, private to its owner.
//
// A change is one rename, made after the new text is on the disk, and is answered when the rename is. Whatever is killed,
// pulled or full in between, a file holds the text before or the text after, whole. Links, and files of somebody else, are
// neither read nor replaced. Source: one-model C5, architecture 5.7.
package definitions

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

// MaxText bounds the text of one definition, in bytes.
const MaxText = 1 << 20

// Definition is one program's file.
type Definition struct {
	Name     string
	Path     string
	Text     string
	ETag     string // changes with the text, and only with it
	Modified time.Time
	// Err says why a file that List found cannot be read; then there is no text.
	Err error
}

// ETag is the tag of a text.
func ETag(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// Condition is what must hold for a change. The zero value is nothing.
type Condition struct {
	IfMatch string // the tag of the text that is replaced; "*" = there must be one
	Absent  bool   // there must be none
}

// ConflictError says that a Condition does not hold. ETag is the tag of what is there, empty when nothing is.
type ConflictError struct{ Name, ETag string }

func (e *ConflictError) Error() string {
	if e.ETag == "" {
		return fmt.Sprintf("there is no definition of %s any more", e.Name)
	}
	return fmt.Sprintf("the definition of %s is another one now", e.Name)
}

// ExistsError says that a definition that was to be new is there already.
type ExistsError struct{ Name, Path string }

func (e *ExistsError) Error() string { return fmt.Sprintf("%s is defined already: %s", e.Name, e.Path) }

// NotFoundError says that there is no definition of that name. It is fs.ErrNotExist.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no definition of %s", e.Name) }

// Unwrap makes it fs.ErrNotExist.
func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// NameError says that a name cannot be that of a definition.
type NameError struct{ Err error }

func (e *NameError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *NameError) Unwrap() error { return e.Err }

// InvalidError is a text that was refused; nothing has been stored.
type InvalidError struct{ Problems []managed.Problem }

// Error is all problems, one on a line.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Store is the directory. Its methods may be called by many at once; changes are made one after the other.
type Store struct {
	dir   string
	check func(path, text string) []managed.Problem
	mu    sync.Mutex
	at    func(step string) error // tests end the process, or fail, here; nil = nothing
}

// New makes a store on a directory, which is made when the first definition is written. check judges a text before it is
// stored; nil = none is refused.
func New(dir string, check func(path, text string) []managed.Problem) *Store {
	return &Store{dir: dir, check: check}
}

// Path is the file of a name.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name+managed.Suffix) }

// List gives all definitions by name. A file that cannot be read is in it with its error; what is no definition by its name
// is passed over. Errors: the directory cannot be read; that it does not exist is none.
func (s *Store) List() ([]Definition, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	var list []Definition
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), managed.Suffix)
		if !ok || managed.CheckName(name) != nil {
			continue
		}
		d, err := s.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		}
		d.Name, d.Path, d.Err = name, s.Path(name), err
		list = append(list, d)
	}
	return list, nil
}

// Read gives one definition. Errors: *NotFoundError, *NameError; *statefile.UnfitError for a link, a file of somebody else
// and what is no file.
func (s *Store) Read(name string) (Definition, error) {
	if err := managed.CheckName(name); err != nil {
		return Definition{}, &NameError{err}
	}
	path := s.Path(name)
	f, _, err := statefile.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Definition{}, &NotFoundError{name}
	}
	if err != nil {
		return Definition{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxText+1))
	if err != nil {
		return Definition{}, err
	}
	if len(text) > MaxText {
		return Definition{}, &statefile.UnfitError{Path: path, Reason: "is larger than 1 MB"}
	}
	st, err := f.Stat()
	if err != nil {
		return Definition{}, err
	}
	return Definition{Name: name, Path: path, Text: string(text), ETag: ETag(string(text)), Modified: st.ModTime()}, nil
}

// Write stores a definition, mode 0600, and returns it as it is then; the same text again changes nothing. When it returns
// without an error the text survives a power cut. Errors: *InvalidError, *ConflictError, *ExistsError, *NameError,
// *statefile.UnfitError for what is in the file's place, and those of the disk. With an error the text before is still
// there, but for one of the last step (the message says so): then the new one is there and may not survive a power cut.
func (s *Store) Write(name, text string, c Condition) (Definition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.current(name, c)
	if err != nil {
		return Definition{}, err
	}
	if now.ETag != "" && now.Text == text {
		return now, nil
	}
	if len(text) > MaxText {
		return Definition{}, &InvalidError{[]managed.Problem{{File: s.Path(name), Message: "a definition cannot be larger than 1 MB"}}}
	}
	if s.check != nil {
		if problems := s.check(s.Path(name), text); len(problems) > 0 {
			return Definition{}, &InvalidError{problems}
		}
	}
	if err := statefile.MkdirAll(s.dir); err != nil {
		return Definition{}, fmt.Errorf("the directory of definitions: %w", err)
	}
	if err := s.replace(name, text); err != nil {
		return Definition{}, err
	}
	return s.Read(name)
}

// Remove takes a definition away for good. Errors: *NotFoundError, *ConflictError, *NameError, *statefile.UnfitError, and
// those of the disk.
func (s *Store) Remove(name string, c Condition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.current(name, c)
	if err != nil {
		return err
	}
	if now.ETag == "" {
		return &NotFoundError{name}
	}
	if err := s.step("remove"); err != nil {
		return err
	}
	if err := os.Remove(s.Path(name)); err != nil {
		return err
	}
	return s.settle()
}

// current is what is in a name's place, its zero value when nothing is, if the condition holds.
func (s *Store) current(name string, c Condition) (Definition, error) {
	now, err := s.Read(name)
	if errors.As(err, new(*NotFoundError)) {
		err = nil
	}
	switch {
	case err != nil:
		return now, err
	case c.Absent && now.ETag != "":
		return now, &ExistsError{name, now.Path}
	case c.IfMatch == "*" && now.ETag == "", c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != now.ETag:
		return now, &ConflictError{name, now.ETag}
	}
	return now, nil
}

// temporary is where a text is written before it takes its place. There is one for each name, so that killed attempts leave
// no more than that; no reader of definitions looks at names with a leading dot.
func (s *Store) temporary(name string) string {
	return filepath.Join(s.dir, "."+name+managed.Suffix+".new")
}

// replace puts a text in a file's place.
func (s *Store) replace(name, text string) error {
	temp := s.temporary(name)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.write(temp, text); err != nil {
		_ = os.Remove(temp) // the first error is the one to tell
		return err
	}
	if err := s.rename(temp, s.Path(name)); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return s.settle()
}

// write makes a file whose text is on the disk.
func (s *Store) write(path, text string) error {
	if err := s.step("create"); err != nil {
		return err
	}
	f, err := statefile.Create(path)
	if err != nil {
		return err
	}
	for _, part := range []func() error{
		func() error { return s.step("write") },
		func() error { _, err := f.WriteString(text); return err },
		func() error { return s.step("sync") },
		f.Sync,
	} {
		if err := part(); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

func (s *Store) rename(from, to string) error {
	if err := s.step("rename"); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// settle makes the last change of a name survive a power cut.
func (s *Store) settle() error {
	err := s.step("settle")
	if err == nil {
		err = statefile.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("the change is made, but it may not survive a power cut: %w", err)
	}
	return nil
}

// step is where tests come in between.
func (s *Store) step(name string) error {
	if s.at == nil {
		return nil
	}
	return s.at(name)
}
