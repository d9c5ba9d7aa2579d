package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// TestManagerKilledWhileEnding: a manager that is killed during the shutdown is followed by one that completes it.
func TestManagerKilledWhileEnding(t *testing.T) {
	if testing.Short() {
		t.Skip("a daemon is started")
	}
	root := shortDir(t)
	at, up, may := home.Under(root).Native(), filepath.Join(root, "up"), filepath.Join(root, "may")
	put(t, at.File, "[program:p]\ncommand=/bin/sh -c 'trap \"\" TERM; : >"+up+"; while [ ! -e "+may+" ]; do sleep 0.1; done'\nstopwaitsecs=600\nstartsecs=0\n")
	d := native(t, root, 0)
	until(t, "p", func() bool { _, err := os.Stat(up); return err == nil })
	said := func(words string) (times int) {
		text, _ := os.ReadFile(filepath.Join(at.Logs, "upkeep.log"))
		return strings.Count(string(text), words)
	}
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	const waits, another = "waiting for p to die", "the daemon goes on with pid"
	until(t, "the shutdown", func() bool { return said(waits) > 0 })
	before := said(waits)
	d.killed(func() {})
	until(t, "the shutdown by another manager", func() bool { return said(another) > 0 && said(waits) > before })
	put(t, may, "")
	until(t, "the end", func() bool {
		select {
		case <-d.ended:
			return true
		default:
			return false
		}
	})
	if n := said(another); n != 1 {
		t.Errorf("%d managers came after the one that was killed: %s", n, d.said)
	}
}
