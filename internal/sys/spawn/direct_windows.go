package spawn

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// Options configure NewDirect.
type Options struct {
	Threads int    // not used on this system
	Shim    string // not used on this system
}

// Direct starts programs as children of this process.
type Direct struct {
	null *os.File

	mu     sync.RWMutex
	closed bool
}

// NewDirect makes a spawner.
func NewDirect(Options) (*Direct, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("spawner: %w", err)
	}
	return &Direct{null: null}, nil
}

// Close ends the spawner.
func (d *Direct) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.null.Close()
}

// Spawn starts a program. A umask and IgnoreSIGPIPE mean nothing here; another user is refused.
func (d *Direct) Spawn(r *Request) (*Result, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.Cred != nil {
		return nil, &ExecError{Path: r.Path, Err: errors.New("another user is not supported on this system")}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, ErrClosed
	}
	res := &Result{Stdin: -1, Stdout: -1, Stderr: -1}
	files := []*os.File{d.null, d.null, d.null}
	var made []*os.File
	defer func() {
		for _, f := range made {
			f.Close()
		}
	}()
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		switch kind {
		case StdioFile:
			files[i] = r.StdinFile
		case StdioMerge:
			files[i] = files[1]
		case StdioPipe:
			theirs, ours, err := pipe(i == 0)
			if err != nil {
				res.close()
				return nil, &PipeError{err}
			}
			made = append(made, theirs)
			files[i] = theirs
			*[]*int{&res.Stdin, &res.Stdout, &res.Stderr}[i] = int(ours)
		}
	}
	p, err := os.StartProcess(r.Path, r.Argv, &os.ProcAttr{
		Dir: r.Dir, Env: r.Env, Files: files,
		Sys: &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP},
	})
	if err != nil {
		res.close()
		return nil, &ExecError{Path: r.Path, Err: err}
	}
	res.PID, res.Handle = p.Pid, procfd.OwnProcess(p)
	return res, nil
}

func pipe(input bool) (theirs *os.File, ours syscall.Handle, err error) {
	var p [2]syscall.Handle
	if err := syscall.Pipe(p[:]); err != nil {
		return nil, 0, err
	}
	if input {
		return os.NewFile(uintptr(p[0]), "stdin"), p[1], nil
	}
	return os.NewFile(uintptr(p[1]), "output"), p[0], nil
}

func (r *Result) close() {
	for _, h := range []int{r.Stdin, r.Stdout, r.Stderr} {
		if h >= 0 {
			_ = syscall.CloseHandle(syscall.Handle(h))
		}
	}
}

// ShimMain is false: there is no shim on this system.
func ShimMain() (handled bool) { return false }
