package units

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestErrnoName(t *testing.T) {
	_, missing := os.Open("/no/such/file")
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.EACCES, "EACCES"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EISDIR}, "EISDIR"},
		{missing, "ENOENT"},
		{errors.New("no errno here"), "no errno here"},
		{syscall.Errno(99999), "E99999"},
	} {
		if got := ErrnoName(c.err); got != c.want {
			t.Errorf("ErrnoName(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}
