//go:build unix && !linux

package rlimit

import (
	"errors"
	"os"
)

func selfPath() (string, error) { return os.Executable() }

// touched is true: what Go's start-up does here depends on the system's version.
func touched(Limit) bool { return true }

func probe() (uint64, error) { return 0, errors.New("not on this system") }

func mayRaiseHard() bool { return os.Geteuid() == 0 }
