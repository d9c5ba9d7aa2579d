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

// TestOrphanedLock: a lock that has outlived who took it is waited for; one whose holder lives is not.
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
	take := func(pid int) *lock.Lock {
		t.Helper()
		l, err := lock.Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return l
	}

	l := take(os.Getpid())
	var busy *listen.BusyError
	if _, err := Prepare(c); !errors.As(err, &busy) {
		t.Errorf("beside a living daemon: %v", err)
	}
	l.Close()

	l = take(dead.Process.Pid)
	time.AfterFunc(10*orphanLook, func() { l.Close() })
	p, err := Prepare(c)
	if err != nil {
		t.Fatalf("the heir of a dead daemon has let go: %v", err)
	}
	p.Release()
}
