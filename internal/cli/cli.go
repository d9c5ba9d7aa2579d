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
	"github.com/upkeep-project/upkeep/internal/cli/usrsvc"
)

// Version is the product's own version; the build sets it.
var Version = "0.1.0-dev"

// personality is one program inside the binary.
type personality struct {
	native.Name
	run func(prog string, argv []string) int
}

func personalities() []personality {
	return []personality{
		{native.Name{Name: "supervisord", Help: "the daemon, as Supervisor's users know it", Family: "supervisor"}, supervisord.Command{Version: Version}.Main},
		{native.Name{Name: "supervisorctl", Help: "its command line", Family: "supervisor"}, supervisorctl.Main},
		{native.Name{Name: "chalmers", Help: "the command line of chalmers; its programs are taken over", Family: "chalmers"}, chalmers.Command{Version: Version}.Main},
		{native.Name{Name: "usrsvc", Help: "the command line of usrsvc, over an instance for its usrsvc.cfg", Family: "usrsvc"}, usrsvc.Command{Version: Version}.Tool},
		{native.Name{Name: "usrsvcd", Help: "its daemon", Family: "usrsvc"}, usrsvc.Command{Version: Version}.Daemon},
		{native.Name{Name: "echo_supervisord_conf", Help: "print a sample configuration with everything in it explained", Family: "supervisor"}, echoconf.Main},
		{native.Name{Name: "pidproxy", Help: "run a command and pass signals on to the process of its pid file", Family: "supervisor"}, pidproxy.Main},
		{native.Name{Name: "memmon", Help: "event listener: restart programs that use too much memory", Family: "superlance"}, memmon.Main},
		{native.Name{Name: "httpok", Help: "event listener: restart programs when a page does not answer as it should", Family: "superlance"}, httpok.Main},
		{native.Name{Name: "crashmail", Help: "event listener: mail when a program has crashed", Family: "superlance"}, crashmail.Main},
		{native.Name{Name: "crashmailbatch", Help: "event listener: mail about crashes, once an interval", Family: "superlance"}, batchmail.Crashmailbatch},
		{native.Name{Name: "fatalmailbatch", Help: "event listener: mail about programs that do not start, once an interval", Family: "superlance"}, batchmail.Fatalmailbatch},
		{native.Name{Name: "crashsms", Help: "event listener: text message about crashes, by mail", Family: "superlance"}, batchmail.Crashsms},
	}
}

// names are those of all programs inside the binary.
func names() []native.Name {
	var out []native.Name
	for _, p := range personalities() {
		out = append(out, p.Name)
	}
	return out
}

// Main runs the program that args[0] names, or else the one that args[1] names, and returns its exit
// status.
func Main(args []string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	for _, p := range personalities() {
		if p.Name.Name == name {
			return p.run(args[0], args[1:])
		}
	}
	if len(args) < 2 {
		return native.Main(Version, nil, names()...)
	}
	for _, p := range personalities() {
		if p.Name.Name == args[1] {
			return p.run(args[0]+" "+args[1], args[2:])
		}
	}
	return native.Main(Version, args[1:], names()...)
}
