package keeper

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The variables that make the test binary play a part.
const (
	roleVar    = "KEEPER_TEST_ROLE"    // keeper, manager or claimer
	optionsVar = "KEEPER_TEST_OPTIONS" // JSON of rigOptions
	controlVar = "KEEPER_TEST_CONTROL" // the socket on which a manager takes orders
)

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = time.Minute

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the children: every end would take a second
	if handled, status := Main(); handled {
		os.Exit(status)
	}
	switch os.Getenv(roleVar) {
	case "keeper":
		os.Exit(keeperMain())
	case "manager":
		os.Exit(managerMain())
	case "stress":
		os.Exit(stressMain())
	}
	os.Exit(m.Run())
}

// rigOptions are what a test chooses about its keeper.
type rigOptions struct {
	Timings Timings
	Socket  string
	Claim   bool // take everything from Socket first
	Role    string
	Path    string // argv[0]
	Lock    bool   // hold a descriptor of its own
	First   bool   // be the first process of a namespace
}

func keeperMain() int {
	var o rigOptions
	if err := json.Unmarshal([]byte(os.Getenv(optionsVar)), &o); err != nil {
		return 99
	}
	var items []Item
	if o.Claim {
		var err error
		if items, err = Claim(o.Socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 98
		}
	}
	if o.Lock {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return 97
		}
		items = append(items, Item{Key: "lock", Roles: "k", FDs: []int{fd}})
	}
	role := o.Role
	if role == "" {
		role = "manager"
	}
	return Run(Options{
		Argv: os.Args, Env: with(os.Environ(), roleVar, role), Items: items, Socket: o.Socket, Timings: o.Timings,
		Ready: func() error { _, err := os.Stdout.WriteString("ready\n"); return err },
	})
}

// with is an environment with one variable changed.
func with(env []string, name, value string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	return append(out, name+"="+value)
}

// order is what a test tells a manager to do, and event is what a manager tells.
type order struct {
	Do    string
	Key   string   `json:",omitempty"`
	Roles string   `json:",omitempty"`
	Note  []byte   `json:",omitempty"`
	Argv  []string `json:",omitempty"`
	N     int      `json:",omitempty"`
	Count int      `json:",omitempty"`
}

type event struct {
	Event     string // attached, done, exit, orphans, signal, leave, refused, lost
	Key       string `json:",omitempty"`
	Raw       uint32 `json:",omitempty"`
	N         int    `json:",omitempty"`
	PID       int    `json:",omitempty"`
	Text      string `json:",omitempty"`
	KeeperPID int    `json:",omitempty"`
	Safe      bool   `json:",omitempty"`
	Rolled    string `json:",omitempty"`
	Previous  string `json:",omitempty"`
	Exe       string `json:",omitempty"`
	Comm      string `json:",omitempty"`
	Items     []seen `json:",omitempty"`
}

// seen is an item as a manager sees it: its descriptors are named by what they are open to.
type seen struct {
	Key    string
	Note   []byte `json:",omitempty"`
	Roles  string `json:",omitempty"`
	Inodes []uint64
	PID    int    `json:",omitempty"`
	Ended  bool   `json:",omitempty"`
	Raw    uint32 `json:",omitempty"`
}

func inodes(fds []int) []uint64 {
	out := make([]uint64, 0, len(fds))
	for _, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			out = append(out, 0)
			continue
		}
		out = append(out, st.Ino)
	}
	return out
}

func view(it Item) seen {
	return seen{it.Key, it.Note, it.Roles, inodes(it.FDs), it.PID, it.Ended, it.Raw}
}

// rig is a keeper under test.
type rig struct {
	t      testing.TB
	o      rigOptions
	cmd    *exec.Cmd
	out    *os.File
	listen *net.UnixListener
	conns  chan net.Conn
	ended  chan struct{}
	status int
	pids   []int // managers that were seen
}

// newRig starts a keeper, with a binary other than the test's own when o.Path is set.
func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper-test-*") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, o: o, listen: l, conns: make(chan net.Conn, 16)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(r.conns)
				return
			}
			r.conns <- c
		}
	}()
	r.start()
	t.Cleanup(func() {
		l.Close()
		_ = r.cmd.Process.Kill()
		for c := range r.conns {
			c.Close()
		}
		for _, pid := range r.pids { // a manager that took the keeper's place
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		<-r.ended
	})
	return r
}

// start starts the keeper's process.
func (r *rig) start() {
	r.t.Helper()
	path := r.o.Path
	if path == "" {
		path = "/proc/self/exe"
	}
	text, err := json.Marshal(r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(path)
	r.cmd.Args = []string{path, "-keeper-under-test"}
	if r.o.Path == "" {
		r.cmd.Args[0] = "keeper-under-test"
	}
	if r.o.First {
		self, err := os.Executable()
		if err != nil {
			r.t.Fatal(err)
		}
		r.cmd = exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", self, "-keeper-under-test")
	}
	r.cmd.Env = with(with(with(os.Environ(), roleVar, "keeper"), optionsVar, string(text)), controlVar, r.listen.Addr().String())
	out, err := os.CreateTemp(r.t.TempDir(), "out")
	if err != nil {
		r.t.Fatal(err)
	}
	r.out = out
	r.cmd.Stdout, r.cmd.Stderr = out, out
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	r.ended = ended
	cmd := r.cmd
	go func() {
		_ = cmd.Wait()
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			r.status = int(ws)
		}
		close(ended)
	}()
}

// output is what keeper and managers have written to the terminal.
func (r *rig) output() string {
	b, _ := os.ReadFile(r.out.Name())
	return string(b)
}

// end waits for the end of the keeper and returns its exit status.
func (r *rig) end() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("the keeper does not end; it says %q", r.output())
	}
	ws := syscall.WaitStatus(r.status)
	if !ws.Exited() {
		return -int(ws.Signal())
	}
	return ws.ExitStatus()
}

// mgr is a manager that takes orders.
type mgr struct {
	event // what it said when it was attached
	r     *rig
	c     net.Conn
	lines *bufio.Reader
	queue []event // told and not yet asked for
}

// manager waits for the next manager.
func (r *rig) manager() *mgr {
	r.t.Helper()
	select {
	case c, ok := <-r.conns:
		if !ok {
			r.t.Fatal("no more managers")
		}
		m := &mgr{r: r, c: c, lines: bufio.NewReaderSize(c, 1<<16)}
		m.event = m.read()
		if m.Event != "attached" {
			r.t.Fatalf("%+v", m.event)
		}
		if !r.o.First {
			r.pids = append(r.pids, m.PID)
		}
		return m
	case <-time.After(patience):
		r.t.Fatalf("no manager appears; the terminal says %q", r.output())
	}
	return nil
}

func (m *mgr) read() event {
	m.r.t.Helper()
	e, err := m.tryRead()
	if err != nil {
		m.r.t.Fatalf("manager %d: %v; the terminal says %q", m.PID, err, m.r.output())
	}
	return e
}

func (m *mgr) tryRead() (e event, err error) {
	_ = m.c.SetReadDeadline(time.Now().Add(patience))
	line, err := m.lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &e)
	}
	return e, err
}

// do gives an order and waits until it is done.
func (m *mgr) do(o order) event {
	m.r.t.Helper()
	m.send(o)
	for {
		e := m.read()
		if e.Event == "done" {
			if e.Text != "" {
				m.r.t.Fatalf("%+v: %s", o, e.Text)
			}
			return e
		}
		m.queue = append(m.queue, e)
	}
}

// send gives an order.
func (m *mgr) send(o order) {
	m.r.t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		m.r.t.Fatal(err)
	}
	if _, err := m.c.Write(append(b, '\n')); err != nil {
		m.r.t.Fatal(err)
	}
}

// expect waits for the next event of a kind; others before it are kept.
func (m *mgr) expect(kind string) event {
	m.r.t.Helper()
	for i, e := range m.queue {
		if e.Event == kind {
			m.queue = slices.Delete(m.queue, i, i+1)
			return e
		}
	}
	for {
		e := m.read()
		if e.Event == kind {
			return e
		}
		m.queue = append(m.queue, e)
	}
}

// kill ends the manager by force.
func (m *mgr) kill() {
	m.r.t.Helper()
	if err := unix.Kill(m.PID, unix.SIGKILL); err != nil {
		m.r.t.Fatal(err)
	}
}

// until polls for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not happen: %s", what)
		}
	}
}

// procState is the state letter of a process, 0 when there is none.
func procState(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	i := strings.LastIndexByte(string(b), ')')
	return b[i+2]
}

func parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	n, _ := strconv.Atoi(f[1])
	return n
}

func fdCount(t testing.TB, pid int) int {
	t.Helper()
	n, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(n)
}

func comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

// quick are timings that a test can wait for.
func quick() Timings {
	return Timings{
		Backoff: time.Millisecond, BackoffMax: 50 * time.Millisecond, LeaveWithin: patience, SafeCrashes: 1000,
	}
}
