//go:build unix

package launch

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
)

// openFiles are the targets of this process's descriptors; none where the system does not tell.
func openFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			out = append(out, to)
		}
	}
	return out
}

func TestAutomaticLogs(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.program("cat", "sh -c 'echo out; echo err >&2'")
	p.IO.Stdout, p.IO.Stderr = model.Stream{Log: model.LogAuto, Backups: 2}, model.Stream{Log: model.LogAuto}
	s := r.slots(p)[0]
	l := s.Logs()
	for path, channel := range map[string]string{l.Stdout: "stdout", l.Stderr: "stderr"} {
		if !regexp.MustCompile(`^` + regexp.QuoteMeta(r.dir) + `/cat-` + channel + `---supervisor-[a-z0-9_]{8}\.log$`).MatchString(path) {
			t.Errorf("%s is %s", channel, path)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	r.launch(s)
	r.outcome("cat")
	for path, want := range map[string]string{l.Stdout: "out\n", l.Stderr: "err\n"} {
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if err := os.WriteFile(l.Stdout+".1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.host.DropLogs(p, l)
	for _, path := range []string{l.Stdout, l.Stdout + ".1", l.Stderr} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

func TestDropLogsLeavesFilesOfOthers(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.program("p", "true")
	p.IO.Stderr = model.Stream{Log: model.LogNone}
	if err := os.WriteFile(r.path("p.out"), []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := r.host.MakeLogs(p)
	if d := cmp.Diff(core.LogPaths{Stdout: r.path("p.out")}, l); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	r.host.DropLogs(p, l)
	if r.read("p.out") != "keep" {
		t.Error("a configured log was deleted")
	}
}

func TestAutomaticLogsWithoutDirectory(t *testing.T) {
	r := newRig(t, func(o *Options) { o.AutoDir += "/none" }, nil)
	p := r.program("p", "true")
	p.IO.Stdout.Log, p.IO.Stdout.Path = model.LogAuto, ""
	if l, err := r.host.MakeLogs(p); err == nil || l != (core.LogPaths{}) {
		t.Errorf("%v, %v", l, err)
	}
}

func TestMergedProgramHasNoSecondLog(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.program("p", "true")
	p.IO = model.IOSpec{Stdout: model.Stream{Log: model.LogAuto}, Stderr: model.Stream{Log: model.LogAuto}, MergeStderr: true}
	l, err := r.host.MakeLogs(p)
	if err != nil || l.Stdout == "" || l.Stderr != "" {
		t.Errorf("%v, %v", l, err)
	}
}

func TestSyslogLines(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	r := newRig(t, func(o *Options) {
		o.Syslog = func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		}
	}, nil)
	p := r.program("sy", `sh -c 'echo one; printf "t\tw\377o\nlast"'`)
	p.IO.Stdout.Syslog = true // beside the file
	e := r.run(p)
	if e.stdout != "one\nt\tw\377o\nlast" {
		t.Errorf("the file has %q", e.stdout)
	}
	want := []string{"sy one", "sy t\tw\377o", "sy last"}
	until(t, "all lines have come", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(lines) >= len(want)
	})
	mu.Lock()
	defer mu.Unlock()
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

func TestCopiesInTheActivityLog(t *testing.T) {
	r := newRig(t, nil, nil)
	for name, c := range map[string]struct{ line, want string }{
		"talk": {`echo 'h%dllo %s'`, "DEBG 'talk' stdout output:\nh%dllo %s\n\n"},
		"utf":  {`echo Grüße`, "DEBG 'utf' stdout output:\nGrüße\n\n"},
		"errs": {`sh -c 'echo oops >&2'`, "DEBG 'errs' stderr output:\noops\n\n"},
		"raw":  {`printf '\377x\n\047'`, "DEBG 'raw' stdout output:\nUndecodable: b\"\\xffx\\n'\"\n"},
	} {
		r.run(r.program(name, c.line))
		until(t, "the copy of "+name, func() bool { return strings.Contains(r.activity(), c.want) })
	}
}

func TestStripANSI(t *testing.T) {
	r := newRig(t, func(o *Options) { o.StripANSI = true }, nil)
	if e := r.run(r.program("p", `printf 'a\033[1mb\033[0m\n'`)); e.stdout != "ab\n" {
		t.Errorf("%q", e.stdout)
	}
}
