package supervisord

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSpecialFiles: what lies among the definitions and is no file, or none of a size that people write, is told and hinders
// nothing. Nobody writes to the pipe: a reading that opened it would not end.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	n := nativeIn(dir)
	at := func(name string) string { return filepath.Join(n.Programs, name) }
	write(t, dir, "programs/web.conf", "[program:web]\ncommand=/bin/web\n")
	write(t, dir, "upkeep.conf", "[include]\nfiles=more/*.conf\n")
	write(t, dir, "programs/huge.conf", "")
	if err := errors.Join(
		os.Mkdir(n.Logs, 0o700), os.Mkdir(at("folder.conf"), 0o700), os.Mkdir(filepath.Join(dir, "more"), 0o700), syscall.Mkfifo(at("pipe.conf"), 0o600),
		syscall.Mkfifo(filepath.Join(dir, "more/pipe.conf"), 0o600), os.Symlink("/dev/zero", at("zero.conf")), os.Symlink("nowhere", at("link.conf")),
		os.Truncate(at("huge.conf"), maxFile+1),
	); err != nil {
		t.Fatal(err)
	}
	c, err := LoadNative(n, testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Model.Groups) != 1 || c.Model.Groups[0].Name != "web" {
		t.Errorf("%d groups", len(c.Model.Groups))
	}
	var got []string
	for _, in := range c.Invalid {
		got = append(got, strings.TrimPrefix(in.File, dir+"/")+": "+in.Problems[0].Text)
	}
	want := "more/pipe.conf: it is not a regular file; programs/folder.conf: is a directory; programs/huge.conf: it is larger than 64 MB; " +
		"programs/link.conf: no such file or directory; programs/pipe.conf: it is not a regular file; programs/zero.conf: it is not a regular file"
	if text := strings.Join(got, "; "); text != want {
		t.Error(text)
	}
	if err := errors.Join(os.Remove(n.File), syscall.Mkfifo(n.File, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadNative(n, testEnv(dir)); err == nil || !strings.HasSuffix(err.Error(), "upkeep.conf: it is not a regular file") {
		t.Error(err)
	}
}
