//go:build unix

package rlimit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Raise makes the limit of programs at least want and says what it did. *Error: it cannot be raised.
// After a Reexec it answers once more what the image before had raised.
func Raise(r Resource, want uint64) (Change, error) {
	if r == Processes {
		return raiseProcesses(want)
	}
	have, err := Original()
	if err != nil {
		return Change{}, err
	}
	c := Change{Resource: r, From: have, To: have}
	if before, ok := handedOver(); ok {
		c.From.Soft, c.Raised = before, true
		return c, nil
	}
	if c.To, c.Raised = wanted(have, want); !c.Raised {
		return c, nil
	}
	if c.To.Hard > have.Hard && !mayRaiseHard() {
		// Trying would make the syscall package forget what it restores in programs, for nothing.
		return Change{}, &Error{r, want, have, syscall.EPERM}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, rlimit(c.To)); err != nil {
		return Change{}, &Error{r, want, have, err}
	}
	c.Again = true
	return c, nil
}

func raiseProcesses(want uint64) (Change, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &lim); err != nil {
		return Change{}, os.NewSyscallError("getrlimit", err)
	}
	have := limit(uint64(lim.Cur), uint64(lim.Max))
	c := Change{Resource: Processes, From: have}
	if c.To, c.Raised = wanted(have, want); !c.Raised {
		return c, nil
	}
	if err := syscall.Setrlimit(unix.RLIMIT_NPROC, rlimit(c.To)); err != nil {
		return Change{}, &Error{Processes, want, have, err}
	}
	return c, nil
}

// Reexec executes this binary again in this process, with the same arguments, after a Change with Again.
// It returns only on failure: then programs have the new limit all the same, and so has the daemon, which
// would like more.
func Reexec(c Change) error {
	self, err := selfPath()
	if err != nil {
		return err
	}
	env := append(os.Environ(), raisedVariable+"="+strconv.FormatUint(c.From.Soft, 10))
	return os.NewSyscallError("execve", syscall.Exec(self, os.Args, env))
}

// handedOver is the old soft limit when the image before this one has raised it. It answers once.
func handedOver() (uint64, bool) {
	v, ok := os.LookupEnv(raisedVariable)
	if !ok {
		return 0, false
	}
	os.Unsetenv(raisedVariable)
	n, err := strconv.ParseUint(v, 10, 64)
	return n, err == nil
}

// Original is the limit of descriptors that this process was started with, and that the programs it
// starts get.
func Original() (Limit, error) {
	own, err := Own()
	if err != nil {
		return Limit{}, err
	}
	if !touched(own) {
		return own, nil
	}
	if soft, err := probe(); err == nil {
		return Limit{Soft: soft, Hard: own.Hard}, nil
	}
	soft, err := askShell()
	if err != nil {
		return Limit{}, fmt.Errorf("original limit of descriptors: %w", err)
	}
	return Limit{Soft: soft, Hard: own.Hard}, nil
}

// Own is the limit of descriptors of this process itself.
func Own() (Limit, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return Limit{}, os.NewSyscallError("getrlimit", err)
	}
	return limit(uint64(lim.Cur), uint64(lim.Max)), nil
}

// askShell has a program that is not written in Go say what it got.
func askShell() (uint64, error) {
	out, err := exec.Command("/bin/sh", "-c", "ulimit -S -n").Output()
	if err != nil {
		return 0, err
	}
	s := strings.TrimSpace(string(out))
	if s == "unlimited" {
		return Unlimited, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, errors.New("unexpected answer of the shell")
	}
	return n, nil
}

// limit and rlimit translate the system's mark for "no limit", which is not the same everywhere.
func limit(cur, hard uint64) Limit {
	l := Limit{cur, hard}
	for _, v := range []*uint64{&l.Soft, &l.Hard} {
		if *v == unix.RLIM_INFINITY&(1<<64-1) {
			*v = Unlimited
		}
	}
	return l
}
