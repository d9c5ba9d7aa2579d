package home

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// machine reports whether our own instance is that of the system: we are a service of it.
func machine() bool {
	me, err := self()
	return err == nil && me.IsWellKnown(windows.WinLocalSystemSid)
}

// self is the user of this process.
func self() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("the user of this process: %w", err)
	}
	return u.User.Sid, nil
}

// systemRoot is where the instance of the system keeps all of its files.
func systemRoot() string {
	dir := os.Getenv("ProgramData")
	if !filepath.IsAbs(dir) {
		dir = `C:\ProgramData`
	}
	return filepath.Join(dir, product)
}

// systemRoots are the directories of a service.
func systemRoots() Roots { return Under(systemRoot()) }

// userRoots are the directories of an ordinary user.
func userRoots(home string, getenv func(string) string) Roots {
	dir := getenv("LOCALAPPDATA")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(home, "AppData", "Local")
	}
	return Under(filepath.Join(dir, product))
}

// TakeSystem makes the instance of the system that of this process, when that is wanted or the process is the system
// itself. Its files are in a place where everybody may make folders: the folder is made so that only the system and
// administrators can change anything in it, and one that somebody else has made is refused with fs.ErrPermission.
func TakeSystem(wanted bool) error {
	if root := os.Getenv(RootVariable); filepath.IsAbs(root) || !wanted && !machine() {
		return nil
	}
	root := systemRoot()
	if err := secure(root); err != nil {
		return err
	}
	return os.Setenv(RootVariable, root)
}

// administrators may change everything, here and below, and nobody else anything.
const administrators = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// secure makes a directory that is the administrators', or makes sure that it is.
func secure(dir string) error {
	sd, err := windows.SecurityDescriptorFromString(administrators)
	if err != nil {
		return fmt.Errorf("a security descriptor: %w", err)
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	err = windows.CreateDirectory(name, sa)
	if err == nil || !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return wrap(dir, err)
	}
	have, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return wrap(dir, err)
	}
	owner, _, err := have.Owner()
	if err != nil {
		return wrap(dir, err)
	}
	me, err := self()
	if err != nil {
		return err
	}
	trusted := owner != nil && (owner.Equals(me) || owner.IsWellKnown(windows.WinLocalSystemSid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid))
	if !trusted {
		return &os.PathError{Op: "use", Path: dir, Err: fmt.Errorf("it was made by %s, who is no administrator: %w", owner, os.ErrPermission)}
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return wrap(dir, err)
	}
	return wrap(dir, windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil))
}

// wrap names the directory of an error.
func wrap(dir string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: "secure", Path: dir, Err: err}
}
