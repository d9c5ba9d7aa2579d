package spawn

import "unsafe"

// The last two arguments of clone: where to clear the child's number, and the thread's storage.
func cloneArg3(cleared unsafe.Pointer) uintptr { return uintptr(cleared) }
func cloneArg4(unsafe.Pointer) uintptr         { return 0 }
