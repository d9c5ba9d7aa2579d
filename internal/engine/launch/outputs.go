package launch

import (
	"os"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
)

// The names of the output channels, as texts and files have them.
var channels = [2]string{"stdout", "stderr"}

// autoPerm is the mode of automatic log files, logPerm that of the others before the umask.
const (
	autoPerm os.FileMode = 0o600
	logPerm  os.FileMode = 0o666
)

// outputs is where the two channels of an instance go.
type outputs struct {
	of   [2]streams.Output
	hand []*os.File // what the program writes to itself, until it has them
	over [2]func()  // called when a channel has come to its end, before all else; nil = nothing is
}

func (o *outputs) close() {
	o.handed()
	for _, x := range o.of {
		if x.File != nil {
			x.File.Close()
		}
	}
}

// outputs opens the logs of a program for a new instance.
func (h *Host) outputs(s *core.Slot) (*outputs, error) {
	p := s.Program()
	out := &outputs{}
	for k, st := range [2]model.Stream{p.IO.Stdout, p.IO.Stderr} {
		path := [2]string{s.Logs().Stdout, s.Logs().Stderr}[k]
		if k == 1 && p.IO.MergeStderr {
			break
		}
		o := &out.of[k]
		o.StripANSI, o.Block = h.o.StripANSI, p.IO.BlockWhenFull
		if h.o.Flows != nil {
			o.Flow = &h.o.Flows(p.ID)[k]
		}
		if st.Syslog && h.o.Syslog != nil {
			name := p.ID.Name
			o.Line = func(line []byte) { h.o.Syslog(name + " " + string(line)) }
		}
		if h.o.Log.Enabled(activity.Debug) {
			o.Tap = h.copyToLog(p.ID.Name, channels[k])
		}
		if path == "" {
			continue
		}
		f, err := h.o.Files.Open(path, h.logOptions(&st))
		if err != nil {
			out.close()
			return nil, err
		}
		o.File = f
	}
	return out, nil
}

// copyToLog shows a channel's output in the activity log. Source: spec/supervisor 3.4.
func (h *Host) copyToLog(name, channel string) func([]byte) {
	return func(chunk []byte) {
		text := string(chunk)
		if !utf8.ValidString(text) {
			text = "Undecodable: " + pytext.ReprBytes(chunk)
		}
		h.o.Log.Logf(activity.Debug, "'%s' %s output:\n%s", name, channel, text)
	}
}

// MakeLogs resolves a program's log files and creates the automatic ones.
func (h *Host) MakeLogs(p *model.Program) (core.LogPaths, error) {
	var paths [2]string
	for k, st := range [2]model.Stream{p.IO.Stdout, p.IO.Stderr} {
		switch {
		case k == 1 && p.IO.MergeStderr:
		case st.Log == model.LogFile:
			paths[k] = st.Path
		case st.Log == model.LogAuto:
			path, err := logs.CreateAuto(h.o.AutoDir, p.ID.Name, channels[k], h.o.Identifier)
			if err != nil {
				h.DropLogs(p, core.LogPaths{Stdout: paths[0]})
				return core.LogPaths{}, err
			}
			paths[k] = path
		}
	}
	return core.LogPaths{Stdout: paths[0], Stderr: paths[1]}, nil
}

// DropLogs deletes the automatic log files of a program that is no longer wanted (F40).
func (h *Host) DropLogs(p *model.Program, l core.LogPaths) {
	for k, st := range [2]model.Stream{p.IO.Stdout, p.IO.Stderr} {
		if path := [2]string{l.Stdout, l.Stderr}[k]; st.Log == model.LogAuto && path != "" {
			if err := logs.Remove(path, st.Backups); err != nil {
				h.o.Log.Logf(activity.Warn, "Failed to clean up '%s'", path)
			}
		}
	}
}
