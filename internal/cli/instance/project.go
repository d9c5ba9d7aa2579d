package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// The files that say which programs belong to a folder, in the order in which they are looked for.
const (
	ProjectConfig = "upkeep.conf"
	Procfile      = "Procfile"
)

// NoProjectError says that a folder has no file that says what to run.
type NoProjectError struct{ Dir string }

// Error names the folder and the files.
func (e *NoProjectError) Error() string {
	return fmt.Sprintf("there is neither an %s nor a %s in %s", ProjectConfig, Procfile, e.Dir)
}

// Project is the instance that runs the programs of a folder and nothing else, with its files in a place of its own. path is
// the file that names the programs, or the folder in which it is. Errors: *NoProjectError.
func Project(path string) (Instance, error) {
	file, err := projectFile(path)
	if err != nil {
		return Instance{}, err
	}
	roots, err := home.OwnRoots(false)
	if err != nil {
		return Instance{}, err
	}
	sum := sha256.Sum256([]byte(file))
	root := filepath.Join(roots.State, "upkeep", "up", hex.EncodeToString(sum[:6]))
	i := Instance{Instance: home.Under(root).Native(), Root: root}
	i.run(file)
	return i, nil
}

// run makes the instance that of a folder's file.
func (i *Instance) run(file string) {
	i.Run = file
	if filepath.Base(file) != Procfile && filepath.Ext(file) == ".conf" {
		i.File = file
	}
}

// projectFile is the file that names the programs of a folder.
func projectFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, name := range []string{ProjectConfig, Procfile} {
		file := filepath.Join(path, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", &NoProjectError{path}
}
