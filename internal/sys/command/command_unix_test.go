//go:build unix

package command

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnix(t *testing.T) {
	got, err := Split(`a\ b "c\\d" 'e\'`)
	if d := cmp.Diff([]string{"a b", `c\d`, `e\`}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if d := cmp.Diff([]string{"x"}, Forms("x", ".EXE")); d != "" {
		t.Error(d)
	}
	path := filepath.Join(t.TempDir(), "f")
	for mode, want := range map[os.FileMode]bool{0o644: false, 0o755: true, 0o010: true} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if IsProgram(path, info, "") != want {
			t.Errorf("mode %o: %v", mode, !want)
		}
	}
	for word, want := range map[string]bool{"a": false, "x/a": true, `x\a`: false, "C:a": false} {
		if IsPath(word) != want {
			t.Errorf("%s: %v", word, !want)
		}
	}
	if EnvName("Path") != "Path" {
		t.Error("a name was changed")
	}
}
