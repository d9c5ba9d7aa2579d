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
	Marks   *Marks // not used on this system
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
	given := r.Pipes != nil
	if given {
		defer r.Pipes.CloseTheirs()
	}
	if err := r.Check(); err != nil {
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
	pipes := r.Pipes
	if !given {
		var err error
		if pipes, err = MakePipes(r); err != nil {
			return nil, err
		}
		defer pipes.CloseTheirs()
	}
	res, err := d.start(r, pipes)
	if err != nil && !given {
		pipes.Close()
	}
	return res, err
}

func (d *Direct) start(r *Request, pipes *Pipes) (*Result, error) {
	files := []*os.File{d.null, d.null, d.null}
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		switch kind {
		case StdioFile:
			files[i] = r.StdinFile
		case StdioMerge:
			files[i] = files[1]
		case StdioPipe:
			files[i] = pipes.theirs[i]
		}
	}
	p, err := os.StartProcess(r.Path, r.Argv, &os.ProcAttr{
		Dir: r.Dir, Env: r.Env, Files: files,
		Sys: &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP},
	})
	if err != nil {
		return nil, &ExecError{Path: r.Path, Err: err}
	}
	if r.Identified != nil {
		if err := r.Identified(p.Pid, -1); err != nil {
			_ = p.Kill()
			_, _ = p.Wait()
			return nil, err
		}
	}
	return &Result{
		Handle: procfd.OwnProcess(p), PID: p.Pid,
		Stdin: pipes.Stdin, Stdout: pipes.Stdout, Stderr: pipes.Stderr,
	}, nil
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

// ShimMain is false: there is no shim on this system.
func ShimMain() (handled bool) { return false }
