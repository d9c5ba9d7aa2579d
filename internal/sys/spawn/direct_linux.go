//go:build amd64 || arm64

package spawn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// cloner is the part of Direct that makes processes which wait at a gate.
type cloner struct {
	made   *cloning
	cannot bool // and never will be able to

	// One at a time makes its gate and its process: a process of an old kernel, which cannot close what
	// it inherits, then holds older gates only, and no two hold each other's.
	mu sync.Mutex
}

// gated starts a program that waits until it has been identified.
func (d *Direct) gated(r *Request, s *stdio) (*Result, error) {
	g, pid, err := d.cloneGated(r, s)
	if err != nil {
		return nil, err
	}
	if _, err = g.report(gatePatience); err != nil {
		g.close()
		abandon(procfd.Own(-1, pid))
		return nil, &ForkError{err}
	}
	return g.pass(r, pid)
}

func (d *Direct) cloneGated(r *Request, s *stdio) (g *gate, pid int, err error) {
	files := [3]int{int(s.theirs[0]), int(s.theirs[1]), int(s.theirs[2])}
	k := &d.cloner
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.prepare(d.shim); err != nil {
		return nil, 0, err
	}
	if g, err = newGate(); err != nil {
		return nil, 0, err
	}
	d.forks.run(func() { pid, err = k.made.clone(r, files, g.theirs, nil, d.marks) })
	if err != nil {
		g.close()
		return nil, 0, startError(err)
	}
	g.closeTheirs()
	return g, pid, nil
}

// prepare finds out, once, whether it can be done.
func (k *cloner) prepare(shim string) error {
	if k.cannot {
		return errNoGate
	}
	if k.made != nil {
		return nil
	}
	limit, err := askLimit(shim)
	if err != nil {
		return err
	}
	made, err := newCloning(false, limit)
	if errors.Is(err, errors.ErrUnsupported) {
		k.cannot = true
		return errNoGate
	}
	if err != nil {
		return startError(err)
	}
	k.made = made
	return nil
}

// becomeText is how a failure to become a user begins, and why it is certain; empty when it is not.
func becomeText(c *Cred) (what, never string) {
	what = fmt.Sprintf("couldn't setuid to %d: ", c.UID)
	own := os.Getuid()
	switch {
	case c.Refused != "":
		return what, c.Refused
	case c.UID == own:
	case own != 0:
		return what, "Can't drop privilege as nonroot user"
	case !plainIDs(c):
		return what, fmt.Sprintf("user %d or one of its groups has an impossible number", c.UID)
	}
	return what, ""
}

// limitWord is the argument of a shim that tells its original limit of descriptors.
const limitWord = "limit"

// originalLimit is the limit of descriptors that this process was started with, before Go raised it, and
// sets it back. Not for a process that starts others by the means of Go.
func originalLimit() (unix.Rlimit, error) {
	// Go gives the limit back before it executes something, and there is no other way to ask.
	_ = syscall.Exec("", nil, nil)
	var l unix.Rlimit
	err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &l)
	return l, os.NewSyscallError("prlimit", err)
}

// tellLimit is the shim's answer.
func tellLimit() int {
	l, err := originalLimit()
	if err != nil {
		return 1
	}
	_, err = os.Stdout.Write(unsafe.Slice((*byte)(unsafe.Pointer(&l)), unsafe.Sizeof(l)))
	if err != nil {
		return 1
	}
	return 0
}

// askLimit finds what limit programs get; nil = the one that we have now. A new process of ours is started
// with it and tells.
func askLimit(shim string) (*unix.Rlimit, error) {
	var now unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	if now.Cur != now.Max-1 { // what Go sets
		return nil, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, &PipeError{err}
	}
	defer pr.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		pw.Close()
		return nil, &PipeError{err}
	}
	defer null.Close()
	p, err := os.StartProcess(shim, []string{shimName, limitWord, ""}, &os.ProcAttr{Files: []*os.File{null, pw, null}})
	pw.Close()
	if err != nil {
		return nil, &ExecError{Path: shim, Err: err}
	}
	var l unix.Rlimit
	b := unsafe.Slice((*byte)(unsafe.Pointer(&l)), unsafe.Sizeof(l))
	_, rerr := io.ReadFull(pr, b)
	if _, err := p.Wait(); err != nil {
		return nil, err
	}
	if rerr != nil {
		return nil, fmt.Errorf("spawner: limit of descriptors: %w", rerr)
	}
	return &l, nil
}
