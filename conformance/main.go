// Command conformance runs scenarios against two supervisors, the original and ours, and compares
// what an outsider can see: exit statuses, printed texts, RPC results and faults, HTTP answers,
// activity logs and files. Deliberate differences are listed in testdata/differences.txt with their
// reason and the exact text expected; any other difference fails the run, and so does a listed
// difference that no longer occurs.
//
//	go run ./conformance -ref-d /usr/bin/supervisord -ref-ctl /usr/bin/supervisorctl \
//	    -our-d bin/supervisord -our-ctl bin/supervisorctl
package main

import (
	"context"
	"embed"
	"os"
	"os/signal"
	"syscall"

	"github.com/upkeep-project/upkeep/conformance/internal/differ"
)

//go:embed testdata xmlrpc_all.py
var files embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := differ.Command(ctx, files, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
