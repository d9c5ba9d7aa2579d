package probe

import (
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// attributes put a command into a process group of its own; there are no other rights than ours.
func attributes(*spawn.Cred) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

// killGroup has nothing to do: a group has no leader here.
func killGroup(int) {}
