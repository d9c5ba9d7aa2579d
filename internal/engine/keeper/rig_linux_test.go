package keeper

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
)

// The variables that make the test binary play a part.
const (
	roleVar    = "KEEPER_TEST_ROLE"    // keeper, manager or claimer
	optionsVar = "KEEPER_TEST_OPTIONS" // JSON of rigOptions
	controlVar = "KEEPER_TEST_CONTROL" // the socket on which a manager takes orders
)

// patience is how long a test waits for what must happen; it decides nothing else.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
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

// managerMain is a manager that takes orders.
func managerMain() int {
	l, items, err := Attach()
	if err != nil || l == nil {
		fmt.Fprintln(os.Stderr, "attach:", err)
		return 3
	}
	c, err := net.Dial("unix", os.Getenv(controlVar))
	if err != nil {
		return 4 // the test is over
	}
	s := &servant{l: l, items: map[string]Item{}, c: c, out: make(chan event, 1<<16)}
	exe, _ := os.Executable()
	comm, _ := os.ReadFile("/proc/" + strconv.Itoa(os.Getpid()) + "/comm")
	e := event{
		Event: "attached", PID: os.Getpid(), KeeperPID: l.KeeperPID(), Safe: l.Safe(), Rolled: l.RolledBack(),
		Previous: l.Previous(), Exe: exe, Comm: strings.TrimSpace(string(comm)),
	}
	for _, it := range items {
		s.items[it.Key] = it
		e.Items = append(e.Items, view(it))
	}
	if json.NewEncoder(c).Encode(e) != nil {
		return 5
	}
	go s.write()
	switch filepath.Base(exe) { // a special image is a special manager
	case "never-ready":
		select {}
	case "dies-at-once":
		return 7
	}
	return s.serve()
}

// servant is the manager's side of the control socket.
type servant struct {
	l     *Link
	items map[string]Item
	c     net.Conn
	out   chan event
}

func (s *servant) write() {
	enc := json.NewEncoder(s.c)
	for e := range s.out {
		if enc.Encode(e) != nil {
			os.Exit(5)
		}
	}
}

func (s *servant) serve() int {
	lines := json.NewDecoder(s.c)
	for {
		var o order
		if err := lines.Decode(&o); err != nil {
			return 6 // the test is over
		}
		e := event{Event: "done"}
		var err error
		switch o.Do {
		case "exit":
			return o.N
		case "hold":
			e.Items, err = s.hold(o)
		case "spawn":
			e.PID, err = s.spawn(o)
		case "attach": // a program to an item that is held
			var pidfd int
			if e.PID, pidfd, err = startGated(s.l, "", o.Argv); err == nil {
				err = s.l.Bind(o.Key, e.PID, pidfd)
			}
		default:
			e.N, err = s.obey(o)
		}
		if err != nil {
			e.Text = err.Error()
		}
		s.out <- e
	}
}

func (s *servant) obey(o order) (n int, err error) {
	switch o.Do {
	case "serve":
		s.l.Serve(s.events(o.Argv))
	case "ready":
		if slices.Contains(o.Argv, "quick") {
			s.l.heart = newHeart(Timings{PingEvery: 100 * time.Millisecond, HangAfter: 2 * time.Second})
		}
		s.l.Serve(s.events(o.Argv))
		return 0, s.l.Ready()
	case "bind":
		return 0, s.l.Bind(o.Key, o.N, -1)
	case "release":
		return 0, s.l.Release(o.Key)
	case "rehold":
		it := s.items[o.Key]
		if !slices.Contains(it.FDs, -1) {
			err = s.l.Hold(it)
		}
		return 0, err
	case "die":
		defer func() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) }()
		s.out <- event{Event: "done"}
		for len(s.out) > 0 { // until it is on its way
			runtime.Gosched()
		}
		time.Sleep(10 * time.Millisecond)
	case "note":
		return 0, s.l.Note(o.Key, o.Note)
	case "drop":
		fdpass.CloseAll(s.items[o.Key].FDs)
		delete(s.items, o.Key)
		return 0, s.l.Drop(o.Key)
	case "end":
		return 0, s.l.End(o.N)
	case "upgrade":
		return 0, s.l.Upgrade(o.Key)
	case "reap":
		ws := syscall.WaitStatus(0)
		_, err := syscall.Wait4(o.N, &ws, 0, nil)
		return int(ws), err
	case "zombie": // wait until a child has ended, and leave it
		var si unix.Siginfo
		return 0, unix.Waitid(unix.P_PID, o.N, &si, unix.WEXITED|unix.WNOWAIT, nil)
	case "churn":
		return 0, s.churn(o)
	case "fds":
		fds, err := os.ReadDir("/proc/self/fd")
		return len(fds), err
	}
	return 0, nil
}

// events tells the test everything. Among the words, "mute" never answers that it lives.
func (s *servant) events(words []string) Events {
	e := Events{
		Exit:    func(key string, raw uint32) { s.out <- event{Event: "exit", Key: key, Raw: raw} },
		Orphans: func(n, pid int, raw uint32) { s.out <- event{Event: "orphans", N: n, PID: pid, Raw: raw} },
		Signal:  func(n int) { s.out <- event{Event: "signal", N: n} },
		Leave:   func() { s.out <- event{Event: "leave"} },
		Refused: func(key string, err error) { s.out <- event{Event: "refused", Key: key, Text: err.Error()} },
		Lost: func(err error) {
			if slices.Contains(words, "become") {
				items := make([]Item, 0, len(s.items))
				for _, it := range s.items {
					items = append(items, it)
				}
				slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
				var o rigOptions
				_ = json.Unmarshal([]byte(os.Getenv(optionsVar)), &o)
				err = Become(Options{Argv: os.Args, Env: os.Environ(), Socket: o.Socket, Timings: o.Timings}, items)
			}
			s.out <- event{Event: "lost", Text: err.Error()}
		},
	}
	if slices.Contains(words, "mute") {
		e.Alive = func(func()) {}
	}
	return e
}

// hold holds Count items with descriptors of all kinds.
func (s *servant) hold(o order) (out []seen, err error) {
	for i := range max(o.Count, 1) {
		it := Item{Key: o.Key, Roles: o.Roles, Note: o.Note}
		if o.Count > 0 {
			it.Key = fmt.Sprintf("%s/%04d", o.Key, i)
			it.Note = append(slices.Clone(o.Note), it.Key...)
		}
		for range o.Roles {
			var p [2]int
			if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
				return nil, err
			}
			it.FDs = append(it.FDs, p[0])
			unix.Close(p[1])
		}
		s.items[it.Key] = it
		if err := s.l.Hold(it); err != nil {
			return nil, err
		}
		out = append(out, view(it))
	}
	return out, nil
}

// churn holds and drops one key many times.
func (s *servant) churn(o order) error {
	for range o.Count {
		if _, err := s.hold(order{Key: o.Key, Roles: o.Roles}); err != nil {
			return err
		}
		fdpass.CloseAll(s.items[o.Key].FDs)
		if err := s.l.Drop(o.Key); err != nil {
			return err
		}
		delete(s.items, o.Key)
	}
	return nil
}

// spawn starts a program in the order that a manager keeps: hold, fork, bind, let off.
func (s *servant) spawn(o order) (pid int, err error) {
	pid, pidfd, err := startGated(s.l, o.Key, o.Argv)
	if err == nil {
		s.items[o.Key] = Item{Key: o.Key, Roles: "p", FDs: []int{pidfd}, PID: pid}
	}
	return pid, err
}

// startGated starts a program that waits until it is let off, and ends with 99 when nobody does that.
func startGated(l *Link, key string, argv []string) (pid, pidfd int, err error) {
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		return 0, -1, err
	}
	defer unix.Close(gate[0])
	defer unix.Close(gate[1])
	if key != "" {
		if err := l.Hold(Item{Key: key}); err != nil {
			return 0, -1, err
		}
	}
	wrapped := append([]string{"/bin/sh", "-c", `read x <&3 || exit 99; exec 3<&-; exec "$@"`, "gate"}, argv...)
	pidfd = -1
	pid, err = syscall.ForkExec(wrapped[0], wrapped, &syscall.ProcAttr{
		Env: []string{"PATH=/usr/bin:/bin"}, Files: []uintptr{0, 1, 2, uintptr(gate[0])},
		Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err != nil {
		return 0, -1, err
	}
	if key != "" {
		if err := l.Bind(key, pid, pidfd); err != nil {
			return 0, -1, err
		}
	}
	_, err = unix.Write(gate[1], []byte("go\n"))
	return pid, pidfd, err
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
		Backoff: time.Millisecond, BackoffMax: 50 * time.Millisecond, LeaveWithin: 5 * time.Second, SafeCrashes: 1000,
	}
}
