package rlimit

import "errors"

// Raise does nothing: this system has no such limits.
func Raise(r Resource, _ uint64) (Change, error) {
	l := Limit{Unlimited, Unlimited}
	return Change{Resource: r, From: l, To: l}, nil
}

// Reexec is never called for here.
func Reexec(Change) error { return errors.New("not on this system") }

// Original is no limit.
func Original() (Limit, error) { return Limit{Unlimited, Unlimited}, nil }

// Own is no limit.
func Own() (Limit, error) { return Limit{Unlimited, Unlimited}, nil }
