// Command upkeep keeps programs running. It is one binary with several names: called (or linked) as
// supervisord or supervisorctl it is that program.
package main

import (
	"os"

	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/cli"
)

func main() {
	app.Role()
	os.Exit(cli.Main(os.Args))
}
