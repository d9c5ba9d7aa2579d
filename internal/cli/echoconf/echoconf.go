// Package echoconf is the command echo_supervisord_conf: it prints a sample configuration in which every
// section and option is explained. Source: spec/supervisor 8.2.
package echoconf

import (
	_ "embed" // for sample
	"fmt"
	"os"
)

//go:embed sample.conf
var sample string

// Main prints the sample and returns the exit status. Arguments mean nothing, as in the original.
func Main(string, []string) int {
	if _, err := os.Stdout.WriteString(sample); err != nil {
		fmt.Fprintf(os.Stderr, "echo_supervisord_conf: %v\n", err)
		return 1
	}
	return 0
}
