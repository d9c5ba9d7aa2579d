//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitName stands in the tables for what is no system but the least that any of them can do.
const limitName = "limit"

const (
	// relayPiece is the most that an event can be made of.
	relayPiece = 128 << 10
	// relayAnswer is what a listener says when it has processed an event.
	relayAnswer = "RESULT 2\nOKREADY\n"
)

// relaying is the job of a relay.
type relaying struct{ Writer, Listener []string }

// childRelay JOB is a bare relay: it starts a program and a listener, and for each piece that the program writes there is one
// request to the listener and one answer from it, through two pipes. It supervises, logs and keeps nothing. No manager
// whose listeners acknowledge each event can do it in fewer steps.
func childRelay(args []string) int {
	var job relaying
	if err := json.Unmarshal([]byte(args[0]), &job); err != nil {
		return fail(err)
	}
	if err := relay(job); err != nil {
		return fail(err)
	}
	return 0
}

func relay(job relaying) error {
	var fds [3][2]int // program's output, listener's input, listener's output
	for i := range fds {
		if err := unix.Pipe2(fds[i][:], unix.O_CLOEXEC); err != nil {
			return err
		}
	}
	start := func(argv []string, in, out int) (*exec.Cmd, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if in >= 0 {
			f := os.NewFile(uintptr(in), "in")
			defer f.Close()
			cmd.Stdin = f
		}
		f := os.NewFile(uintptr(out), "out")
		defer f.Close()
		cmd.Stdout = f
		return cmd, cmd.Start()
	}
	from, to, answers := fds[0][0], fds[1][1], fds[2][0]
	if _, err := start(job.Listener, fds[1][0], fds[2][1]); err != nil {
		return err
	}
	if _, err := start(job.Writer, -1, fds[0][1]); err != nil {
		return err
	}
	buf, said := make([]byte, relayPiece), make([]byte, 0, 256)
	if _, err := await(answers, said, []byte("READY\n")); err != nil {
		return err
	}
	var message []byte
	for serial := 0; ; serial++ {
		n, err := readOnce(from, buf)
		if err != nil || n == 0 {
			return err
		}
		payload := fmt.Sprintf("processname:w groupname:w pid:%d channel:stdout\n", os.Getpid())
		message = fmt.Appendf(message[:0], "ver:3.0 server:limit serial:%d pool:l poolserial:%d eventname:PROCESS_LOG_STDOUT len:%d\n",
			serial, serial, len(payload)+n)
		message = append(append(message, payload...), buf[:n]...)
		for rest := message; len(rest) > 0; {
			n, err := unix.Write(to, rest)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			rest = rest[max(n, 0):]
		}
		if said, err = await(answers, said[:0], []byte(relayAnswer)); err != nil {
			return err
		}
	}
}

// await reads until all of want has come.
func await(fd int, said, want []byte) ([]byte, error) {
	for !bytes.Equal(said, want) {
		room := said[len(said):cap(said)]
		n, err := readOnce(fd, room)
		if err != nil || n == 0 || len(said)+n > len(want) {
			return said, fmt.Errorf("the listener says %q: %w", said[:len(said)+max(n, 0)], errors.Join(err, errAnswer))
		}
		said = said[:len(said)+n]
	}
	return said, nil
}

var errAnswer = errors.New("no answer that is understood")

func readOnce(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// eventLimit measures the relay like a system, with the same programs.
func eventLimit(ctx context.Context, b *bench) error {
	stamps, err := b.child("child-stamp", b.o.secs.String())
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name    string
		measure func() (*figures, error)
	}{
		{casePace, func() (*figures, error) {
			return b.relayed(stamps, func(heard func() listened, _ func() bool) (*figures, error) {
				time.Sleep(b.o.secs + 3*time.Second)
				return delays(heard()), nil
			})
		}},
		{caseFlood, func() (*figures, error) {
			argv, gate, result, err := b.floodWriter(limitName)
			if err != nil {
				return nil, err
			}
			return b.relayed(argv, func(heard func() listened, alive func() bool) (*figures, error) {
				if err := os.WriteFile(gate, nil, 0o644); err != nil {
					return nil, err
				}
				return b.flooded(result, heard, alive)
			})
		}},
	} {
		for rep := range b.o.reps {
			if err := ctx.Err(); err != nil {
				return err
			}
			r := row{Workload: "events", Case: c.name, System: limitName, Rep: rep, Load: loadAverage()}
			f, err := c.measure()
			if f != nil {
				r.Figures, r.Order = f.values, f.order
			}
			if err != nil {
				r.Error = err.Error()
			}
			if err := b.record(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// relayed runs measure while a relay stands between a program and a listener.
func (b *bench) relayed(writer []string, measure func(heard func() listened, alive func() bool) (*figures, error)) (*figures, error) {
	dir, err := b.scratch()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "heard")
	listen, err := b.child("child-listen", file)
	if err != nil {
		return nil, err
	}
	job, err := json.Marshal(relaying{Writer: writer, Listener: listen})
	if err != nil {
		return nil, err
	}
	argv, err := b.child("child-relay", string(job))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), b.mark)
	cmd.Stderr = b.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what is wrong stands on its standard error
	}()
	defer func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		endMarked(b.mark)
	}()
	return measure(func() listened { return heardBy(file) }, func() bool {
		select {
		case <-ended:
			return false
		default:
			return true
		}
	})
}
