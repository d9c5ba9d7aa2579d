package usrsvc

import (
	"path/filepath"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// place is where the account's instance keeps its files.
func (s *site) place() home.Instance {
	return home.Under(filepath.Join(s.home, "r")).Foreign(dialect, filepath.Join(s.home, "usrsvc.cfg"))
}

// client is a client of the account's daemon.
func (s *site) client() *upkeep.Client { return upkeep.New(upkeep.Options{Socket: s.place().Socket}) }
