package logfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shared makes a directory that others can write, with or without the sticky bit.
func shared(t *testing.T, sticky bool) string {
	t.Helper()
	dir := t.TempDir() + "/shared"
	check(t, os.Mkdir(dir, 0o755))
	mode := os.FileMode(0o777)
	if sticky {
		mode |= os.ModeSticky
	}
	check(t, os.Chmod(dir, mode))
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

// What is refused where others could have placed it, and what is not. Source: spec/reliability S16.
func TestUntrustedDirectories(t *testing.T) {
	const (
		trusted = iota
		open
		sticky
	)
	tests := []struct {
		name string
		make func(t *testing.T, dir, target string) string // returns the path to open
		ok   [3]bool                                       // trusted, open, sticky
	}{
		{"nothing there", func(_ *testing.T, dir, _ string) string { return dir + "/F" }, [3]bool{true, true, true}},
		{"regular file", func(t *testing.T, dir, _ string) string {
			write(t, dir+"/F", "x")
			return dir + "/F"
		}, [3]bool{true, true, true}},
		{"symbolic link", func(t *testing.T, dir, target string) string {
			check(t, os.Symlink(target, dir+"/F"))
			return dir + "/F"
		}, [3]bool{true, false, true}}, // ours, and under the sticky bit nobody can replace it
		{"dangling link", func(t *testing.T, dir, target string) string {
			check(t, os.Symlink(target+".new", dir+"/F"))
			return dir + "/F"
		}, [3]bool{true, false, true}},
		{"link to a directory on the way", func(t *testing.T, dir, target string) string {
			check(t, os.Symlink(filepath.Dir(target), dir+"/d"))
			return dir + "/d/F"
		}, [3]bool{true, false, true}},
		{"hard link", func(t *testing.T, dir, target string) string {
			check(t, os.Link(target, dir+"/F"))
			return dir + "/F"
		}, [3]bool{true, false, false}},
		{"FIFO", func(t *testing.T, dir, _ string) string {
			check(t, unix.Mkfifo(dir+"/F", 0o600))
			return dir + "/F"
		}, [3]bool{true, false, true}},
		{"link in a directory below", func(t *testing.T, dir, target string) string {
			check(t, os.Mkdir(dir+"/d", 0o755))
			check(t, os.Symlink(target, dir+"/d/F"))
			return dir + "/d/F"
		}, [3]bool{true, false, true}}, // the directory itself could be replaced
		{"relative link", func(t *testing.T, dir, target string) string {
			rel, err := filepath.Rel(dir, target)
			check(t, err)
			check(t, os.Symlink(rel, dir+"/F"))
			return dir + "/F"
		}, [3]bool{true, false, true}},
	}
	for _, tt := range tests {
		for kind, ok := range tt.ok {
			t.Run(tt.name+"/"+[]string{"trusted", "open", "sticky"}[kind], func(t *testing.T) {
				dir := t.TempDir()
				if kind != trusted {
					dir = shared(t, kind == sticky)
				}
				target := t.TempDir() + "/target"
				write(t, target, "precious")
				path := tt.make(t, dir, target)
				f, err := Open(path, 0, Create)
				if ok {
					check(t, err)
					check(t, f.Close())
					return
				}
				var unsafe *UnsafeError
				if !errors.As(err, &unsafe) || !strings.Contains(err.Error(), path) {
					t.Fatalf("%v; want an UnsafeError naming %s", err, path)
				}
				if b, _ := os.ReadFile(target); string(b) != "precious" {
					t.Errorf("the target is %q now", b)
				}
				if _, err := os.Stat(target + ".new"); err == nil {
					t.Error("the target was made")
				}
				if _, err := OpenReader(path); err == nil {
					t.Error("opened for reading")
				}
			})
		}
	}
}

// Owners other than root and ourselves are not trusted with links.
func TestForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files of another user")
	}
	target := t.TempDir() + "/target"
	write(t, target, "precious")
	const other = 12345
	dir := t.TempDir() + "/theirs"
	check(t, os.Mkdir(dir, 0o755))
	check(t, os.Symlink(target, dir+"/F"))
	check(t, os.Chown(dir, other, other))
	var unsafe *UnsafeError
	if _, err := Open(dir+"/F", 0, Create); !errors.As(err, &unsafe) {
		t.Errorf("link in another user's directory: %v", err)
	}
	write(t, dir+"/G", "x")
	check(t, os.Chown(dir+"/G", other, other))
	f, err := Open(dir+"/G", 0, Create)
	check(t, err) // a program's own log is no surprise
	check(t, f.Close())

	tmp := shared(t, true)
	check(t, os.Symlink(target, tmp+"/F"))
	check(t, os.Lchown(tmp+"/F", other, other))
	if _, err := Open(tmp+"/F", 0, Create); !errors.As(err, &unsafe) {
		t.Errorf("another user's link under the sticky bit: %v", err)
	}
	write(t, tmp+"/G", "x") // which the kernel would not let root "create"
	check(t, os.Chown(tmp+"/G", other, other))
	f, err = Open(tmp+"/G", 0, Create)
	check(t, err)
	check(t, f.Close())
}

// Somebody swaps links, hard links and files at full speed; the target is never touched.
func TestSwappingAttacker(t *testing.T) {
	if !fineClock(t) {
		t.Skip("the file system's change times are too coarse for the proof")
	}
	dir := shared(t, false)
	target := t.TempDir() + "/target"
	write(t, target, "precious")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := dir + "/tmp"
			switch i % 4 {
			case 0:
				_ = os.Symlink(target, name)
			case 1:
				_ = os.Link(target, name)
			case 2:
				_ = os.WriteFile(name, nil, 0o644)
			case 3:
				_ = unix.Mkfifo(name, 0o600)
			}
			_ = os.Rename(name, dir+"/F")
			_ = os.Remove(name)
		}
	}()
	opened, refused := 0, 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		f, err := Open(dir+"/F", 0, Create)
		if err != nil {
			refused++
			continue
		}
		opened++
		// As the log would: only what was checked at open. A hard link may be made afterwards, of our file.
		if _, err := f.Append([]byte("log\n")); err != nil {
			t.Error(err)
		}
		check(t, f.Close())
	}
	close(stop)
	wg.Wait()
	if b, _ := os.ReadFile(target); string(b) != "precious" {
		t.Errorf("the target was written to: %q", b)
	}
	if opened == 0 || refused == 0 {
		t.Errorf("%d opened, %d refused: the test has shown nothing", opened, refused)
	}
}

// fineClock reports whether each change of a file gives it another change time.
func fineClock(t *testing.T) bool {
	t.Helper()
	path := t.TempDir() + "/F"
	write(t, path, "")
	var last unix.Timespec
	for range 20 {
		check(t, os.Link(path, path+"2"))
		check(t, os.Remove(path+"2"))
		var st unix.Stat_t
		check(t, unix.Stat(path, &st))
		if st.Ctim == last {
			return false
		}
		last = st.Ctim
	}
	return true
}

func TestLinksEnd(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Symlink("b", dir+"/a"))
	check(t, os.Symlink("a", dir+"/b"))
	if _, err := Open(dir+"/a", 0, Create); !errors.Is(err, unix.ELOOP) {
		t.Errorf("%v, want ELOOP", err)
	}
	check(t, os.Symlink("/", dir+"/root"))
	if _, err := Open(dir+"/root", 0, Create); !errors.Is(err, unix.EISDIR) {
		t.Errorf("%v, want EISDIR", err)
	}
	check(t, os.Symlink("../"+filepath.Base(dir)+"/./f", dir+"/up"))
	f, err := Open(dir+"/up", 0, Create)
	check(t, err)
	check(t, f.Close())
	if _, err := os.Lstat(dir + "/f"); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]error{
		dir + "/no/F": unix.ENOENT, dir: unix.EISDIR, "/dev/null/F": unix.ENOTDIR, "/dev/fd/98765": unix.EBADF,
	} {
		if _, err := Open(path, 0, Create); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := Open(dir+"/F", 0, Existing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Existing: %v", err)
	}
	if _, err := OpenReader("/dev/stdout"); err == nil {
		t.Error("our own output was opened for reading")
	}
}

func TestOwnDescriptor(t *testing.T) {
	for path, want := range map[string]int{
		"/dev/stdout": 1, "/dev/stderr": 2, "/dev/stdin": 0, "/dev/fd/17": 17, "/proc/self/fd/5": 5,
		"/dev/fd/": -1, "/dev/fd/x": -1, "/dev/fd/-1": -1, "/dev/fd/99999999999": -1, "/dev/std": -1, "/var/log/x": -1,
	} {
		if got := ownDescriptor(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestAppendAndSplice(t *testing.T) {
	path := t.TempDir() + "/F"
	f, err := Open(path, 0o600, Create)
	check(t, err)
	defer f.Close()
	_, err = f.Append([]byte("one\n"))
	check(t, err)
	var p [2]int
	check(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	_, err = unix.Write(p[1], []byte("two\nthree\n"))
	check(t, err)
	if n, err := f.Splice(p[0], 4, 4); n != 4 || err != nil {
		t.Fatalf("Splice: %d, %v", n, err)
	}
	_, err = f.Append([]byte("four\n"))
	check(t, err)
	f.noAppend = true // as on a file system without the flag
	_, err = f.Append([]byte("five\n"))
	check(t, err)
	info, err := f.Stat()
	check(t, err)
	b, _ := os.ReadFile(path)
	if want := "one\ntwo\nfour\nfive\n"; string(b) != want || info.Size != int64(len(want)) || info.Links != 1 {
		t.Errorf("%q, %+v", b, info)
	}
	check(t, os.Remove(path))
	if info, _ := f.Stat(); info.Links != 0 {
		t.Errorf("a deleted file has %d links", info.Links)
	}
}
