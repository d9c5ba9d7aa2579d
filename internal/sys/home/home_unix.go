//go:build unix

package home

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/privilege"
)

// machine reports whether our own instance is that of the system: we are root.
func machine() bool { return privilege.UID() == 0 }

// TakeSystem makes the instance of the system that of this process, where there is more to that than to be root: not here.
func TakeSystem(bool) error { return nil }

// systemRoots are the directories of root.
func systemRoots() Roots { return systemRootsOf(runtime.GOOS) }

func systemRootsOf(goos string) Roots {
	r := Roots{Config: "/etc", State: "/var/lib", Logs: "/var/log/upkeep", Runtime: "/run"}
	if goos == "darwin" || goos == "freebsd" { // they have no /run, and the first does not let it be made
		r.Runtime = "/var/run"
	}
	return r
}

// userRoots are the directories of an ordinary user. Without a directory that ends with the boot, what belongs to it
// lies in the state, in a folder of its own; it is stamped with the boot.
func userRoots(home string, getenv func(string) string) Roots {
	xdg := func(name string, fallback ...string) string {
		if dir := getenv(name); filepath.IsAbs(dir) {
			return dir
		}
		return filepath.Join(append([]string{home}, fallback...)...)
	}
	r := Roots{Config: xdg("XDG_CONFIG_HOME", ".config"), State: xdg("XDG_STATE_HOME", ".local", "state")}
	r.Logs = filepath.Join(r.State, product, "logs")
	r.Runtime = r.State
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		r.Runtime = dir
	} else if private(loginDir()) {
		r.Runtime = loginDir()
	}
	// A daemon that was started when the directory of the boot was not there (by cron, by sudo) is not lost by its user, nor
	// by its own next process, when a login makes one.
	if answers(r.State) && !answers(r.Runtime) {
		r.Runtime = r.State
	}
	return r
}

// answers reports whether a daemon has its socket in a directory, be it that it was killed.
func answers(runtime string) bool {
	info, err := os.Lstat(Roots{Runtime: runtime}.Native().Socket)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// loginDir is what XDG_RUNTIME_DIR is where it is set by the login. Who is started by an init system or by cron is not told;
// its instance and the commands of the same user have to meet all the same.
func loginDir() string { return filepath.Join("/run/user", strconv.Itoa(os.Getuid())) }

// private reports whether a directory is ours alone.
func private(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}
