package errand

import (
	"os/exec"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// isolate gives the command a process group of its own; there are no other rights than ours.
func isolate(cmd *exec.Cmd, _ *spawn.Cred) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}
