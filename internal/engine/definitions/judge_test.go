package definitions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/conf/managed"
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

func script(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
		t.Fatal(err)
	}
}

func TestJudge(t *testing.T) {
	dir := t.TempDir()
	script(t, dir+"/bin/serve", 0o755)
	script(t, dir+"/bin/plain", 0o644)
	script(t, dir+"/shop/.venv/bin/uvicorn", 0o755)
	script(t, dir+"/shop/run", 0o755)
	path := "PATH=" + dir + "/bin"
	j := Judge{Environ: []string{path}}
	j.In.Environ = supervisord.Environ{
		Vars: map[string]string{"HOME": "/home/sam"}, Cwd: dir, TempDir: dir, UID: os.Getuid(), Users: supervisord.SystemUsers{},
	}
	file := filepath.Join(dir, "web.conf")
	there := `there is no "%s" in the PATH that this program would get (` + dir + "/bin)"
	missing := func(word string) string { return strings.Replace(there, "%s", word, 1) }
	for _, c := range []struct {
		text string
		want []managed.Problem
	}{
		{"command=serve\n", nil},
		{"command=serve --to %(process_num)d\nnumprocs=3\nprocess_name=%(process_num)d\n", nil},
		{"command=.venv/bin/uvicorn x\ndirectory=shop\n", nil},
		{"command=./run\ndirectory=" + dir + "/shop\n", nil},
		{"command=run\nenv.PATH=" + dir + "/shop\n", nil},
		{"directory=shop\ncommand=uvicron main:app\n", []managed.Problem{{Line: 3, Key: "command", Message: missing("uvicron"), Suggestion: ".venv/bin/uvicorn"}}},
		{"directory=shop\ncommand=run\n", []managed.Problem{{Line: 3, Key: "command", Message: missing("run"), Suggestion: "./run"}}},
		{"command=serv\nnumprocs=9\nprocess_name=%(process_num)d\n", []managed.Problem{{Line: 2, Key: "command", Message: missing("serv"), Suggestion: "bin/serve"}}},
		{"command=zzzzzz\n", []managed.Problem{{Line: 2, Key: "command", Message: missing("zzzzzz")}}},
		{"command=bin/plain\n", []managed.Problem{{Line: 2, Key: "command", Message: "command at 'bin/plain' is not executable"}}},
		{"command=serve 'x\n", []managed.Problem{{Line: 2, Key: "command", Message: `can't parse command "serve 'x": No closing quotation`}}},
		{"command=serve\ndirectory=/nowhere/at/all\n", []managed.Problem{{Line: 3, Key: "directory", Message: "directory: no such file or directory: /nowhere/at/all"}}},
		{"command=serve\ndirectory=~/app\n", []managed.Problem{{Line: 3, Key: "directory", Message: "directory: ~ is not expanded here: ~/app", Suggestion: "/home/sam/app"}}},
		{"command=serve\ndirectory=bin/serve\n", []managed.Problem{{Line: 3, Key: "directory", Message: "directory: bin/serve is a file"}}},
		{"command=serve\nuser=nobody-such\n", []managed.Problem{{Line: 3, Key: "user", Message: "Invalid user name nobody-such"}}},
		{"command=zzzzzz\nautostart=perhaps\n", []managed.Problem{{
			Line: 3, Key: "autostart", Message: "autostart=perhaps is not yes or no (true, yes, on, 1; false, no, off, 0)",
		}}},
	} {
		for i := range c.want {
			c.want[i].File = file
		}
		groups, got := j.Check(file, "[program:web]\n"+c.text)
		if d := cmp.Diff(c.want, got); d != "" || (len(groups) == 0) != (len(c.want) > 0) {
			t.Errorf("%q: %d groups\n%s", c.text, len(groups), d)
		}
	}
	s := New(filepath.Join(dir, "programs"), j.Problems)
	if _, err := s.Write("web", "[program:web]\ncommand=nope-nope\n", Condition{}); err == nil {
		t.Error("stored")
	}
	if list, err := s.List(); len(list) != 0 || err != nil {
		t.Errorf("%+v, %v", list, err)
	}
	mustWrite(t, s, "web", "[program:web]\ncommand=serve\n")
}
