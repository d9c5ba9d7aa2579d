//go:build unix

// Package privilege gives up the rights of this process for good.
package privilege

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// UID is the real user of this process.
func UID() int { return os.Getuid() }

// Drop makes this process run as the user with these ids, completely and for ever, and verifies that it
// cannot come back. It does nothing when the process runs as that user already. The texts are the
// original's. Source: spec/supervisor 2.5, spec/reliability S12.
func Drop(uid, gid int, groups []int) error {
	if os.Getuid() == uid {
		return nil
	}
	if os.Getuid() != 0 {
		//lint:ignore ST1005 the original's text
		return errors.New("Can't drop privilege as nonroot user")
	}
	if err := syscall.Setgroups(groups); err != nil {
		//lint:ignore ST1005 the original's text
		return errors.New("Could not set groups of effective user")
	}
	if err := syscall.Setgid(gid); err != nil {
		//lint:ignore ST1005 the original's text
		return errors.New("Could not set group id of effective user")
	}
	if err := syscall.Setuid(uid); err != nil {
		//lint:ignore ST1005 in the original's style
		return fmt.Errorf("Could not set user id of effective user: %w", err)
	}
	return verify(uid, gid, groups)
}

// verify fails unless all ids are as wanted and root cannot be regained.
func verify(uid, gid int, groups []int) error {
	got, err := syscall.Getgroups()
	if err != nil {
		return err
	}
	want := slices.Clone(groups)
	slices.Sort(got)
	slices.Sort(want)
	switch {
	case os.Getuid() != uid || os.Geteuid() != uid || os.Getgid() != gid || os.Getegid() != gid:
		return errors.New("the process did not become the user it should run as")
	case !slices.Equal(slices.Compact(got), slices.Compact(want)):
		return errors.New("the process did not get the groups of the user it should run as")
	case uid != 0 && syscall.Setuid(0) == nil:
		return errors.New("the process could become root again")
	}
	return nil
}
