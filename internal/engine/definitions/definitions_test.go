package definitions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/sys/statefile"
)

const web = "[program:web]\ncommand=/bin/cat\n"

func mustWrite(t testing.TB, s *Store, name, text string) Definition {
	t.Helper()
	d, err := s.Write(name, text, Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "programs")
	s := New(dir, nil)
	if list, err := s.List(); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := s.Read("web"); !errors.As(err, new(*NotFoundError)) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	d := mustWrite(t, s, "web", web)
	if d.Name != "web" || d.Path != filepath.Join(dir, "web.conf") || d.Text != web || d.ETag != ETag(web) || d.Modified.IsZero() {
		t.Errorf("%+v", d)
	}
	if st, err := os.Stat(d.Path); err != nil || runtime.GOOS != "windows" && st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	before, _ := os.Stat(d.Path)
	if again := mustWrite(t, s, "web", web); again != d {
		t.Errorf("%+v", again)
	}
	if after, _ := os.Stat(d.Path); !os.SameFile(before, after) {
		t.Error("the same text was written again")
	}
	other := mustWrite(t, s, "web", web+"; more\n")
	if other.ETag == d.ETag {
		t.Error("the tag stays")
	}
	mustWrite(t, s, "a.b", "x")
	for _, name := range []string{"notes.txt", ".x.conf", ".web.conf.new", "a b.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List()
	if err != nil || len(list) != 2 || list[0].Name != "a.b" || list[1] != other {
		t.Errorf("%+v, %v", list, err)
	}
	if err := s.Remove("web", Condition{}); err != nil {
		t.Error(err)
	}
	if err := s.Remove("web", Condition{}); !errors.As(err, new(*NotFoundError)) {
		t.Error(err)
	}
}

func TestConditions(t *testing.T) {
	s := New(t.TempDir(), nil)
	var conflict *ConflictError
	if _, err := s.Write("web", web, Condition{IfMatch: "*"}); !errors.As(err, &conflict) || conflict.ETag != "" {
		t.Error(err)
	}
	d, err := s.Write("web", web, Condition{Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write("web", "x", Condition{Absent: true}); !errors.As(err, new(*ExistsError)) {
		t.Error(err)
	}
	if _, err := s.Write("web", "x", Condition{IfMatch: ETag("y")}); !errors.As(err, &conflict) || conflict.ETag != d.ETag {
		t.Error(err)
	}
	if err := s.Remove("web", Condition{IfMatch: ETag("y")}); !errors.As(err, &conflict) {
		t.Error(err)
	}
	if now, err := s.Read("web"); err != nil || now != d {
		t.Errorf("%+v, %v", now, err)
	}
	if d, err = s.Write("web", "x", Condition{IfMatch: d.ETag}); err != nil || d.Text != "x" {
		t.Errorf("%+v, %v", d, err)
	}
	if err := s.Remove("web", Condition{IfMatch: "*"}); err != nil {
		t.Error(err)
	}
}

// TestOneOfManyWins: of many who change the same text at once, one does; the others are told.
func TestOneOfManyWins(t *testing.T) {
	s := New(t.TempDir(), nil)
	d := mustWrite(t, s, "web", web)
	var wg sync.WaitGroup
	won := make(chan string, 16)
	for i := range cap(won) {
		wg.Go(func() {
			text := fmt.Sprint("by ", i)
			if _, err := s.Write("web", text, Condition{IfMatch: d.ETag}); err == nil {
				won <- text
			} else if !errors.As(err, new(*ConflictError)) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	now, err := s.Read("web")
	if winner := <-won; err != nil || now.Text != winner || len(won) != 0 {
		t.Errorf("%q, %q, %v", winner, now.Text, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, func(path, text string) []managed.Problem {
		_, problems := managed.Check(path, text, managed.Surroundings{})
		return problems
	})
	for _, name := range []string{"", ".", "../x", "a/b", ".hidden", strings.Repeat("x", 65), "a b", "all"} {
		if _, err := s.Write(name, web, Condition{}); !errors.As(err, new(*NameError)) {
			t.Errorf("%q: %v", name, err)
		}
		if err := s.Remove(name, Condition{}); !errors.As(err, new(*NameError)) {
			t.Errorf("%q: %v", name, err)
		}
	}
	d := mustWrite(t, s, "web", web)
	var invalid *InvalidError
	_, err := s.Write("web", "[program:web]\ncomand=x\nstartsecs=z\n", Condition{})
	if !errors.As(err, &invalid) || len(invalid.Problems) != 3 {
		t.Fatal(err)
	}
	want := d.Path + `:1: program section program:web does not specify a command
` + d.Path + `:2: unknown key "comand" (did you mean command?)
` + d.Path + `:3: startsecs=z is not a whole number of seconds`
	if d := cmp.Diff(want, err.Error()); d != "" {
		t.Error(d)
	}
	if _, err := s.Write("web", strings.Repeat("#", MaxText+1), Condition{}); !errors.As(err, &invalid) {
		t.Error(err)
	}
	if now, err := s.Read("web"); err != nil || now != d {
		t.Errorf("%+v, %v", now, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%v", entries)
	}
}

// TestWhatIsInThePlace: what is no file of ours is neither read, nor replaced, nor removed.
func TestWhatIsInThePlace(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, nil)
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, s.Path("link")); err != nil {
		t.Skip(err)
	}
	if err := os.Mkdir(s.Path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path("large"), make([]byte, MaxText+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "folder", "large"} {
		_, read := s.Read(name)
		_, write := s.Write(name, "x", Condition{})
		for what, err := range map[string]error{"read": read, "write": write, "remove": s.Remove(name, Condition{})} {
			if !errors.As(err, new(*statefile.UnfitError)) {
				t.Errorf("%s %s: %v", what, name, err)
			}
		}
	}
	if text, err := os.ReadFile(target); string(text) != web || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	list, err := s.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, d := range list {
		if d.Err == nil || d.Name == "" || d.Path == "" || d.Text != "" {
			t.Errorf("%+v", d)
		}
	}
	// A link in the place of the temporary file is not followed either.
	if err := os.Symlink(target, s.temporary("web")); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, "web", "new")
	if text, err := os.ReadFile(target); string(text) != web || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// TestStepsFail: whichever step fails, the text before is there, and nothing is left behind; but the last step comes after
// the change.
func TestStepsFail(t *testing.T) {
	injected := errors.New("injected")
	for _, step := range []string{"create", "write", "sync", "rename", "settle"} {
		dir := t.TempDir()
		s := New(dir, nil)
		d := mustWrite(t, s, "web", web)
		s.at = func(at string) error {
			if at == step {
				return injected
			}
			return nil
		}
		_, err := s.Write("web", "new", Condition{})
		if !errors.Is(err, injected) {
			t.Errorf("%s: %v", step, err)
		}
		want := d.Text
		if step == "settle" {
			want = "new"
		}
		if now, err := s.Read("web"); err != nil || now.Text != want {
			t.Errorf("%s: %q, %v", step, now.Text, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("%s: %v", step, entries)
		}
	}
}
