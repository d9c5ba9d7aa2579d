package rpc2

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// noListener is for servers that are never served.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, errors.New("closed") }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.UnixAddr{Name: "none", Net: "unix"} }

// writeConf writes a configuration file that supervisorctl accepts.
func writeConf(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(path, []byte("[supervisorctl]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
