//go:build unix

package probe

import (
	"syscall"

	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// attributes put a command into a process group of its own, with the rights of a user.
func attributes(c *spawn.Cred) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if c == nil {
		return a
	}
	a.Credential = &syscall.Credential{Uid: uint32(c.UID), Gid: uint32(c.GID)}
	for _, g := range c.Groups {
		a.Credential.Groups = append(a.Credential.Groups, uint32(g))
	}
	return a
}

// killGroup kills a process group whose leader has not been reaped.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }
