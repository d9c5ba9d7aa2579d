// Package command proves the command from end to end on Windows: with a daemon in the background, real programs, the registry
// and the service manager. Its tests run on Windows, or with scripts/wine.sh.
package command
