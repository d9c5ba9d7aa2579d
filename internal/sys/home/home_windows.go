package home

import "path/filepath"

// systemRoots are the directories of a service.
func systemRoots() Roots { return Under(filepath.Join(`C:\ProgramData`, product)) }

// userRoots are the directories of an ordinary user.
func userRoots(home string, getenv func(string) string) Roots {
	dir := getenv("LOCALAPPDATA")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(home, "AppData", "Local")
	}
	return Under(filepath.Join(dir, product))
}
