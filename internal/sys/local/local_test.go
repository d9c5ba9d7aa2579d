package local

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

// TestDialNobody: whoever asks can tell that nobody is there.
func TestDialNobody(t *testing.T) {
	_, err := Dial(t.Context(), filepath.Join(t.TempDir(), "nobody"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestForeign(t *testing.T) {
	err := error(&ForeignError{"there", "S-1-5-7"})
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || err.Error() != "there belongs to another user (S-1-5-7)" {
		t.Errorf("%v", err)
	}
}
