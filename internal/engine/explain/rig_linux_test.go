package explain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// TestMain is the shim of the spawner, and the programs of helper.
func TestMain(m *testing.M) {
	if spawn.ShimMain() {
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		if err := helper(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// helper is a program that fails in the way of programs in Go.
func helper(what string, args []string) error {
	switch what {
	case "listen":
		l, err := net.Listen("tcp", args[0])
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		_, _ = os.Stdin.Read(make([]byte, 1))
		return l.Close()
	case "dial":
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		return c.Close()
	}
	return errors.New("unknown helper")
}

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second

const (
	plainPath = "/usr/bin:/bin"
	stranger  = 54321
)

// program is a program that is run once and fails.
type program struct {
	line  string            // its command line; DIR is the directory of the test
	files map[string]string // in DIR: a name that ends in "/" is a directory, "*" a file that can be executed, "-" one for us alone
	dir   string            // below DIR, where it runs
	env   []string
	uid   int // 0 = ours
	user  string
	stdin bool // its input is a pipe that stays open
}

// rig runs programs as the daemon does and makes the facts of it.
type rig struct {
	dir   string
	spawn spawn.Spawner
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{filepath.Dir(dir), dir} { // others may enter
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, err := spawn.NewDirect(spawn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &rig{dir, s}
}

// here puts the test's directory in.
func (r *rig) here(s string) string { return strings.ReplaceAll(s, "DIR", r.dir) }

func (r *rig) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		switch {
		case strings.HasSuffix(name, "/"):
			if err := os.MkdirAll(filepath.Join(r.dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		case strings.HasSuffix(name, "*"):
			mode = 0o755
		case strings.HasSuffix(name, "-"):
			mode = 0o600
		}
		path := filepath.Join(r.dir, strings.TrimRight(name, "*-"))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(r.here(text)), mode)
		}
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a program to its end, and returns what is known of it then: it is in BACKOFF after its first try.
func (r *rig) run(t *testing.T, p program) Facts {
	t.Helper()
	r.write(t, p.files)
	m := &model.Program{
		ID:      model.ID{Group: "web", Name: "web"},
		Command: model.Command{Line: r.here(p.line), Dir: filepath.Join(r.dir, p.dir), Umask: -1, UID: -1, User: p.user},
		Start:   model.StartPolicy{Auto: true, Secs: time.Second, Retries: 3},
		Stop:    model.StopPolicy{Signal: int(syscall.SIGTERM), Wait: 10 * time.Second},
		Exit:    model.ExitPolicy{Codes: []int{0}},
	}
	if p.uid != 0 {
		if os.Getuid() != 0 {
			t.Skip("only root can become another user")
		}
		m.Command.UID = p.uid
	}
	env := append([]string{"PATH=" + plainPath, "HOME=" + r.dir, "LC_ALL=C.UTF-8"}, p.env...)
	f := Facts{
		Status:  model.Status{Program: m, ID: m.ID, State: model.Backoff, Tries: 1},
		Environ: env, PathOfPrograms: plainPath, FilesLimit: 1024,
	}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		m.Command.Env = append(m.Command.Env, model.EnvVar{Name: name, Value: r.here(value)})
	}
	if err := launch.New(launch.Options{Environ: env}).Check(m); err != nil {
		f.Status.SpawnErr, f.Now = err.Error(), time.Now()
		return f
	}
	f.Status.SpawnErr = "Exited too quickly (process log may have details)"
	run, out := r.execute(t, m, env, p)
	f.Runs, f.Stdout, f.Stderr, f.Now = []Run{run}, out[0], out[1], time.Now()
	f.Status.Start, f.Status.Stop = run.Start, run.End
	return f
}

func (r *rig) execute(t *testing.T, m *model.Program, env []string, p program) (Run, [2][]byte) {
	t.Helper()
	argv, err := shellwords.Split(m.Command.Line)
	if err != nil {
		t.Fatal(err)
	}
	req := &spawn.Request{Argv: argv, Env: env, Dir: m.Command.Dir, Umask: -1, Stdout: spawn.StdioPipe, Stderr: spawn.StdioPipe}
	if p.stdin {
		req.Stdin = spawn.StdioPipe
	}
	if p.uid != 0 {
		req.Cred = &spawn.Cred{UID: p.uid, GID: p.uid}
		if p.user != "" {
			if req.Cred, err = spawn.LookupCred(p.uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	req.Path = argv[0]
	if !strings.Contains(argv[0], "/") {
		for _, d := range filepath.SplitList(plainPath) {
			if info, err := os.Stat(filepath.Join(d, argv[0])); err == nil && info.Mode()&0o111 != 0 {
				req.Path = filepath.Join(d, argv[0])
				break
			}
		}
	} else if !filepath.IsAbs(argv[0]) {
		req.Path = filepath.Join(m.Command.Dir, argv[0])
	}
	run := Run{Start: time.Now()}
	res, err := r.spawn.Spawn(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Handle.Close()
	if res.Stdin >= 0 {
		defer unix.Close(res.Stdin)
	}
	run.PID = res.PID
	var out [2][]byte
	for k, fd := range []int{res.Stdout, res.Stderr} {
		out[k] = drain(t, fd)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		exit, over, err := res.Handle.Wait(false)
		if err != nil || time.Now().After(end) {
			t.Fatalf("%q does not end: %v", m.Command.Line, err)
		}
		if over {
			run.Exit, run.End = exit, time.Now()
			return run, out
		}
	}
}

// drain reads a pipe to its end.
func drain(t *testing.T, fd int) []byte {
	t.Helper()
	f := os.NewFile(uintptr(fd), "output")
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(patience)) // it is non-blocking
	var out []byte
	b := make([]byte, 4096)
	for {
		n, err := f.Read(b)
		out = append(out, b[:n]...)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the output does not end")
			}
			return out
		}
	}
}

// explained is the verdict on the machine as it is, as text.
func explained(f Facts) (Verdict, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the machine may be busy
	defer cancel()
	v := explain(ctx, f, ThisMachine())
	return v, render(v)
}

// need skips a test that needs a program which this machine does not have.
func need(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
}
