package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/home"
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

// PlaceOf is the place of the instance that runs a configuration: the native one of this user, or that of the absolute
// path of the file. The directories are made for its user.
func PlaceOf(c *supervisord.Config) (Place, error) {
	roots, err := home.OwnRoots(false)
	if err != nil {
		return Place{}, err
	}
	uid, gid := c.Settings.UID, c.Settings.GID
	sum := sha256.Sum256([]byte(c.Settings.ConfigFile))
	own := filepath.Join("upkeep", "supervisord", hex.EncodeToString(sum[:12]))
	p := Place{State: filepath.Join(roots.State, own), Runtime: filepath.Join(roots.Runtime, own)}
	if c.Native != nil {
		n := roots.Native()
		p = Place{State: n.State, Runtime: n.Runtime}
	}
	if c.Foreign != nil {
		p = foreignPlace(c, roots)
	}
	if err := makePrivate(roots.State, p.State, uid, gid); err != nil {
		return Place{}, err
	}
	if err := makePrivate(roots.Runtime, p.Runtime, uid, gid); err != nil {
		p.Runtime = p.State // the journal is stamped with the boot, so that it may lie there too
	}
	return p, nil
}

// makePrivate makes a directory below root that only uid may enter. Others may pass through those between the two, which are
// ours. root itself is not: the rights that it has stay.
func makePrivate(root, dir string, uid, gid int) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	var between []string
	for up := filepath.Dir(dir); len(up) > len(root); up = filepath.Dir(up) {
		between = append(between, up)
	}
	for _, up := range slices.Backward(between) {
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
