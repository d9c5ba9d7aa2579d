package logs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tables of spec/supervisor 5.9.
func TestRead(t *testing.T) {
	path := t.TempDir() + "/F"
	put(t, path, "hello")
	tests := []struct {
		offset, length int64
		want           string
		err            error
	}{
		{0, 0, "hello", nil},
		{0, 3, "hel", nil},
		{2, 0, "llo", nil},
		{2, 100, "llo", nil},
		{5, 0, "", nil},
		{100, 3, "", nil},
		{-2, 0, "lo", nil},
		{-100, 0, "hello", nil},
		{-1, 1, "", ErrBadArguments},
		{-1, -1, "", ErrBadArguments},
		{0, -1, "", ErrBadArguments},
		{math.MinInt64, 0, "hello", nil},
		{math.MaxInt64, math.MaxInt64, "", nil},
		{1, math.MaxInt64, "ello", nil},
	}
	for _, tt := range tests {
		got, err := Read(path, tt.offset, tt.length)
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Read(%d, %d) = %q, %v; want %q, %v", tt.offset, tt.length, got, err, tt.want, tt.err)
		}
	}
	if _, err := Read(path+"x", 0, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Read(t.TempDir(), 0, 0); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory: %v", err)
	}
}

func TestTail(t *testing.T) {
	path := t.TempDir() + "/F"
	put(t, path, "hello")
	tests := []struct {
		offset, length int64
		want           string
		overflow       bool
	}{
		{0, 0, "", true},
		{0, 3, "llo", true},
		{0, 5, "hello", false},
		{0, 10, "hello", false},
		{2, 3, "llo", false},
		{-1, 3, "llo", true},
		{2, 10, "hello", false},
		{5, 10, "", false},
		{6, 3, "", false},
		{100, 3, "", false},
		{-1, 0, "", true},
		{0, -1, "", true},
		{math.MaxInt64, math.MaxInt64, "", false},
		{math.MinInt64, math.MinInt64, "", true},
	}
	for _, tt := range tests {
		got, end, overflow, err := Tail(path, tt.offset, tt.length)
		if string(got) != tt.want || end != 5 || overflow != tt.overflow || err != nil {
			t.Errorf("Tail(%d, %d) = %q, %d, %v, %v; want %q, 5, %v", tt.offset, tt.length, got, end, overflow, err, tt.want, tt.overflow)
		}
	}
	if data, end, overflow, err := Tail(path+"x", 3, 5); len(data) != 0 || end != 0 || overflow || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %q, %d, %v, %v", data, end, overflow, err)
	}
	if data, end, overflow, err := Tail(filepath.Dir(path), 3, 5); len(data) != 0 || end != 3 || overflow || err != nil {
		t.Errorf("directory: %q, %d, %v, %v", data, end, overflow, err)
	}
}

// Whatever is asked for, nothing outside the file is.
func FuzzTail(f *testing.F) {
	f.Add(int64(5), int64(0), int64(3))
	f.Fuzz(func(t *testing.T, size, offset, length int64) {
		if size < 0 || size > 1<<40 {
			return
		}
		from, count, _ := tailRange(size, offset, length)
		if from < 0 || count < 0 {
			t.Errorf("tailRange(%d, %d, %d) = %d, %d", size, offset, length, from, count)
		}
		if got, _ := readPart(strings.NewReader(""), from, count, min(size, 1<<16)); len(got) != 0 {
			t.Errorf("%d bytes out of nothing", len(got))
		}
	})
}

func TestAutoLogs(t *testing.T) {
	dir := t.TempDir()
	path, err := CreateAuto(dir, "cat", "stdout", "super.visor")
	check(t, err)
	if ok, _ := regexp.MatchString(`^`+regexp.QuoteMeta(dir)+regexp.QuoteMeta(string(filepath.Separator))+`cat-stdout---super\.visor-[a-z0-9_]{8}\.log$`, path); !ok {
		t.Errorf("path %q", path)
	}
	fi, err := os.Stat(path)
	check(t, err)
	if fi.Mode() != 0o600 && runtime.GOOS != "windows" || fi.Size() != 0 {
		t.Errorf("mode %v, size %d", fi.Mode(), fi.Size())
	}
	again, err := CreateAuto(dir, "cat", "stdout", "super.visor")
	check(t, err)
	if again == path {
		t.Error("the same name twice")
	}
	check(t, os.Remove(again))
	if _, err := CreateAuto(dir+"/no", "cat", "stdout", "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}

	keep := []string{
		"cat-stdout---superXvisor-abcdefgh.log", // the identifier is not a pattern
		"---super.visor-abc.log",                // nothing in front
		"cat-stdout---super.visor-ab c.log",
		"cat-stdout---super.visor-.log",
		"other.log",
	}
	gone := []string{
		"cat-stdout---super.visor-abcdefgh.log.1", "cat-stdout---super.visor-abcdefgh.log.9999",
		"x---super.visor-a.log", "x---super.visor-a.logtrailing",
	}
	want := map[string]string{"dir---super.visor-x.log": "<d--------->"}
	for _, n := range append(keep, gone...) {
		put(t, filepath.Join(dir, n), "")
	}
	for _, n := range keep {
		want[n] = ""
	}
	check(t, os.Mkdir(dir+"/dir---super.visor-x.log", 0o755))
	if diff := cmp.Diff([]string{filepath.Join(dir, "dir---super.visor-x.log")}, CleanAuto(dir, "super.visor")); diff != "" {
		t.Errorf("failed (-want +got):\n%s", diff)
	}
	wantContents(t, dir, want)
	if got := CleanAuto(dir+"/none", "x"); len(got) != 1 || got[0] != dir+"/none" {
		t.Errorf("missing directory: %q", got)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"F", "F.1", "F.3", "F.4"} {
		put(t, dir+"/"+n, "")
	}
	check(t, Remove(dir+"/F", 3))
	wantContents(t, dir, map[string]string{"F.4": ""})
	check(t, Remove(dir+"/F", 3))
	check(t, Remove(dir+"/none/F", 3))
}
