package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/conf/imports"
	"github.com/upkeep-project/upkeep/internal/sys/find"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// usrsvcd is a part of the command line of the daemon of usrsvc.
const usrsvcd = "usrsvcd"

// EndUsrsvcd asks the daemon of usrsvc to end, which leaves its programs alone, and waits until it has. One that is not the
// caller's is not touched, nor one that systemd runs as a service: with such a one systemd may end all of its programs.
// Source: spec/usrsvc US-97, US-99.
func EndUsrsvcd(ctx context.Context, pid int) error {
	p, err := find.Read(pid)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return nil // it has ended
	case err != nil:
		return fmt.Errorf("usrsvcd (pid %d): %w", pid, err)
	case !strings.Contains(p.Line(), usrsvcd):
		return fmt.Errorf("process %d, which the pid file of usrsvcd names, is not usrsvcd: %s", pid, p.Line())
	case !p.Of(os.Getuid()):
		return fmt.Errorf("usrsvcd (pid %d) belongs to another user", pid)
	}
	service, err := procstat.Service(pid)
	if err != nil {
		return fmt.Errorf("usrsvcd (pid %d): %w", pid, err)
	}
	own, err := procstat.Service(os.Getpid())
	if err != nil {
		return err
	}
	if ends(service, own) {
		return fmt.Errorf("usrsvcd (pid %d) is the service %s, and systemd may end all of its programs with it: "+
			"stop the programs and the service when that can be afforded, and import without --take-over", pid, service)
	}
	same := func() bool {
		now, err := procstat.Read(pid)
		return err == nil && !now.Dead() && now.StartTicks == p.StartTicks
	}
	if err := procfd.SignalIf(pid, int(syscall.SIGTERM), same); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("usrsvcd (pid %d) cannot be ended: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, monitorPatience)
	defer cancel()
	tick := time.NewTicker(monitorLook)
	defer tick.Stop()
	for same() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("usrsvcd (pid %d) does not end: %w", pid, ctx.Err())
		}
	}
	return nil
}

// ends reports whether systemd may end other processes of a service when usrsvcd ends, which is in it. A service that the
// caller is in as well, or that begins what people ask it to, has another main process.
func ends(service, own string) bool {
	switch {
	case service == "":
		return false
	case strings.Contains(service, usrsvcd):
		return true
	}
	return service != own && !slices.Contains([]string{"cron.service", "crond.service", "atd.service", "ssh.service", "sshd.service"}, service)
}

// TakeOverLeft makes a process that runs without anybody to watch it the running one of a program that the daemon knows. It
// is compared with what the program is to look like, and nothing is signalled. ignores are the signals that it ignores of
// those that a stop may use: what usrsvc has started ignores TERM and INT. Source: spec/usrsvc US-22, US-99.
func TakeOverLeft(ctx context.Context, c *upkeep.Client, name string, live *imports.Live) (ignores []string, err error) {
	adoption := upkeep.Adoption{PID: live.PID, Title: live.Match, Command: live.Command}
	found, err := c.Adoptable(ctx, adoption)
	switch {
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, fmt.Errorf("process %d, which its pid file names, is not this program: its command line is another one", live.PID)
	}
	adoption.Program, adoption.StartTime = name, found[0].StartTime
	_, err = c.AdoptAs(ctx, adoption)
	return found[0].Ignores, err
}
