// Package privilege gives up the rights of this process for good.
package privilege

import "errors"

// UID is -1: Windows has no numeric users.
func UID() int { return -1 }

// Drop cannot be done on Windows.
func Drop(int, int, []int) error { return errors.New("user is not supported on Windows") }
