package explain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestPythonModules(t *testing.T) {
	need(t, python)
	app := "import flaskette\n"
	venv := map[string]string{"app.py": app, ".venv/pyvenv.cfg": "home = /usr/bin\n", ".venv/lib/python3.11/site-packages/flaskette/__init__.py": ""}
	link := func(r *rig, _ *Facts) {
		dir := filepath.Join(r.dir, ".venv/bin")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			panic(err)
		}
		if err := os.Symlink(python, filepath.Join(dir, "python")); err != nil {
			panic(err)
		}
	}
	try(t, []failure{
		{
			name: "in an environment close by", p: program{line: python + " app.py --port 1", files: venv}, facts: link, cause: CausePythonModule,
			says: []string{"No module named 'flaskette'", "the Python environment DIR/.venv has flaskette", "'command=.venv/bin/python app.py --port 1'"},
		},
		{
			name: "in an environment above", p: program{line: "python3 src/app.py", files: map[string]string{
				"src/app.py": app, "venv/pyvenv.cfg": "", "venv/bin/python*": "#!/bin/sh\n", "venv/lib/python3.11/site-packages/flaskette.py": "",
			}}, cause: CausePythonModule, says: []string{"DIR/venv has flaskette", "'command=venv/bin/python src/app.py'"},
		},
		{
			name: "not in the environment", p: program{line: "python3 app.py", files: map[string]string{
				"app.py": app, ".venv/pyvenv.cfg": "", ".venv/bin/python*": "#!/bin/sh\n", "requirements.txt": "flaskette\n",
			}}, cause: CausePythonModule, says: []string{"DIR/.venv has no module flaskette either", "DIR/.venv/bin/pip install -r DIR/requirements.txt"},
		},
		{
			name: "in a directory where Python does not look", p: program{line: "python3 bin/app.py", files: map[string]string{"bin/app.py": app, "flaskette/__init__.py": ""}},
			cause: CausePythonModule, says: []string{"there is a module flaskette in DIR, where Python does not look", "upkeep set web env.PYTHONPATH=DIR"},
		},
		{
			name: "run by name", p: program{line: "python3 -m flaskette.server"}, cause: CausePythonModule, says: []string{"there is no Python environment (.venv, venv, env) in DIR"}, never: []string{"hint"},
		},
	})
}

func TestNodeModules(t *testing.T) {
	need(t, "/usr/bin/node")
	try(t, []failure{
		{
			name: "nothing installed", p: program{line: "node app.js", files: map[string]string{"app.js": "require('expresso')", "package.json": "{}", "package-lock.json": "{}"}},
			cause: CauseNodeModule, says: []string{"Cannot find module 'expresso'", "DIR has a package.json and no node_modules", "cd DIR && npm ci"},
		},
		{
			name: "this one is not installed", p: program{line: "node src/app.js", files: map[string]string{"src/app.js": "require('@x/expresso/lib')", "package.json": "{}", "yarn.lock": "", "node_modules/": ""}},
			cause: CauseNodeModule, says: []string{"DIR/node_modules has no @x/expresso", "yarn install"},
		},
		{
			name: "a package that imports", p: program{line: "node app.mjs", files: map[string]string{"app.mjs": "import 'expresso'", "package.json": "{}"}},
			cause: CauseNodeModule, says: []string{"npm install"},
		},
		{
			name: "no project", p: program{line: "node app.js", files: map[string]string{"app.js": "require('expresso')"}}, cause: CauseExited, never: []string{"npm"},
		},
		{
			name: "the script itself", p: program{line: "node serv.js", files: map[string]string{"server.js": ""}}, cause: CauseFileMissing,
			says: []string{"DIR/serv.js does not exist", "close by: DIR/server.js"},
		},
	})
}

func TestVariables(t *testing.T) {
	set := []string{"DATABASE_URI=s3cr3t"}
	try(t, []failure{
		{
			name: "Python", need: python, p: program{line: python + ` -c "import os; os.environ['DATABASE_URL']"`, env: set}, cause: CauseVariableMissing,
			says:  []string{"KeyError: 'DATABASE_URL'", "the variable DATABASE_URL is not in the program's environment", "close by: DATABASE_URI", "upkeep set web env.DATABASE_URL=VALUE"},
			never: []string{"s3cr3t"},
		},
		{
			name: "a key of something else", need: python, p: program{line: python + ` -c "{}['DATABASE_URL']"`}, cause: CauseExited, never: []string{"variable", "hint"},
		},
		{
			name: "shell", p: program{line: `sh -c ': ${DATABASE_URL:?}'`}, cause: CauseVariableMissing, says: []string{"the variable DATABASE_URL is not"},
		},
		{
			name: "shell, unset", p: program{line: `sh -uc 'echo $DATABASE_URL'`}, cause: CauseVariableMissing, says: []string{"the variable DATABASE_URL is not"},
		},
		{
			name: "in words", p: program{line: `sh -c 'echo "fatal: environment variable SECRET_KEY is required"; exit 1'`}, cause: CauseVariableMissing, says: []string{"the variable SECRET_KEY is not"},
		},
		{
			name: "in other words", p: program{line: `sh -c 'echo "Missing required setting: API_TOKEN"; exit 1'`}, cause: CauseVariableMissing, says: []string{"the variable API_TOKEN is not"},
		},
		{
			name: "empty", p: program{line: `sh -c 'echo "API_TOKEN must be set"; exit 1'`, env: []string{"API_TOKEN="}}, cause: CauseVariableMissing, says: []string{"the variable API_TOKEN is empty"},
		},
		{
			name: "it is set", p: program{line: `sh -c 'echo "API_TOKEN must be set"; exit 1'`, env: []string{"API_TOKEN=s3cr3t"}}, cause: CauseExited, never: []string{"variable", "s3cr3t", "hint"},
		},
	})
}

func TestSyntax(t *testing.T) {
	try(t, []failure{
		{
			name: "Python", need: python, p: program{line: python + " app.py", files: map[string]string{"app.py": "x = 1\nif x\n  y\n"}}, cause: CauseSyntax,
			says: []string{"SyntaxError", "the mistake is in DIR/app.py, line 2"},
		},
		{
			name: "shell", p: program{line: "sh run.sh", files: map[string]string{"run.sh": "if true\nfi\n"}}, cause: CauseSyntax, says: []string{"yntax error", "the mistake is in DIR/run.sh, line 2"},
		},
		{
			name: "bash", need: "/bin/bash", p: program{line: "bash run.sh", files: map[string]string{"run.sh": "if true\nfi\n"}}, cause: CauseSyntax, says: []string{"the mistake is in DIR/run.sh, line 2"},
		},
		{
			name: "Node", need: "/usr/bin/node", p: program{line: "node app.js", files: map[string]string{"app.js": "let x = ;\n"}}, cause: CauseSyntax, says: []string{"the mistake is in DIR/app.js, line 1"},
		},
		{
			name: "Perl", need: "/usr/bin/perl", p: program{line: "perl app.pl", files: map[string]string{"app.pl": "my $x = 1\nmy $y = 2;\n"}}, cause: CauseSyntax, says: []string{"the mistake is in DIR/app.pl, line 2"},
		},
		{
			name: "changed since", p: program{line: "sh run.sh", files: map[string]string{"run.sh": "if true\nfi\n"}}, cause: CauseSyntax,
			facts: func(r *rig, f *Facts) {
				f.Status.State = model.Fatal
				later := time.Now().Add(time.Minute)
				if err := os.Chtimes(filepath.Join(r.dir, "run.sh"), later, later); err != nil {
					panic(err)
				}
			},
			says: []string{"the file was changed after that run", "upkeep start web"},
		},
		{
			name: "of a data file that is not there", p: program{line: `sh -c "echo 'Syntax error in x.toml, line 3'; exit 1"`}, cause: CauseExited, never: []string{"mistake"},
		},
	})
}

func TestMissingFiles(t *testing.T) {
	try(t, []failure{
		{
			name: "a script", need: python, p: program{line: python + " ap.py", files: map[string]string{"app.py": ""}}, cause: CauseFileMissing,
			says: []string{"No such file or directory", "DIR/ap.py does not exist", "close by: DIR/app.py"},
		},
		{
			name: "relative", p: program{line: "cat conf/x.yml"}, cause: CauseFileMissing,
			says: []string{"DIR/conf/x.yml does not exist: there is no DIR/conf", "relative paths count from the program's directory, DIR"},
		},
		{
			name: "it is there", p: program{line: `sh -c "echo open DIR/x: No such file or directory; exit 1"`, files: map[string]string{"x": ""}}, cause: CauseExited, never: []string{"does not exist"},
		},
	})
}

func TestQuietRules(t *testing.T) {
	// A rule that recognises something and cannot confirm it says nothing, and the evidence is shown all the same.
	r := newRig(t)
	f := r.run(t, program{line: `sh -c "echo Permission denied: /etc/hostname; echo ok >&2; exit 3"`, uid: 0})
	v, text := explained(f)
	if v.Cause != CauseExited || len(v.Checked)+len(v.Hints) != 0 || !strings.Contains(text, "ok") {
		t.Error(text)
	}
}
