//go:build unix && !linux

package procfd

import (
	"errors"
	"os"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// signal reaches the group for ReachTree: this system does not tell descendants reliably.
func signal(p *os.Process, sig int, reach model.Reach) error {
	if reach != model.ReachProcess {
		err := syscall.Kill(-p.Pid, syscall.Signal(sig))
		if !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return p.Signal(syscall.Signal(sig))
}

func exitOfState(st *os.ProcessState) model.Exit {
	ws, ok := st.Sys().(syscall.WaitStatus)
	if !ok {
		return unknownExit("no wait status")
	}
	return exitOf(uint32(ws))
}
