package pytext

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func values(name string) (any, bool) {
	v, ok := map[string]any{
		"s": "abc", "n": 7, "m": -42, "e": "é日", "empty": "", "pct": "50%d", "a(b)": "nested",
	}[name]
	return v, ok
}

// TestFormat compares with testdata/format.json, recorded from the reference language by format.py.
func TestFormat(t *testing.T) {
	text, err := os.ReadFile("testdata/format.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][3]string
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 100 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		got, err := Format(row[0], values)
		want, wantErr := row[1], row[2]
		if row[0] == "%s" || row[0] == "%r" || row[0] == "%a" { // F25
			want, wantErr = "", row[0]+" format: a name in parentheses is required"
		}
		var key *KeyError
		var text string
		switch {
		case errors.As(err, &key):
			text = "key " + key.Key
		case err != nil:
			text = err.Error()
		}
		if got != want || text != wantErr {
			t.Errorf("%q: %q, %q; want %q, %q", row[0], got, text, want, wantErr)
		}
	}
}

func TestFormatDoesNotLookTwice(t *testing.T) {
	got, err := Format("%(pct)s%%(s)s", values)
	if want := "50%d%(s)s"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestFormatBounds(t *testing.T) {
	for _, template := range []string{"%(n)65537d", "%(n)9999999999d"} {
		if _, err := Format(template, values); err == nil || err.Error() != "width too big" {
			t.Errorf("%s: %v", template, err)
		}
	}
	if got, err := Format("%(n)65536d", values); err != nil || len(got) != 65536 {
		t.Errorf("%d, %v", len(got), err)
	}
	if _, err := Format("%(n).65537d", values); err == nil || err.Error() != "precision too big" {
		t.Error(err)
	}
}

func TestKeyError(t *testing.T) {
	if got := (&KeyError{Key: "it's"}).Error(); got != `"it's"` {
		t.Error(got)
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%(s)s", "%(n)05.3d", "%%", "%(a(b))-9r|", "%*d", "%(n)#x%", "%(\xff)s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Format(s, values)
		if err != nil && got != "" {
			t.Error("text beside an error")
		}
		if !strings.Contains(s, "%") && (got != s || err != nil) {
			t.Errorf("plain text %q changed to %q, %v", s, got, err)
		}
		if err == nil && utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q made invalid text %q", s, got)
		}
		// Doubling every percent sign must give the text back.
		if again, err := Format(strings.ReplaceAll(s, "%", "%%"), values); err != nil || again != s {
			t.Errorf("%q escaped became %q, %v", s, again, err)
		}
	})
}
