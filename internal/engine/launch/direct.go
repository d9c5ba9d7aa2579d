package launch

import (
	"os"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/logfile"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// connections says what the standard descriptors of a new instance are, and where its output goes.
func (h *Host) connections(s *core.Slot, req *spawn.Request) (*outputs, error) {
	p := s.Program()
	if p.IO.Direct {
		return h.direct(s, req)
	}
	if req.Stdin != spawn.StdioFile {
		req.Stdin = spawn.StdioPipe
		if p.IO.NoStdin {
			req.Stdin = spawn.StdioNull
		}
	}
	req.Stdout, req.Stderr = spawn.StdioPipe, spawn.StdioPipe
	if p.IO.MergeStderr {
		req.Stderr = spawn.StdioMerge
	}
	return h.outputs(s)
}

// direct opens the logs of a program that writes them itself. They are opened and made as those that we write, so that no
// link of the program's user leads elsewhere, and the program gets no more than the opening, for writing at the end: nothing
// of ours is needed for its output from then on. Source: one-model C1, spec/reliability S16.
func (h *Host) direct(s *core.Slot, req *spawn.Request) (*outputs, error) {
	p, out := s.Program(), &outputs{}
	if req.Stdin != spawn.StdioFile {
		req.Stdin = spawn.StdioNull
	}
	for k, st := range [2]*model.Stream{&p.IO.Stdout, &p.IO.Stderr} {
		kind, file := [2]*spawn.Stdio{&req.Stdout, &req.Stderr}[k], [2]**os.File{&req.StdoutFile, &req.StderrFile}[k]
		path := [2]string{s.Logs().Stdout, s.Logs().Stderr}[k]
		switch {
		case k == 1 && p.IO.MergeStderr:
			*kind = spawn.StdioMerge
			continue
		case path == "":
			*kind = spawn.StdioNull
			continue
		}
		f, err := handout(path, h.logOptions(st).Perm)
		if err != nil {
			out.close()
			return nil, err
		}
		*kind, *file = spawn.StdioFile, f
		out.hand = append(out.hand, f)
	}
	return out, nil
}

// handout opens a log for a program.
func handout(path string, perm os.FileMode) (*os.File, error) {
	f, err := logfile.Open(path, perm, logfile.Create)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Handout()
}

// handed closes what the program has by now.
func (o *outputs) handed() {
	for _, f := range o.hand {
		f.Close()
	}
	o.hand = nil
}
