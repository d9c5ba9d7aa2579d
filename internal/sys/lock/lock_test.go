package lock

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestMain lets the test binary be another holder: it takes the lock named by its argument, says so, and
// holds it until its input ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold" {
		if _, err := Acquire(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAcquire(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Errorf("holder %d, %v", pid, err)
	}
	l, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := Holder(path); pid != os.Getpid() || err != nil {
		t.Errorf("holder %d, %v", pid, err)
	}
	var held *HeldError
	if _, err := Acquire(path); !errors.As(err, &held) || held.PID != os.Getpid() || held.Path != path {
		t.Errorf("second: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Errorf("holder after the release: %d, %v", pid, err)
	}
	l, err = Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestKilledHolder: a lock ends with its holder, and what it left in the file locks nobody out.
func TestKilledHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "hold", path)
	if _, err := c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("holder says %q, %v", line, err)
	}
	var held *HeldError
	if _, err := Acquire(path); !errors.As(err, &held) || held.PID != c.Process.Pid {
		t.Errorf("while held: %v", err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if pid, err := Holder(path); pid != c.Process.Pid || err != nil {
		t.Errorf("left behind: %d, %v", pid, err)
	}
	l, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := Holder(path); pid != os.Getpid() || err != nil {
		t.Errorf("taken over: %d, %v", pid, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestOne: of many that try at once, while the file is removed under them, never two hold the file that
// the path names.
func TestOne(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed here")
	}
	path := filepath.Join(t.TempDir(), "lock")
	var inside, taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				l, err := Acquire(path)
				var held *HeldError
				if errors.As(err, &held) {
					runtime.Gosched()
					continue
				}
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				taken.Add(1)
				inside.Add(-1)
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() == 0 {
		t.Error("nobody ever got it")
	}

	l, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if current(l.f, path) {
		t.Error("a removed file counts as current")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if current(l.f, path) {
		t.Error("another file counts as current")
	}
	l.Close()
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Skip("no symbolic links here")
	}
	for _, path := range []string{link, dir, filepath.Join(dir, "no", "dir"), os.DevNull} {
		if _, err := Acquire(path); err == nil {
			t.Errorf("%s was locked", path)
		}
	}
	if b, err := os.ReadFile(target); err != nil || string(b) != "precious" {
		t.Errorf("the link's target holds %q, %v", b, err)
	}
}

func TestContents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for text, want := range map[string]int{
		"": 0, "12\n": 12, "  12": 12, "x": 0, "-1": 0, "12 13": 0, "99999999999999999999": 0,
		"1234567890123456789012345678901234567890": 0,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := Holder(path); err != nil || pid != want {
			t.Errorf("%q: %d, %v; want %d", text, pid, err, want)
		}
	}
	l, err := Acquire(path) // a longer text leaves no rest
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b, err := os.ReadFile(path); err != nil || string(b) != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("file holds %q, %v", b, err)
	}
}
