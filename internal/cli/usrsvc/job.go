package usrsvc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/pidfile"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// longest is how long an order is waited for.
const longest = time.Hour

// job is an action for one program. program is nil when its definition cannot be used.
type job struct {
	*tool
	name    string
	program *model.Program
	client  *upkeep.Client // of the daemon; nil = none was asked
}

// connect finds the daemon; with needed it is started unless it runs. It reports whether there is one.
func (j *job) connect(ctx context.Context, needed bool) (bool, error) {
	j.starting.Lock() // one of several jobs starts it
	defer j.starting.Unlock()
	s, ok, err := j.instance.running(ctx)
	if err == nil && !ok && needed {
		if pid := j.instance.lost(ctx); pid != 0 {
			return false, j.instance.unasked(pid)
		}
		j.trace("no daemon runs for %s, one that only watches is started", j.set.file)
		s, err = j.instance.start(ctx, modePassive, j.set.file)
		ok = err == nil
	}
	if ok {
		j.trace("the daemon (pid %d) answers at %s", s.PID, j.instance.Socket)
		j.client = j.instance.client()
	}
	return ok, err
}

// close gives the daemon up.
func (j *job) close() {
	if j.client != nil {
		j.client.Close()
	}
}

// known is the program as the daemon has it; nil when it has none of that name.
func (j *job) known(ctx context.Context) (*upkeep.Process, error) {
	p, err := j.client.Process(ctx, j.name)
	var problem *upkeep.Problem
	switch {
	case err == nil:
		return &p, nil
	case errors.As(err, &problem) && problem.Code == "not_found":
		return nil, nil
	}
	return nil, translate(err)
}

// current has the daemon use the definition as it is in the file now, for this program alone.
func (j *job) current(ctx context.Context) (*upkeep.Process, error) {
	if j.program != nil {
		if _, err := j.client.Apply(ctx, j.program.ID.Group); err != nil {
			return nil, translate(err)
		}
	}
	return j.known(ctx)
}

// alive reports whether a process of the program lives.
func alive(p *upkeep.Process) bool { return p != nil && p.PID != nil }

// elsewhere is the process that somebody else has started; 0 = there is none.
func (j *job) elsewhere(ctx context.Context) (int, error) {
	if j.program == nil || !j.program.Attach.Fits() && j.program.Attach.PIDFile == "" {
		return 0, nil
	}
	return search(ctx, j.program)
}

// left is the process of the program that an earlier daemon has left running, whatever its command line is: the one that has
// both the program's pid file and its variables. 0 = there is none.
func (j *job) left() int {
	if j.program == nil || j.program.Attach.PIDFile == "" {
		return 0
	}
	f, err := pidfile.Read(j.program.Attach.PIDFile)
	if err != nil {
		return 0
	}
	ours, err := procfd.Remains(procfd.Wanted{Group: j.name, Name: j.name, Server: "unix://" + j.instance.Socket}, time.Time{})
	if err != nil || !slices.Contains(ours, f.PID) {
		return 0
	}
	return f.PID
}

// capture makes a process that somebody else has started the program's instance.
func (j *job) capture(ctx context.Context) (*upkeep.Process, error) {
	pid, err := j.elsewhere(ctx)
	if err != nil || pid == 0 {
		return nil, err
	}
	return j.adopt(ctx, pid)
}

// adopt makes a process the program's instance, and returns the program after that. When the daemon has one meanwhile, be it
// that process, that counts.
func (j *job) adopt(ctx context.Context, pid int) (*upkeep.Process, error) {
	p, err := j.client.Adopt(ctx, j.name, pid)
	var problem *upkeep.Problem
	if errors.As(err, &problem) && slices.Contains([]string{"taken", "already_running", "no_process"}, problem.Code) {
		return j.known(ctx)
	}
	if err != nil {
		return nil, translate(err)
	}
	j.trace("%s runs already, started by other means [%d]", j.name, pid)
	return &p, nil
}

// status tells whether a program runs. Nothing is changed by it. Source: spec/usrsvc US-24, US-25.
func (j *job) status(ctx context.Context) (Outcome, error) {
	defer j.close()
	ok, err := j.connect(ctx, false)
	if err != nil {
		return Outcome{}, translate(err)
	}
	if ok {
		p, err := j.known(ctx)
		if err != nil {
			return Outcome{}, err
		}
		if alive(p) {
			return j.runs(*p.PID), nil
		}
		if p != nil {
			j.trace("%s is %s: %s", j.name, p.State, p.Summary)
		}
	}
	if j.program == nil && !ok {
		return Outcome{}, fail(InvalidConfig, "%s cannot be used:\n%s", j.name, strings.Join(j.set.wrong(j.name), "\n"))
	}
	pid, err := j.elsewhere(ctx)
	if !ok && (pid == 0 || err != nil) {
		if left := j.left(); left != 0 {
			pid, err = left, nil
		}
	}
	if err != nil {
		return Outcome{}, err
	}
	if pid != 0 {
		return j.runs(pid), nil
	}
	j.say(nil, "%s is not running", j.name)
	return Outcome{Code: int(GeneralFailure)}, nil
}

// runs tells that a program runs.
func (j *job) runs(pid int) Outcome {
	d := detailsOf(pid)
	j.say(d, "%s is running:", j.name)
	return Outcome{Process: d}
}

// refuseDisabled fails for a program that may not be started.
func (j *job) refuseDisabled() error {
	if !j.program.Disabled {
		return nil
	}
	return fail(ProgramDisabled, "%s is disabled in %s (enabled)", j.name, j.program.Origin.File)
}

// startable is a program as its daemon knows it, which is started for that; one that is disabled is refused.
func (j *job) startable(ctx context.Context) (*upkeep.Process, error) {
	if err := j.refuseDisabled(); err != nil {
		return nil, err
	}
	if _, err := j.connect(ctx, true); err != nil {
		return nil, translate(err)
	}
	return j.current(ctx)
}

// start starts a program and tells what came of it.
func (j *job) start(ctx context.Context) (Outcome, error) {
	defer j.close()
	p, err := j.startable(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return j.launch(ctx, p)
}

// launch starts a program that the daemon knows, as p.
func (j *job) launch(ctx context.Context, p *upkeep.Process) (Outcome, error) {
	p, err := j.settled(ctx, p)
	if err != nil {
		return Outcome{}, err
	}
	if alive(p) && p.State != "STOPPING" {
		return j.already(*p.PID), nil
	}
	if !alive(p) {
		found, err := j.elsewhere(ctx)
		if err != nil {
			return Outcome{}, err
		}
		if found != 0 {
			if p, err = j.adopt(ctx, found); err != nil {
				return Outcome{}, err
			}
			if alive(p) {
				return j.already(*p.PID), nil
			}
		}
	}
	if err := j.writable(); err != nil {
		return Outcome{}, err
	}
	r, err := j.order(ctx, "start")
	if err != nil {
		return Outcome{}, fail(codeOf(err), "%v\n  command: %s", err, j.program.Command.Line)
	}
	if r, err = j.settled(ctx, r); err != nil { // somebody else may be starting it
		return Outcome{}, err
	}
	if !alive(r) {
		return Outcome{}, fail(ProgramExitedUnexpectedly, "%s had started and has ended", j.name)
	}
	d := detailsOf(*r.PID)
	j.say(d, "Started %s:", j.name)
	return Outcome{Word: "started", Process: d}, nil
}

// settled waits until a start under way has succeeded or failed: the program after that.
func (j *job) settled(ctx context.Context, p *upkeep.Process) (*upkeep.Process, error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for p != nil && p.State == "STARTING" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var err error
		if p, err = j.known(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// already tells that there is nothing to start.
func (j *job) already(pid int) Outcome {
	d := detailsOf(pid)
	j.say(d, "%s is already running:", j.name)
	return Outcome{Word: "already running", Process: d}
}

// writable fails when a log or the pid file cannot be written, before anything is started. Source: spec/usrsvc US-48.
func (j *job) writable() error {
	logs := []model.Stream{j.program.IO.Stdout}
	if !j.program.IO.MergeStderr {
		logs = append(logs, j.program.IO.Stderr)
	}
	for _, s := range logs {
		if s.Log == model.LogFile {
			if err := appendable(s.Path); err != nil {
				return fail(InsufficientPermissions, "%s: its output cannot be written: %v", j.name, err)
			}
		}
	}
	a := j.program.Attach
	if a.PIDFile == "" || a.Track == model.TrackPIDFile {
		return nil
	}
	if err := creatable(a.PIDFile); err != nil {
		return fail(InsufficientPermissions, "%s: its pid file cannot be written: %v", j.name, err)
	}
	return nil
}

// appendable says why nothing can be added to a file; it is made when it is not there.
func appendable(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a device, a FIFO: it is not for us to open it
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// creatable says why no file can be put into the place of a path.
func creatable(path string) error {
	switch err := pidfile.Replaceable(path); {
	case errors.Is(err, pidfile.ErrDevice):
		return nil // none is written then
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".usrsvc-*")
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			return fmt.Errorf("%s: %w", filepath.Dir(path), p.Err)
		}
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// stop stops a program. Where no daemon runs, one is started also for what is down: the next usrsvcd must know that it is to
// stay so. Source: spec/usrsvc 7, one-model C3.
func (j *job) stop(ctx context.Context) (Outcome, error) {
	defer j.close()
	ok, err := j.connect(ctx, j.program != nil)
	switch {
	case err != nil:
		return Outcome{}, translate(err)
	case !ok:
		return Outcome{}, fail(InvalidConfig, "%s cannot be used:\n%s", j.name, strings.Join(j.set.wrong(j.name), "\n"))
	}
	p, err := j.known(ctx)
	if err == nil && p == nil {
		p, err = j.current(ctx)
	}
	if err != nil {
		return Outcome{}, err
	}
	return j.halt(ctx, p)
}

// idle tells that there is nothing to stop.
func (j *job) idle() Outcome {
	j.say(nil, "%s is not running, no action", j.name)
	return Outcome{Word: "no action"}
}

// halt stops a program that the daemon knows, as p. One that is down, or waits to be tried again, is not started by itself then.
func (j *job) halt(ctx context.Context, p *upkeep.Process) (Outcome, error) {
	if p == nil {
		return j.idle(), nil
	}
	if !alive(p) {
		found, err := j.capture(ctx)
		if err != nil {
			return Outcome{}, err
		}
		p = found
	}
	if alive(p) {
		j.say(nil, "Stopping %s [%d]", j.name, *p.PID)
	}
	r, err := j.order(ctx, "stop")
	switch {
	case err != nil:
		return Outcome{}, err
	case alive(r):
		return Outcome{}, fail(GeneralFailure, "%s cannot be stopped [%d]: %s", j.name, *r.PID, r.Summary)
	case !alive(p):
		return j.idle(), nil
	}
	word := "terminated"
	if r != nil && r.LastExit != nil && r.LastExit.Signal != nil && *r.LastExit.Signal == "SIGKILL" {
		word = "killed"
	}
	j.say(nil, "%s %s", j.name, word)
	return Outcome{Word: word}, nil
}

// restart stops a program, and starts it when nothing is left of it. Source: spec/usrsvc US-52.
func (j *job) restart(ctx context.Context) (Outcome, error) {
	defer j.close()
	p, err := j.startable(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if err := j.writable(); err != nil { // before anything is stopped
		return Outcome{}, err
	}
	stopped, err := j.halt(ctx, p)
	if err != nil {
		return Outcome{}, err
	}
	if p, err = j.known(ctx); err != nil {
		return Outcome{}, err
	}
	out, err := j.launch(ctx, p)
	if stopped.Word != "no action" && out.Word == "started" {
		out.Word = stopped.Word + ", started"
	}
	return out, err
}

// order has the daemon do something with the program and waits for the outcome: the program after that.
func (j *job) order(ctx context.Context, action string) (*upkeep.Process, error) {
	op, err := j.client.Do(ctx, upkeep.Action{Action: action, Select: []string{j.name}}, longest)
	if err != nil {
		return nil, translate(err)
	}
	for i := range op.Results {
		r := &op.Results[i]
		if r.Error != nil && r.Error.Code != "already_running" && r.Error.Code != "not_running" {
			return nil, translate(r.Error)
		}
	}
	return j.known(ctx)
}

// problemCodes are the codes of the daemon's answers.
var problemCodes = map[string]Code{
	"disabled": ProgramDisabled, "not_found": ProgramUndefined, "invalid_config": InvalidConfig, "unavailable": TryAgain,
	"spawn_failed": ProgramFailedToLaunch, "no_file": ProgramFailedToLaunch, "not_executable": ProgramFailedToLaunch,
	"dependency_failed": ProgramFailedToLaunch, "start_failed": ProgramFailedToLaunch, "forbidden": InsufficientPermissions,
	"ambiguous": GeneralFailure, "taken": GeneralFailure, "not_adoptable": GeneralFailure, "no_process": GeneralFailure,
}

// translate is an answer of the daemon as a failure with a code; what was seen is in its text.
func translate(err error) error {
	var p *upkeep.Problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, os.ErrPermission):
		return fail(InsufficientPermissions, "%v: HOME may not be that of this account", err)
	case cut(err):
		return fail(TryAgain, "the daemon has ended meanwhile: %v", err)
	default:
		return err
	}
	code, ok := problemCodes[p.Code]
	if !ok {
		code = UnknownFailure
	}
	lines := []string{p.Error()}
	for _, e := range p.Evidence {
		for _, l := range e.Lines {
			if e.Kind != "fact" && e.Kind != "check" { // the rest is sentences
				l = e.Kind + ": " + l
			}
			lines = append(lines, "  "+l)
		}
	}
	return fail(code, "%s", strings.Join(lines, "\n"))
}
