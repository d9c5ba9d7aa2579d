//go:build unix

package peek

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// house makes a tree that belongs to us and that others may enter up to its root.
func house(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{filepath.Dir(root), root} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []struct {
		name string
		mode os.FileMode
	}{
		{"open/", 0o755},
		{"open/file", 0o644},
		{"open/tool", 0o755},
		{"open/runs", 0o711},
		{"open/mine", 0o600},
		{"shut/", 0o700},
		{"shut/file", 0o644},
	} {
		path := filepath.Join(root, e.name)
		if strings.HasSuffix(e.name, "/") {
			err = os.Mkdir(path, e.mode)
		} else {
			err = os.WriteFile(path, []byte("#!/bin/sh\n"+e.name), e.mode)
		}
		if err == nil {
			err = os.Chmod(path, e.mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"open/link": "file", "open/far": root + "/shut/file", "open/up": "../open/./tool", "open/loop": "loop", "open/dangling": "nothing",
		"dirlink": "open",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "open/fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	return root
}

const stranger = 54321

func TestWalk(t *testing.T) {
	root := house(t)
	me := Who{UID: os.Getuid(), Groups: []int{os.Getgid()}}
	other := Who{UID: stranger, Groups: []int{stranger}}
	for _, c := range []struct {
		who    Who
		path   string
		right  Right
		at     string // where it leads, or stands in the way
		reason int    // -1 = none
	}{
		{me, "open/file", Read, "open/file", -1},
		{other, "open/file", Read, "open/file", -1},
		{other, "open/file", Write, "open/file", int(NotAllowed)},
		{other, "open/file", Exec, "open/file", int(NotAllowed)},
		{other, "open/mine", Here, "open/mine", -1},
		{other, "open/mine", Read, "open/mine", int(NotAllowed)},
		{other, "shut/file", Read, "shut", int(NotSearchable)},
		{other, "open/far", Read, "shut", int(NotSearchable)},
		{me, "open/far", Read, "shut/file", -1},
		{other, "open/link", Read, "open/file", -1},
		{other, "dirlink/up", Exec, "open/tool", -1},
		{other, "open/file/x", Here, "open/file", int(NotADirectory)},
		{other, "open/nothing/x", Here, "open/nothing", int(Missing)},
		{other, "open/dangling", Here, "open/nothing", int(Missing)},
		{other, "open/loop", Here, "open/loop", int(Loop)},
		{other, "open/../open/file", Read, "open/file", -1},
		{Who{}, "open/file", Exec, "open/file", int(NotAllowed)}, // root too needs a bit
		{Who{}, "open/mine", Write, "open/mine", -1},
	} {
		found, err := c.who.Walk(root+"/"+c.path, c.right)
		var o *Obstacle
		switch {
		case c.reason < 0 && (err != nil || found.Path != root+"/"+c.at):
			t.Errorf("%d at %s: %v, %v", c.who.UID, c.path, found.Path, err)
		case c.reason >= 0 && (!errors.As(err, &o) || int(o.Reason) != c.reason || o.Path != root+"/"+c.at):
			t.Errorf("%d at %s: %v", c.who.UID, c.path, err)
		}
	}
	for _, path := range []string{"", "x", "/" + strings.Repeat("a", maxPath)} {
		if _, err := me.Walk(path, Here); err == nil {
			t.Errorf("%.10q is a path", path)
		}
	}
	if f, err := me.Walk("/", Exec); err != nil || f.Path != "/" {
		t.Errorf("root: %v, %v", f, err)
	}
}

func TestFiles(t *testing.T) {
	root := house(t)
	other := Who{UID: stranger}
	if b, err := other.File(root+"/open/link", 9); err != nil || string(b) != "#!/bin/sh" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := other.Head(root+"/open/runs", 9); err != nil || string(b) != "#!/bin/sh" {
		t.Errorf("what may be executed: %q, %v", b, err)
	}
	if b, err := other.Head(root+"/open/tool", 4096); err != nil || string(b) != "#!/bin/sh\nopen/tool" {
		t.Errorf("a short one: %q, %v", b, err)
	}
	for _, path := range []string{"open/mine", "open/runs", "open/far", "open/fifo", "open", "open/dangling"} {
		if b, err := other.File(root+"/"+path, 10); err == nil {
			t.Errorf("%s was read: %q", path, b)
		}
	}
	if l, err := other.Names(root+"/dirlink", 100); err != nil || !slices.Contains(l, "fifo") || !slices.Contains(l, "mine") {
		t.Errorf("%q, %v", l, err)
	}
	if l, err := other.Names(root+"/open", 2); err != nil || len(l) != 2 {
		t.Errorf("%q, %v", l, err)
	}
	for _, path := range []string{"shut", "open/file"} {
		if l, err := other.Names(root+"/"+path, 2); err == nil {
			t.Errorf("%s was listed: %q", path, l)
		}
	}
}

func TestOwnerAndSpace(t *testing.T) {
	root := house(t)
	f, err := Who{}.Walk(root, Here)
	if err != nil || Owner(f.Info) != os.Getuid() {
		t.Errorf("%v", err)
	}
	s, err := SpaceAt(root)
	if err != nil || s.Size <= 0 || s.Free < 0 || s.Free > s.Size {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := SpaceAt(root + "/nothing"); err == nil {
		t.Error("no error where nothing is")
	}
}

func TestObstacleText(t *testing.T) {
	for r := Missing; r <= Failed; r++ {
		if text := (&Obstacle{Path: "/a", Reason: r, Err: errors.New("x")}).Error(); !strings.HasPrefix(text, "/a ") {
			t.Errorf("%d: %q", r, text)
		}
	}
}
