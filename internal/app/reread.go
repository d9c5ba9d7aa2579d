package app

import (
	"context"
	"sync"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/service"
)

// said remembers what has been written about the configuration, so that a reread does not repeat it.
type said struct {
	mu    sync.Mutex
	texts map[string]bool
}

// first reports whether a text has not been there before.
func (s *said) first(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts[text] {
		return false
	}
	if s.texts == nil {
		s.texts = map[string]bool{}
	}
	s.texts[text] = true
	return true
}

// tell writes what there is to say about a configuration and is not in the log already.
func (a *App) tell(c *supervisord.Config) {
	for _, m := range c.Messages {
		if a.said.first(m.Text) {
			a.log.Logf(m.Level, "%s", m.Text)
		}
	}
}

// told notes that an earlier process has written it.
func (a *App) told(c *supervisord.Config) {
	for _, m := range c.Messages {
		a.said.first(m.Text)
	}
}

// load reads the configuration for a reread. What only a restart can change is said in the log (F31).
func (a *App) load() (*model.Config, error) {
	c, err := a.o.Load()
	if err != nil {
		a.latest.refuse(mistaken(err, a.set().ConfigFile))
		return nil, err
	}
	a.alerts.Over(troubleConfig)
	a.latest.set(c)
	var now []*model.Group
	for _, g := range a.core.Table().Groups {
		now = append(now, g.Spec)
	}
	c.KeepLast(now)
	for _, key := range fixedChanges(a.set(), &c.Settings) {
		a.log.Logf(activity.Warn, "%s of [supervisord] has changed; the change takes effect at the next restart", key)
	}
	a.tell(c)
	return c.Model, nil
}

// apply makes the configuration the running one and says what came of it. Source: one-model C6.
func (a *App) apply(ctx context.Context) {
	err := a.refusal()
	var done []service.Applied
	if err == nil {
		done, err = a.manager.Apply(ctx, nil)
	}
	if err != nil {
		a.log.Logf(activity.Error, "the configuration is not applied, everything runs on: %v", err)
		a.alerts.Trouble(troubleConfig, "the configuration is not applied, everything runs on: "+err.Error())
		return
	}
	for _, d := range done {
		if d.Err != nil {
			a.log.Logf(activity.Error, "%s: %s: %v", d.ID, d.Action, d.Err)
		}
	}
	a.log.Logf(activity.Info, "the configuration is applied, %d programs changed", len(done))
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
