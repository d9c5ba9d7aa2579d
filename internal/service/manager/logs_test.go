package manager

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

// logged is a stage with programs that have logs of every kind; none of them runs.
func logged(t *testing.T) *stage {
	t.Helper()
	file, none, dir := group("file", 1, "stay"), group("none", 1, "stay"), group("dir", 1, "stay")
	file.Programs[0].IO = model.IOSpec{
		Stdout: model.Stream{Log: model.LogFile, Path: "out"}, Stderr: model.Stream{Log: model.LogFile, Path: "err"},
	}
	dir.Programs[0].IO.Stdout = model.Stream{Log: model.LogFile, Path: "d"}
	s := newStage(t, file, none, dir)
	s.write("out", "hello")
	if err := os.Mkdir(filepath.Join(s.dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) text(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(b)
}

func ref(name string, c service.Channel) service.LogRef {
	return service.LogRef{ID: model.ID{Group: name, Name: name}, Channel: c}
}

func TestReadLog(t *testing.T) {
	s := logged(t)
	ctx := context.Background()
	for _, c := range []struct {
		what           string
		ref            service.LogRef
		offset, length int64
		want           string
		code           service.Code
		text           string // of the error
	}{
		{"whole", ref("file", service.Stdout), 0, 0, "hello", 0, ""},
		{"part", ref("file", service.Stdout), 1, 3, "ell", 0, ""},
		{"end", ref("file", service.Stdout), -2, 0, "lo", 0, ""},
		{"beyond", ref("file", service.Stdout), 9, 1, "", 0, ""},
		{"bad", ref("file", service.Stdout), -1, 1, "", service.CodeBadArguments, ""},
		{"bad length", ref("file", service.Stdout), 0, -1, "", service.CodeBadArguments, ""},
		{"not there", ref("file", service.Stderr), 0, 0, "", service.CodeNoFile, s.dir + "/err"},
		{"none", ref("none", service.Stdout), 0, 0, "", service.CodeNoFile, ""},
		{"a directory", ref("dir", service.Stdout), 0, 0, "", service.CodeFailed, s.dir + "/d"},
		{"nobody", ref("nobody", service.Stdout), 0, 0, "", service.CodeNoSuchProgram, "nobody"},
	} {
		data, err := s.ReadLog(ctx, c.ref, c.offset, c.length)
		code(t, c.what, err, c.code)
		var e *service.Error
		if errors.As(err, &e) && e.Text != c.text {
			t.Errorf("%s: %q, want %q", c.what, e.Text, c.text)
		}
		if string(data) != c.want {
			t.Errorf("%s: %q, want %q", c.what, data, c.want)
		}
	}
	s.o.Log.Infof("a line")
	if data, err := s.ReadLog(ctx, service.LogRef{Main: true}, -7, 0); err != nil || string(data) != "a line\n" {
		t.Errorf("activity log: %q, %v", data, err)
	}
}

func TestTailLog(t *testing.T) {
	s := logged(t)
	ctx := context.Background()
	for _, c := range []struct {
		what           string
		ref            service.LogRef
		offset, length int64
		want           string
		end            int64
		overflow       bool
		code           service.Code
	}{
		{"last three", ref("file", service.Stdout), 0, 3, "llo", 5, true, 0},
		{"all", ref("file", service.Stdout), 0, 10, "hello", 5, false, 0},
		{"nothing new", ref("file", service.Stdout), 5, 10, "", 5, false, 0},
		{"not there", ref("file", service.Stderr), 7, 10, "", 0, false, 0},
		{"none", ref("none", service.Stdout), 7, 10, "", 0, false, 0},
		{"nobody", ref("nobody", service.Stdout), 0, 10, "", 0, false, service.CodeNoSuchProgram},
	} {
		data, end, overflow, err := s.TailLog(ctx, c.ref, c.offset, c.length)
		code(t, c.what, err, c.code)
		if string(data) != c.want || end != c.end || overflow != c.overflow {
			t.Errorf("%s: %q, %d, %v", c.what, data, end, overflow)
		}
	}
}

func TestFollowLog(t *testing.T) {
	s := logged(t)
	for what, want := range map[service.LogRef]service.Code{
		ref("file", service.Stderr): service.CodeNoFile, ref("none", service.Stdout): service.CodeNoFile,
		ref("nobody", service.Stdout): service.CodeNoSuchProgram,
	} {
		_, err := s.FollowLog(context.Background(), what, 10)
		code(t, what.ID.Name, err, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f, err := s.FollowLog(ctx, ref("file", service.Stdout), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.ModTime().IsZero() {
		t.Error("no time")
	}
	buf := make([]byte, 10)
	if n, err := io.ReadAtLeast(f, buf, 2); err != nil || string(buf[:n]) != "lo" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	cancel()
	if _, err := f.Read(buf); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

// TestClearLogs: programs that do not run are cleared too (F12); missing files are no fault.
func TestClearLogs(t *testing.T) {
	s := logged(t)
	ctx := context.Background()
	if err := os.Chmod(filepath.Join(s.dir, "out"), 0o600); err != nil {
		t.Fatal(err)
	}
	rs, err := s.ClearLogs(ctx, one("file"))
	is(t, "one", rs, err, "file:file ok")
	if info, err := os.Stat(filepath.Join(s.dir, "out")); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "err")); err == nil {
		t.Error("a missing log was made")
	}
	s.write("err", "x")
	rs, err = s.ClearLogs(ctx, everything)
	is(t, "all", rs, err, "file:file ok; none:none ok; dir:dir failed: dir")
	if s.text("err") != "" {
		t.Error("stderr was not cleared")
	}
	rs, err = s.ClearLogs(ctx, service.Selector{Group: "none"})
	is(t, "group", rs, err, "none:none ok")
	rs, err = s.ClearLogs(ctx, one("nobody"))
	is(t, "nobody", rs, err, "error no such program: nobody")
}

func TestClearMainLog(t *testing.T) {
	s := logged(t)
	ctx := context.Background()
	s.o.Log.Infof("before")
	s.o.Log.Flush()
	code(t, "clear", s.ClearMainLog(ctx), 0)
	s.o.Log.Infof("after")
	s.o.Log.Flush()
	if got := s.text("main"); strings.Contains(got, "before") || !strings.Contains(got, "after") {
		t.Errorf("%q", got)
	}
	if err := os.Remove(filepath.Join(s.dir, "main")); err != nil {
		t.Fatal(err)
	}
	code(t, "no file", s.ClearMainLog(ctx), service.CodeNoFile)
	s.o.MainLog = ""
	code(t, "no log", s.ClearMainLog(ctx), service.CodeNoFile)
	_, err := s.ReadLog(ctx, service.LogRef{Main: true}, 0, 0)
	code(t, "read of no log", err, service.CodeNoFile)
}
