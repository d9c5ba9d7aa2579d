package logs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/upkeep-project/upkeep/internal/sys/logfile"
)

const (
	autoPerm  os.FileMode = 0o600
	autoChars             = "abcdefghijklmnopqrstuvwxyz0123456789_"
	autoTries             = 100
)

// CreateAuto makes the empty automatic log NAME-CHANNEL---IDENTIFIER-RRRRRRRR.log in dir, readable by its
// owner only, and returns its absolute path. Source: spec/supervisor 3.4.
func CreateAuto(dir, name, channel, identifier string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for range autoTries {
		path := filepath.Join(dir, fmt.Sprintf("%s-%s---%s-%s.log", name, channel, identifier, randomName()))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, autoPerm)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		return path, f.Close()
	}
	return "", fmt.Errorf("no free name for a log of %s in %s", name, dir)
}

// randomName is 8 characters, close enough to evenly chosen.
func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = autoChars[int(b[i])%len(autoChars)]
	}
	return string(b[:])
}

// CleanAuto deletes the automatic logs of an identifier, with their backups, that earlier runs have left in
// dir. It returns the paths that could not be deleted; dir itself when it cannot be read. The identifier
// is taken literally. Source: spec/supervisor 3.4.
func CleanAuto(dir, identifier string) (failed []string) {
	pattern, err := regexp.Compile(`^.+?---` + regexp.QuoteMeta(identifier) + `-\S+\.log\.{0,1}\d{0,4}`)
	if err != nil { // cannot be: the identifier is quoted
		return []string{dir}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []string{dir}
	}
	d, err := logfile.OpenDir(filepath.Join(dir, "any"))
	if err != nil {
		return []string{dir}
	}
	defer d.Close()
	for _, e := range entries {
		if !pattern.MatchString(e.Name()) {
			continue
		}
		if err := d.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, filepath.Join(dir, e.Name()))
		}
	}
	return failed
}
