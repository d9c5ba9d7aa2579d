package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// TestMessagesLater: that there was no room for the socket once is not for ever.
func TestMessagesLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	var log strings.Builder
	logger, err := activity.New(activity.Options{Stdout: &log, Level: activity.Info})
	if err != nil {
		t.Fatal(err)
	}
	m := &messages{log: logger, path: filepath.Join(dir, "messages"), made: make(chan struct{})}
	for range 3 {
		if m.refuses() == "" {
			t.Fatal("there is a socket in no directory")
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if why := m.refuses(); why != "" {
			t.Fatal(why)
		}
	}
	m.close(false)
	if err := logger.Close(); err != nil {
		t.Fatal(err)
	}
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("one trouble is told as %q", log.String())
	}
}
