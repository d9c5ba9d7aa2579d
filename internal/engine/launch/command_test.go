//go:build unix

package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// tree makes files (and, for names that end in a slash, directories) with their modes.
func tree(t *testing.T, entries map[string]os.FileMode) string {
	t.Helper()
	root := t.TempDir()
	for name, mode := range entries {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, mode)
		} else {
			err = os.WriteFile(path, []byte("#!/bin/sh\n"), mode)
		}
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestResolve(t *testing.T) {
	root := tree(t, map[string]os.FileMode{
		"a/tool": 0o755, "b/tool": 0o755, "b/only": 0o755, "flat/tool": 0o644, "dirs/tool/": 0o755,
		"work/bin/run": 0o755, "work/here": 0o755, "strange's/to ol": 0o755, "group/tool": 0o010,
	})
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		line    string
		dir     string
		path    string // PATH of the program's environment; "-" = none
		daemon  string // PATH of the daemon; "-" = none
		argv    []string
		want    string // the file
		text    string // or the error
		missing bool
	}{
		"first entry":        {line: "tool x", path: "R/a:R/b", argv: []string{"tool", "x"}, want: "R/a/tool"},
		"second entry":       {line: "only", path: "R/a:R/b", argv: []string{"only"}, want: "R/b/only"},
		"daemon's path":      {line: "tool", path: "-", daemon: "R/b", argv: []string{"tool"}, want: "R/b/tool"},
		"program's path won": {line: "tool", path: "R/a", daemon: "R/b", argv: []string{"tool"}, want: "R/a/tool"},
		"default path":       {line: "sh -c x", path: "-", daemon: "-", argv: []string{"sh", "-c", "x"}, want: "/bin/sh"},
		"default for empty":  {line: "sh", path: "-", daemon: "", argv: []string{"sh"}, want: "/bin/sh"},
		"not executable is passed over": {
			line: "tool", path: "R/flat:R/dirs:R/a", argv: []string{"tool"}, want: "R/a/tool",
		},
		"quotes": {line: `"R/strange's/to ol" 'a b' c\ d`, argv: []string{"R/strange's/to ol", "a b", "c d"}, want: "R/strange's/to ol"},
		"absolute": {
			line: "R/a/tool --x=%h", argv: []string{"R/a/tool", "--x=%h"}, want: "R/a/tool",
		},
		"relative to the directory":    {line: "bin/run", dir: "R/work", argv: []string{"bin/run"}, want: "R/work/bin/run"},
		"dot of the directory":         {line: "./here", dir: "R/work", argv: []string{"./here"}, want: "R/work/here"},
		"relative entry":               {line: "run", dir: "R/work", path: "bin", argv: []string{"run"}, want: "R/work/bin/run"},
		"empty entry is the directory": {line: "here", dir: "R/work", path: "R/a:", argv: []string{"here"}, want: "R/work/here"},
		"empty path is the directory":  {line: "here", dir: "R/work", path: "", argv: []string{"here"}, want: "R/work/here"},
		"relative without directory":   {line: "./command_test.none", text: "can't find command './command_test.none'", missing: true},

		"empty":                {line: "", text: "command is empty"},
		"blank":                {line: " \t ", text: "command is empty"},
		"open quote":           {line: `sh -c 'x`, text: `can't parse command "sh -c 'x": No closing quotation`},
		"open double quote":    {line: `sh "`, text: `can't parse command 'sh "': No closing quotation`},
		"escape at the end":    {line: `sh \`, text: `can't parse command 'sh \\': No escaped character`},
		"nowhere":              {line: "no-such-tool x", path: "R/a:R/b", text: "can't find command 'no-such-tool'", missing: true},
		"nowhere, quoted":      {line: `"it's"`, path: "R/a", text: `can't find command "it's"`, missing: true},
		"empty word":           {line: `''`, path: "R/none", text: "can't find command ''", missing: true},
		"absolute missing":     {line: "R/none/x", text: "can't find command 'R/none/x'", missing: true},
		"below a file":         {line: "R/a/tool/x", text: "can't find command 'R/a/tool/x'", missing: true},
		"relative missing":     {line: "bin/none", dir: "R/work", text: "can't find command 'bin/none'", missing: true},
		"missing directory":    {line: "bin/run", dir: "R/none", text: "can't find command 'bin/run'", missing: true},
		"a directory":          {line: "R/dirs/tool", text: "command at 'R/dirs/tool' is a directory"},
		"only a directory":     {line: "tool", path: "R/none:R/dirs:R/none", text: "command at 'R/dirs/tool' is a directory"},
		"no x bit":             {line: "R/flat/tool", text: "command at 'R/flat/tool' is not executable"},
		"only without x bit":   {line: "tool", path: "R/flat:R/none", text: "command at 'R/flat/tool' is not executable"},
		"the first says why":   {line: "tool", path: "R/flat:R/dirs", text: "command at 'R/flat/tool' is not executable"},
		"the first says why 2": {line: "tool", path: "R/none:R/dirs:R/flat", text: "command at 'R/dirs/tool' is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			in := func(s string) string { return strings.ReplaceAll(s, "R/", root+"/") }
			var environ []string
			if c.daemon != "-" {
				environ = []string{"PATH=" + in(c.daemon)}
			}
			p := &model.Program{Command: model.Command{Line: in(c.line), Dir: in(c.dir)}}
			if c.path != "-" {
				p.Command.Env = []model.EnvVar{{Name: "A", Value: "b"}, {Name: "PATH", Value: in(c.path)}}
			}
			h := New(Options{Environ: environ})
			argv, path, err := h.resolve(p)
			if checked := h.Check(p); (checked == nil) != (err == nil) {
				t.Errorf("resolve says %v, Check %v", err, checked)
			}
			if c.text == "" {
				for i, a := range c.argv {
					c.argv[i] = in(a)
				}
				if err != nil || path != in(c.want) || !cmp.Equal(argv, c.argv) {
					t.Errorf("%q %q, %v\nwant %q %q", path, argv, err, in(c.want), c.argv)
				}
				return
			}
			var refused *CommandError
			if !errors.As(err, &refused) {
				t.Fatalf("%q %v", path, err)
			}
			if refused.Text != in(c.text) || refused.Missing != c.missing {
				t.Errorf("%s (missing: %v)\nwant %s (%v)", refused.Text, refused.Missing, in(c.text), c.missing)
			}
		})
	}
	if now, _ := os.Getwd(); now != cwd {
		t.Error("the working directory has changed")
	}
}
