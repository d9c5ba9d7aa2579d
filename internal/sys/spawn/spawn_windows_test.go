package spawn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/pipe"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// TestMain lets the test binary be the programs.
func TestMain(m *testing.M) {
	switch role := os.Getenv("ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "tell":
		dir, _ := os.Getwd()
		in, _ := io.ReadAll(os.Stdin)
		fmt.Printf("%q %s %s %q\n", os.Args[1:], os.Getenv("EXTRA"), dir, in)
		fmt.Fprintln(os.Stderr, "errors")
		os.Exit(7)
	case "tree", "leaf":
		if role == "tree" { // a child that outlives it, in a process group of its own
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "ROLE=leaf")
			c.SysProcAttr = &windows.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
			c.Stdout = os.Stdout
			if err := c.Start(); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			// Out of the job nothing gets.
			c = exec.Command(os.Args[0])
			c.Env = append(os.Environ(), "ROLE=leaf")
			c.SysProcAttr = &windows.SysProcAttr{CreationFlags: windows.CREATE_BREAKAWAY_FROM_JOB}
			if err := c.Start(); err == nil {
				fmt.Println("broken away", c.Process.Pid)
			}
		}
		fmt.Println(role, os.Getpid())
		time.Sleep(time.Minute)
	case "polite":
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		fmt.Println("ready")
		<-c
		os.Exit(3)
	}
	os.Exit(0)
}

func direct(t *testing.T) *Direct {
	t.Helper()
	d, err := NewDirect(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func request(t *testing.T, role string, args ...string) *Request {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "ROLE=") }), "ROLE="+role)
	return &Request{
		Path: exe, Argv: append([]string{exe}, args...), Env: env, Umask: -1,
		Stdin: StdioNull, Stdout: StdioPipe, Stderr: StdioMerge,
	}
}

func start(t *testing.T, r *Request) *Result {
	t.Helper()
	res, err := direct(t).Spawn(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = res.Handle.Signal(9, model.ReachTree)
		_ = res.Handle.Close()
		for _, fd := range []int{res.Stdin, res.Stdout, res.Stderr} {
			if fd >= 0 {
				pipe.Close(fd)
			}
		}
	})
	return res
}

// reader reads our end of an output, until its end.
type reader int

func (r reader) Read(b []byte) (int, error) {
	n, err := pipe.Read(int(r), b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func all(t *testing.T, fd int) string {
	t.Helper()
	b, err := io.ReadAll(reader(fd))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// end waits for the end of a process.
func end(t *testing.T, h procfd.Handle) model.Exit {
	t.Helper()
	w, err := procfd.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	over := make(chan struct{})
	if err := w.Watch(h, func() { close(over) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
	}
	e, ok, err := h.Wait(true)
	if !ok || err != nil {
		t.Fatalf("ended, but %v, %v", ok, err)
	}
	return e
}

// TestSpawn: arguments, environment, directory, the three files and the exit code.
func TestSpawn(t *testing.T) {
	dir := t.TempDir()
	args := []string{"a b", `c"d`, `e\`, "", "ü"}
	r := request(t, "tell", args...)
	r.Dir, r.Env = dir, append(r.Env, "EXTRA=first", "extra=last")
	r.Stdin, r.Stderr = StdioPipe, StdioPipe
	res := start(t, r)
	w, err := pipe.NewWriter(res.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("input")); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; { // until it was read: what is not is lost
		if _, err := w.Write(nil); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody reads")
		}
		time.Sleep(time.Millisecond)
	}
	w.Stop()
	pipe.Close(res.Stdin)
	res.Stdin = -1
	want := fmt.Sprintf("%q last %s \"input\"\n", args, dir)
	if d := cmp.Diff(want, all(t, res.Stdout)); d != "" {
		t.Error(d)
	}
	if s := all(t, res.Stderr); s != "errors\n" {
		t.Errorf("stderr %q", s)
	}
	if d := cmp.Diff(model.Exit{Known: true, Raw: 7, Status: 7}, end(t, res.Handle)); d != "" {
		t.Error(d)
	}
}

// TestMerge: both outputs in one pipe, and no standard input.
func TestMerge(t *testing.T) {
	res := start(t, request(t, "tell"))
	if s := all(t, res.Stdout); !strings.Contains(s, `""`) || !strings.HasSuffix(s, "errors\n") {
		t.Errorf("%q", s)
	}
}

// TestTree: a stop that reaches the tree ends what the program has started, which cannot get out of its job.
func TestTree(t *testing.T) {
	for _, reach := range []model.Reach{model.ReachGroup, model.ReachTree} {
		res := start(t, request(t, "tree"))
		in := bufio.NewReader(reader(res.Stdout))
		pids := map[string]int{}
		for len(pids) < 2 {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("%q, %v", line, err)
			}
			role, number, _ := strings.Cut(strings.TrimSpace(line), " ")
			pid, err := strconv.Atoi(number)
			if err != nil {
				t.Fatalf("%q", line)
			}
			pids[role] = pid
		}
		if pids["tree"] != res.PID || pids["leaf"] == 0 {
			t.Fatalf("%v, pid %d", pids, res.PID)
		}
		leaf, err := procfd.Identify(pids["leaf"])
		if err != nil {
			t.Fatal(err)
		}
		child, err := procfd.Adopt(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Handle.Signal(9, reach); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(model.Exit{Known: true, Raw: 137, Signal: 9}, end(t, res.Handle)); d != "" {
			t.Error(d)
		}
		if e := end(t, child); !e.Known || e.Status != 137 {
			t.Errorf("the child: %+v", e)
		}
		child.Close()
	}
}

// TestAsk: TERM asks a program that shares our console; where there is no way to ask it is ended, so that a stop is one.
func TestAsk(t *testing.T) {
	res := start(t, request(t, "polite"))
	if line, err := bufio.NewReader(reader(res.Stdout)).ReadString('\n'); line != "ready\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if err := res.Handle.Signal(15, model.ReachProcess); err != nil {
		t.Fatal(err)
	}
	switch e := end(t, res.Handle); {
	case e.Status == 3:
	case e.Signal == 9:
		t.Log("there is no console here: it was ended")
	default:
		t.Errorf("%+v", e)
	}
}

// TestIdentified: a program executes nothing before it is known, and nothing is left of one that is refused.
func TestIdentified(t *testing.T) {
	refused := errors.New("refused")
	r := request(t, "tell")
	var id procfd.Identity
	r.Identified = func(pid, _ int) error {
		id, _ = procfd.Identify(pid)
		return refused
	}
	var err error
	if r.Pipes, err = MakePipes(r); err != nil {
		t.Fatal(err)
	}
	if _, err := direct(t).Spawn(r); !errors.Is(err, refused) {
		t.Fatalf("%v", err)
	}
	if s := all(t, r.Pipes.Stdout); s != "" {
		t.Errorf("it has said %q", s)
	}
	r.Pipes.Close()
	if h, err := procfd.Adopt(id); err == nil { // it may still be going
		end(t, h)
		h.Close()
	}
	r.Pipes, r.Identified = nil, func(pid, _ int) error { return nil }
	if s := all(t, start(t, r).Stdout); s == "" {
		t.Error("one that is known has said nothing")
	}
}

func TestRefusals(t *testing.T) {
	d := direct(t)
	text := filepath.Join(t.TempDir(), "text.exe")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	var exec *ExecError
	for name, change := range map[string]func(*Request){
		"nothing there":   func(r *Request) { r.Path = filepath.Join(t.TempDir(), "none.exe") },
		"no program":      func(r *Request) { r.Path = text },
		"no directory":    func(r *Request) { r.Dir = filepath.Join(t.TempDir(), "none") },
		"somebody else's": func(r *Request) { r.Cred = &Cred{UID: 5} },
	} {
		r := request(t, "tell")
		change(r)
		if _, err := d.Spawn(r); !errors.As(err, &exec) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Spawn(request(t, "tell")); !errors.Is(err, ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}
