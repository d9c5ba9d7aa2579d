//go:build unix

package launch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

func TestOutputOfBothChannels(t *testing.T) {
	r := newRig(t, nil, nil)
	e := r.run(r.program("both", `sh -c 'echo out; echo err >&2; printf end; exit 3'`))
	if e.exit.Status != 3 || !e.exit.Known {
		t.Errorf("exit %+v", e.exit)
	}
	if e.stdout != "out\nend" || r.read("both.err") != "err\n" {
		t.Errorf("stdout %q, stderr %q", e.stdout, r.read("both.err"))
	}
	p := r.program("merged", `sh -c 'echo 1; echo 2 >&2; echo 3; echo 4 >&2'`)
	p.IO.MergeStderr = true
	if e := r.run(p); e.stdout != "1\n2\n3\n4\n" {
		t.Errorf("merged: %q", e.stdout)
	}
	if _, err := os.Stat(r.path("merged.err")); err == nil {
		t.Error("a log was made for a merged channel")
	}
}

// TestLastBytes: everything written before the exit is in the log when the end is reported.
func TestLastBytes(t *testing.T) {
	r := newRig(t, nil, nil)
	dice := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{1, 4096, 65536, 65537, 200_000, 3_000_000} {
		for _, shape := range []string{"plain", "rotated", "stripped"} {
			data := make([]byte, size)
			dice.Read(data)
			name := fmt.Sprint(shape, size)
			if err := os.WriteFile(r.path("data"), data, 0o600); err != nil {
				t.Fatal(err)
			}
			p := r.program(name, "cat "+r.path("data"))
			if shape == "rotated" {
				p.IO.Stdout.MaxBytes, p.IO.Stdout.Backups = 1<<30, 1
			}
			e := r.run(p)
			if !bytes.Equal([]byte(e.stdout), data) {
				t.Errorf("%s: %d bytes, want %d", name, len(e.stdout), size)
			}
		}
	}
}

func TestEnds(t *testing.T) {
	r := newRig(t, nil, nil)
	for name, c := range map[string]struct {
		line string
		want model.Exit
	}{
		"zero":  {"true", model.Exit{Known: true}},
		"one":   {"false", model.Exit{Known: true, Status: 1}},
		"255":   {"sh -c 'exit 255'", model.Exit{Known: true, Status: 255}},
		"kill":  {"sh -c 'kill -9 $$'", model.Exit{Known: true, Signal: 9}},
		"term":  {"sh -c 'kill -15 $$'", model.Exit{Known: true, Signal: 15}},
		"usr1":  {"sh -c 'kill -USR1 $$'", model.Exit{Known: true, Signal: int(syscall.SIGUSR1)}},
		"chdir": {"true", model.Exit{Known: true, Status: 127}},
	} {
		p := r.program(name, c.line)
		if name == "chdir" {
			p.Command.Dir = r.path("none")
			p.Command.Line = "/bin/true"
		}
		e := r.run(p)
		e.exit.Raw, e.exit.Core = 0, false
		if d := cmp.Diff(c.want, e.exit); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
	if got, want := r.read("chdir.err"), "supervisor: couldn't chdir to "+r.path("none")+": ENOENT\nsupervisor: child process was not spawned\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if strings.Contains(r.activity(), "CRIT") {
		t.Error(r.activity())
	}
}

// TestThousandQuickEnds: programs that end in their first millisecond are all reported, each once.
func TestThousandQuickEnds(t *testing.T) {
	const n = 1000
	r := newRig(t, nil, nil)
	p := r.program("quick", "/bin/true")
	p.IO = model.IOSpec{} // without logs
	s := r.slots(p)[0]
	insts := map[core.Instance]bool{}
	for range n {
		insts[r.launch(s)] = true
	}
	until(t, "all have ended", func() bool { return len(r.all("ended", "")) >= n })
	if got := [3]int{len(r.all("launched", "")), len(r.all("failed", "")), len(r.all("ended", ""))}; got != [3]int{n, 0, n} || len(insts) != n {
		t.Errorf("launched, failed, ended: %v", got)
	}
	for _, e := range r.all("ended", "") {
		if !e.exit.Known || e.exit.Code() != 0 {
			t.Fatalf("%+v", e.exit)
		}
	}
	if count := len(r.host.pids.all()); count > 0 {
		t.Errorf("%d pids are still known", count)
	}
}

// TestGrandchildHoldsThePipe: the end is not put off by descendants, and what they write later is logged.
func TestGrandchildHoldsThePipe(t *testing.T) {
	r := newRig(t, nil, nil)
	fifo := r.path("fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.program("parent", fmt.Sprintf(`sh -c '(read x < %s; echo late; echo late >&2) & echo early; exit 4'`, fifo))
	e := r.run(p)
	if e.stdout != "early\n" || e.exit.Status != 4 {
		t.Errorf("at the end: %q, %+v", e.stdout, e.exit)
	}
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "the grandchild's output is logged", func() bool {
		return r.read("parent.out") == "early\nlate\n" && r.read("parent.err") == "late\n"
	})
	until(t, "the log is let go of", func() bool { return r.host.o.Files.Clear(r.path("parent.out")) == nil && r.read("parent.out") == "" })
}

func TestLogsThatCannotBeOpened(t *testing.T) {
	r := newRig(t, nil, nil)
	if err := os.Mkdir(r.path("d"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, errs, none, both := r.program("out", "true"), r.program("errs", "true"), r.program("none", "true"), r.program("good", "echo hi")
	out.IO.Stdout.Path, errs.IO.Stderr.Path, none.IO.Stdout.Path = r.path("d"), r.path("d"), r.path("no/x")
	for _, s := range r.slots(out, errs, none, both) {
		r.launch(s)
	}
	for name, want := range map[string]string{
		"out":  "unknown error making dispatchers for 'out': EISDIR",
		"errs": "unknown error making dispatchers for 'errs': EISDIR",
		"none": "unknown error making dispatchers for 'none': ENOENT",
	} {
		if e := r.outcome(name); e.what != "failed" || e.text != want {
			t.Errorf("%s: %s %q, want %q", name, e.what, e.text, want)
		}
	}
	if e := r.outcome("good"); e.stdout != "hi\n" {
		t.Errorf("the others are affected: %+v", e)
	}
}

// TestOutOfDescriptors: the shortage has its text, and is over when it is over.
func TestOutOfDescriptors(t *testing.T) {
	r := newRig(t, nil, nil)
	logged, silent := r.program("logged", "echo hi"), r.program("silent", "true")
	silent.IO = model.IOSpec{}
	slots := r.slots(logged, silent)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 1 // no number is free below it
	err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		r.launch(s)
	}
	first := r.outcome("logged")
	second := r.outcome("silent")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]report{"logged": first, "silent": second} {
		if want := "too many open files to spawn '" + name + "'"; e.text != want {
			t.Errorf("%s: %q, want %q", name, e.text, want)
		}
	}
	for _, s := range slots {
		r.launch(s)
	}
	until(t, "both run", func() bool { return len(r.all("ended", "")) == 2 })
	if r.read("logged.out") != "hi\n" {
		t.Errorf("%q", r.read("logged.out"))
	}
}

func TestCommandsThatCannotBeStarted(t *testing.T) {
	r := newRig(t, nil, nil)
	for line, want := range map[string]string{
		"no-such-tool": "can't find command 'no-such-tool'",
		"sh 'x":        `can't parse command "sh 'x": No closing quotation`,
		"":             "command is empty",
	} {
		p := r.program("p"+fmt.Sprint(len(line)), line)
		if e := r.run(p); e.what != "failed" || e.text != want {
			t.Errorf("%q: %s %q, want %q", line, e.what, e.text, want)
		}
		if _, err := os.Stat(p.IO.Stdout.Path); err == nil {
			t.Errorf("%q: a log was made", line)
		}
	}
}

func TestStdin(t *testing.T) {
	r := newRig(t, nil, nil)
	r.launch(r.slots(r.program("cat", "cat"))[0])
	p := r.started("cat")
	for _, piece := range []string{"one\n", "", "two\n"} {
		if err := p.WriteStdin([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the program has copied it", func() bool { return r.read("cat.out") == "one\ntwo\n" })
	if err := p.WriteStdin(make([]byte, stdinLimit+1)); err != streams.ErrFull {
		t.Errorf("too much at once: %v", err)
	}
	if err := p.Signal(9, model.ReachProcess); err != nil {
		t.Fatal(err)
	}
	r.outcome("cat")
	until(t, "the input is closed", func() bool { return p.WriteStdin([]byte("x")) == streams.ErrClosed })
	if err := p.Signal(0, model.ReachProcess); err != syscall.ESRCH && err != os.ErrClosed {
		t.Errorf("signal after the end: %v", err)
	}
}

func TestSurroundings(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Environ = []string{"PATH=/bin:/usr/bin", "OWN=1", "LD_DUMMY=x"} }, nil)
	p := r.program("env", `sh -c 'pwd; umask; env | grep -v ^_ | sort'`)
	p.Command.Dir, p.Command.Umask = "/", 0o27
	p.Command.Env = []model.EnvVar{{Name: "MINE", Value: "a b"}}
	want := "/\n0027\nLD_DUMMY=x\nMINE=a b\nOWN=1\nPATH=/bin:/usr/bin\nPWD=/\nSUPERVISOR_ENABLED=1\nSUPERVISOR_GROUP_NAME=env\nSUPERVISOR_PROCESS_NAME=env\n"
	if e := r.run(p); e.stdout != want {
		t.Errorf("got\n%swant\n%s", e.stdout, want)
	}
	if os.Getuid() != 0 {
		t.Skip("only root may become somebody else")
	}
	p = r.program("other", `sh -c 'id -u; env | grep -c ^LD_'`)
	p.Command.Dir, p.Command.UID = "/", 65534
	if e := r.run(p); e.stdout != "65534\n0\n" {
		t.Errorf("as another user: %q", e.stdout)
	}
}

// held is a spawner that starts programs only when it is told to.
type held struct {
	spawn.Spawner
	only string // the executable's last argument; empty = all
	gate chan struct{}
	came chan struct{}
}

func (h *held) Spawn(q *spawn.Request) (*spawn.Result, error) {
	if h.only == "" || q.Argv[len(q.Argv)-1] == h.only {
		h.came <- struct{}{}
		<-h.gate
	}
	return h.Spawner.Spawn(q)
}

// TestReportsAreInOrder: whichever of the launchers is faster.
func TestReportsAreInOrder(t *testing.T) {
	r := newRig(t, nil, nil)
	var ps []*model.Program
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf("p%02d", i))
		p := r.program(want[i], "/bin/true")
		if i%3 == 1 { // these fail without a fork
			p.Command.Line = "no-such-tool"
		}
		ps = append(ps, p)
	}
	for _, s := range r.slots(ps...) {
		r.launch(s)
	}
	var got []string
	until(t, "all have been answered", func() bool {
		got = got[:0]
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, x := range r.reports {
			if x.what != "ended" {
				got = append(got, x.name)
			}
		}
		return len(got) == len(want)
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestHangingLaunchHoldsUpNobody: the programs behind one whose file system hangs are started.
func TestHangingLaunchHoldsUpNobody(t *testing.T) {
	var h *held
	r := newRig(t, nil, func(s spawn.Spawner) spawn.Spawner {
		h = &held{s, "hang", make(chan struct{}), make(chan struct{}, 10)}
		return h
	})
	r.host.order = orderPatience
	first := r.program("first", "echo hang")
	slots := r.slots(first, r.program("a", "echo a"), r.program("b", "echo b"), r.program("c", "echo c"))
	for _, s := range slots {
		r.launch(s)
	}
	for _, name := range []string{"a", "b", "c"} {
		if e := r.outcome(name); e.stdout != name+"\n" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if len(r.all("launched", "first")) > 0 {
		t.Error("the hanging one has been reported")
	}
	close(h.gate)
	r.outcome("first")
}

// TestCloseDropsWhatIsQueued: what is being started is reported, what waits is not started.
func TestCloseDropsWhatIsQueued(t *testing.T) {
	var h *held
	r := newRig(t, nil, func(s spawn.Spawner) spawn.Spawner {
		h = &held{s, "", make(chan struct{}), make(chan struct{}, 20)}
		return h
	})
	var ps []*model.Program
	for i := range 10 {
		ps = append(ps, r.program(fmt.Sprint("p", i), "/bin/true"))
	}
	for _, s := range r.slots(ps...) {
		r.launch(s)
	}
	for range launchers {
		<-h.came
	}
	var closing sync.WaitGroup
	closing.Go(r.host.Close)
	until(t, "the host is being closed", func() bool {
		r.host.mu.Lock()
		defer r.host.mu.Unlock()
		return r.host.closed
	})
	close(h.gate)
	closing.Wait()
	until(t, "what was started has ended", func() bool { return len(r.all("ended", "")) == launchers })
	if n := len(r.all("launched", "")); n != launchers {
		t.Errorf("%d were started, want %d", n, launchers)
	}
	r.launch(r.slots(r.program("late", "/bin/true"))[0])
	r.host.Close() // again
	if len(r.all("launched", "late"))+len(r.all("failed", "late")) > 0 {
		t.Error("a launch after Close")
	}
}

// failing is a spawner that cannot.
type failing struct {
	spawn.Spawner
	err error
}

func (f *failing) Spawn(*spawn.Request) (*spawn.Result, error) { return nil, f.err }

func TestFailureTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&spawn.PipeError{Err: syscall.EMFILE}, "too many open files to spawn 'p'"},
		{&spawn.PipeError{Err: os.NewSyscallError("pipe2", syscall.ENFILE)}, "too many open files to spawn 'p'"},
		{&spawn.PipeError{Err: syscall.ENOMEM}, "unknown error making dispatchers for 'p': ENOMEM"},
		{&spawn.ForkError{Err: os.NewSyscallError("fork", syscall.EAGAIN)}, "Too many processes in process table to spawn 'p'"},
		{&spawn.ForkError{Err: syscall.ENOMEM}, "unknown error during fork for 'p': ENOMEM"},
		{&spawn.ExecError{Path: "/x", Err: syscall.ENOEXEC}, "unknown error during fork for 'p': ENOEXEC"},
		{spawn.ErrClosed, "unknown error during fork for 'p': spawner: closed"},
		{&streamsError{os.ErrInvalid}, "unknown error making dispatchers for 'p': invalid argument"},
	} {
		r := newRig(t, nil, func(s spawn.Spawner) spawn.Spawner { return &failing{s, c.err} })
		if e := r.run(r.program("p", "true")); e.text != c.want {
			t.Errorf("%v: %q, want %q", c.err, e.text, c.want)
		}
		for _, f := range openFiles(t) {
			if strings.HasPrefix(f, r.path("p.")) {
				t.Errorf("%v: %s is still open", c.err, f)
			}
		}
	}
}

// TestUnwatchable: a program whose end nobody would notice does not run on.
func TestUnwatchable(t *testing.T) {
	r := newRig(t, nil, nil)
	r.keep = true
	r.host.o.Watcher.Close()
	e := r.run(r.program("p", "sleep 1000"))
	if e.exit.Known || e.exit.Reason == "" {
		t.Errorf("%+v", e.exit)
	}
	h := e.proc.(*instance).handle
	until(t, "the process is dead", func() bool {
		exit, over, err := h.Wait(true)
		return err == nil && over && exit.Signal == 9
	})
	e.proc.Release()
	if !strings.Contains(r.activity(), "CRIT cannot watch p (pid ") {
		t.Error("nothing is said of it")
	}
}

// TestHangingConsumer: the end of a program whose output cannot be moved is reported all the same, and so is
// everybody else's.
func TestHangingConsumer(t *testing.T) {
	gate := make(chan struct{})
	r := newRig(t, func(o *Options) {
		o.Syslog = func(line string) {
			if strings.HasPrefix(line, "hang") {
				<-gate
			}
		}
	}, nil)
	defer close(gate) // before the pump is closed
	r.host.order = orderPatience
	var ps []*model.Program
	for _, name := range []string{"hang1", "hang2", "good"} {
		p := r.program(name, "sh -c 'echo x; exit 7'")
		p.IO.Stdout.Syslog = true
		ps = append(ps, p)
	}
	for _, s := range r.slots(ps...) {
		r.launch(s)
	}
	for _, p := range ps {
		if e := r.outcome(p.ID.Name); e.exit.Status != 7 {
			t.Errorf("%s: %+v", p.ID.Name, e.exit)
		}
	}
}
