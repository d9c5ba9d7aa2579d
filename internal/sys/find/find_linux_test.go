package find

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// patience bounds every wait.
const patience = 30 * time.Second

// run starts a process that lives until the end of the test, with what it starts, and waits until it executes what it is to
// execute.
func run(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = !c.SysProcAttr.Setsid
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL); _ = c.Wait() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if p, err := Read(c.Process.Pid); err == nil && Exe(p.PID) != self && len(p.Args) > 0 {
			return p.PID
		}
		if time.Now().After(end) {
			t.Fatal("in vain: it executes")
		}
	}
}

func look(t *testing.T, path string) string {
	t.Helper()
	p, err := exec.LookPath(path)
	if err != nil {
		t.Skip(err)
	}
	return p
}

func TestRead(t *testing.T) {
	c := exec.Command("sh", "-c", "trap '' INT HUP; echo; exec sleep 1000")
	c.Dir = t.TempDir()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	pid := run(t, c)
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var p Process
	for end := time.Now().Add(patience); !slices.Equal(p.Args, []string{"sleep", "1000"}); time.Sleep(time.Millisecond) {
		if p, err = Read(pid); err != nil || time.Now().After(end) {
			t.Fatal(p, err)
		}
	}
	if !p.Of(os.Geteuid()) || p.PPID != os.Getpid() || p.StartTicks == 0 {
		t.Errorf("%+v", p)
	}
	for sig, want := range map[syscall.Signal]bool{syscall.SIGINT: true, syscall.SIGHUP: true, syscall.SIGTERM: false, 0: false, 65: false} {
		if p.Ignores(int(sig)) != want {
			t.Errorf("signal %d: %v", sig, !want)
		}
	}
	if dir, err := filepath.EvalSymlinks(c.Dir); err != nil || Dir(pid) != dir {
		t.Errorf("directory %q, want %q (%v)", Dir(pid), dir, err)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if _, err := Read(pid); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("pid %d: %v", pid, err)
		}
	}
	all, err := Everybody(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if q := all.Get(pid); q == nil || all.Parent(q) == nil || all.Parent(q).PID != os.Getpid() || !all.Below(q, func(p *Process) bool { return p.PID == os.Getpid() }) {
		t.Errorf("among all: %+v", q)
	}
	if all.Get(1<<30) != nil {
		t.Error("one that is not there is among all")
	}
	for _, p := range all.All() {
		if p.Kernel || p.Comm == "kthreadd" && p.PPID == 0 && len(p.Args) == 0 {
			t.Errorf("of the kernel: %+v", p)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Everybody(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestReadDead: who has ended and was not collected is nobody any more.
func TestReadDead(t *testing.T) {
	c := exec.Command(look(t, "true"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s, err := procstat.Read(pid)
		if err != nil || time.Now().After(end) {
			t.Fatal("in vain: it ends", err)
		}
		if s.Dead() {
			break
		}
	}
	if p, err := Read(pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("%+v, %v", p, err)
	}
	if all, err := Everybody(t.Context()); err != nil || all.Get(pid) != nil {
		t.Errorf("it is among all, %v", err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// TestOf: who has taken another user's rights belongs to neither.
func TestOf(t *testing.T) {
	for _, p := range []Process{{UID: 7, EUID: 8}, {UID: 8, EUID: 7}} {
		if p.Of(7) || p.Of(8) {
			t.Errorf("%+v", p)
		}
	}
	if p := (Process{UID: 7, EUID: 7}); !p.Of(7) || p.Of(8) {
		t.Errorf("%+v", p)
	}
}

// TestUnderPIDTwo: in a namespace of its own process 2 is one like any other, and so are those below it.
func TestUnderPIDTwo(t *testing.T) {
	const second = "UPKEEP_TEST_SECOND"
	if os.Getenv(second) != "" {
		// Beside the tests that run outside, nobody sees these mounts.
		if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("proc", "/proc", "proc", 0, "")); err != nil || os.Getpid() != 2 {
			t.Skip("not process 2 of a namespace:", os.Getpid(), err)
		}
		pid := run(t, exec.Command("sleep", "1000"))
		all, err := Everybody(t.Context())
		if err != nil || all.Get(pid) == nil || all.Get(pid).PPID != 2 || all.Get(2) == nil {
			t.Errorf("%d is not among %+v, %v", pid, all, err)
		}
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(look(t, "sh"), "-c", `"$@" & wait $!`, "sh", exe, "-test.run=^TestUnderPIDTwo$", "-test.v")
	c.Env = append(os.Environ(), second+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // for Pdeathsig
	defer runtime.UnlockOSThread()
	out, err := c.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "SKIP") {
		t.Skipf("there are no namespaces of processes here: %v %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestFits: a process is its command, whatever way it was started, and nothing else that has the same words.
func TestFits(t *testing.T) {
	sh, sleep, tail := look(t, "sh"), look(t, "sleep"), look(t, "tail")
	dir, other := t.TempDir(), t.TempDir()
	file := func(dir, name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script := file(dir, "serve", "#!"+sh+"\nwhile :; do "+sleep+" 1000; done\n")
	envied := file(dir, "envied", "#!/usr/bin/env sh\nwhile :; do "+sleep+" 1000; done\n")
	option := file(dir, "option", "#!"+sh+" -e\nwhile :; do "+sleep+" 1000; done\n")
	file(dir, "rooted", "cd /; while :; do "+sleep+" 1000; done\n")
	foreign := file(other, "serve", "#!"+sh+"\nwhile :; do "+sleep+" 1000; done\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(sleep, link); err != nil {
		t.Fatal(err)
	}
	shell := filepath.Join(dir, "shell")
	if err := os.Symlink(sh, shell); err != nil {
		t.Fatal(err)
	}
	at := func(dir string, argv ...string) int {
		c := exec.Command(argv[0], argv[1:]...)
		c.Dir = dir
		return run(t, c)
	}
	as := func(path string, argv ...string) int { // under another name; who reads its commands waits for them
		c := exec.Command(path)
		c.Args = argv
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close() })
		return run(t, c)
	}
	gone := at(dir, "sh", "rooted")
	for end := time.Now().Add(patience); Dir(gone) != "/"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain: it goes to the root directory")
		}
	}
	for _, tt := range []struct {
		name string
		argv []string // the command
		path string
		dir  string
		pid  int
		want bool
	}{
		{"as it is", []string{sleep, "1001"}, sleep, "", at("", sleep, "1001"), true},
		{"by its name", []string{"sleep", "1001"}, sleep, "", at("", sleep, "1001"), true},
		{"path for a name", []string{sleep, "1001"}, sleep, "", at("", "sleep", "1001"), true},
		{"through a link", []string{link, "1001"}, link, "", at("", link, "1001"), true},
		{"another argument", []string{sleep, "1001"}, sleep, "", at("", sleep, "1002"), false},
		{"an argument more", []string{sleep, "1001"}, sleep, "", at("", sleep, "1001", "1"), false},
		{"a script", []string{script, "a"}, script, "", at("", script, "a"), true},
		{"a script by its relative name", []string{script, "a"}, script, "", at(dir, "./serve", "a"), true},
		{"another script of the name", []string{script, "a"}, script, "", at(other, "./serve", "a"), false},
		{"another script", []string{script, "a"}, script, "", at("", foreign, "a"), false},
		{"a script of env", []string{envied}, envied, "", at("", envied), true},
		{"a script with an option", []string{option, "b"}, option, "", at("", option, "b"), true},
		{"a script, another argument", []string{script, "a"}, script, "", at("", script, "b"), false},
		{"who looks at the script", []string{script}, script, "", at("", tail, "-f", script), false},
		{"who looks at the script, named like a shell", []string{script}, script, "", at("", sh, "-c", sleep+" 1000; :", script), false},
		{"the words in another program", []string{sleep, "1001"}, sleep, "", at("", sh, "-c", "sleep 1000; :", "sleep 1001"), false},
		{"another executable under its name", []string{sleep, "-s"}, sleep, "", as(sh, sleep, "-s"), false},
		{"another script by the same relative name", []string{"./serve", "a"}, script, "", at(other, "./serve", "a"), false},
		{"a script with another option", []string{option, "b"}, option, "", at("", sh, "-u", option, "b"), false},
		{"a script of another interpreter", []string{script, "a"}, script, "", at("", shell, script, "a"), false},
		{"who has gone to the root directory", []string{"sh", "rooted"}, sh, dir, gone, true},
		{"an interpreter with a file", []string{"sh", "serve"}, sh, dir, at(dir, "sh", "serve"), true},
		{"an interpreter with another file of the name", []string{"sh", "serve"}, sh, dir, at(other, "sh", "serve"), false},
	} {
		c := NewCommand(tt.argv, tt.path, tt.dir)
		p, err := Read(tt.pid)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if got := c.Fits(&p); got != tt.want {
			t.Errorf("%s: %v; %q", tt.name, got, p.Args)
		}
		if c.Titled(&p) {
			t.Errorf("%s: it has no title", tt.name)
		}
	}
	for _, c := range []Command{{}, NewCommand([]string{"x"}, "", "")} {
		if c.Fits(&Process{}) || c.Fits(&Process{Args: []string{"sh"}}) {
			t.Errorf("%+v fits", c)
		}
	}
	unseen := Process{Args: []string{"sleep", "1001"}} // nobody tells what it executes
	if c := NewCommand([]string{"sleep", "1001"}, sleep, ""); !c.Fits(&unseen) {
		t.Error("one whose file may not be seen does not fit by its arguments")
	}
	if c := NewCommand([]string{"sleep", "1001"}, sleep, ""); c.Titled(&Process{Args: []string{"sleep: master"}}) {
		t.Error("one whose file may not be seen is known by a title")
	}
}

// TestReplaced: an executable or a directory that was removed is told as such.
func TestReplaced(t *testing.T) {
	b, err := os.ReadFile(look(t, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// As a file of its own it is itself also where one executable has many names.
	path, in := filepath.Join(dir, "sleep"), filepath.Join(dir, "in")
	if err := errors.Join(os.WriteFile(path, b, 0o700), os.Mkdir(in, 0o700)); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "1000")
	c.Dir = in
	pid := run(t, c)
	if err := errors.Join(os.Remove(path), os.Remove(in)); err != nil {
		t.Fatal(err)
	}
	if Exe(pid) != path || Dir(pid) != "" {
		t.Errorf("it executes %q, in %q", Exe(pid), Dir(pid))
	}
	p, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	if c := NewCommand([]string{path, "1000"}, path, ""); !c.Fits(&p) {
		t.Error("who executes a file that was removed does not fit it any more")
	}
}

// TestShebang: what stands between the interpreter and the script, and that who looks for it waits for nobody.
func TestShebang(t *testing.T) {
	for text, want := range map[string]*shebang{
		"#!/usr/bin/env -S python3 -u\n": {names: []string{"python3"}, args: []string{"-u"}},
		"#!/usr/bin/env python3\n":       {names: []string{"python3"}, args: []string{}},
		"#! /bin/sh -e -u\n":             {names: []string{"sh"}, args: []string{"-e -u"}},
		"#!/bin/sh \t -e\t-u \t\n":       {names: []string{"sh"}, args: []string{"-e\t-u"}},
		"#!/usr/bin/perl -w\r\n":         {names: []string{"perl"}, args: []string{"-w\r"}}, // it runs
	} {
		if got := parseShebang([]byte(text)); got == nil || !slices.Equal(got.names, want.names) || !slices.Equal(got.args, want.args) {
			t.Errorf("%q: %+v", text, got)
		}
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := shebangOf(fifo); s != nil {
		t.Errorf("%+v", s)
	}
}

// TestTitled: a server that shows a title is known by its executable and its name.
func TestTitled(t *testing.T) {
	sleep := look(t, "sleep")
	sh := look(t, "sh")
	show := func(args ...string) *Process {
		c := exec.Command(sh)
		c.Args = args // it reads its commands
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close() })
		p, err := Read(run(t, c))
		if err != nil {
			t.Fatal(err)
		}
		return &p
	}
	p := show("sh: master process")
	script := filepath.Join(t.TempDir(), "sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{sh: true, sleep: false, script: false, "": false} {
		if c := NewCommand([]string{"x"}, path, ""); c.Titled(p) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
	for _, args := range [][]string{{"sh"}, {"sh:"}, {"other: master process"}, {"sh: master process", "-s"}} {
		if c := NewCommand([]string{"x"}, sh, ""); c.Titled(show(args...)) {
			t.Errorf("%q is a title", args)
		}
	}
}

// TestEldest: a master counts for its workers.
func TestEldest(t *testing.T) {
	crowd := func(of ...[2]int) *Crowd {
		c := &Crowd{}
		for k, p := range of {
			q := Process{Args: []string{"x"}}
			q.PID, q.PPID, q.StartTicks = p[0], p[1], uint64(100-k)
			c.all = append(c.all, q)
		}
		return c
	}
	for _, tt := range []struct {
		name string
		of   *Crowd
		fits []int
		want []int
	}{
		{"none", crowd([2]int{10, 1}), nil, nil},
		{"master and workers", crowd([2]int{10, 1}, [2]int{11, 10}, [2]int{12, 10}), []int{10, 11, 12}, []int{10}},
		{"one between them does not fit", crowd([2]int{10, 1}, [2]int{11, 10}, [2]int{12, 11}), []int{10, 12}, []int{10}},
		{"two of them, the older first", crowd([2]int{10, 1}, [2]int{11, 1}), []int{10, 11}, []int{11, 10}},
		{"the numbers make a circle", crowd([2]int{10, 11}, [2]int{11, 10}), []int{10}, nil},
		{"its own parent", crowd([2]int{10, 10}), []int{10}, []int{10}},
	} {
		var got []int
		for _, p := range tt.of.Eldest(func(p *Process) bool { return slices.Contains(tt.fits, p.PID) }) {
			got = append(got, p.PID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestPattern: what is looked for takes time in proportion, and what is too long fits nothing.
func TestPattern(t *testing.T) {
	for _, text := range []string{"", "(", "a{2000}", `\1`, strings.Repeat("(a|aa){1,500}", 8)} {
		if _, err := NewPattern(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	re, err := NewPattern(`app\.py --port 8000$`)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]bool{"python3 app.py --port 8000": true, "python3 app.py --port 80001": false, "": false} {
		p := Process{Args: strings.Fields(line)}
		if re.Fits(&p) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
	hard, err := NewPattern(`(a*)*(a|a)*(a*a*)*b$`) // takes for ever where it goes back
	if err != nil {
		t.Fatal(err)
	}
	long := Process{Args: []string{strings.Repeat("a", MaxLine-1)}}
	if long.Line() == "" || hard.Fits(&long) {
		t.Error("a long line fits")
	}
	if p := (Process{Args: []string{strings.Repeat("a", MaxLine), "b"}}); p.Line() != "" || hard.Fits(&p) {
		t.Error("a line that is too long fits")
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Name:\tx\nUid:\t1000\t1000\t1000\t1000\nSigIgn:\t0000000000001000\n"))
	f.Add([]byte("Uid:\t4294967295 0\n"))
	f.Add([]byte("Uid: -1 0\nSigIgn: zz\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		uid, euid, ignored, err := parseStatus(b)
		if err != nil {
			if uid != -1 || euid != -1 || ignored != 0 {
				t.Errorf("%d %d %x with an error", uid, euid, ignored)
			}
			return
		}
		if uid < 0 || euid < 0 || int64(uid) > 1<<32-1 || int64(euid) > 1<<32-1 {
			t.Errorf("%d %d", uid, euid)
		}
	})
}

func FuzzShebang(f *testing.F) {
	for _, s := range []string{"#!/bin/sh\n", "#! /usr/bin/env python3 -u\n", "#!/usr/bin/env -S a b\n", "#!/usr/bin/env -S\n", "#!/usr/bin/env \r\n", "#!", "\x7fELF"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parseShebang(b)
		if s == nil {
			return
		}
		if !strings.HasPrefix(string(b), "#!") || len(s.names) == 0 || s.names[0] == "" {
			t.Errorf("%q: %+v", b, s)
		}
		args := append(append([]string{s.names[0]}, s.args...), "script")
		if before, ok := s.before(args); !ok || len(before) != len(args)-1 {
			t.Errorf("%q: %+v is not found before its own script", b, s)
		}
	})
}
