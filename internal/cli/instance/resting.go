package instance

import (
	"os"
	"path/filepath"

	"github.com/upkeep-project/upkeep/internal/app"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// Resting is the native instance while it does not run, with its configuration as it is now.
func (i Instance) Resting() (*app.Resting, error) {
	env, err := conf.SystemEnviron()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{i.Logs, filepath.Dir(i.Socket), filepath.Dir(i.File)} { // the configuration names them
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	c, err := conf.LoadNative(i.native(), app.Settled(env))
	if err != nil {
		return nil, err
	}
	return app.Rest(c, env, Base(os.Environ())), nil
}
