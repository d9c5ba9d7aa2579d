// Command upkeep keeps programs running. It is one binary with several names: called (or linked) as
// supervisord or supervisorctl it is that program.
package main

import (
	"os"

	"github.com/upkeep-project/upkeep/internal/cli"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

func main() {
	if spawn.ShimMain() {
		return
	}
	os.Exit(cli.Main(os.Args))
}
