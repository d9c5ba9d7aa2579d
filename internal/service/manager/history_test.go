package manager

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/service"
)

// everyLine reads a query that ends.
func everyLine(t *testing.T, s *stage, q service.LogQuery) (out []string) {
	t.Helper()
	r, err := s.Logs(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		l, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Log.ID.Name+" "+[2]string{"out", "err"}[l.Log.Channel]+" "+string(l.Text))
	}
}

func TestLogs(t *testing.T) {
	s := logged(t)
	s.write("out", "one\ntwo\n")
	s.write("err", "three\n")
	both := []service.LogRef{ref("file", service.Stdout), ref("file", service.Stderr), ref("none", service.Stdout)}
	for _, c := range []struct {
		what string
		q    service.LogQuery
		want []string
	}{
		{"one", service.LogQuery{Logs: both[:1]}, []string{"file out one", "file out two"}},
		{"named twice", service.LogQuery{Logs: []service.LogRef{both[0], both[0]}, Tail: 1}, []string{"file out two"}},
		{"match", service.LogQuery{Logs: both, Match: regexp.MustCompile("^t.*e$")}, []string{"file err three"}},
		{"future", service.LogQuery{Logs: both, Since: time.Now().Add(time.Hour)}, nil},
		{"no run is known", service.LogQuery{Logs: both, Run: -1}, nil},
	} {
		if d := cmp.Diff(c.want, everyLine(t, s, c.q)); d != "" {
			t.Errorf("%s\n%s", c.what, d)
		}
	}
}

func TestLogsErrors(t *testing.T) {
	s := logged(t)
	ctx := context.Background()
	for _, c := range []struct {
		what string
		q    service.LogQuery
		code service.Code
	}{
		{"no log", service.LogQuery{}, service.CodeBadArguments},
		{"a run to come", service.LogQuery{Logs: []service.LogRef{ref("file", 0)}, Run: 1}, service.CodeBadArguments},
		{"a past run that goes on", service.LogQuery{Logs: []service.LogRef{ref("file", 0)}, Run: -1, Follow: true}, service.CodeBadArguments},
		{"nobody", service.LogQuery{Logs: []service.LogRef{ref("nobody", 0)}}, service.CodeNoSuchProgram},
		{"without a log", service.LogQuery{Logs: []service.LogRef{ref("none", 0), ref("none", 1)}}, service.CodeNoFile},
	} {
		r, err := s.Logs(ctx, c.q)
		if code(t, c.what, err, c.code); r != nil {
			t.Errorf("%s: a reader", c.what)
		}
	}
}

// TestLogsFollow: a reader goes on, and ends with its context.
func TestLogsFollow(t *testing.T) {
	s := logged(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := s.Logs(ctx, service.LogQuery{
		Logs: []service.LogRef{ref("file", service.Stdout), {Main: true}}, Tail: -1, Follow: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.OpenFile(filepath.Join(s.dir, "out"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(", the rest of a line\nnews\n"); err != nil {
		t.Fatal(err)
	}
	for {
		l, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !l.Log.Main {
			if string(l.Text) != "news" {
				t.Errorf("%+v", l)
			}
			break
		}
	}
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
