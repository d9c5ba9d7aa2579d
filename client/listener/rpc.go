package listener

import (
	"errors"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// ErrNoDaemon says that the environment names no daemon: the program was not started by one.
var ErrNoDaemon = errors.New("SUPERVISOR_SERVER_URL is not set: this is to be run by a supervisord, as an event listener")

// Daemon is a client of the daemon that has started this program. getenv is os.Getenv, or stands in for
// it. The daemon sets SUPERVISOR_SERVER_URL; where its server wants credentials, the listener's section
// gives SUPERVISOR_USERNAME and SUPERVISOR_PASSWORD in environment=. Errors: ErrNoDaemon, and those of
// supervisor.New. Source: spec/supervisor 4.6.
func Daemon(getenv func(string) string) (*supervisor.Client, error) {
	url := getenv("SUPERVISOR_SERVER_URL")
	if url == "" {
		return nil, ErrNoDaemon
	}
	return supervisor.New(supervisor.Options{
		URL: url, Username: getenv("SUPERVISOR_USERNAME"), Password: getenv("SUPERVISOR_PASSWORD"),
	})
}
