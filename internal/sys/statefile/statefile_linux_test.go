package statefile

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for p, mode := range map[string]fs.FileMode{path: 0o600, dir: 0o700 | fs.ModeDir, filepath.Dir(dir): 0o700 | fs.ModeDir} {
		if st, err := os.Stat(p); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", p, st.Mode(), err)
		}
	}
	if err := f.Chmod(0o664); err != nil {
		t.Fatal(err)
	}
	g, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if st, _ := g.Stat(); st.Mode() != 0o600 {
		t.Errorf("opened with %v", st.Mode())
	}
}

// TestReserve: storage is taken, the length stays.
func TestReserve(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Reserve(f, 100_000); err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() != 0 {
		t.Errorf("%d bytes long", st.Size())
	}
	if got := st.Sys().(*syscall.Stat_t).Blocks * 512; got < 100_000 && got != 0 { // 0: a file system without
		t.Errorf("%d bytes reserved", got)
	}
	if err := Reserve(f, 1<<62); err == nil {
		t.Error("too much is given")
	}
}

// TestReadOnly: what can only be read is opened for reading.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // permissions do not stop root; a read-only mount does
		if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
			t.Skip("no mount: ", err)
		}
		defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
		if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Skip("no read-only mount: ", err)
		}
	} else if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	f, writable, err := Open(path)
	if err != nil || writable {
		t.Fatal(writable, err)
	}
	defer f.Close()
	if b := make([]byte, 4); true {
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != "text" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if os.Geteuid() == 0 {
		if _, err := Create(path + "2"); err == nil || !Unreadable(err) {
			t.Errorf("%v", err)
		}
	}
}
