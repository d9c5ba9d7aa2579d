package supervisord

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Environ is what reading needs to know of the world. The file system is the real one; relative names
// are taken from Cwd, so that a reading is the same wherever the daemon has moved to.
type Environ struct {
	Vars     map[string]string // environment variables
	Cwd      string            // absolute
	Hostname string
	TempDir  string
	UID      int // real user id
	Users    Users
	// ReadFile reads a file of the configuration; nil = as it is at that moment. Its error may be an *UnsettledError.
	ReadFile func(path string) ([]byte, error) `json:"-"`
	// Made are folders that are made before they are needed: they count as there.
	Made []string `json:"-"`
}

// UnsettledError says that a file is being written: what it will say is not known yet. Nothing is concluded from it.
type UnsettledError struct{ Path string }

func (e *UnsettledError) Error() string { return e.Path + " is being written" }

// read reads a file of the configuration.
func (e *Environ) read(path string) ([]byte, error) {
	if e.ReadFile != nil {
		return e.ReadFile(path)
	}
	return os.ReadFile(path)
}

// maxFile bounds a file of the configuration, in bytes.
const maxFile = 64 << 20

// readRegular reads a regular file of bounded size; what else lies in a folder may never end.
func (e *Environ) readRegular(path string) ([]byte, error) {
	switch st, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, errors.New("is a directory")
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case st.Size() > maxFile:
		return nil, fmt.Errorf("it is larger than %d MB", maxFile>>20)
	}
	return e.read(path)
}

// User is an entry of the user database.
type User struct {
	Name     string
	UID, GID int
	Home     string
}

// Users looks accounts up; false when there is none.
type Users interface {
	UserByName(name string) (User, bool)
	UserByID(uid int) (User, bool)
	GroupByName(name string) (gid int, ok bool)
	GroupByID(gid int) bool
}

// SystemEnviron is the environment of this process.
func SystemEnviron() (Environ, error) {
	cwd, err := workingDir()
	if err != nil {
		return Environ{}, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return Environ{}, err
	}
	vars := map[string]string{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			vars[name] = value
		}
	}
	return Environ{
		Vars: vars, Cwd: cwd, Hostname: hostname, TempDir: tempDir(vars, cwd), UID: os.Getuid(), Users: SystemUsers{},
	}, nil
}

// workingDir is the folder that this process is in. Where it was deleted, as an old release may be under a daemon that was
// started there, it is the path that it had: a daemon that comes back after a kill needs it for relative names only.
func workingDir() (string, error) {
	dir, err := os.Getwd()
	if errors.Is(err, fs.ErrNotExist) {
		if was, gone := os.Readlink("/proc/self/cwd"); gone == nil {
			return strings.TrimSuffix(was, " (deleted)"), nil
		}
	}
	return dir, err
}

// tempDir is the first usable of the usual places. Source: spec/supervisor 1.2.
func tempDir(vars map[string]string, cwd string) string {
	candidates := []string{vars["TMPDIR"], vars["TEMP"], vars["TMP"], "/tmp", "/var/tmp", "/usr/tmp"}
	for _, dir := range candidates {
		if dir == "" {
			continue
		}
		dir = cleanPath(joinPath(cwd, dir))
		if usableDir(dir) {
			return dir
		}
	}
	return cwd
}

// usableDir reports whether files can be made in a directory.
func usableDir(dir string) bool {
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return false
	}
	closeErr := f.Close()
	return os.Remove(f.Name()) == nil && closeErr == nil
}

// SystemUsers is the user database of this machine.
type SystemUsers struct{}

// UserByName implements Users.
func (SystemUsers) UserByName(name string) (User, bool) { return systemUser(user.Lookup(name)) }

// UserByID implements Users.
func (SystemUsers) UserByID(uid int) (User, bool) {
	return systemUser(user.LookupId(strconv.Itoa(uid)))
}

func systemUser(u *user.User, err error) (User, bool) {
	if err != nil {
		return User{}, false
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return User{Name: u.Username, UID: uid, GID: gid, Home: u.HomeDir}, err1 == nil && err2 == nil
}

// GroupByName implements Users.
func (SystemUsers) GroupByName(name string) (int, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	gid, err := strconv.Atoi(g.Gid)
	return gid, err == nil
}

// GroupByID implements Users.
func (SystemUsers) GroupByID(gid int) bool {
	_, err := user.LookupGroupId(strconv.Itoa(gid))
	return err == nil
}

// expandUser replaces a leading ~ or ~name by the home directory; unknown names stay.
func (e *Environ) expandUser(p string) string {
	if !strings.HasPrefix(p, "~") {
		return p
	}
	name, rest := p[1:], ""
	if i := strings.IndexByte(p, '/'); i >= 0 {
		name, rest = p[1:i], p[i:]
	}
	var u User
	ok := true
	home, set := e.Vars["HOME"]
	switch {
	case name != "":
		u, ok = e.Users.UserByName(name)
		home = u.Home
	case !set:
		u, ok = e.Users.UserByID(e.UID)
		home = u.Home
	}
	if !ok {
		return p
	}
	if p = strings.TrimRight(home, "/") + rest; p == "" {
		return "/"
	}
	return p
}

// abs makes a path absolute and clean, without following links.
func (e *Environ) abs(p string) string { return cleanPath(joinPath(e.Cwd, p)) }

// normalize is abs with ~ expanded.
func (e *Environ) normalize(p string) string { return e.abs(e.expandUser(p)) }

// isDir reports whether a path is a directory.
func (e *Environ) isDir(p string) bool {
	if p == "" {
		return false
	}
	if slices.Contains(e.Made, p) {
		return true
	}
	st, err := os.Stat(joinPath(e.Cwd, p))
	return err == nil && st.IsDir()
}

func isAbs(p string) bool { return strings.HasPrefix(p, "/") || filepath.IsAbs(p) }

// joinPath puts a relative path behind a directory.
func joinPath(dir, p string) string {
	switch {
	case isAbs(p) || dir == "":
		return p
	case strings.HasSuffix(dir, "/"):
		return dir + p
	}
	return dir + "/" + p
}

// cleanPath removes ., .. and double slashes; exactly two leading slashes stay, as POSIX lets them.
func cleanPath(p string) string {
	if strings.HasPrefix(p, "//") && !strings.HasPrefix(p, "///") {
		return "/" + path.Clean(p[1:])
	}
	return path.Clean(p)
}

// dirName is the part before the last slash; empty when there is none.
func dirName(p string) string {
	dir := p[:strings.LastIndexByte(p, '/')+1]
	if trimmed := strings.TrimRight(dir, "/"); trimmed != "" {
		return trimmed
	}
	return dir
}
