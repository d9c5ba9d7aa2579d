package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

// Pipes reports whether a named pipe stands for a unix socket here.
const Pipes = true

// pipes is where Windows has named pipes.
const pipes = `\\.\pipe\`

// maxName is how long the name of a pipe may be, all of it.
const maxName = 256

// Name is where people find what listens at a path: the name of the pipe, which is the path with ! for each separator.
// Windows takes capital and small letters for the same. One that is too long ends with a hash of what is left out.
func Name(path string) string {
	if strings.HasPrefix(path, pipes) {
		return path
	}
	name := pipes + strings.NewReplacer("!", "!!", `\`, "!", "/", "!").Replace(filepath.Clean(path))
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	return name[:maxName-33] + "!" + hex.EncodeToString(sum[:16])
}

// busyLook is how long to wait for a free end of a pipe before it is looked at again: the listener makes the next one while
// it hands out the one before.
const busyLook = 5 * time.Millisecond

// Dial connects to who listens at a path. Errors: those of the system, fs.ErrNotExist when there is nobody, *ForeignError
// when it is another user: nothing was said to that one.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	name := Name(path)
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	// Who listens may know who we are, and may not act as we may.
	const flags = windows.FILE_FLAG_OVERLAPPED | windows.SECURITY_SQOS_PRESENT | windows.SECURITY_IDENTIFICATION
	for {
		h, err := windows.CreateFile(p, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, flags, 0)
		switch {
		case err == nil:
			if err := trust(h, name); err != nil {
				_ = windows.CloseHandle(h)
				return nil, err
			}
			return newConn(h, name), nil
		case !errors.Is(err, windows.ERROR_PIPE_BUSY):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(busyLook):
		}
	}
}

// trust makes sure that a pipe was made by this user, by an administrator or by the system: somebody else could have made
// one of the same name before the daemon did.
func trust(h windows.Handle, name string) error {
	sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("%s: its owner: %w", name, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("%s: its owner: %w", name, err)
	}
	me, err := self()
	if err != nil {
		return err
	}
	switch {
	case owner == nil:
		return &ForeignError{name, "the system does not say who"}
	case owner.Equals(me) || mighty(owner):
		return nil
	}
	return &ForeignError{name, owner.String()}
}

// self is the user of this process.
func self() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("the user of this process: %w", err)
	}
	return u.User.Sid, nil
}

// mighty reports whether a user or group may do everything on this machine.
func mighty(sid *windows.SID) bool {
	return sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid)
}
