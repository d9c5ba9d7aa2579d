//go:build unix

package pidfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestRead: nothing but a plain file with a plain number is believed, and nothing makes it wait.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	good := write("good", "4711\n")
	for _, err := range []error{
		os.Symlink(good, at("link")), os.Symlink(at("none"), at("dangling")), os.Mkdir(at("dir"), 0o700), syscall.Mkfifo(at("fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := Read(good)
	if err != nil || f.PID != 4711 || f.Owner != os.Getuid() || f.Written.IsZero() {
		t.Errorf("%+v, %v", f, err)
	}
	for text, pid := range map[string]int{"4711": 4711, " 4711 \n": 4711, "4711\r\n": 4711, "4711\n/var/lib/pg\n1795\n": 4711, "004711\n": 4711} {
		if f, err := Read(write("form", text)); err != nil || f.PID != pid {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "blank": "\n4711\n", "negative": "-4711\n", "plus": "+4711\n", "zero": "0\n", "init": "1\n", "hex": "0x10\n", "words": "47 11\n",
		"huge": "99999999999999999999\n", "past 31 bits": "4294967298\n", "more than any system has": "2000000000\n", "no number": "web\n", "nul": "47\x0011\n", "too long": "4711\n" + strings.Repeat("x", maxFile),
		"other digits": "٤٧\n",
	} {
		var unfit *UnfitError
		if f, err := Read(write("bad", text)); !errors.As(err, &unfit) || f.PID != 0 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	for _, name := range []string{at("link"), at("dangling"), at("dir"), at("fifo"), "/dev/null", "/dev/zero"} {
		var unfit *UnfitError
		if f, err := Read(name); !errors.As(err, &unfit) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := Read(at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestBelieve: a file that somebody else could have written says nothing about processes of others.
func TestBelieve(t *testing.T) {
	const root, us, web, eve = 0, 1000, 1001, 6666
	for _, tt := range []struct {
		owner, uid, euid, us, program int
		want                          bool
	}{
		{us, us, us, us, us, true},
		{root, us, us, us, us, true},
		{eve, us, us, us, us, false},
		{us, eve, eve, us, us, false},
		{us, us, root, us, us, false},
		{root, web, web, root, web, true},
		{web, web, web, root, web, true},
		{eve, web, web, root, web, false},
		{web, root, root, root, web, false},
		{web, eve, eve, root, web, false},
		{root, eve, eve, root, web, true},
		{us, web, web, us, web, true},
		{web, web, web, us, web, true},
		{eve, eve, eve, root, web, true},
		{-1, -1, -1, us, us, true},
	} {
		err := File{PID: 7, Owner: tt.owner}.Believe("/p", tt.uid, tt.euid, tt.us, tt.program)
		var unfit *UnfitError
		if (err == nil) != tt.want || err != nil && !errors.As(err, &unfit) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestRemove: only a file that names the process is removed.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "pid"), filepath.Join(dir, "target")
	if err := Write(path, 4711, nil); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path, 4712); err != nil {
		t.Error(err)
	}
	if f, err := Read(path); err != nil || f.PID != 4711 {
		t.Errorf("%+v, %v", f, err)
	}
	if err := Remove(path, 4711); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is still there")
	}
	if err := Remove(path, 4711); err != nil {
		t.Error(err)
	}
	if err := errors.Join(Write(target, 4711, nil), os.Symlink(target, path)); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path, 4711); err == nil {
		t.Error("a link was followed")
	}
	if _, err := Read(target); err != nil {
		t.Error(err)
	}
}

// TestOwner: a pid file belongs to the user that the program runs as.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "pid")
	if err := Write(path, 4711, &Owner{65534, 65533}); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(path); err != nil || f.Owner != 65534 {
		t.Errorf("%+v, %v", f, err)
	}
	if info, err := os.Lstat(path); err != nil || info.Sys().(*syscall.Stat_t).Gid != 65533 {
		t.Errorf("%+v, %v", info, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"4711\n", "1", "-1", "0x1", " 7 \nrest", "4294967297", "\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pid, err := Parse(b)
		if err != nil {
			if pid != 0 {
				t.Errorf("%q: %d with an error", b, pid)
			}
			return
		}
		line, _, _ := strings.Cut(string(b), "\n")
		digits := strings.TrimLeft(strings.Trim(line, " \t\r"), "0")
		if pid <= 1 || pid > maxPID || digits != strconv.Itoa(pid) {
			t.Errorf("%q: %d", b, pid)
		}
	})
}
