package explain

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// failure is a program that fails, and what has to be said about it.
type failure struct {
	name  string
	need  string // a program without which it cannot be tried
	p     program
	facts func(*rig, *Facts) // what the daemon knows more
	cause Cause
	says  []string // parts of the explanation
	never []string // parts that it must not have
}

func try(t *testing.T, list []failure) {
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			if c.need != "" {
				need(t, c.need)
			}
			r := newRig(t)
			f := r.run(t, c.p)
			if c.facts != nil {
				c.facts(r, &f)
			}
			v, text := explained(f)
			if v.Cause != c.cause {
				t.Errorf("the cause is %q, want %q", v.Cause, c.cause)
			}
			for _, s := range c.says {
				if !strings.Contains(text, r.here(s)) {
					t.Errorf("it does not say %q", r.here(s))
				}
			}
			for _, s := range c.never {
				if strings.Contains(text, r.here(s)) {
					t.Errorf("it says %q", r.here(s))
				}
			}
			t.Log("\n" + text)
		})
	}
}

func adding(_ *rig, f *Facts) { f.Adding, f.PathFrom = true, "upkeep, not from your shell" }

// foreignELF is the begin of a program for another machine than any we run on.
func foreignELF() string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	b[16], b[18], b[20], b[52], b[54], b[58] = 2, 243, 1, 64, 56, 64 // RISC-V
	return string(b)
}

func TestStartsThatComeToNothing(t *testing.T) {
	venv := map[string]string{".venv/bin/uvicorn*": "#!/bin/sh\n", "bin/": ""}
	try(t, []failure{
		{
			name: "not found", p: program{line: "uvicron main:app", files: venv}, facts: adding, cause: CauseCommandNotFound,
			says: []string{
				`cannot start: there is no "uvicron" in the PATH this program would get`, "close by: DIR/.venv/bin/uvicorn",
				"PATH for programs: /usr/bin:/bin  (from upkeep, not from your shell)", "Use:  upkeep add web -- .venv/bin/uvicorn main:app",
			},
		},
		{
			name: "not found, stored", p: program{line: "uvicorn 'a b'", files: venv}, cause: CauseCommandNotFound,
			says: []string{"does not stay up (try 1 of 4)", `there is no "uvicorn" in the PATH this program gets`, `upkeep set web 'command=.venv/bin/uvicorn '\''a b'\'''`},
		},
		{
			name: "found under a close name in the PATH", p: program{line: "slepe 10"}, facts: adding, cause: CauseCommandNotFound,
			says: []string{"close by: /usr/bin/sleep", "upkeep add web -- sleep 10"},
		},
		{
			name: "not found in the directory", p: program{line: "./sevrer -x", files: map[string]string{"server*": "#!/bin/sh\n", "server.txt": ""}}, cause: CauseCommandNotFound,
			says: []string{"there is no file DIR/sevrer", "close by: DIR/server", "'command=./server -x'"}, never: []string{"server.txt", "PATH"},
		},
		{
			name: "nothing is close", p: program{line: "qqqqqqqqqqqqqqqq"}, facts: adding, cause: CauseCommandNotFound,
			says: []string{`there is no "qqqqqqqqqqqqqqqq"`}, never: []string{"close by", "hint"},
		},
		{
			name: "no quote at the end", p: program{line: `sh -c 'echo`}, cause: CauseCommandSyntax, says: []string{"a quote that does not end"},
		},
		{
			name: "a directory", p: program{line: "DIR/tool", files: map[string]string{"tool/": ""}}, cause: CauseCommandIsDirectory, says: []string{"DIR/tool is a directory"},
		},
		{
			name: "not executable", p: program{line: "./run.sh", files: map[string]string{"run.sh": "#!/bin/sh\n"}}, cause: CauseNotExecutable,
			says: []string{"DIR/run.sh is not executable", "mode 0644", "chmod +x DIR/run.sh"},
		},
		{
			name: "no first line", p: program{line: "DIR/run", files: map[string]string{"run*": "echo hello\n"}}, cause: CauseWrongFormat,
			says: []string{"couldn't exec DIR/run: ENOEXEC", "DIR/run is no program: it has no first line that begins with #!"},
		},
		{
			name: "no first line, with an ending", p: program{line: "DIR/run.sh -v", files: map[string]string{"run.sh*": "echo hello\n"}}, cause: CauseWrongFormat,
			says: []string{"'command=sh run.sh -v'"},
		},
		{
			name: "empty", p: program{line: "DIR/run.sh", files: map[string]string{"run.sh*": ""}}, cause: CauseWrongFormat,
			says: []string{"DIR/run.sh is empty"}, never: []string{"Use:"},
		},
		{
			name: "of Windows", p: program{line: "DIR/run.exe", files: map[string]string{"run.exe*": "MZ\x90\x00"}}, cause: CauseWrongFormat, says: []string{"is a Windows program"},
		},
		{
			name: "another machine", p: program{line: "DIR/run", files: map[string]string{"run*": foreignELF()}}, cause: CauseWrongArchitecture,
			says: []string{"DIR/run is built for riscv64, and this machine is "},
		},
		{
			name: "no interpreter", p: program{line: "DIR/run -x", files: map[string]string{"run*": "#!/opt/nowhere/python3 -u\n"}}, cause: CauseInterpreterMissing,
			says: []string{"the first line of DIR/run asks for /opt/nowhere/python3, and /opt/nowhere does not exist"},
		},
		{
			name: "no interpreter, another one is there", need: "/usr/bin/perl",
			p: program{line: "DIR/run -x", files: map[string]string{"run*": "#!/usr/local/nowhere/perl -w\n"}}, cause: CauseInterpreterMissing,
			says: []string{"close by: /usr/bin/perl\n", "'command=/usr/bin/perl -w run -x'"},
		},
		{
			name: "line ends of Windows", p: program{line: "DIR/run", files: map[string]string{"run*": "#!/bin/sh\r\necho\r\n"}}, cause: CauseInterpreterMissing,
			says: []string{"ends with a carriage return", `sed -i 's/\r$//' DIR/run`},
		},
		{
			name: "line ends of Windows and env", p: program{line: "DIR/run", files: map[string]string{"run*": "#!/usr/bin/env sh\r\necho\r\n"}}, cause: CauseInterpreterMissing,
			says: []string{"exited with code 127", "ends with a carriage return"},
		},
		{
			name: "env finds nothing", p: program{line: "DIR/run", files: map[string]string{"run*": "#!/usr/bin/env slepe\n"}}, cause: CauseInterpreterMissing,
			says: []string{`there is no "slepe" in the PATH`, "close by: /usr/bin/sleep"}, never: []string{"Use:"},
		},
		{
			name: "no directory", p: program{line: "/bin/true", dir: "a/b"}, cause: CauseDirectoryMissing,
			says: []string{"couldn't chdir to DIR/a/b: ENOENT", "the directory DIR/a/b does not exist: DIR/a does not exist", "mkdir -p DIR/a/b"},
		},
		{
			name: "a file for a directory", p: program{line: "/bin/true", dir: "a/b", files: map[string]string{"a": ""}}, cause: CauseDirectoryMissing,
			says: []string{"DIR/a is not a directory"}, never: []string{"mkdir"},
		},
		{
			name: "no user", p: program{line: "/bin/true", uid: stranger, user: "ghost"}, cause: CauseUserUnknown, says: []string{"there is no user ghost on this machine"},
		},
	})
}

func TestWhatAnotherUserMayNot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	for name, c := range map[string]struct {
		p     program
		chmod map[string]os.FileMode
		cause Cause
		says  []string
	}{
		"execute": {
			program{line: "DIR/run.sh", files: map[string]string{"run.sh*": "#!/bin/sh\n"}},
			map[string]os.FileMode{"run.sh": 0o744},
			CauseNotExecutable,
			[]string{"couldn't exec DIR/run.sh: EACCES", "user 54321 may not execute DIR/run.sh (owner root, mode 0744)"},
		},
		"pass through": {
			program{line: "DIR/shut/run.sh", files: map[string]string{"shut/run.sh*": "#!/bin/sh\n"}},
			map[string]os.FileMode{"shut": 0o700},
			CauseNotSearchable,
			[]string{"user 54321 may not enter DIR/shut (owner root, mode 0700), which leads to DIR/shut/run.sh"},
		},
		"work in": {
			program{line: "/bin/true", dir: "shut", files: map[string]string{"shut/": ""}},
			map[string]os.FileMode{"shut": 0o700},
			CauseDirectoryForbidden,
			[]string{"user 54321 may not enter DIR/shut (owner root, mode 0700), which leads to its directory DIR/shut"},
		},
		"read": {
			program{line: "/bin/cat DIR/secret", files: map[string]string{"secret-": "s3cr3t"}},
			nil, CausePermission,
			[]string{"cat: DIR/secret: Permission denied", "user 54321 may not read DIR/secret (owner root, mode 0600)"},
		},
		"read below": {
			program{line: "/bin/cat DIR/shut/secret", files: map[string]string{"shut/secret": "s3cr3t"}},
			map[string]os.FileMode{"shut": 0o700},
			CausePermission,
			[]string{"user 54321 may not enter DIR/shut"},
		},
		"make": {
			program{line: `sh -c "echo > DIR/new"`}, nil, CausePermission, []string{"user 54321 may not make files in DIR"},
		},
		"write": {
			program{line: `sh -c "echo > DIR/old"`, files: map[string]string{"old": ""}}, nil, CausePermission, []string{"user 54321 may not write DIR/old (owner root, mode 0644)"},
		},
		"python": {
			program{line: `/usr/bin/python3 -c "open('DIR/secret')"`, files: map[string]string{"secret-": "s3cr3t"}},
			nil, CausePermission,
			[]string{"user 54321 may not read DIR/secret", "PermissionError: [Errno 13]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "python" {
				need(t, "/usr/bin/python3")
			}
			r := newRig(t)
			r.write(t, c.p.files)
			c.p.files, c.p.uid = nil, stranger
			for path, mode := range c.chmod {
				if err := os.Chmod(filepath.Join(r.dir, path), mode); err != nil {
					t.Fatal(err)
				}
			}
			v, text := explained(r.run(t, c.p))
			if v.Cause != c.cause {
				t.Errorf("the cause is %q, want %q", v.Cause, c.cause)
			}
			for _, s := range c.says {
				if !strings.Contains(text, r.here(s)) {
					t.Errorf("it does not say %q", r.here(s))
				}
			}
			if strings.Contains(text, "s3cr3t") {
				t.Error("it shows what the user may not read")
			}
			t.Log("\n" + text)
		})
	}
}

// patched is a copy of a dynamically linked program of this machine in which some text was replaced.
func patched(t *testing.T, from, to string) string {
	t.Helper()
	b, err := os.ReadFile("/bin/true")
	if err != nil || len(from) != len(to) || !bytes.Contains(b, []byte(from)) {
		t.Skipf("/bin/true has no %q: %v", from, err)
	}
	return string(bytes.ReplaceAll(b, []byte(from), []byte(to)))
}

func TestMissingLoader(t *testing.T) {
	try(t, []failure{{
		name: "loader", p: program{line: "DIR/run", files: map[string]string{"run*": patched(t, "/lib64/ld-linux", "/lib64/nowhere-")}}, cause: CauseInterpreterMissing,
		says: []string{"DIR/run needs the loader /lib64/nowhere-", "which is not on this machine"},
	}})
}

func TestMissingLibrary(t *testing.T) {
	text := patched(t, "libc.so.6", "libq.so.6")
	try(t, []failure{
		{
			name: "nowhere", p: program{line: "DIR/run", files: map[string]string{"run*": text}}, cause: CauseLibraryMissing,
			says: []string{"cannot open shared object file", "the library libq.so.6 is not where the loader looks"}, never: []string{"hint"},
		},
		{
			name: "beside it", p: program{line: "DIR/bin/run", files: map[string]string{"bin/run*": text, "lib/libq.so.6": "x"}}, cause: CauseLibraryMissing,
			says: []string{"it is in DIR/lib", "upkeep set web env.LD_LIBRARY_PATH=DIR/lib"},
		},
	})
}

func TestLogThatCannotBeMade(t *testing.T) {
	r := newRig(t)
	f := r.run(t, program{line: "/bin/true"})
	f.Status.SpawnErr = "unknown error making dispatchers for 'web': ENOENT"
	f.Status.Program.IO.Stdout = model.Stream{Log: model.LogFile, Path: r.dir + "/logs/web.log"}
	v, text := explained(f)
	if v.Cause != CauseLogForbidden || !strings.Contains(text, "mkdir -p "+r.dir+"/logs") || !strings.Contains(text, r.dir+"/logs does not exist") {
		t.Error(text)
	}
}

func TestUserThatMayNotBeBecome(t *testing.T) {
	f := fakeFacts(model.Fatal)
	f.Status.Program.Command.UID = 12
	f.Status.SpawnErr = "couldn't setuid to 12: Can't drop privilege as nonroot user"
	v := Explain(t.Context(), f, &fake{uid: 1000})
	if text := render(v); v.Cause != CauseUserForbidden || !strings.Contains(text, "upkeep runs as user sam and may not start programs as user 12") {
		t.Error(text)
	}
	if v := Explain(t.Context(), f, &fake{uid: 0}); v.Cause != CauseStartFailed {
		t.Errorf("root may: %q", v.Cause)
	}
}
