package spawn

import "unsafe"

// The last two arguments of clone: the thread's storage, and where to clear the child's number.
func cloneArg3(unsafe.Pointer) uintptr         { return 0 }
func cloneArg4(cleared unsafe.Pointer) uintptr { return uintptr(cleared) }
