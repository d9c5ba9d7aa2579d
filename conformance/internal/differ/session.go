package differ

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Pair is a daemon and a client to drive it with.
type Pair struct {
	Daemon, Ctl string // paths of supervisord and supervisorctl
}

// StepResult is what one step produced, normalised.
type StepResult struct {
	Line string `json:"line"`
	Out  string `json:"out"`
}

// Deadlines. They end a broken run; no verdict depends on them being short or long.
const (
	stepLimit    = 40 * time.Second
	runLimit     = 15 * time.Second
	pollInterval = 40 * time.Millisecond
)

// session runs one scenario against one pair.
type session struct {
	pair  Pair
	dir   string
	side  string // directory beside dir for captured output, invisible to the scenario
	ports []int
	norm  *normaliser
	env   []string

	daemon   *process
	back     map[string]*process
	mark     int64
	captures int
}

// process is a started program with its output in files.
type process struct {
	cmd      *exec.Cmd
	out, err string
	done     chan struct{}
}

// runScenario plays sc on pair in dir, which must not exist. It always removes dir and ends what it started.
func runScenario(ctx context.Context, sc Scenario, pair Pair, dir string, ports []int) ([]StepResult, error) {
	s := &session{
		pair: pair, dir: dir, side: dir + ".side", ports: ports,
		norm: newNormaliser(dir, ports),
		back: map[string]*process{},
		env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=" + dir, "LANG=C.UTF-8", "TZ=UTC", scratchMark + dir, "UPKEEP_ROOT=" + dir + ".side/upkeep",
		},
	}
	if err := s.layOut(sc.Files); err != nil {
		return nil, err
	}
	defer s.cleanUp()
	var out []StepResult
	for _, st := range sc.Steps {
		stepCtx, cancel := context.WithTimeout(ctx, stepLimit)
		text, err := verbs()[st.Verb](stepCtx, s, st)
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			text += fmt.Sprintf("[step failed: %v]\n", err)
		}
		out = append(out, StepResult{st.Line, s.norm.text(text)})
	}
	return append(out, StepResult{"(end)", s.norm.text(s.daemonFate())}), nil
}

// scratchMark is set in the environment of everything a session starts; cleaning up looks for it.
const scratchMark = "SCRATCH="

func (s *session) layOut(files []File) error {
	for _, d := range []string{filepath.Join(s.dir, "bin"), s.side} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"supervisord": s.pair.Daemon, "supervisorctl": s.pair.Ctl} {
		if err := os.Symlink(target, filepath.Join(s.dir, "bin", name)); err != nil {
			return err
		}
	}
	haveConf := false
	for _, f := range files {
		haveConf = haveConf || f.Name == "supervisord.conf"
		if err := s.writeFile(f); err != nil {
			return err
		}
	}
	if !haveConf {
		return s.writeFile(File{"supervisord.conf", "$BASE\n"})
	}
	return nil
}

func (s *session) writeFile(f File) error {
	name := s.path(f.Name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if strings.HasSuffix(name, ".sh") {
		mode = 0o755
	}
	return os.WriteFile(name, []byte(s.expand(f.Data)), mode)
}

// expand replaces $BASE, $DIR and $PORT, $PORT2.
func (s *session) expand(text string) string {
	text = strings.ReplaceAll(text, "$BASE", baseConfig)
	text = strings.ReplaceAll(text, "$DIR", s.dir)
	for i := len(s.ports) - 1; i >= 0; i-- {
		text = strings.ReplaceAll(text, portName(i), strconv.Itoa(s.ports[i]))
	}
	return text
}

func (s *session) path(name string) string {
	name = s.expand(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, name)
}

// spawn starts a program in the scratch directory with its output in files of its own.
func (s *session) spawn(argv, env []string, stdin string) (*process, error) {
	s.captures++
	p := &process{
		out:  filepath.Join(s.side, strconv.Itoa(s.captures)+".out"),
		err:  filepath.Join(s.side, strconv.Itoa(s.captures)+".err"),
		done: make(chan struct{}),
	}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir = s.dir
	p.cmd.Env = append(append([]string{}, s.env...), env...)
	var opened []*os.File
	defer func() {
		for _, f := range opened {
			f.Close()
		}
	}()
	open := func(name string, create bool) (*os.File, error) {
		flags := os.O_RDONLY
		if create {
			flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
		}
		f, err := os.OpenFile(name, flags, 0o666)
		if err == nil {
			opened = append(opened, f)
		}
		return f, err
	}
	out, err := open(p.out, true)
	if err != nil {
		return nil, err
	}
	errFile, err := open(p.err, true)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = out, errFile
	if stdin != "" {
		in, err := open(stdin, false)
		if err != nil {
			return nil, err
		}
		p.cmd.Stdin = in
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which cleanUp ends at the latest
		defer close(p.done)
		_ = p.cmd.Wait() // the status is read from ProcessState
	}()
	return p, nil
}

// wait waits for the end of p; on timeout p is killed and false returned.
func (p *process) wait(ctx context.Context) bool {
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		p.killAll()
		<-p.done
		return false
	}
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) exitText() string {
	st := p.cmd.ProcessState
	if st == nil {
		return "[running]\n"
	}
	if st.ExitCode() < 0 {
		return fmt.Sprintf("[%s]\n", st)
	}
	return fmt.Sprintf("[exit %d]\n", st.ExitCode())
}

// output shows what p printed: stdout as is, stderr marked.
func (p *process) output() string {
	out, _ := os.ReadFile(p.out)
	errs, _ := os.ReadFile(p.err)
	var b strings.Builder
	b.Write(out)
	if n := len(out); n > 0 && out[n-1] != '\n' {
		b.WriteString("[no newline]\n")
	}
	for line := range strings.Lines(string(errs)) {
		b.WriteString("2| " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// runToEnd runs a command and shows output and exit status.
func (s *session) runToEnd(ctx context.Context, argv, env []string, stdin string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	p, err := s.spawn(argv, env, stdin)
	if err != nil {
		return "", err
	}
	if !p.wait(ctx) {
		return p.output() + "[still running, killed]\n", nil
	}
	return p.output() + p.exitText(), nil
}

func (s *session) daemonPath() string { return filepath.Join(s.dir, "bin", "supervisord") }
func (s *session) ctlPath() string    { return filepath.Join(s.dir, "bin", "supervisorctl") }
func (s *session) configPath() string { return filepath.Join(s.dir, "supervisord.conf") }

// daemonPID is the pid people use: of the foreground daemon, else of the pid file; 0 if there is none.
func (s *session) daemonPID() int {
	if s.daemon != nil && s.daemon.running() {
		return s.daemon.cmd.Process.Pid
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "d.pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}

// daemonFate tells how the daemon stands at the end of the script, so that a crash is never overlooked.
func (s *session) daemonFate() string {
	switch {
	case s.daemon == nil:
		return ""
	case s.daemon.running():
		return "daemon is running\n"
	default:
		return "daemon ended " + s.daemon.exitText()
	}
}

// alive reports whether pid is a process that has not ended.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil || p.Signal(syscall.Signal(0)) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	i := bytes.LastIndexByte(stat, ')')
	return i < 0 || i+2 >= len(stat) || stat[i+2] != 'Z'
}

// cleanUp ends everything of this session: what it started itself and what carries its mark.
func (s *session) cleanUp() {
	own := make([]*process, 0, len(s.back)+1)
	for _, p := range s.back {
		own = append(own, p)
	}
	if s.daemon != nil {
		own = append(own, s.daemon)
	}
	for _, p := range own {
		_ = p.cmd.Process.Kill()
	}
	// Until nobody is left: a daemon that is killed may be replaced by one of its own processes.
	deadline := time.Now().Add(5 * time.Second)
	for left := s.marked(); len(left) > 0 && time.Now().Before(deadline); left = s.marked() {
		for _, pid := range left {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
		time.Sleep(pollInterval)
	}
	for _, p := range own {
		<-p.done
	}
	_ = os.RemoveAll(s.dir)
	_ = os.RemoveAll(s.side)
}

// marked lists the processes whose environment carries the mark of this scratch directory.
func (s *session) marked() []int {
	dirs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	want := []byte(scratchMark + s.dir + "\x00")
	var pids []int
	for _, name := range dirs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if env, err := os.ReadFile(name); err == nil && bytes.Contains(env, want) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// poll calls done until it is true or ctx ends, and reports which.
func poll(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
