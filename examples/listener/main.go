// Listener writes a line to standard error for every program that changes its state.
//
//	[eventlistener:watch]
//	command=/path/to/listener
//	events=PROCESS_STATE
package main

import (
	"log"
	"os"

	"github.com/upkeep-project/upkeep/client/listener"
)

func main() {
	err := listener.Serve(os.Stdin, os.Stdout, func(ev *listener.Event) error {
		log.Printf("%s: %s, was %s", ev.Process(), ev.Name, ev.Fields["from_state"])
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}
