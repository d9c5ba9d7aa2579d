package launch

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestResolveWithoutPermission looks as an ordinary user at a file that only others may execute.
func TestResolveWithoutPermission(t *testing.T) {
	root := tree(t, map[string]os.FileMode{"tool": 0o001, "good/tool": 0o755})
	if os.Getuid() == 0 {
		// The real user of this thread alone; the effective one stays root.
		runtime.LockOSThread()
		const keep = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, keep, keep); errno != 0 {
			t.Skip(errno)
		}
		defer func() {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 0, keep, keep); errno == 0 {
				runtime.UnlockOSThread()
			}
		}()
		for _, dir := range []string{filepath.Dir(root), root} { // testing makes them for its own user
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := New(Options{})
	check := func(line, path string) string {
		p := &model.Program{Command: model.Command{Line: line, Env: []model.EnvVar{{Name: "PATH", Value: path}}}}
		if err := h.Check(p); err != nil {
			return err.Error()
		}
		return ""
	}
	want := "no permission to run command '" + root + "/tool'"
	if got := check(root+"/tool", ""); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := check("tool", root); got != want {
		t.Errorf("in PATH: %q, want %q", got, want)
	}
	if got := check("tool", root+":"+root+"/good"); got != "" {
		t.Errorf("the next entry can be run, but: %q", got)
	}
}
