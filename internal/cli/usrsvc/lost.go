package usrsvc

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/lock"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// lostPatience is how long a daemon that has given up its lock may take to end.
const lostPatience = 3 * time.Second

// lost is the pid of a daemon of this configuration that runs and cannot be asked, as somebody has deleted its socket and its
// lock; 0 = there is none. Its pid file, which is elsewhere, tells of it. One that holds the lock is no such one.
func (i instance) lost(ctx context.Context) int {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for over := time.Now().Add(lostPatience); ; {
		f, err := pidfile.Read(i.pidfile)
		if err != nil {
			return 0
		}
		p, err := find.Read(f.PID)
		holder, _ := lock.Holder(filepath.Join(i.State, "lock"))
		switch {
		case err != nil || p.Dead() || !p.Of(os.Getuid()) || !i.serves(p.Args) || holder > 0 && !procstat.Gone(holder):
			return 0
		case time.Now().After(over):
			return f.PID
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0
		}
	}
}

// serves reports whether a command line is that of our usrsvcd with this configuration.
func (i instance) serves(args []string) bool {
	at := slices.IndexFunc(args, func(word string) bool { return filepath.Base(word) == "usrsvcd" })
	if at < 0 || at > 1 {
		return false
	}
	a, err := parse(daemonOptions(), args[at+1:])
	if err != nil || a.instance != modeActive && !a.has("foreground") {
		return false
	}
	file, _, err := locate(a.file)
	return err == nil && file == i.File && (a.file == "" || filepath.IsAbs(a.file))
}

// unasked says that a daemon runs that cannot be asked.
func (i instance) unasked(pid int) error {
	return fail(UsrsvcdAlreadyRunning, "usrsvcd runs already [%d], as %s says, and cannot be asked: its files in %s are gone. "+
		"usrsvcd restart takes its place, the programs run on", pid, i.pidfile, i.State)
}
