package spawn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

// Options configure NewDirect.
type Options struct {
	Threads int    // not used on this system
	Shim    string // not used on this system
	Marks   *Marks // not used on this system
}

// Direct starts programs as children of this process.
//
// Each is born suspended in a job object of its own, out of which nothing that it starts can break: ending the job
// ends all of it. Until the program goes on the job ends with its last handle, so that the death of this process leaves no
// program that nobody knows of; afterwards it does not, and the program outlives us.
type Direct struct {
	null *os.File

	mu     sync.RWMutex
	closed bool
}

// NewDirect makes a spawner.
func NewDirect(Options) (*Direct, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("spawner: %w", err)
	}
	return &Direct{null: null}, nil
}

// Close ends the spawner.
func (d *Direct) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.null.Close()
}

// Spawn starts a program. A umask and IgnoreSIGPIPE mean nothing here; another user is refused.
func (d *Direct) Spawn(r *Request) (*Result, error) {
	given := r.Pipes != nil
	if given {
		defer r.Pipes.CloseTheirs()
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.Cred != nil {
		return nil, &ExecError{Path: r.Path, Err: errors.New("another user is not supported on this system")}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, ErrClosed
	}
	pipes := r.Pipes
	if !given {
		var err error
		if pipes, err = MakePipes(r); err != nil {
			return nil, err
		}
		defer pipes.CloseTheirs()
	}
	handle, err := d.begin(r, pipes)
	if err != nil {
		if !given {
			pipes.Close()
		}
		return nil, err
	}
	return &Result{Handle: handle, PID: handle.PID(), Stdin: pipes.Stdin, Stdout: pipes.Stdout, Stderr: pipes.Stderr}, nil
}

// begin makes the process, has it identified, and lets it go.
func (d *Direct) begin(r *Request, pipes *Pipes) (procfd.Handle, error) {
	job, err := newJob()
	if err != nil {
		return nil, &ForkError{err}
	}
	made, err := d.create(r, pipes, job)
	if err != nil {
		windows.CloseHandle(job)
		return nil, err
	}
	defer windows.CloseHandle(made.Thread)
	handle := procfd.OwnProcess(made.Process, job, int(made.ProcessId))
	if r.Identified != nil {
		err = r.Identified(int(made.ProcessId), -1)
	}
	if err == nil {
		if err = release(job, made.Thread); err != nil {
			err = &ForkError{err}
		}
	}
	if err != nil {
		_ = windows.TerminateJobObject(job, 1)
		handle.Close()
		return nil, err
	}
	return handle, nil
}

// newJob makes a job object whose end is the end of all that is in it, as long as nobody says otherwise.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, os.NewSyscallError("CreateJobObject", err)
	}
	if err := limit(job, windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE); err != nil {
		windows.CloseHandle(job)
		return 0, err
	}
	return job, nil
}

// limit sets the limits of a job. None lets a process break away.
func limit(job windows.Handle, flags uint32) error {
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = flags
	_, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	return os.NewSyscallError("SetInformationJobObject", err)
}

// release lets a program go on, which outlives this process from then on.
func release(job, thread windows.Handle) error {
	if err := limit(job, 0); err != nil {
		return err
	}
	_, err := windows.ResumeThread(thread)
	return os.NewSyscallError("ResumeThread", err)
}

// procThreadAttributeJobList has a process born in jobs (Windows 10).
const procThreadAttributeJobList = 0x0002000d

// create makes a process that is suspended, in the job.
func (d *Direct) create(r *Request, pipes *Pipes, job windows.Handle) (*windows.ProcessInformation, error) {
	stdio, err := d.stdio(r, pipes)
	defer closeHandles(stdio[:])
	if err != nil {
		return nil, &PipeError{err}
	}
	w := wide{}
	app, line := w.of(r.Path), w.of(windows.ComposeCommandLine(r.Argv))
	var dir *uint16
	if r.Dir != "" {
		dir = w.of(r.Dir)
	}
	attrs, err := windows.NewProcThreadAttributeList(2)
	if w.err = errors.Join(w.err, err); w.err != nil {
		return nil, &ExecError{Path: r.Path, Err: w.err}
	}
	defer attrs.Delete()
	inherited := slices.Clone(stdio[:])
	slices.Sort(inherited)
	inherited = slices.Compact(inherited)
	err = errors.Join(
		attrs.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&inherited[0]), uintptr(len(inherited))*unsafe.Sizeof(inherited[0])),
		attrs.Update(procThreadAttributeJobList, unsafe.Pointer(&job), unsafe.Sizeof(job)),
	)
	if err != nil {
		return nil, &ForkError{err}
	}
	start := windows.StartupInfoEx{ProcThreadAttributeList: attrs.List()}
	start.Cb = uint32(unsafe.Sizeof(start))
	start.Flags = windows.STARTF_USESTDHANDLES
	start.StdInput, start.StdOutput, start.StdErr = stdio[0], stdio[1], stdio[2]
	made := new(windows.ProcessInformation)
	err = windows.CreateProcess(app, line, nil, nil, true,
		windows.CREATE_SUSPENDED|windows.CREATE_NEW_PROCESS_GROUP|windows.CREATE_UNICODE_ENVIRONMENT|windows.EXTENDED_STARTUPINFO_PRESENT,
		block(r.Env), dir, &start.StartupInfo, made)
	switch {
	case err == nil:
		return made, nil
	case errors.Is(err, windows.ERROR_NOT_ENOUGH_MEMORY), errors.Is(err, windows.ERROR_NO_SYSTEM_RESOURCES),
		errors.Is(err, windows.ERROR_COMMITMENT_LIMIT):
		return nil, &ForkError{err}
	}
	return nil, &ExecError{Path: r.Path, Err: err}
}

// stdio are the three handles of a program, for it alone to inherit; the caller closes them.
func (d *Direct) stdio(r *Request, pipes *Pipes) (out [3]windows.Handle, err error) {
	self := windows.CurrentProcess()
	for i, kind := range []Stdio{r.Stdin, r.Stdout, r.Stderr} {
		from := windows.Handle(d.null.Fd())
		switch kind {
		case StdioFile:
			from = windows.Handle(r.file(i).Fd())
		case StdioPipe:
			from = pipes.theirs[i]
		case StdioMerge:
			from = out[1]
		}
		err = windows.DuplicateHandle(self, from, self, &out[i], 0, true, windows.DUPLICATE_SAME_ACCESS)
		if err != nil {
			return out, os.NewSyscallError("DuplicateHandle", err)
		}
	}
	return out, nil
}

func closeHandles(list []windows.Handle) {
	for _, h := range list {
		if h != 0 {
			windows.CloseHandle(h)
		}
	}
}

// wide makes texts as the system wants them, and keeps the first error.
type wide struct{ err error }

func (w *wide) of(s string) *uint16 {
	p, err := windows.UTF16PtrFromString(s)
	if err != nil && w.err == nil {
		w.err = err
	}
	return p
}

// block is an environment as the system wants it: sorted by name without regard to case, of several entries for a name the
// last one. Check has refused zero bytes.
func block(env []string) *uint16 {
	byName := make(map[string]string, len(env))
	for _, kv := range env {
		at := strings.IndexByte(kv[min(len(kv), 1):], '=') // the names of current directories begin with one
		if at >= 0 {
			byName[strings.ToUpper(kv[:at+1])] = kv
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []uint16
	for _, name := range names {
		out = append(append(out, utf16.Encode([]rune(byName[name]))...), 0)
	}
	if len(out) == 0 {
		out = append(out, 0)
	}
	return &append(out, 0)[0]
}

// ShimMain is false: there is no shim on this system.
func ShimMain() (handled bool) { return false }
