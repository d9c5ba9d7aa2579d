package rlimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) >= 2 && os.Args[1] == "daemon" {
		daemon()
		return
	}
	if len(os.Args) > 6 && os.Args[1] == "scene" {
		scene()
		return
	}
	os.Exit(m.Run())
}

// scene executes a daemon with limits: scene SOFT HARD (descriptors) SOFT HARD (processes) COMMAND….
func scene() {
	var n [4]uint64
	for i := range n {
		n[i], _ = strconv.ParseUint(os.Args[2+i], 10, 64)
	}
	err := errors.Join(
		syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n[0], Max: n[1]}),
		syscall.Setrlimit(unix.RLIMIT_NPROC, &syscall.Rlimit{Cur: n[2], Max: n[3]}))
	if err == nil {
		err = syscall.Exec("/proc/self/exe", append([]string{os.Args[0]}, os.Args[6:]...), os.Environ())
	}
	fmt.Println("scene:", err)
}

// report is what a daemon of these tests says about itself.
type report struct {
	Original, Own Limit
	Files         Change
	Procs         Change
	Err           string
	Program       string // soft and hard limit of descriptors that a program gets
	PID           int
	Env           bool // something of ours is left in the environment
}

// daemon raises its limits as a daemon does: daemon MINFDS MINPROCS.
func daemon() {
	var r report
	minfds, _ := strconv.ParseUint(os.Args[2], 10, 64)
	minprocs, _ := strconv.ParseUint(os.Args[3], 10, 64)
	err := func() (err error) {
		if r.Original, err = Original(); err != nil {
			return err
		}
		if r.Files, err = Raise(Files, minfds); err != nil {
			return err
		}
		if r.Files.Again {
			return Reexec(r.Files)
		}
		if r.Procs, err = Raise(Processes, minprocs); err != nil {
			return err
		}
		r.Own, err = Own()
		return err
	}()
	if err != nil {
		r.Err = err.Error()
		var le *Error
		if errors.As(err, &le) {
			r.Err = fmt.Sprintf("%v %d of %d: %v", le.Resource, le.Wanted, le.Have.Hard, le.Err)
		}
	}
	out, _ := exec.Command("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn").Output()
	r.Program = strings.Join(strings.Fields(string(out)), " ")
	r.PID = os.Getpid()
	_, r.Env = os.LookupEnv(raisedVariable)
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

// start runs a daemon with limits and returns its report.
func start(t *testing.T, files Limit, cred *syscall.Credential, minfds, minprocs uint64) report {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if cred != nil {
		exe = reachable(t, exe)
	}
	c := exec.Command(exe, "scene", fmt.Sprint(files.Soft), fmt.Sprint(files.Hard), "5000", "7000",
		"daemon", fmt.Sprint(minfds), fmt.Sprint(minprocs))
	c.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	c.Stderr = os.Stderr
	if cred != nil {
		c.Dir = "/"
	}
	out, err := c.Output()
	if err != nil {
		t.Fatalf("daemon: %v", err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if r.PID != c.Process.Pid {
		t.Errorf("the pid changed from %d to %d", c.Process.Pid, r.PID)
	}
	if r.Env {
		t.Error("a variable of ours is left over")
	}
	r.PID = 0
	return r
}

// reachable copies the binary to where another user can execute it.
func reachable(t *testing.T, exe string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rlimit-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/self", b, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + "/self"
}

func TestDaemon(t *testing.T) {
	procs := Change{Resource: Processes, From: Limit{5000, 7000}, To: Limit{5000, 7000}}
	for _, tc := range []struct {
		name             string
		limits           Limit
		nobody           bool
		minfds, minprocs uint64
		want             report
	}{
		{
			name: "enough", limits: Limit{1500, 3000}, minfds: 1024, minprocs: 200,
			want: report{
				Original: Limit{1500, 3000}, Own: Limit{2999, 3000}, Program: "1500 3000",
				Files: Change{From: Limit{1500, 3000}, To: Limit{1500, 3000}}, Procs: procs,
			},
		},
		{
			name: "exactly enough", limits: Limit{1024, 3000}, minfds: 1024, minprocs: 5000,
			want: report{
				Original: Limit{1024, 3000}, Own: Limit{2999, 3000}, Program: "1024 3000",
				Files: Change{From: Limit{1024, 3000}, To: Limit{1024, 3000}}, Procs: procs,
			},
		},
		{
			name: "raised to minfds", limits: Limit{300, 3000}, minfds: 1024, minprocs: 6000,
			want: report{
				Original: Limit{1024, 3000}, Own: Limit{2999, 3000}, Program: "1024 3000",
				Files: Change{From: Limit{300, 3000}, To: Limit{1024, 3000}, Raised: true},
				Procs: Change{Resource: Processes, From: Limit{5000, 7000}, To: Limit{6000, 7000}, Raised: true},
			},
		},
		{
			name: "raised to the hard limit", limits: Limit{300, 3000}, minfds: 3000, minprocs: 0,
			want: report{
				Original: Limit{3000, 3000}, Own: Limit{3000, 3000}, Program: "3000 3000",
				Files: Change{From: Limit{300, 3000}, To: Limit{3000, 3000}, Raised: true}, Procs: procs,
			},
		},
		{
			name: "soft equals hard", limits: Limit{2000, 2000}, minfds: 1024, minprocs: 0,
			want: report{
				Original: Limit{2000, 2000}, Own: Limit{2000, 2000}, Program: "2000 2000",
				Files: Change{From: Limit{2000, 2000}, To: Limit{2000, 2000}}, Procs: procs,
			},
		},
		{
			name: "one below hard", limits: Limit{1999, 2000}, minfds: 1024, minprocs: 0,
			want: report{
				Original: Limit{1999, 2000}, Own: Limit{1999, 2000}, Program: "1999 2000",
				Files: Change{From: Limit{1999, 2000}, To: Limit{1999, 2000}}, Procs: procs,
			},
		},
		{
			name: "root raises the hard limit too", limits: Limit{300, 500}, minfds: 1024, minprocs: 8000,
			want: report{
				Original: Limit{1024, 1024}, Own: Limit{1024, 1024}, Program: "1024 1024",
				Files: Change{From: Limit{300, 1024}, To: Limit{1024, 1024}, Raised: true},
				Procs: Change{Resource: Processes, From: Limit{5000, 7000}, To: Limit{8000, 8000}, Raised: true},
			},
		},
		{
			name: "others cannot", limits: Limit{300, 500}, nobody: true, minfds: 1024, minprocs: 0,
			want: report{
				Original: Limit{300, 500}, Program: "300 500",
				Err: "RLIMIT_NOFILE 1024 of 500: operation not permitted",
			},
		},
		{
			name: "others up to the hard limit", limits: Limit{300, 2000}, nobody: true, minfds: 1024, minprocs: 9000,
			want: report{
				Original: Limit{1024, 2000}, Program: "1024 2000",
				Files: Change{From: Limit{300, 2000}, To: Limit{1024, 2000}, Raised: true},
				Err:   "RLIMIT_NPROC 9000 of 7000: operation not permitted",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if os.Getuid() != 0 {
				t.Skip("needs root to set the scene")
			}
			if tc.want.Procs.To.Hard > 7000 && !mayRaiseHard() {
				t.Skip("this root may not raise hard limits")
			}
			var cred *syscall.Credential
			if tc.nobody {
				cred = &syscall.Credential{Uid: 65534, Gid: 65534}
			}
			got := start(t, tc.limits, cred, tc.minfds, tc.minprocs)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestProbe: both ways to learn the original limit agree, and leave nothing behind.
func TestProbe(t *testing.T) {
	a, err := probe()
	if err != nil {
		t.Skipf("processes cannot be traced here: %v", err)
	}
	b, err := askShell()
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("the probe says %d, the shell %d", a, b)
	}
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}

func TestWanted(t *testing.T) {
	for _, tc := range []struct {
		have   Limit
		want   uint64
		to     Limit
		raised bool
	}{
		{Limit{1024, 4096}, 1024, Limit{1024, 4096}, false},
		{Limit{1024, 4096}, 0, Limit{1024, 4096}, false},
		{Limit{1023, 4096}, 1024, Limit{1024, 4096}, true},
		{Limit{1, 2}, 3, Limit{3, 3}, true},
		{Limit{1, Unlimited}, 3, Limit{3, Unlimited}, true},
		{Limit{Unlimited, Unlimited}, 1 << 40, Limit{Unlimited, Unlimited}, false},
	} {
		if to, raised := wanted(tc.have, tc.want); to != tc.to || raised != tc.raised {
			t.Errorf("%+v wanting %d: %+v, %v", tc.have, tc.want, to, raised)
		}
	}
}

func TestError(t *testing.T) {
	e := &Error{Processes, 9, Limit{1, 2}, syscall.EPERM}
	if !errors.Is(e, syscall.EPERM) || e.Error() != "RLIMIT_NPROC cannot be raised from 1 to 9 (hard limit 2): operation not permitted" {
		t.Error(e)
	}
}
