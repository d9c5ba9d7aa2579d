package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestStatusElements: what tools look for on the page is there. Source: spec/supervisor 7.2.
func TestStatusElements(t *testing.T) {
	f := newFake()
	page := text(t, ask(t, site(t, f), http.MethodGet, "/?message=some+%3Cb%3E+text", ""))
	var got []string
	for _, e := range elements(t, page) {
		key := e.name + " id=" + e.attrs["id"] + " class=" + e.attrs["class"]
		switch {
		case e.name == "title" || e.name == "th" || e.attrs["class"] == "status_msg" || e.attrs["class"] == "hidden" && e.name == "div":
			got = append(got, key+" "+e.text)
		case e.attrs["id"] == "wrapper", e.attrs["id"] == "header", e.attrs["id"] == "buttons", e.attrs["id"] == "footer", e.attrs["class"] == "action-button", e.name == "tr", e.name == "table":
			got = append(got, key)
		case strings.HasPrefix(e.attrs["href"], "index.html?action="), strings.HasPrefix(e.attrs["href"], "http://supervisord.org"):
			got = append(got, e.name+" "+e.attrs["href"]+" "+e.text)
		}
	}
	want := []string{
		"title id= class= Supervisor Status", "div id=wrapper class=", "div id=header class=", "div id= class=status_msg some <b> text",
		"ul id=buttons class=clr",
		"li id= class=action-button", "a index.html?action=refresh Refresh",
		"li id= class=action-button", "a index.html?action=restartall Restart All",
		"li id= class=action-button", "a index.html?action=stopall Stop All",
		"table id= class=", "tr id= class=", "th id= class=state State", "th id= class=desc Description", "th id= class=name Name", "th id= class=action Action",
		"tr id= class=", "tr id= class=shade", "tr id= class=", "div id=footer class=clr", "a http://supervisord.org Supervisor",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if page = text(t, ask(t, site(t, f), http.MethodGet, "/", "")); !strings.Contains(page, `<div class="hidden">#</div>`) || strings.Contains(page, "status_msg") {
		t.Error("message area without a message")
	}
	f.list = nil
	if page = text(t, ask(t, site(t, f), http.MethodGet, "/", "")); !strings.Contains(page, "No programs to manage") || strings.Contains(page, "<table") {
		t.Error("no programs:", page)
	}
}

// TestRows: every state with its class and what it offers.
func TestRows(t *testing.T) {
	f := newFake()
	f.list = nil
	for s := range model.NumStates {
		f.list = append(f.list, program("g", strings.ToLower(model.State(s).String()), model.State(s)))
	}
	var got []string
	line := ""
	for _, e := range elements(t, text(t, ask(t, site(t, f), http.MethodGet, "/index.html", ""))) {
		switch {
		case e.name == "tr" && e.attrs["data-name"] != "":
			got = append(got, line)
			line = ""
		case strings.HasPrefix(e.attrs["class"], "status") && e.name == "span":
			line += e.attrs["class"] + " " + e.text
		case e.name == "span" && e.text != "" && e.text != "4.3.0":
			line += " (" + e.text + ")"
		case e.name == "li" && e.attrs["class"] == "hidden":
			line += " -"
		case e.attrs["formaction"] != "":
			line += " [" + e.attrs["formaction"] + " " + e.text + " " + e.attrs["aria-label"] + "]"
		}
	}
	got = append(got, line)[1:]
	button := func(state, action, label string) string {
		return fmt.Sprintf(" [index.html?processname=g%%3A%s&action=%s %s %s g:%s]", state, action, label, label, state)
	}
	want := []string{
		"statusnominal stopped (Jan 01 12:00 AM)" + button("stopped", "start", "Start") + " -",
		"statusnominal starting -" + button("starting", "stop", "Stop"),
		"statusrunning running (pid 42, uptime 1:00:00)" + button("running", "restart", "Restart") + button("running", "stop", "Stop"),
		`statuserror backoff (unknown error (try "tail backoff")) -` + button("backoff", "stop", "Stop"),
		"statusnominal stopping - -",
		"statusnominal exited (Jan 01 12:00 AM)" + button("exited", "start", "Start") + " -",
		`statuserror fatal (unknown error (try "tail fatal"))` + button("fatal", "start", "Start") + " -",
		"statusnominal unknown - -",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestConditions: what checks have found, adoption, waiting and being disabled are on the page.
func TestConditions(t *testing.T) {
	f := newFake()
	f.list = []model.Status{program("sick", "sick", model.Running), program("unready", "unready", model.Running), program("app", "app", model.Starting), program("off", "off", model.Stopped)}
	f.list[1].Past.Adopted, f.list[2].Waiting, f.list[3].Program.Disabled = true, "db: ready", true
	bad := func(stage model.Stage) []model.CheckState {
		return []model.CheckState{{Check: model.Check{Name: "up", Stage: stage}, Verdict: model.Failing, Text: "<refused>"}}
	}
	f.found = map[model.ID][]model.CheckState{f.list[0].ID: bad(model.StageLive), f.list[1].ID: bad(model.StageReady)}
	page := text(t, ask(t, site(t, f), http.MethodGet, "/", ""))
	for _, want := range []string{
		">pid 42, uptime 1:00:00; unhealthy, up: &lt;refused&gt;<", ">pid 42, uptime 1:00:00; not ready, up: &lt;refused&gt;; adopted<", ">waiting for db: ready<", ">disabled<",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in %s", want, page)
		}
	}
}

func TestLinksOfARow(t *testing.T) {
	f := newFake()
	f.list = []model.Status{program("g", "ä b&c", model.Running)}
	var got []string
	for _, e := range elements(t, text(t, ask(t, site(t, f), http.MethodGet, "/", ""))) {
		if strings.Contains(e.attrs["href"], "g%3A") {
			got = append(got, e.attrs["href"]+" | "+e.text+" | "+e.attrs["target"])
		}
	}
	want := []string{
		"tail.html?processname=g%3A%C3%A4%20b%26c | g:ä b&c | _blank",
		"index.html?processname=g%3A%C3%A4%20b%26c&action=clearlog | Clear Log | ",
		"logtail/g%3A%C3%A4%20b%26c | Tail -f Stdout | _blank",
		"logtail/g%3A%C3%A4%20b%26c/stderr | Tail -f Stderr | _blank",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab…"}, {"äöü", 2, "äö…"}, {"", 0, ""}, {"a", 0, "…"}} {
		if got := cut(tt.in, tt.n); got != tt.want {
			t.Errorf("%q %d: %q", tt.in, tt.n, got)
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	f := newFake()
	f.list = nil
	for i := range 4200 {
		f.list = append(f.list, program("workers", fmt.Sprintf("worker_%04d", i), model.Running))
	}
	s := site(b, f)
	b.ReportAllocs()
	for b.Loop() {
		p := statusPage{frame: s.frame("x", "index.html"), Rows: s.rows(f.list, nil)}
		var n discard
		if err := s.templates.ExecuteTemplate(&n, "status", &p); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(n))
	}
}

type discard int

func (d *discard) Write(p []byte) (int, error) { *d += discard(len(p)); return len(p), nil }
