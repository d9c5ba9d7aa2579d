package web

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// noon is what the clock of the tests says.
var noon = time.Date(2026, 11, 20, 12, 0, 3, 0, time.UTC)

// fake is a service with a fixed world. A verb that is not here fails the test by a nil call.
type fake struct {
	service.Service
	list  []model.Status
	calls []string
	err   map[string]error // by verb and name: "start g:a"
	down  error            // of everything that reads
	log   string
	found map[model.ID][]model.CheckState
}

func program(group, name string, s model.State) model.Status {
	id := model.ID{Group: group, Name: name}
	return model.Status{ID: id, Program: &model.Program{ID: id}, State: s, PID: 42, Start: noon.Add(-time.Hour), StdoutLog: "/l"}
}

func newFake() *fake {
	return &fake{
		list: []model.Status{program("cat", "cat", model.Running), program("g", "a", model.Stopped), program("g", "b", model.Fatal)},
		err:  map[string]error{}, log: "one\ntwo\n",
	}
}

func (f *fake) Info() service.Info {
	return service.Info{Identifier: "super", PID: 77, State: model.DaemonRunning}
}

func (f *fake) Checks(context.Context, []model.ID) map[model.ID][]model.CheckState { return f.found }

func (f *fake) List(context.Context) ([]model.Status, error) { return f.list, f.down }

func (f *fake) Get(_ context.Context, id model.ID) (model.Status, error) {
	for _, st := range f.list {
		if st.ID == id {
			return st, f.down
		}
	}
	return model.Status{}, &service.Error{Code: service.CodeNoSuchProgram}
}

func (f *fake) verb(name string, sel service.Selector, wait service.Wait) (rs []service.Result, err error) {
	subject := "all"
	if !sel.All {
		subject = sel.ID.String()
	}
	if !wait {
		name += " without waiting for"
	}
	f.calls = append(f.calls, name+" "+subject)
	if err := f.err[name]; err != nil {
		return nil, err
	}
	for _, st := range f.list {
		if sel.All || sel.ID == st.ID {
			rs = append(rs, service.Result{ID: st.ID, Err: f.err[name+" "+st.ID.String()]})
		}
	}
	return rs, nil
}

func (f *fake) Start(_ context.Context, sel service.Selector, w service.Wait) ([]service.Result, error) {
	return f.verb("start", sel, w)
}

func (f *fake) Stop(_ context.Context, sel service.Selector, w service.Wait) ([]service.Result, error) {
	return f.verb("stop", sel, w)
}

func (f *fake) ClearLogs(_ context.Context, sel service.Selector) ([]service.Result, error) {
	return f.verb("clear", sel, true)
}

func (f *fake) ReadLog(_ context.Context, ref service.LogRef, offset, length int64) ([]byte, error) {
	if length != 0 || offset >= 0 || ref.Main {
		return nil, errors.New("not the end of a log")
	}
	if _, err := f.Get(context.Background(), ref.ID); err != nil {
		return nil, err
	}
	if ref.Channel == service.Stderr {
		return nil, &service.Error{Code: service.CodeNoFile, Text: "x"}
	}
	return []byte(f.log[max(0, len(f.log)+int(offset)):]), f.down
}

func code(c service.Code) error { return &service.Error{Code: c, Text: "inner words"} }

// site makes the pages about f.
func site(t testing.TB, f *fake) *Site {
	t.Helper()
	s, err := New(Options{
		Service: f, Version: "1.2.3", Now: func() time.Time { return noon },
		Fault: func(err error, subject string) *xmlrpc.Fault {
			return &xmlrpc.Fault{Code: int(service.CodeOf(err)), Text: "FAULT: " + subject}
		},
		ErrorBody: func(status int) string { return fmt.Sprintf("error %d", status) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request to the handler of its path.
func ask(t testing.TB, s *Site, method, target, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	h := s.Handlers()[r.URL.Path]
	if h == nil {
		t.Fatalf("nothing answers %s", r.URL.Path)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// element is one element of a page.
type element struct {
	name  string
	attrs map[string]string
	text  string // directly in it
}

// elements reads a page as strictly as XML is read.
func elements(t testing.TB, page string) (all []*element) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	var open []*element
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, page)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := &element{name: x.Name.Local, attrs: map[string]string{}}
			for _, a := range x.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			all, open = append(all, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(x)
			}
		case xml.Comment, xml.ProcInst:
			t.Fatalf("%v in\n%s", x, page)
		}
	}
}

// skeleton is a page without its values.
func skeleton(t testing.TB, page string) string {
	t.Helper()
	var b strings.Builder
	for _, e := range elements(t, page) {
		b.WriteString(e.name)
		for _, name := range []string{"id", "class", "role", "type"} {
			b.WriteString(" " + e.attrs[name])
		}
		fmt.Fprintf(&b, " %d\n", len(e.attrs))
	}
	return b.String()
}
