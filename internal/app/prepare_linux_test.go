package app

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/face/listen"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
)

// TestOrphanedLock: a lock that has outlived who took it is waited for, and so is one that nobody has signed: whoever has it takes
// it or lets it go at this moment. One whose holder lives is not.
func TestOrphanedLock(t *testing.T) {
	t.Setenv("UPKEEP_ROOT", t.TempDir())
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	c := &supervisord.Config{Servers: make([]supervisord.Server, 1)}
	c.Settings.ConfigFile, c.Settings.UID, c.Settings.GID = filepath.Join(t.TempDir(), "a.conf"), -1, -1
	place, err := PlaceOf(c)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(place.State, lockName)
	take := func(signed string) *lock.Lock {
		t.Helper()
		l, err := lock.Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(signed), 0o600); err != nil {
			t.Fatal(err)
		}
		return l
	}

	l := take(strconv.Itoa(os.Getpid()) + "\n")
	var busy *listen.BusyError
	if _, err := Prepare(c); !errors.As(err, &busy) {
		t.Errorf("beside a living daemon: %v", err)
	}
	l.Close()

	for _, signed := range []string{strconv.Itoa(dead.Process.Pid) + "\n", ""} {
		l := take(signed)
		time.AfterFunc(10*orphanLook, func() { l.Close() })
		p, err := Prepare(c)
		if err != nil {
			t.Fatalf("signed %q, it was let go: %v", signed, err)
		}
		p.Release()
	}
}
