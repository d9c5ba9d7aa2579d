//go:build unix

package spawn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// shimName is argument 0 of the shim; argument 1 is the name of the program, for whoever looks at the
// list of processes.
const shimName = "upkeep-spawn"

// shimFD is where the request is.
const shimFD = 3

// notSpawned is the exit status of a program that could not be executed.
const notSpawned = 127

// ShimMain is called first thing in main, also in the main of tests that start programs. When this
// process was started as the shim it executes the program or exits, and does not return; otherwise it
// returns false.
func ShimMain() (handled bool) {
	if len(os.Args) < 2 || os.Args[0] != shimName {
		return false
	}
	if len(os.Args) == 3 && os.Args[1] == limitWord {
		os.Exit(tellLimit())
	}
	if len(os.Args) != 2 {
		return false
	}
	why := runShim()
	// Text and status are the original's. Source: spec/supervisor 2.5.
	_, _ = os.Stderr.WriteString("supervisor: " + why + "\nsupervisor: child process was not spawned\n")
	os.Exit(notSpawned)
	return true
}

// runShim returns only on failure, with the reason.
func runShim() string {
	r, err := readRequest()
	if err != nil {
		return "couldn't read what to execute: " + err.Error()
	}
	if c := r.Cred; c != nil {
		if err := become(c); err != nil {
			return fmt.Sprintf("couldn't setuid to %d: %v", c.UID, err)
		}
	}
	if r.Dir != "" {
		if err := syscall.Chdir(r.Dir); err != nil {
			return fmt.Sprintf("couldn't chdir to %s: %s", r.Dir, units.ErrnoName(err))
		}
	}
	if r.Umask >= 0 {
		syscall.Umask(r.Umask)
	}
	if r.IgnoreSIGPIPE {
		signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	}
	err = syscall.Exec(r.Path, r.Argv, r.Env)
	return fmt.Sprintf("couldn't exec %s: %s", r.Argv[0], units.ErrnoName(err))
}

// readRequest takes the request from its descriptor and closes it.
func readRequest() (*Request, error) {
	f := os.NewFile(shimFD, "request")
	if f == nil {
		return nil, errors.New("nothing on descriptor 3")
	}
	defer f.Close()
	// The offset is the one the writer left. A descriptor that is no file, as when somebody calls us by
	// this name, is refused here instead of being waited for.
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	msg, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	r, err := decode(msg)
	if err != nil {
		return nil, err
	}
	if len(r.Argv) == 0 {
		return nil, errors.New("no arguments")
	}
	return r, nil
}

// become switches to the user, completely, or fails.
func become(c *Cred) error {
	if c.Refused != "" {
		return errors.New(c.Refused)
	}
	if c.UID != os.Getuid() && os.Getuid() == 0 && !plainIDs(c) {
		return fmt.Errorf("user %d or one of its groups has an impossible number", c.UID)
	}
	return privilege.Drop(c.UID, c.GID, c.Groups)
}

// unlinkedFile is requestFile for systems without anonymous files.
func unlinkedFile(msg []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "upkeep-spawn-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return fill(f, msg)
}

func fill(f *os.File, msg []byte) (*os.File, error) {
	if _, err := f.Write(msg); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
