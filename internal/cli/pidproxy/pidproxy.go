// Package pidproxy is the command of that name: it runs a command that leaves a pid file, stays in the
// foreground in its place, and passes signals on to the process of the pid file.
// Source: spec/supervisor 8.1, 10.2 F41.
package pidproxy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
)

const usage = `
pidproxy -- run a command and pass signals on to the process of its pid file.

The command is started and stays a child of this program. Every TERM, HUP, INT,
QUIT, USR1 and USR2 that arrives is sent to the process whose number is in the
pid file at that moment, or to the command when the file names none. The exit
status is the command's own, or 128 and the number of the signal that ended it.

Usage: %s <pidfile name> <command> [<cmdarg1> ...]

`

// The exit statuses of a shell for what it cannot run.
const (
	statusUsage         = 1
	statusNotExecutable = 126
	statusNotFound      = 127
	statusSignal        = 128 // and the signal's number
)

// forwarded are the signals that are passed on; false marks those after which nothing is to be left.
// Systems that lack one leave it out.
func forwarded() map[os.Signal]bool {
	out := map[os.Signal]bool{}
	for name, on := range map[string]bool{
		"TERM": false, "INT": false, "QUIT": false, "HUP": true, "USR1": true, "USR2": true,
	} {
		if n, err := units.Signal(name); err == nil {
			out[syscall.Signal(n)] = on
		}
	}
	return out
}

// Main runs the command and returns its exit status.
func Main(prog string, argv []string) int {
	if len(argv) < 2 {
		fmt.Printf(usage, prog)
		return statusUsage
	}
	p := proxy{pidfile: argv[0], signals: forwarded(), out: os.Stdout}
	return p.run(argv[1:])
}

// proxy is one run. Its fields belong to the goroutine of run.
type proxy struct {
	pidfile string
	signals map[os.Signal]bool
	out     io.Writer

	child  *os.Process
	ending bool    // a signal to end has been passed on
	target *target // where it went to, unless it was the child
}

// run starts the command and returns when it has ended and, if it was told to, the process of the pid file
// as well.
func (p *proxy) run(argv []string) int {
	arrived := make(chan os.Signal, 16)
	for s := range p.signals {
		signal.Notify(arrived, s)
	}
	defer signal.Stop(arrived)
	ended, err := p.start(argv)
	if err != nil {
		fmt.Fprintf(os.Stderr, "pidproxy: %v\n", err)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			return statusNotFound
		}
		return statusNotExecutable
	}
	defer func() { p.target.close() }()
	status := 0
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		var tick <-chan time.Time
		if ended == nil {
			tick = look.C
		}
		select {
		case s := <-arrived:
			p.pass(s.(syscall.Signal))
		case state := <-ended:
			status, ended = statusOf(state), nil
		case <-p.target.ended():
			p.target.gone = true
		case <-tick:
			p.target.check()
		}
		if ended == nil && (!p.ending || p.target.over()) {
			return status
		}
	}
}

// start starts the command and tells its end.
func (p *proxy) start(argv []string) (<-chan *os.ProcessState, error) {
	name, err := find(argv[0])
	if err != nil {
		return nil, err
	}
	child, err := os.StartProcess(name, argv, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return nil, err
	}
	p.child = child
	ended := make(chan *os.ProcessState, 1)
	go func() { // ends with the command
		state, err := child.Wait()
		if err != nil {
			fmt.Fprintf(os.Stderr, "pidproxy: waiting for the command: %v\n", err)
		}
		ended <- state
	}()
	return ended, nil
}

// find is where a command is: beside us, as in the original, or else on the search path.
func find(command string) (string, error) {
	here, err := filepath.Abs(command)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(here); err == nil || filepath.Base(command) != command {
		return here, nil
	}
	return exec.LookPath(command)
}

// pass sends a signal to the process of the pid file, or to the command when there is none to be reached.
func (p *proxy) pass(s syscall.Signal) {
	t, err := p.open()
	if err == nil {
		if err = t.signal(s); err != nil {
			fmt.Fprintf(p.out, "Can't signal pid %d of %s: %v\n", t.pid, p.pidfile, err)
			t.close()
			t = nil
		}
	}
	if t == nil {
		if err := p.child.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			fmt.Fprintf(p.out, "Can't signal the command: %v\n", err)
		}
	}
	if p.signals[s] { // it goes on
		t.close()
		return
	}
	p.target.close()
	p.target, p.ending = t, true
}

// open finds the process of the pid file.
func (p *proxy) open() (*target, error) {
	text, err := os.ReadFile(p.pidfile)
	if err == nil {
		var pid int64
		// 0 and negative numbers mean whole groups to the system, our own is an endless loop.
		if pid, err = units.Int(strings.TrimSpace(string(text))); err == nil && (pid <= 0 || pid > maxPID || pid == int64(os.Getpid())) {
			err = fmt.Errorf("%d is not the pid of another process", pid)
		}
		if err == nil {
			return openTarget(int(pid))
		}
	}
	fmt.Fprintf(p.out, "Can't read child pidfile %s!\n", p.pidfile)
	return nil, err
}

// maxPID bounds what is taken for a process number.
const maxPID = 1<<31 - 1

// statusOf is the exit status that tells how the command has ended.
func statusOf(state *os.ProcessState) int {
	if state == nil {
		return statusUsage
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return statusSignal + int(ws.Signal())
	}
	return state.ExitCode()
}
