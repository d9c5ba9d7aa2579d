package procfd

import (
	"os"
	"syscall"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// signal ends the process for the signals that end one by default; this system has no others. The
// reach is always the process.
func signal(p *os.Process, sig int, _ model.Reach) error {
	switch s := syscall.Signal(sig); s {
	case 0:
		return p.Signal(s)
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
		return p.Kill()
	}
	return syscall.EWINDOWS
}

func exitOfState(st *os.ProcessState) model.Exit {
	code := st.ExitCode()
	return model.Exit{Known: true, Raw: uint32(code), Status: code}
}
