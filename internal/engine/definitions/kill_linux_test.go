package definitions

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary be a process that is killed while it changes a definition: its arguments are the directory,
// the step at which it kills itself, and the new text, or no text for a removal.
func TestMain(m *testing.M) {
	if len(os.Args) >= 4 && os.Args[1] == "change" {
		s := New(os.Args[2], nil)
		s.at = func(step string) error {
			if step == os.Args[3] {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it arrives
			}
			return nil
		}
		if len(os.Args) == 5 {
			_, _ = s.Write("web", os.Args[4], Condition{})
		} else {
			_ = s.Remove("web", Condition{})
		}
		os.Exit(0) // it was to be killed
	}
	os.Exit(m.Run())
}

// TestKilled: wherever the writer is killed, the text is the one before or the one after, and the next change works.
func TestKilled(t *testing.T) {
	long := strings.Repeat("; a line\n", 10_000)
	for _, c := range []struct {
		step   string
		remove bool
		after  bool
	}{
		{"create", false, false},
		{"write", false, false},
		{"sync", false, false},
		{"rename", false, false},
		{"settle", false, true},
		{"remove", true, false},
		{"settle", true, true},
	} {
		dir := t.TempDir()
		s := New(dir, nil)
		mustWrite(t, s, "web", web)
		args := []string{"change", dir, c.step}
		if !c.remove {
			args = append(args, long)
		}
		err := exec.Command(os.Args[0], args...).Run()
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%+v: %v", c, err)
		}
		now, err := s.Read("web")
		switch {
		case !c.after && (err != nil || now.Text != web):
			t.Errorf("%+v: %.20q, %v", c, now.Text, err)
		case c.after && c.remove && !errors.Is(err, fs.ErrNotExist), c.after && !c.remove && (err != nil || now.Text != long):
			t.Errorf("%+v: %.20q, %v", c, now.Text, err)
		}
		if list, err := s.List(); err != nil || len(list) > 1 {
			t.Errorf("%+v: %+v, %v", c, list, err)
		}
		mustWrite(t, s, "web", "next")
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("%+v: %v", c, entries)
		}
	}
}

// fileSystem is one of our own of 64 KB.
func fileSystem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skip("no file system of our own: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := fileSystem(t)
	s := New(filepath.Join(dir, "programs"), nil)
	mustWrite(t, s, "web", web)
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Write("web", "new", Condition{}); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if _, err := s.Write("other", "new", Condition{}); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if list, err := s.List(); err != nil || len(list) != 1 || list[0].Text != web {
		t.Errorf("%+v, %v", list, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, "web", "new")
	if entries, _ := os.ReadDir(filepath.Join(dir, "programs")); len(entries) != 1 {
		t.Errorf("%v", entries)
	}
}

func TestReadOnly(t *testing.T) {
	dir := fileSystem(t)
	s := New(dir, nil)
	mustWrite(t, s, "web", web)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write("web", "new", Condition{}); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	if err := s.Remove("web", Condition{}); !errors.Is(err, syscall.EROFS) {
		t.Error(err)
	}
	if d := mustWrite(t, s, "web", web); d.Text != web {
		t.Errorf("%+v", d)
	}
}

// TestForeign: a file of somebody else is refused.
func TestForeign(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	s := New(t.TempDir(), nil)
	d := mustWrite(t, s, "web", web)
	if err := os.Chown(d.Path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write("web", "new", Condition{}); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Error(err)
	}
	if err := s.Remove("web", Condition{}); err == nil {
		t.Error("removed")
	}
}
