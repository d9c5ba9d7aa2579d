package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errDevice: the path is that of a device or of a descriptor (/dev/null, /dev/stdout), which means "none".
var errDevice = errors.New("a device")

// errNotFile: what is at the path is neither a file nor a device.
var errNotFile = errors.New("not a file")

// writePidfile writes the pid to a fresh file and moves it into place, so that a link at that place is
// replaced, never followed. Only a file or a link is ever replaced: a file in the place of /dev/null would
// break the whole system. Source: spec/reliability S17.
func writePidfile(path string, pid int) error {
	if err := replaceable(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", pid)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// replaceable says why a file may not be moved to a path, nil when it may.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing is there, or writing says why not
	}
	switch link := info.Mode()&fs.ModeSymlink != 0; {
	case info.Mode()&fs.ModeDevice != 0, link && filepath.Dir(path) == "/dev":
		return errDevice
	case link, info.Mode().IsRegular():
		return nil
	}
	return errNotFile
}
