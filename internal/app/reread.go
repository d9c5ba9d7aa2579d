package app

import (
	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
)

// load reads the configuration for a reread. What only a restart can change is said in the log (F31).
func (a *App) load() (*model.Config, error) {
	c, err := a.o.Load()
	if err != nil {
		return nil, err
	}
	for _, m := range c.Messages {
		a.log.Logf(m.Level, "%s", m.Text)
	}
	for _, key := range fixedChanges(a.set(), &c.Settings) {
		a.log.Logf(activity.Warn, "%s of [supervisord] has changed; the change takes effect at the next restart", key)
	}
	return runnable(c.Model, a.log), nil
}

// runnable leaves out the sections whose programs this version reads and checks but does not run.
func runnable(c *model.Config, log *activity.Logger) *model.Config {
	out := &model.Config{}
	for _, g := range c.Groups {
		if g.Kind == model.KindProgram {
			out.Groups = append(out.Groups, g)
			continue
		}
		log.Logf(activity.Warn, "[%s:%s] is read and checked, but this version does not run it", g.Kind, g.Name)
	}
	return out
}

// fixedChanges names the settings of [supervisord] that differ but stay as they are until a restart.
func fixedChanges(old, next *supervisord.Settings) []string {
	var keys []string
	for _, f := range []struct {
		key  string
		same bool
	}{
		{"logfile", old.LogFile == next.LogFile},
		{"logfile_maxbytes", old.LogFileMaxBytes == next.LogFileMaxBytes},
		{"logfile_backups", old.LogFileBackups == next.LogFileBackups},
		{"loglevel", old.LogLevel == next.LogLevel},
		{"pidfile", old.PIDFile == next.PIDFile},
		{"umask", old.Umask == next.Umask},
		{"nodaemon", old.NoDaemon == next.NoDaemon},
		{"silent", old.Silent == next.Silent},
		{"minfds", old.MinFDs == next.MinFDs},
		{"minprocs", old.MinProcs == next.MinProcs},
		{"nocleanup", old.NoCleanup == next.NoCleanup},
		{"childlogdir", old.ChildLogDir == next.ChildLogDir},
		{"user", old.UID == next.UID},
		{"directory", old.Directory == next.Directory},
		{"strip_ansi", old.StripANSI == next.StripANSI},
		{"identifier", old.Identifier == next.Identifier},
	} {
		if !f.same {
			keys = append(keys, f.key)
		}
	}
	return keys
}
