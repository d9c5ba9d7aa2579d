package differ

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verb performs a step and returns what it observed.
type verb func(ctx context.Context, s *session, st Step) (string, error)

// verbs lists what a script can do. README.md beside this file describes each.
func verbs() map[string]verb {
	return map[string]verb{
		"start":      stepStart,
		"run":        stepRun,
		"ctl":        stepCtl,
		"ctlraw":     stepCtlRaw,
		"bg":         stepBackground,
		"bg-wait":    stepBackgroundWait,
		"bg-end":     stepBackgroundEnd,
		"rpc":        stepRPC,
		"http":       stepHTTP,
		"signal":     stepSignal,
		"wait-exit":  stepWaitExit,
		"stop":       stepStop,
		"wait-state": stepWaitState,
		"wait-log":   stepWaitLog,
		"wait-file":  stepWaitFile,
		"wait-sh":    stepWaitShell,
		"log":        stepLog,
		"mark":       stepMark,
		"stdout":     stepStdout,
		"cat":        stepCat,
		"sh":         stepShell,
		"cp":         stepCopy,
	}
}

// options takes leading "-name value" or "-name" words off args; withValue names those with a value.
func options(args []string, withValue, plain string) (map[string][]string, []string, error) {
	opts := map[string][]string{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		name := args[0][1:]
		switch {
		case slices.Contains(strings.Fields(withValue), name):
			if len(args) < 2 {
				return nil, nil, fmt.Errorf("-%s needs a value", name)
			}
			opts[name] = append(opts[name], args[1])
			args = args[2:]
		case slices.Contains(strings.Fields(plain), name):
			opts[name] = append(opts[name], "")
			args = args[1:]
		default:
			return opts, args, nil
		}
	}
	return opts, args, nil
}

func (s *session) expandAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = s.expand(w)
	}
	return out
}

// stepStart starts the daemon in the foreground and waits until it says so. "-env K=V" adds to its
// environment; "-limit WORDS" applies shell ulimit words first; "-nowait" does not wait.
func stepStart(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "env limit", "nowait")
	if err != nil {
		return "", err
	}
	argv := append([]string{s.daemonPath(), "-n", "-c", s.configPath()}, s.expandAll(args)...)
	if l := opts["limit"]; l != nil {
		argv = append([]string{"/bin/sh", "-c", "ulimit " + l[0] + `; exec "$@"`, "sh"}, argv...)
	}
	logFile := filepath.Join(s.dir, "d.log")
	before := strings.Count(readText(logFile), startedText)
	p, err := s.spawn(argv, s.expandAll(opts["env"]), "")
	if err != nil {
		return "", err
	}
	s.daemon = p
	if opts["nowait"] != nil {
		return "", nil
	}
	poll(ctx, func() bool {
		return !p.running() || strings.Contains(readText(p.out), startedText) ||
			strings.Count(readText(logFile), startedText) > before
	})
	if !p.running() {
		return p.output() + p.exitText(), nil
	}
	return "", ctx.Err()
}

const startedText = "supervisord started with pid"

func readText(name string) string {
	data, _ := os.ReadFile(name) // a file that is not there yet is empty
	return string(data)
}

// stepRun runs supervisord with exactly the given words to its end.
func stepRun(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "env in as", "")
	if err != nil {
		return "", err
	}
	argv := append([]string{s.daemonPath()}, s.expandAll(args)...)
	return s.runToEnd(ctx, s.as(opts["as"], argv), s.expandAll(opts["env"]), "")
}

// as prefixes argv so that it runs as another user.
func (s *session) as(user, argv []string) []string {
	if user == nil {
		return argv
	}
	return append([]string{"setpriv", "--reuid", user[0], "--regid", "nogroup", "--clear-groups", "--"}, argv...)
}

// stepCtl runs supervisorctl with the scenario's configuration. "-in FILE" is its standard input,
// "-pids" hides lines that are a pid, "-sort" sorts lines whose order is that of completion.
func stepCtl(ctx context.Context, s *session, st Step) (string, error) {
	return s.ctl(ctx, st.Args, "-c", s.configPath())
}

// stepCtlRaw runs supervisorctl with exactly the given words.
func stepCtlRaw(ctx context.Context, s *session, st Step) (string, error) {
	return s.ctl(ctx, st.Args)
}

var pidLine = regexp.MustCompile(`(?m)^[1-9]\d*$`)

func (s *session) ctl(ctx context.Context, words []string, first ...string) (string, error) {
	opts, args, err := options(words, "env in as", "pids sort")
	if err != nil {
		return "", err
	}
	stdin := ""
	if in := opts["in"]; in != nil {
		stdin = s.path(in[0])
	}
	argv := append(append([]string{s.ctlPath()}, first...), s.expandAll(args)...)
	text, err := s.runToEnd(ctx, s.as(opts["as"], argv), s.expandAll(opts["env"]), stdin)
	if opts["pids"] != nil {
		text = pidLine.ReplaceAllString(text, "PID")
	}
	if opts["sort"] != nil {
		text = sortLines(text)
	}
	return text, err
}

// stepBackground starts supervisorctl under a name: "bg NAME WORDS…".
func stepBackground(_ context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "env in", "")
	if err != nil {
		return "", err
	}
	if len(args) < 2 {
		return "", errors.New("bg NAME WORDS")
	}
	stdin := ""
	if in := opts["in"]; in != nil {
		stdin = s.path(in[0])
	}
	argv := append([]string{s.ctlPath(), "-c", s.configPath()}, s.expandAll(args[1:])...)
	p, err := s.spawn(argv, s.expandAll(opts["env"]), stdin)
	if err != nil {
		return "", err
	}
	s.back[args[0]] = p
	return "", nil
}

// stepBackgroundWait waits until a background client has printed text matching a pattern.
func stepBackgroundWait(ctx context.Context, s *session, st Step) (string, error) {
	p, re, err := s.backArgs(st)
	if err != nil {
		return "", err
	}
	if !poll(ctx, func() bool { return re.MatchString(p.output()) || !p.running() }) || !re.MatchString(p.output()) {
		return fmt.Sprintf("[never printed %s]\n%s", re, p.output()), nil
	}
	return "", nil
}

func (s *session) backArgs(st Step) (*process, *regexp.Regexp, error) {
	if len(st.Args) != 2 {
		return nil, nil, errors.New("NAME PATTERN")
	}
	p := s.back[st.Args[0]]
	if p == nil {
		return nil, nil, fmt.Errorf("no background client %s", st.Args[0])
	}
	re, err := regexp.Compile(s.expand(st.Args[1]))
	return p, re, err
}

// stepBackgroundEnd shows a background client's output after it ended: "bg-end [-re PATTERN] NAME [SIGNAL]".
func stepBackgroundEnd(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "re", "")
	if err != nil || len(args) == 0 || s.back[args[0]] == nil {
		return "", errors.Join(err, errors.New("bg-end NAME [SIGNAL]"))
	}
	p := s.back[args[0]]
	if len(args) > 1 {
		if err := sendSignal(ctx, p.cmd.Process.Pid, args[1]); err != nil {
			return "", err
		}
	}
	if !p.wait(ctx) {
		return p.output() + "[still running, killed]\n", nil
	}
	return matchingLines(p.output()+p.exitText(), opts["re"])
}

// matchingLines keeps the lines that match the pattern, or all without one.
func matchingLines(text string, pattern []string) (string, error) {
	if pattern == nil {
		return text, nil
	}
	re, err := regexp.Compile(pattern[0])
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if re.MatchString(line) {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// stepRPC calls a method: "rpc [-tcp] [-auth USER:PASSWORD] [-sort] METHOD JSON…", parameters as JSON
// values. -sort is for lists in order of completion.
func stepRPC(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "auth", "tcp sort")
	if err != nil {
		return "", err
	}
	if len(args) == 0 {
		return "", errors.New("rpc METHOD")
	}
	_, params, _ := strings.Cut(st.Rest+" ", args[0]+" ")
	v, err := s.endpoint(opts).call(ctx, args[0], s.expand(params))
	text := renderResult(v, err)
	if opts["sort"] != nil {
		text = sortLines(text)
	}
	return text, nil
}

// sortLines sorts the lines of a list whose order is that of completion.
func sortLines(text string) string {
	lines := splitLines(text)
	slices.Sort(lines)
	return strings.Join(append(lines, ""), "\n")
}

func (s *session) endpoint(opts map[string][]string) endpoint {
	e := endpoint{network: "unix", address: filepath.Join(s.dir, "s.sock")}
	if opts["tcp"] != nil {
		e.network, e.address = "tcp", "127.0.0.1:"+strconv.Itoa(s.ports[0])
	}
	if a := opts["auth"]; a != nil {
		e.user, e.password, _ = strings.Cut(a[0], ":")
	}
	return e
}

func sendSignal(ctx context.Context, pid int, name string) error {
	if pid <= 1 {
		return errors.New("nobody to signal")
	}
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", `kill -s "$0" "$1"`, name, strconv.Itoa(pid)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kill -s %s: %w: %s", name, err, out)
	}
	return nil
}

// stepSignal sends the daemon a signal.
func stepSignal(ctx context.Context, s *session, st Step) (string, error) {
	if len(st.Args) != 1 {
		return "", errors.New("signal NAME")
	}
	return "", sendSignal(ctx, s.daemonPID(), st.Args[0])
}

// stepStop ends the daemon by TERM and waits for it.
func stepStop(ctx context.Context, s *session, st Step) (string, error) {
	pid := s.daemonPID()
	if err := sendSignal(ctx, pid, "TERM"); err != nil {
		return "", err
	}
	if s.daemon == nil {
		if !poll(ctx, func() bool { return !alive(pid) }) {
			return "[daemon still running]\n", nil
		}
		return "[gone]\n", nil
	}
	return stepWaitExit(ctx, s, st)
}

func (s *session) shell(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.expand(command))
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stepShell runs a shell command (the rest of the line) in the scratch directory and shows its output.
func stepShell(ctx context.Context, s *session, st Step) (string, error) {
	out, err := s.shell(ctx, st.Rest)
	if err != nil {
		out += fmt.Sprintf("[%v]\n", err)
	}
	return out, nil
}

// stepCopy copies one file of the scratch directory over another: "cp FROM TO".
func stepCopy(_ context.Context, s *session, st Step) (string, error) {
	if len(st.Args) != 2 {
		return "", errors.New("cp FROM TO")
	}
	data, err := os.ReadFile(s.path(st.Args[0]))
	if err != nil {
		return "", err
	}
	return "", os.WriteFile(s.path(st.Args[1]), data, 0o644)
}

// stepCat shows files; a pattern shows every match with its name.
func stepCat(_ context.Context, s *session, st Step) (string, error) {
	var b strings.Builder
	for _, pattern := range st.Args {
		names, err := filepath.Glob(s.path(pattern))
		if err != nil {
			return "", err
		}
		if len(names) == 0 {
			fmt.Fprintf(&b, "[no %s]\n", pattern)
		}
		for _, name := range names {
			if s.path(pattern) != name {
				fmt.Fprintf(&b, "== %s\n", name)
			}
			text := readText(name)
			b.WriteString(text)
			if text != "" && !strings.HasSuffix(text, "\n") {
				b.WriteString("[no newline]\n")
			}
		}
	}
	return b.String(), nil
}

// stepStdout shows what the foreground daemon printed on stdout and stderr: "stdout [-re PATTERN]".
func stepStdout(_ context.Context, s *session, st Step) (string, error) {
	opts, _, err := options(st.Args, "re", "")
	if err != nil || s.daemon == nil {
		return "", errors.Join(err, errors.New("stdout needs a foreground daemon"))
	}
	return matchingLines(s.daemon.output(), opts["re"])
}

var waitingLine = regexp.MustCompile(`^waiting for \S+ to stop$`)

// stepLog shows the activity log from the mark on without time stamps: "log [-waiting] [-sort] [-uniq]
// [-re PATTERN] [NAME…]". With names, the records that mention each program, program by program (the
// order between programs within a second is nobody's promise). The throttled "waiting for … to
// stop" records depend on when a poll falls and are shown only with -waiting.
func stepLog(_ context.Context, s *session, st Step) (string, error) {
	opts, names, err := options(st.Args, "re", "waiting sort uniq")
	if err != nil {
		return "", err
	}
	keep := regexp.MustCompile("")
	if re := opts["re"]; re != nil {
		if keep, err = regexp.Compile(s.expand(re[0])); err != nil {
			return "", err
		}
	}
	var lines []string
	for _, l := range parseLog(s.activityLog()) {
		if opts["waiting"] == nil && waitingLine.MatchString(l.Text) {
			continue
		}
		if text := strings.TrimSpace(l.Level + " " + l.Text); keep.MatchString(text) {
			lines = append(lines, text)
		}
	}
	if opts["sort"] != nil {
		slices.Sort(lines)
	}
	if opts["uniq"] != nil {
		lines = slices.Compact(lines)
	}
	if len(names) == 0 {
		return strings.Join(append(lines, ""), "\n"), nil
	}
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "== %s\n", name)
		mentions := regexp.MustCompile(`(^|[^\w-])` + regexp.QuoteMeta(name) + `($|[^\w-])`)
		for _, l := range lines {
			if mentions.MatchString(l) {
				b.WriteString(l + "\n")
			}
		}
	}
	return b.String(), nil
}
