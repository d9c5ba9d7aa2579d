package supervisord

import (
	"os"
	"path/filepath"
	"testing"
)

// write makes a file of a test.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustLoad reads a text as main file.
func mustLoad(t testing.TB, dir, text string) *Config {
	t.Helper()
	path := write(t, dir, "supervisord.conf", text)
	cfg, err := Load(&Args{Prog: "supervisord", Configuration: &path}, testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
