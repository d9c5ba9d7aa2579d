// Package cli finds out under which name the binary was called and runs that program.
package cli

import (
	"path/filepath"
	"strings"

	"github.com/upkeep-project/upkeep/internal/cli/batchmail"
	"github.com/upkeep-project/upkeep/internal/cli/chalmers"
	"github.com/upkeep-project/upkeep/internal/cli/crashmail"
	"github.com/upkeep-project/upkeep/internal/cli/echoconf"
	"github.com/upkeep-project/upkeep/internal/cli/httpok"
	"github.com/upkeep-project/upkeep/internal/cli/memmon"
	"github.com/upkeep-project/upkeep/internal/cli/native"
	"github.com/upkeep-project/upkeep/internal/cli/pidproxy"
	"github.com/upkeep-project/upkeep/internal/cli/supervisorctl"
	"github.com/upkeep-project/upkeep/internal/cli/supervisord"
)

// Version is the product's own version; the build sets it.
var Version = "0.1.0-dev"

// personality is one program inside the binary.
type personality struct {
	name string
	help string
	run  func(prog string, argv []string) int
}

func personalities() []personality {
	return []personality{
		{"supervisord", "the daemon, as Supervisor's users know it", supervisord.Command{Version: Version}.Main},
		{"supervisorctl", "its command line", supervisorctl.Main},
		{"chalmers", "the command line of chalmers; its programs are taken over", chalmers.Command{Version: Version}.Main},
		{"echo_supervisord_conf", "print a sample configuration with everything in it explained", echoconf.Main},
		{"pidproxy", "run a command and pass signals on to the process of its pid file", pidproxy.Main},
		{"memmon", "event listener: restart programs that use too much memory", memmon.Main},
		{"httpok", "event listener: restart programs when a page does not answer as it should", httpok.Main},
		{"crashmail", "event listener: mail when a program has crashed", crashmail.Main},
		{"crashmailbatch", "event listener: mail about crashes, once an interval", batchmail.Crashmailbatch},
		{"fatalmailbatch", "event listener: mail about programs that do not start, once an interval", batchmail.Fatalmailbatch},
		{"crashsms", "event listener: text message about crashes, by mail", batchmail.Crashsms},
	}
}

// Main runs the program that args[0] names, or else the one that args[1] names, and returns its exit
// status.
func Main(args []string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	for _, p := range personalities() {
		if p.name == name {
			return p.run(args[0], args[1:])
		}
	}
	if len(args) < 2 {
		return native.Main(Version, nil)
	}
	for _, p := range personalities() {
		if p.name == args[1] {
			return p.run(args[0]+" "+args[1], args[2:])
		}
	}
	return native.Main(Version, args[1:])
}
