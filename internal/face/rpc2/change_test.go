package rpc2

import (
	"fmt"
	"testing"

	"github.com/upkeep-project/upkeep/internal/service"
)

func TestPlan(t *testing.T) {
	f := newFake()
	c := direct(t, f, nil)
	const want = "[[{group g} {name a} {action restart} {reason why} {refused no} " +
		"{fields [[{field command} {old x} {new y} {effect restart}]]}] " +
		"[{group g} {name } {action change} {reason at once} {refused } {fields []}]]"
	if got := fmt.Sprint(c.result(t, "upkeep.plan")); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	f.err = &service.Error{Code: service.CodeCannotReread, Text: "line 3"}
	if got := c.result(t, "upkeep.plan"); got != "FAULT 92 CANT_REREAD: line 3" {
		t.Error(got)
	}
}

func TestApply(t *testing.T) {
	f := newFake()
	c := direct(t, f, nil)
	const want = "[[{name cat} {group cat} {action add} {status 80} {description OK}] " +
		"[{name a} {group g} {action restart} {status 50} {description SPAWN_ERROR: g:a}]]"
	for _, params := range [][]any{nil, {[]any{}}, {[]any{"g", "cat"}}} {
		if got := fmt.Sprint(c.result(t, "upkeep.apply", params...)); got != want {
			t.Errorf("%v: %s", params, got)
		}
	}
	if got := f.noted(); got != `Apply []; Apply []; Apply ["g" "cat"]` {
		t.Error(got)
	}
	for _, bad := range []any{"g", 5, []any{5}, []any{"g", []any{}}} {
		if got := c.result(t, "upkeep.apply", bad); got != "FAULT 2 INCORRECT_PARAMETERS" {
			t.Errorf("%v: %v", bad, got)
		}
	}
	for code, want := range map[service.Code]string{
		service.CodeNoSuchProgram: "FAULT 10 BAD_NAME: x", service.CodeCannotReread: "FAULT 92 CANT_REREAD: x",
		service.CodeNoFile: "FAULT 20 NO_FILE: x", service.CodeShuttingDown: "FAULT 6 SHUTDOWN_STATE",
	} {
		f.err = &service.Error{Code: code, Text: "x"}
		if got := c.result(t, "upkeep.apply", []any{"x"}); got != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

func TestAdopt(t *testing.T) {
	f := newFake()
	c := direct(t, f, nil)
	const want = "[{name a} {group g} {pid 42} {start 1700000000} {output false}]"
	if got := fmt.Sprint(c.result(t, "upkeep.adopt", "g:a", 42)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := f.noted(); got != "Adopt g:a 42" {
		t.Error(got)
	}
	for _, bad := range []struct {
		params []any
		want   string
	}{
		{[]any{5, 42}, "FAULT 2 INCORRECT_PARAMETERS"},
		{[]any{"g:a", []any{}}, "FAULT 2 INCORRECT_PARAMETERS"},
		{[]any{"g:a"}, "FAULT 2 INCORRECT_PARAMETERS"},
		{[]any{"g:*", 42}, "FAULT 10 BAD_NAME: g:*"},
		{[]any{"g:a", 0}, "FAULT 30 FAILED: 0 is no process number"},
		{[]any{"g:a", -7}, "FAULT 30 FAILED: -7 is no process number"},
	} {
		if got := c.result(t, "upkeep.adopt", bad.params...); got != bad.want {
			t.Errorf("%v: %v, want %s", bad.params, got, bad.want)
		}
	}
	if got := f.noted(); got != "Adopt g:a 42" {
		t.Error(got)
	}
	for code, want := range map[service.Code]string{
		service.CodeNoSuchProgram: "FAULT 10 BAD_NAME: g:a", service.CodeAlreadyStarted: "FAULT 60 ALREADY_STARTED: g:a",
		service.CodeNoProcess: "FAULT 30 FAILED: x", service.CodeNotPermitted: "FAULT 30 FAILED: x",
		service.CodeNotAdoptable: "FAULT 30 FAILED: x", service.CodeTaken: "FAULT 30 FAILED: x",
		service.CodeShuttingDown: "FAULT 6 SHUTDOWN_STATE",
	} {
		f.err = &service.Error{Code: code, Text: "x"}
		if got := c.result(t, "upkeep.adopt", "g:a", 42); got != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
