package usrsvc

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/base/units"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// last is what was in force last, for files that cannot be used (bad); why says so. Errors: bad, when there is nothing to take
// their place.
func last(at home.Instance, bad error) (_ *settings, why string, err error) {
	c, why, err := app.LastGood(at.State, nil, bad)
	if err != nil {
		return nil, "", err
	}
	f := c.Foreign
	if f == nil {
		return nil, "", bad
	}
	s := &settings{
		file: at.File, home: c.Settings.Directory, model: c.Model, files: c.Files,
		pidfile: f.PIDFile, stdout: f.Stdout, stderr: f.Stderr, sendmail: f.Sendmail,
	}
	s.name()
	return s, why, nil
}

// keep adds the programs whose definitions cannot be used now as they were in force last.
func (s *settings) keep(at home.Instance) error {
	c := &conf.Config{Foreign: &conf.Foreign{Dialect: dialect}, Model: s.model}
	c.Settings.ConfigFile = s.file
	s.refuse(c)
	_, _, err := app.LastGood(at.State, c, nil)
	s.name()
	return err
}

// name adds the names of programs that are known and in none of the files.
func (s *settings) name() {
	for _, g := range s.model.Groups {
		if !slices.Contains(s.names, g.Name) {
			s.names = append(s.names, g.Name)
		}
	}
}

// good completes what a daemon has read for its start, or has not (bad), by what was in force last. Who has taken the main file
// away wants nothing to be started, and a daemon that only watches starts nothing. Source: one-model C7.
func good(at home.Instance, mode string, background bool, env conf.Environ) func(*conf.Config, error) (*conf.Config, string, error) {
	return func(c *conf.Config, bad error) (*conf.Config, string, error) {
		if bad == nil {
			return app.LastGood(at.State, c, nil)
		}
		if absent(bad) && mode != modePassive {
			return nil, "", bad
		}
		s, why, err := last(at, bad)
		if err != nil {
			return nil, "", err
		}
		if c, err = s.config(at, mode, background, env); err != nil {
			return nil, "", err
		}
		c.Say(units.LevelCritical, why)
		return c, why, nil
	}
}

// absent reports whether a configuration cannot be read because it is not there.
func absent(bad error) bool { return errors.Is(bad, fs.ErrNotExist) }
