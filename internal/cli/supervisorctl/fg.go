package supervisorctl

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// fg shows both logs of a program as they grow, raw, and sends lines to its standard input, until Ctrl-C or
// the end of the input. It shows log files: a program without logs shows nothing. Source: spec/supervisor
// 6.4.
func (s *session) fg(ctx context.Context, arg string) error {
	names := strings.Fields(arg)
	switch len(names) {
	case 0:
		s.fail(statusGeneric, "ERROR: no process name supplied")
		s.out.raw(fgHelp + "\n")
		return nil
	case 1:
	default:
		s.fail(statusGeneric, "ERROR: too many process names supplied")
		return nil
	}
	name := names[0]
	info, err := s.rpc().GetProcessInfo(ctx, name)
	switch {
	case faultCode(err) == supervisor.FaultBadName:
		s.fail(statusGeneric, "ERROR: bad process name supplied")
		return nil
	case faultCode(err) != 0:
		s.fail(statusGeneric, "ERROR: %s", s.describe(err))
		return nil
	case err != nil:
		return err
	case info.State != stateRunning:
		s.fail(statusGeneric, "ERROR: process not running")
		return nil
	}
	input, release := s.foregroundInput()
	s.out.say("==> Press Ctrl-C to exit <==")
	streams, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, channel := range []string{"stdout", "stderr"} {
		wg.Go(func() {
			s.follow(streams, supervisor.LogPath(name, channel), "/logtail/"+name+"/"+channel)
		})
	}
	err = s.converse(ctx, name, input)
	stop()
	wg.Wait()
	release()
	s.out.say("Exiting foreground")
	return err
}

// converse sends lines to a program until there are no more, or it is gone.
func (s *session) converse(ctx context.Context, name string, input *lines) error {
	for {
		_ = s.out.flush()
		line, err := input.read(ctx)
		if err != nil { // the end of the input, or Ctrl-C
			return nil
		}
		err = s.client.SendProcessStdin(ctx, name, line+"\n")
		if err == nil {
			var info supervisor.ProcessInfo
			if info, err = s.client.GetProcessInfo(ctx, name); err == nil && info.State != stateRunning {
				err = &supervisor.Fault{Code: supervisor.FaultNotRunning}
			}
		}
		var fault *supervisor.Fault
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case !errors.As(err, &fault):
			return err
		case fault.Code == supervisor.FaultNotRunning:
			s.out.say("Process got killed")
			return nil
		default:
			s.out.say("ERROR: %s", s.describe(err))
			return nil
		}
	}
}

// foregroundInput is where a person types for the program: the terminal, while a line editor reads the
// shell's lines from it, else the input of the shell.
func (s *session) foregroundInput() (in *lines, release func()) {
	if s.lineEditor() != nil && s.env.Lines != nil {
		if r, err := s.env.Lines(); err == nil {
			in = newLines(r)
			return in, func() {
				if r.Close() == nil {
					in.wait()
				}
			}
		}
	}
	return s.in, func() {}
}
