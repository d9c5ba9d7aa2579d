package differ

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// stepWaitExit waits for the daemon's end and shows its status where it is known.
func stepWaitExit(ctx context.Context, s *session, _ Step) (string, error) {
	if s.daemon != nil {
		if !poll(ctx, func() bool { return !s.daemon.running() }) {
			return "[daemon still running]\n", nil
		}
		return s.daemon.exitText(), nil
	}
	pid := s.daemonPID()
	if pid != 0 && !poll(ctx, func() bool { return !alive(pid) }) {
		return "[daemon still running]\n", nil
	}
	return "[gone]\n", nil
}

// stepWaitState waits until each NAME is in STATE: "wait-state NAME STATE [NAME STATE…]".
func stepWaitState(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "auth", "tcp")
	if err != nil || len(args)%2 != 0 {
		return "", errors.Join(err, errors.New("wait-state NAME STATE …"))
	}
	e := s.endpoint(opts)
	for i := 0; i < len(args); i += 2 {
		last := ""
		want := strings.Split(args[i+1], "|")
		ok := poll(ctx, func() bool {
			last = e.state(ctx, args[i])
			return slices.Contains(want, last)
		})
		if !ok {
			return fmt.Sprintf("[%s never became %s, is %s]\n", args[i], args[i+1], last), nil
		}
	}
	return "", nil
}

// stepWaitLog waits until the activity log, from the mark on, has lines matching: "wait-log [-n N] PATTERN".
func stepWaitLog(ctx context.Context, s *session, st Step) (string, error) {
	opts, args, err := options(st.Args, "n", "")
	if err != nil || len(args) != 1 {
		return "", errors.Join(err, errors.New("wait-log [-n N] PATTERN"))
	}
	n := 1
	if v := opts["n"]; v != nil {
		if n, err = strconv.Atoi(v[0]); err != nil {
			return "", err
		}
	}
	re, err := regexp.Compile(s.expand(args[0]))
	if err != nil {
		return "", err
	}
	if !poll(ctx, func() bool { return len(re.FindAllString(s.activityLog(), n)) >= n }) {
		return fmt.Sprintf("[%s not in the log]\n", args[0]), nil
	}
	return "", nil
}

// activityLog is the text of d.log from the mark on.
func (s *session) activityLog() string {
	text := readText(filepath.Join(s.dir, "d.log"))
	if int64(len(text)) < s.mark {
		return text
	}
	return text[s.mark:]
}

// stepMark makes later log steps start here.
func stepMark(_ context.Context, s *session, _ Step) (string, error) {
	s.mark = int64(len(readText(filepath.Join(s.dir, "d.log"))))
	return "", nil
}

// stepWaitFile waits until FILE matches PATTERN: "wait-file FILE PATTERN".
func stepWaitFile(ctx context.Context, s *session, st Step) (string, error) {
	if len(st.Args) != 2 {
		return "", errors.New("wait-file FILE PATTERN")
	}
	re, err := regexp.Compile(s.expand(st.Args[1]))
	if err != nil {
		return "", err
	}
	if !poll(ctx, func() bool { return re.MatchString(s.globText(st.Args[0])) }) {
		return fmt.Sprintf("[%s never matched]\n%s", st.Args[0], s.globText(st.Args[0])), nil
	}
	return "", nil
}

// globText is the text of the files matching a pattern, in order of their names.
func (s *session) globText(pattern string) string {
	names, err := filepath.Glob(s.path(pattern))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString(readText(n))
	}
	return b.String()
}

// stepWaitShell waits until a shell command succeeds.
func stepWaitShell(ctx context.Context, s *session, st Step) (string, error) {
	var last string
	ok := poll(ctx, func() bool {
		out, err := s.shell(ctx, st.Rest)
		last = out
		return err == nil
	})
	if !ok {
		return "[never true]\n" + last, nil
	}
	return "", nil
}
