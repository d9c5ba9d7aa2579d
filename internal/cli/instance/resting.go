package instance

import (
	"os"
	"path/filepath"

	"github.com/upkeep-project/upkeep/internal/app"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// Resting is the native instance while it does not run, with its configuration as it is now. Nothing is made or changed by that.
func (i Instance) Resting() (*app.Resting, error) {
	env, err := conf.SystemEnviron()
	if err != nil {
		return nil, err
	}
	env.Made = []string{i.Logs, filepath.Dir(i.Socket), filepath.Dir(i.PIDFile)} // by its start, and not by a look
	c, err := conf.LoadNative(i.native(), app.Settled(env))
	if err != nil {
		return nil, err
	}
	return app.Rest(c, env, Base(os.Environ())), nil
}
