package command

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWindows(t *testing.T) {
	got, err := Split(`"C:\Program Files\app\app.exe" --dir C:\data\ 'a "b" c'`)
	if d := cmp.Diff([]string{`C:\Program Files\app\app.exe`, "--dir", `C:\data\`, `a "b" c`}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := Split(`"C:\x`); err == nil {
		t.Error("a quotation without an end is taken")
	}
	if d := cmp.Diff([]string{`app`, `app.exe`, `app.x`}, Forms("app", ".EXE;;.X;odd")); d != "" {
		t.Error(d)
	}
	for path, want := range map[string]bool{`C:\a.exe`: true, `a.EXE`: true, `a.cmd`: true, `a.sh`: false, `a`: false, `.exe\a`: false} {
		if IsProgram(path, nil, "") != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	for word, want := range map[string]bool{`a`: false, `a.exe`: false, `x\a`: true, `x/a`: true, `C:a`: true} {
		if IsPath(word) != want {
			t.Errorf("%s: %v", word, !want)
		}
	}
	if EnvName("Path") != EnvName("PATH") {
		t.Error("names differ by case")
	}
}
