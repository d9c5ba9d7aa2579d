package checks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/sys/probe"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
	"github.com/upkeep-project/upkeep/internal/sys/usage"
)

// Real is the world as it is.
type Real struct {
	// Errand makes a command that runs in the surroundings of a program.
	Errand func(p *model.Program, line string) (errand.Errand, error)
	// Usage is where the looks at processes are shared.
	Usage *usage.Shared
	// Messages is why programs cannot send messages; empty = they can.
	Messages func() string
}

// Refuses says why a check cannot be done.
func (r Real) Refuses(_ *model.Program, k *model.Check) string {
	switch k.Kind {
	case model.CheckNotify, model.CheckHeartbeat:
		return r.Messages()
	case model.CheckMemory, model.CheckCPU, model.CheckFiles:
		if _, err := procstat.Usage(os.Getpid()); errors.Is(err, procstat.ErrUnsupported) {
			return err.Error()
		}
		if runtime.GOOS != "linux" && (k.PSS || k.Kind == model.CheckFiles) {
			return "this system does not tell it"
		}
	case model.CheckUnix:
		if runtime.GOOS == "windows" {
			return "there are no such sockets on this system"
		}
	}
	return ""
}

// Measure looks at what a process uses.
func (r Real) Measure(pid int, k *model.Check) Measure {
	want := usage.Want(0)
	if k.Kind == model.CheckFiles {
		want = usage.Files
	}
	f, err := r.Usage.Read(pid, k.Tree, want)
	switch {
	case err != nil:
		return Measure{Trouble: err}
	case f.Has&want != want:
		return Measure{Trouble: errors.New("it is another user's process, or not to be seen for another reason")}
	case k.Kind == model.CheckFiles:
		return Measure{Amount: int64(f.Files)}
	}
	return Measure{Amount: f.Memory, Spent: f.Total}
}

// Look looks at what takes time.
func (r Real) Look(ctx context.Context, p *model.Program, pid int, k *model.Check) Finding {
	if k.Kind == model.CheckActivity {
		return lastChange(ctx, k)
	}
	res, err := r.look(ctx, p, pid, k)
	return Finding{OK: res.OK, Text: res.Text, Trouble: err}
}

// lastChange looks at a file or folder that is to change.
func lastChange(ctx context.Context, k *model.Check) Finding {
	change, err := probe.Changed(ctx, k.Target, k.Deep, time.Now())
	switch gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR); {
	case gone && k.MissingOK:
		return Finding{OK: true, Text: "is not there, which is all right"}
	case gone:
		return Finding{Text: k.Target + " is not there"}
	}
	return Finding{Trouble: err, Change: change}
}

func (r Real) look(ctx context.Context, p *model.Program, pid int, k *model.Check) (probe.Result, error) {
	switch k.Kind {
	case model.CheckMemory:
		return r.proportional(pid, k)
	case model.CheckTCP:
		return probe.TCP(ctx, k.Target)
	case model.CheckUnix:
		return probe.Unix(ctx, k.Target)
	case model.CheckHTTP:
		return page(ctx, k)
	case model.CheckCommand:
		c, err := r.Errand(p, k.Target)
		if err != nil {
			return probe.Result{}, err
		}
		c.Env = append(c.Env, "UPKEEP_CHECK="+k.Name, "UPKEEP_PID="+strconv.Itoa(pid))
		return probe.Command(ctx, c)
	}
	return probe.Result{}, fmt.Errorf("there are no looks for checks of the kind %s", k.Kind)
}

// proportional looks at memory of which shared pages count in proportion: the kernel counts them one by one.
func (r Real) proportional(pid int, k *model.Check) (probe.Result, error) {
	f, err := usage.Read(pid, k.Tree, usage.PSS)
	switch {
	case err != nil:
		return probe.Result{}, err
	case f.Has&usage.PSS == 0:
		return probe.Result{}, errors.New("the kernel does not tell it, or it is another user's process")
	}
	return probe.Result{OK: f.PSS <= k.Limit, Text: Against(f.PSS, k.Limit)}, nil
}

func page(ctx context.Context, k *model.Check) (probe.Result, error) {
	codes, err := probe.ParseCodes(k.Status)
	if err != nil {
		return probe.Result{}, err
	}
	want := probe.Page{URL: k.Target, Status: codes}
	if k.Pattern != "" {
		if want.Body, err = regexp.Compile(k.Pattern); err != nil {
			return probe.Result{}, err
		}
	}
	return probe.Get(ctx, want)
}
