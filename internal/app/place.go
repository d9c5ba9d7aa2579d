package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// Place is where an instance keeps what outlives its processes. Source: architecture 1, one-model C12.
type Place struct {
	State   string // the lock and the wishes: survives a reboot
	Runtime string // the journal and the keeper's socket: of this boot
}

// The private variables that tell a later process of the same instance its place: it may have become
// another user since the place was chosen.
const (
	stateVariable   = "UPKEEP_STATE_DIR"
	runtimeVariable = "UPKEEP_RUNTIME_DIR"
)

// Environ is what tells a process of this instance its place.
func (p Place) Environ() []string {
	return []string{stateVariable + "=" + p.State, runtimeVariable + "=" + p.Runtime}
}

// InheritedPlace is the place that an earlier process of this instance has chosen; false when there is none.
func InheritedPlace() (Place, bool) {
	p := Place{State: os.Getenv(stateVariable), Runtime: os.Getenv(runtimeVariable)}
	return p, p.State != "" && p.Runtime != ""
}

// PlaceOf is the place of the instance that runs a configuration, by the absolute path of the file. The
// directories are made for uid, -1 for the user that we are.
func PlaceOf(config string, uid, gid int) (Place, error) {
	state, runtime, err := roots()
	if err != nil {
		return Place{}, err
	}
	sum := sha256.Sum256([]byte(config))
	own := filepath.Join("upkeep", "supervisord", hex.EncodeToString(sum[:12]))
	p := Place{State: filepath.Join(state, own), Runtime: filepath.Join(runtime, own)}
	if err := makePrivate(p.State, uid, gid); err != nil {
		return Place{}, err
	}
	if err := makePrivate(p.Runtime, uid, gid); err != nil {
		p.Runtime = p.State // the journal is stamped with the boot, so that it may lie there too
	}
	return p, nil
}

// rootVariable relocates all that the product keeps for itself, for tests and for several installations beside
// each other. Source: one-model C12.
const rootVariable = "UPKEEP_ROOT"

// roots are the directories for state and for runtime files of this user.
func roots() (state, runtime string, err error) {
	if root := os.Getenv(rootVariable); filepath.IsAbs(root) {
		return filepath.Join(root, "state"), filepath.Join(root, "run"), nil
	}
	if privilege.UID() == 0 {
		return "/var/lib", "/run", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", "", err
	}
	state = filepath.Join(home, ".local", "state")
	if xdg := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		state = xdg
	}
	runtime = state
	if xdg := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(xdg) {
		runtime = xdg
	}
	return state, runtime, nil
}

// makePrivate makes a directory that only uid may enter, below two that others may pass through.
func makePrivate(dir string, uid, gid int) error {
	for _, up := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir)} {
		if err := os.MkdirAll(up, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(up, 0o755); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("something else is there")}
	}
	if uid >= 0 && privilege.UID() == 0 {
		return os.Chown(dir, uid, gid)
	}
	return nil
}
