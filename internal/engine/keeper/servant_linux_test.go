package keeper

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
)

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
			s.l.heart = newHeart(Timings{PingEvery: 100 * time.Millisecond, HangAfter: 4 * time.Second})
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
				err = Become(Options{Argv: os.Args, Env: os.Environ(), Socket: o.Socket, Timings: o.Timings}, items, func() {
					if conn, err := fdpass.Dial(o.Socket); err == nil {
						conn.Close()
					} else if o.Socket != "" {
						panic("nothing can be claimed yet: " + err.Error()) // then no manager answers
					}
				})
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
