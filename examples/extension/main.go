// Extension answers the calls of the namespace greet.
//
//	[rpcinterface:greet]
//	upkeep.rpcinterface_socket=%(here)s/greet.sock
//	upkeep.rpcinterface_command=/path/to/extension
package main

import (
	"context"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"github.com/upkeep-project/upkeep/client/extension"
	"github.com/upkeep-project/upkeep/client/supervisor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := extension.Inherited()
	if err != nil {
		log.Fatal(err)
	}
	err = extension.Serve(ctx, l, map[string]extension.Method{"greet.hello": {
		Help: "Says hello.\n\n@param string name  to whom\n@return string text  the greeting",
		Call: func(_ context.Context, params []any) (any, error) {
			if len(params) != 1 {
				return nil, &extension.Fault{Code: supervisor.FaultIncorrectParameters, Text: "whom?"}
			}
			return fmt.Sprintf("hello %v", params[0]), nil
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
}
