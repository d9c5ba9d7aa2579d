package pidfile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

// ErrDevice: the path is that of a device or of a descriptor (/dev/null, /dev/stdout), which means "none".
var ErrDevice = errors.New("a device")

// ErrNotFile: what is at the path is neither a file nor a device.
var ErrNotFile = errors.New("not a file")

// Owner is a user whose a file is to be.
type Owner struct{ UID, GID int }

// Write writes a pid to a fresh file of mode 0644 and moves it into place, so that a link at that place is replaced, never
// followed. Only a file or a link is ever replaced: a file in the place of /dev/null would break the whole system. On the
// way to the directory, links that others could have made are refused with *logfile.UnsafeError. With an owner the file is
// that user's. ErrDevice, ErrNotFile.
func Write(path string, pid int, o *Owner) error {
	if err := Replaceable(path); err != nil {
		return err
	}
	name := filepath.Base(path)
	fresh := "." + name + "." + rand.Text()[:10]
	d, err := logfile.OpenDir(filepath.Join(filepath.Dir(path), fresh)) // the directory, whatever is at the name
	if err != nil {
		return err
	}
	defer d.Close()
	f, err := d.Open(fileMode, logfile.Create)
	if err != nil {
		return err
	}
	_, err = f.Append([]byte(strconv.Itoa(pid) + "\n"))
	if err == nil {
		uid, gid := -1, -1
		if o != nil {
			uid, gid = o.UID, o.GID
		}
		err = f.Own(fileMode, uid, gid)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.Rename(fresh, name)
	}
	if err != nil {
		return errors.Join(err, d.Remove(fresh))
	}
	return nil
}

// fileMode is the mode of a pid file.
const fileMode fs.FileMode = 0o644

// Remove removes a pid file that names this pid; another one, or none, is left as it is.
func Remove(path string, pid int) error {
	switch f, err := Read(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case f.PID != pid:
		return nil
	}
	d, err := logfile.OpenDir(filepath.Join(filepath.Dir(path), filepath.Base(path)))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Remove(d.Name())
}

// Replaceable says why a file may not be moved to a path, nil when it may: ErrDevice, ErrNotFile.
func Replaceable(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil //nolint:nilerr // nothing is there, or writing says why not
	}
	switch link := info.Mode()&fs.ModeSymlink != 0; {
	case info.Mode()&fs.ModeDevice != 0, link && filepath.Dir(path) == "/dev":
		return ErrDevice
	case link, info.Mode().IsRegular():
		return nil
	}
	return ErrNotFile
}
