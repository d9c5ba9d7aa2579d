// Package engine proves that the daemon does on Windows what it does elsewhere: it starts programs, logs what they say and
// rotates that, starts them again after a crash, feeds them, and stops them with all that they have started. Its tests run on
// Windows, or with scripts/wine.sh.
package engine
