//go:build unix

package spawn

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// Options configure NewDirect.
type Options struct {
	// Threads that fork; default 2, which start a thousand programs in three quarters of the time of
	// one. Every fork stops its own thread until the program executes.
	Threads int
	// Shim is the binary that calls ShimMain; default this one.
	Shim string
	// Marks notes which programs were let go; nil = nothing does.
	Marks *Marks
}

// Direct starts programs as children of this process.
type Direct struct {
	shim    string
	marks   *Marks
	null    *os.File
	forks   forker
	cloner  cloner
	unclean chan os.Signal // takes the signals that we were started with as ignored

	mu     sync.RWMutex
	closed bool
}

// NewDirect makes a spawner. Make it when the daemon has its final umask, directory and user: the forking
// threads keep what they see now. Signals that the daemon was started with as ignored (nohup) are taken
// over, so that programs start with the default; the daemon itself goes on ignoring them unless it asks
// for them. Every descriptor above 2 that is open now is marked close-on-exec: what the daemon's own parent
// left open is nothing for programs (spec/reliability S13).
func NewDirect(o Options) (*Direct, error) {
	if o.Threads <= 0 {
		o.Threads = 2
	}
	if o.Shim == "" {
		exe, err := selfPath()
		if err != nil {
			return nil, fmt.Errorf("spawner: own executable: %w", err)
		}
		o.Shim = exe
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("spawner: %w", err)
	}
	if err := closeOnExec(); err != nil {
		null.Close()
		return nil, fmt.Errorf("spawner: inherited descriptors: %w", err)
	}
	d := &Direct{shim: o.Shim, marks: o.Marks, null: null, unclean: make(chan os.Signal, 1)}
	if sigs := ignoredSignals(); len(sigs) > 0 {
		signal.Notify(d.unclean, sigs...)
	}
	d.forks.start(o.Threads)
	return d, nil
}

// Close ends the forking threads and waits for forks under way.
func (d *Direct) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.forks.stop()
	signal.Stop(d.unclean)
	return d.null.Close()
}

// Spawn starts a program.
func (d *Direct) Spawn(r *Request) (*Result, error) {
	if r.Pipes != nil {
		defer r.Pipes.CloseTheirs()
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, ErrClosed
	}
	s, err := openStdio(r, int(d.null.Fd()))
	if err != nil {
		return nil, err
	}
	defer s.closeTheirs()
	res, err := d.begin(r, s)
	if err != nil {
		s.closeOurs()
		return nil, err
	}
	res.Stdin, res.Stdout, res.Stderr = s.pipes.Stdin, s.pipes.Stdout, s.pipes.Stderr
	return res, nil
}

// errNoGate means that no program can be made to wait here.
var errNoGate = errors.New("spawner: no gate")

// begin starts the program and has it identified.
func (d *Direct) begin(r *Request, s *stdio) (*Result, error) {
	if r.Identified != nil {
		if res, err := d.gated(r, s); !errors.Is(err, errNoGate) {
			return res, err
		}
	}
	pid, pidfd, err := d.launch(r, s)
	if err != nil {
		return nil, err
	}
	h := procfd.Own(pidfd, pid)
	if r.Identified != nil {
		if err := r.Identified(pid, pidfd); err != nil {
			abandon(h)
			return nil, err
		}
		d.marks.set(r.Mark)
	}
	return &Result{Handle: h, PID: pid}, nil
}

// abandon kills and reaps a process that must not be.
func abandon(h procfd.Handle) {
	defer h.Close()
	_ = h.Signal(int(syscall.SIGKILL), model.ReachProcess)
	awaitEnd(h.PID())
	for {
		_, done, err := h.Wait(false)
		if done || err != nil {
			return
		}
		runtime.Gosched()
	}
}

// launch tries the fast path where it can do everything and the shim otherwise.
func (d *Direct) launch(r *Request, s *stdio) (pid, pidfd int, err error) {
	var fast error
	if !d.needsShim(r) {
		if pid, pidfd, fast = d.forks.fork(forkRequest(r, s)); fast == nil {
			return pid, pidfd, nil
		}
	}
	pid, pidfd, err = d.launchShim(r, s)
	if err == nil {
		return pid, pidfd, nil
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return 0, -1, err
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE:
		return 0, -1, &PipeError{err}
	case syscall.EAGAIN, syscall.ENOMEM, syscall.ENOSPC, syscall.EINTR:
		return 0, -1, &ForkError{err}
	}
	if fast == nil {
		fast = err
	}
	return 0, -1, &ExecError{Path: r.Path, Err: fast}
}

// needsShim reports whether a request has a step that cannot be done between fork and exec, or one that
// is known to fail: the shim makes it fail visibly.
func (d *Direct) needsShim(r *Request) bool {
	if r.IgnoreSIGPIPE || !d.forks.canUmask(r.Umask) {
		return true
	}
	c := r.Cred
	if c == nil || (c.UID == os.Getuid() && c.Refused == "") {
		return false
	}
	return c.Refused != "" || os.Getuid() != 0 || !plainIDs(c) || d.forks.oddPrivileges()
}

// plainIDs reports whether all ids can be set. The highest number means "unchanged" to the kernel.
func plainIDs(c *Cred) bool {
	ok := func(id int) bool { return id >= 0 && int64(id) < 1<<32-1 }
	for _, g := range c.Groups {
		if !ok(g) {
			return false
		}
	}
	return ok(c.UID) && ok(c.GID)
}

// order is one fork.
type order struct {
	path  string
	argv  []string
	attr  syscall.ProcAttr
	umask int
}

func forkRequest(r *Request, s *stdio) *order {
	o := &order{path: r.Path, argv: r.Argv, umask: r.Umask}
	o.attr = syscall.ProcAttr{Dir: r.Dir, Env: r.Env, Files: s.theirs[:], Sys: &syscall.SysProcAttr{Setpgid: true}}
	if c := r.Cred; c != nil && c.UID != os.Getuid() {
		groups := make([]uint32, len(c.Groups))
		for i, g := range c.Groups {
			groups[i] = uint32(g)
		}
		o.attr.Sys.Credential = &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID), Groups: groups}
	}
	o.join(r.CgroupFD)
	return o
}

// launchShim starts the shim with the request on descriptor 3.
func (d *Direct) launchShim(r *Request, s *stdio) (pid, pidfd int, err error) {
	f, err := requestFile(encode(r))
	if err != nil {
		return 0, -1, &PipeError{err}
	}
	defer f.Close()
	o := &order{
		path: d.shim, argv: []string{shimName, r.Argv[0]}, umask: -1,
		attr: syscall.ProcAttr{
			// Not the program's environment: nothing in it may steer the shim.
			Env:   []string{"GOTRACEBACK=none", "GOGC=off"},
			Files: []uintptr{s.theirs[0], s.theirs[1], s.theirs[2], f.Fd()},
			Sys:   &syscall.SysProcAttr{Setpgid: true},
		},
	}
	o.join(r.CgroupFD)
	return d.forks.fork(o)
}
