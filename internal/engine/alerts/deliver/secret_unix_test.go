//go:build unix

package deliver

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestFIFO: a pipe to which nobody writes is no file with a secret, and is not waited for.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := New(Options{}).Deliver(context.Background(), &model.Notifier{Secret: path}, "http://127.0.0.1:1/", sample())
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), path+" is no file with a secret") {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it waits for somebody to write to it")
	}
}
