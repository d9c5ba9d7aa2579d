//go:build unix

package home

import "path/filepath"

// systemRoots are the directories of root.
func systemRoots() Roots {
	return Roots{Config: "/etc", State: "/var/lib", Logs: "/var/log/upkeep", Runtime: "/run"}
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
	}
	return r
}
