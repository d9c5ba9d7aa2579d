package ctltest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// forkServer loads the original's client once and runs it in a child process for every line, because
// loading takes far longer than a command.
const forkServer = `
import json, os, sys
from supervisor import supervisorctl

def run(job):
    sys.argv = [job["prog"]] + job["args"]
    for fd, name, flags in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        os.dup2(os.open(os.path.join(job["dir"], name), flags | os.O_CREAT, 0o600), fd)
    sys.stdin = open(0, encoding="utf-8")
    sys.stdout = open(1, "w", encoding="utf-8")
    sys.stderr = open(2, "w", encoding="utf-8")
    code = 0
    try:
        supervisorctl.main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else (0 if e.code is None else 1)
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        run(job)
    status = os.waitpid(pid, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
`

// Original is a Runner for the original's client under the name prog; the error says why there is none.
func Original(t *testing.T, prog string) (Runner, error) {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import supervisor.supervisorctl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the original is not installed: %w\n%s", err, out)
	}
	cmd := exec.Command(python, "-c", forkServer)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "COLUMNS=80", "HOME=/root")
	jobs, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		jobs.Close()
		_ = cmd.Wait()
	})
	codes := bufio.NewReader(answers)
	return func(args []string, stdin string) Result {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "in"), []byte(stdin), 0o600); err != nil {
			t.Fatal(err)
		}
		if args == nil {
			args = []string{}
		}
		job, err := json.Marshal(map[string]any{"prog": prog, "args": args, "dir": dir})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(jobs, string(job)+"\n"); err != nil {
			t.Fatal(err)
		}
		var r Result
		line, err := codes.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(strings.TrimSpace(line)), &r.Status); err != nil {
			t.Fatal(err)
		}
		for name, to := range map[string]*string{"out": &r.Stdout, "err": &r.Stderr} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			*to = string(b)
		}
		return r
	}, nil
}
