//go:build !windows

package boot

import "context"

func registryHere() Registry { return nil }

func windowsUID() int { return 1 }

// AsService runs the daemon as a service of Windows; nothing on other systems. handled is false: this process
// is none.
func AsService(context.Context, func(context.Context) int) (handled bool, status int, err error) {
	return false, 0, nil
}
