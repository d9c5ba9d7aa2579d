package manager

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/launch"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/find"
)

// seen are programs whose processes are those of this machine; taking one is played.
type seen struct {
	waiting
	host *launch.Host
}

func (s seen) CandidateAt(p *find.Process) (launch.Candidate, error) { return s.Candidate(p.PID) }

func (s seen) Adoptable(ctx context.Context) (*find.Crowd, func(*find.Process) bool, error) {
	return s.host.Adoptable(ctx)
}

func (s seen) Fits(p *model.Program) (func(*find.Process) bool, error) { return s.host.Fits(p) }

// sleeping starts a process that no other one is like.
func sleeping(t *testing.T, seconds string) int {
	t.Helper()
	c := exec.Command("sleep", seconds)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if p, err := find.Read(c.Process.Pid); err == nil && len(p.Args) == 2 && p.Args[0] == "sleep" {
			return c.Process.Pid
		}
		if time.Now().After(end) {
			t.Fatal("in vain: it sleeps")
		}
	}
}

// TestAdoptAs: all of what is said decides which process it is, and it is never guessed.
func TestAdoptAs(t *testing.T) {
	n := strconv.Itoa(8_000_000 + os.Getpid())
	one, two := sleeping(t, n), sleeping(t, n)
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, []byte(strconv.Itoa(two)), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := find.Read(one)
	if err != nil {
		t.Fatal(err)
	}
	began := startOf(&p)
	for name, tt := range map[string]struct {
		q    service.AdoptQuery
		pid  int
		code service.Code
	}{
		"a pid":                         {service.AdoptQuery{PID: one}, one, 0},
		"a pid and its start":           {service.AdoptQuery{PID: one, Start: began}, one, 0},
		"a pid that was given anew":     {service.AdoptQuery{PID: one, Start: began.Add(-time.Minute)}, 0, service.CodeNoProcess},
		"two of a title":                {service.AdoptQuery{Title: "^sleep " + n + "$"}, 0, service.CodeAmbiguous},
		"two of a command":              {service.AdoptQuery{Command: "sleep " + n}, 0, service.CodeAmbiguous},
		"a title and a pid":             {service.AdoptQuery{Title: "^sleep " + n + "$", PID: two}, two, 0},
		"a title of none":               {service.AdoptQuery{Title: "^no such thing$"}, 0, service.CodeNoProcess},
		"a title that is none":          {service.AdoptQuery{Title: "("}, 0, service.CodeBadArguments},
		"a pid file":                    {service.AdoptQuery{PIDFile: file}, two, 0},
		"a pid file and another pid":    {service.AdoptQuery{PIDFile: file, PID: one}, 0, service.CodeNoProcess},
		"no pid file":                   {service.AdoptQuery{PIDFile: file + ".none"}, 0, service.CodeNoFile},
		"a relative pid file":           {service.AdoptQuery{PIDFile: "pid"}, 0, service.CodeBadArguments},
		"no port":                       {service.AdoptQuery{Port: 70000}, 0, service.CodeBadArguments},
		"nothing":                       {service.AdoptQuery{}, 0, service.CodeBadArguments},
		"ourselves by everybody's name": {service.AdoptQuery{PID: os.Getpid(), Title: "."}, 0, service.CodeNotAdoptable},
		"a port of nobody":              {service.AdoptQuery{Port: 1}, 0, service.CodeNoProcess},
		"one that does not fit":         {service.AdoptQuery{PID: one, Title: "^no such thing$"}, 0, service.CodeNoProcess},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, group("x", 1, "stay"))
			s.Manager.o.Environ = os.Environ()
			s.Manager.o.Programs = seen{
				waiting{programs: programs{launch.New(launch.Options{})}, applicant: &applicant{s: s}}, launch.New(launch.Options{UID: os.Getuid()}),
			}
			st, err := s.AdoptAs(context.Background(), model.ID{Group: "x", Name: "x"}, tt.q)
			if service.CodeOf(err) != tt.code || err == nil && (st.PID != tt.pid || st.State != model.Running) {
				t.Errorf("pid %d, %v; want %d, %v", st.PID, err, tt.pid, tt.code)
			}
		})
	}
}

// TestAdoptable: what is told of a process is true, and neither this process nor those above it are offered.
func TestAdoptable(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"))
	s.Manager.o.Programs = seen{waiting{programs: programs{launch.New(launch.Options{})}}, launch.New(launch.Options{UID: os.Getuid()})}
	pid := sleeping(t, strconv.Itoa(9_000_000+os.Getpid()))
	list, err := s.Adoptable(context.Background(), service.AdoptQuery{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, a := range list {
		switch a.PID {
		case os.Getpid(), os.Getppid(), 1:
			t.Errorf("%+v is offered", a)
		case pid:
			found = true
			dir, _ := os.Getwd()
			if a.Parent != os.Getpid() || a.UID != os.Getuid() || a.Name != "sleep" || a.Dir != dir || time.Since(a.Start) > time.Hour || a.Memory <= 0 || fmt.Sprint(a.Args) != fmt.Sprintf("[sleep %d]", 9_000_000+os.Getpid()) {
				t.Errorf("%+v", a)
			}
		}
	}
	if !found {
		t.Errorf("pid %d is not offered", pid)
	}
}

// TestNames: a program is called what its process runs.
func TestNames(t *testing.T) {
	for want, args := range map[string][]string{
		"app": {"/usr/bin/python3.12", "/srv/app.py", "--port"}, "redis-server": {"redis-server", "*:6379"}, "nginx": {"nginx: master process nginx"},
		"redis": {"/usr/bin/redis *:6379", "", ""}, "run": {"run", "", ""}, "my-run": {"my run", "", "x"},
		"python3": {"python3", "-m", "http.server"}, "": nil, "server": {"node", "server.js"},
	} {
		if got := nameOf(untitled(args)); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

var _ core.Candidate = (*applicant)(nil)
