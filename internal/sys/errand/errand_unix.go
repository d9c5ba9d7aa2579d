//go:build unix

package errand

import (
	"os/exec"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// isolate gives the command a process group of its own, and the rights of a user.
func isolate(cmd *exec.Cmd, c *spawn.Cred) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c == nil {
		return
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID)}
	for _, g := range c.Groups {
		cmd.SysProcAttr.Credential.Groups = append(cmd.SysProcAttr.Credential.Groups, uint32(g))
	}
}
