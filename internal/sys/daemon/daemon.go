// Package daemon moves a process to the background: it starts itself again in a session of its own, and
// the launching command ends when the new process says that it is ready.
//
// Go cannot fork, so that the original's "fork late, after the sockets are bound" becomes "start early,
// report late": whoever waits for the launching command sees the same. Source: spec/supervisor 2.8, K28.
package daemon

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// readyVariable carries the descriptor on which the new process reports; it never reaches a program.
const readyVariable = "UPKEEP_READY_FD"

// readyWord is what a ready process writes before it closes the descriptor.
const readyWord = "ready\n"

// Private reports whether an environment entry is ours alone and must not reach a program.
func Private(entry string) bool { return strings.HasPrefix(entry, "UPKEEP_") }

// Start runs this executable again in the background, with the same arguments, and waits until it is
// ready or has ended. It returns the status that the launching command should exit with. extra are variables, NAME=VALUE, that
// it gets beside our own.
func Start(argv []string, extra ...string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 1, err
	}
	defer r.Close()
	var cmd *exec.Cmd
	for _, way := range ways() {
		cmd = exec.Command(self)
		cmd.Args = argv
		cmd.SysProcAttr = way
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(append(os.Environ(), extra...), readyVariable+"="+hand(cmd, w))
		if err = cmd.Start(); err == nil {
			break
		}
	}
	w.Close()
	if err != nil {
		return 1, err
	}
	word, err := io.ReadAll(io.LimitReader(r, int64(len(readyWord))))
	if err == nil && string(word) == readyWord {
		return 0, cmd.Process.Release()
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	return 1, err
}

// Background is this process's side of Start.
type Background struct{ ready *os.File }

// Awaited reports whether this process was started by Start, so that somebody waits for it. It stays true
// when the process executes itself again.
func Awaited() bool {
	_, err := strconv.Atoi(os.Getenv(readyVariable))
	return err == nil
}

// Take takes over what Start has handed down; nil when this process was not started by Start.
func Take() *Background {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil
	}
	os.Unsetenv(readyVariable)
	keepPrivate(fd)
	return &Background{os.NewFile(uintptr(fd), "ready")}
}

// Ready cuts the last ties to the launching command and lets it end: standard input, output and error
// become the null device.
func (b *Background) Ready() error {
	if err := Silence(); err != nil {
		return err
	}
	_, err := b.ready.WriteString(readyWord)
	return errors.Join(err, b.ready.Close())
}
