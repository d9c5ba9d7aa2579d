//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "chaos: the census reads /proc: Linux only")
	os.Exit(1)
}
