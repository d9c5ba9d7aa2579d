package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows"
)

func TestUserRoots(t *testing.T) {
	for _, c := range []struct{ local, want string }{
		{`D:\Data\Local`, `D:\Data\Local\upkeep`},
		{"", `C:\Users\ann\AppData\Local\upkeep`},
		{"relative", `C:\Users\ann\AppData\Local\upkeep`},
	} {
		got := userRoots(`C:\Users\ann`, func(name string) string { return map[string]string{"LOCALAPPDATA": c.local}[name] })
		if d := cmp.Diff(Under(c.want), got); d != "" {
			t.Errorf("%q: %s", c.local, d)
		}
	}
}

// TestTakeSystem: the machine's folder is made for administrators alone, and its instance is that of this process then.
func TestTakeSystem(t *testing.T) {
	data := t.TempDir()
	t.Setenv("ProgramData", data)
	t.Setenv(RootVariable, "")
	if err := TakeSystem(false); err != nil || os.Getenv(RootVariable) != "" && !machine() {
		t.Errorf("unasked: %v", err)
	}
	root := filepath.Join(data, "upkeep")
	for range 2 { // it is there the second time
		t.Setenv(RootVariable, "")
		if err := TakeSystem(true); err != nil {
			t.Fatal(err)
		}
		got, err := Own(false)
		if want := Under(root).Native(); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
		sd, err := windows.GetNamedSecurityInfo(root, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		// Wine keeps rights as a Unix mode and cannot take the right to look away again: that to change counts.
		text := strings.ReplaceAll(sd.String(), "(A;OICI;0x1200a9;;;WD)", "")
		for _, everybody := range []string{";;;WD)", ";;;BU)", ";;;AU)"} {
			if strings.Contains(text, everybody) {
				t.Errorf("others are admitted: %s", text)
			}
		}
	}
}

func TestSecureWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none", "x")
	if err := secure(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
